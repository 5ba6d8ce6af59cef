//! Which task is due, whose turn it is, and who gets it.

use std::time::Duration;

use olake_shared::{
    clock::TestClock,
    domain::{
        project::ProjectId,
        task::{PlaceClass, TaskPhase, TaskStatus},
    },
    store::{
        Store, StoreError,
        connections::ConnectionInput,
        jobs::{JobInput, SideInput},
        tasks::{claim::Claim, input::OneShot, limits::Limits},
        workers::{RunnableConnector, Runs},
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    databases::{self, TestDatabase},
    on_both_databases,
    stage::{clean, job, runs, setting, shop, worker},
};

on_both_databases!(
    one_active_sync_per_job,
    a_task_is_claimed_once_however_many_workers_race,
    a_worker_gets_only_what_it_runs,
    projects_take_turns_and_limits_hold_tasks_back,
    two_syncs_on_one_replication_slot_never_run_together,
    leases_run_by_the_databases_clock,
);

async fn one_active_sync_per_job(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let job = project.create_job(&job("j"), user).await.unwrap();
    let racers = (0..8).map(|_| project.create_sync(job.id, user));
    let results = futures::future::join_all(racers).await;
    let won: Vec<_> = results.iter().filter_map(|r| r.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    for lost in results.iter().filter_map(|r| r.as_ref().err()) {
        assert_eq!(lost.to_string(), format!("a sync of job 'j' is running: {}", won[0].task));
    }
    let last = project.job(job.id).await.unwrap().last_run.unwrap();
    assert_eq!((last.task, last.state.as_str(), last.kind.as_str()), (won[0].task, "queued", "sync"));
    project.activate_job(job.id, false, user).await.unwrap();
    assert!(matches!(project.create_sync(job.id, user).await, Err(StoreError::JobPaused(_))));
}

async fn a_task_is_claimed_once_however_many_workers_race(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let job = project.create_job(&job("j"), user).await.unwrap();
    let task = project.create_sync(job.id, user).await.unwrap().task;
    let queue = db.store.queue();
    let due = queue.due(PlaceClass::Sync, &runs(), Limits::default(), 10).await.unwrap();
    assert_eq!(due, [task]);
    let racers = (0..8).map(|_| queue.claim(task, Uuid::now_v7(), "here", Limits::default()));
    let taken = futures::future::join_all(racers).await.into_iter().filter_map(|c| c.unwrap()).count();
    assert_eq!(taken, 1);
    assert!(queue.due(PlaceClass::Sync, &runs(), Limits::default(), 10).await.unwrap().is_empty());
    let shown = project.task(task).await.unwrap();
    assert_eq!(
        (shown.status, shown.attempt, shown.phase),
        (TaskStatus::Running, 1, Some(TaskPhase::Scheduling))
    );
    assert_eq!(project.attempts(task).await.unwrap().len(), 1);
}

async fn a_worker_gets_only_what_it_runs(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let ask = OneShot::Spec { destination_type: None };
    let mine = project.create_one_shot("files", "v0.9.4", &ask, user).await.unwrap().task;
    let other = project.create_one_shot("mysql", "v0.9.4", &ask, user).await.unwrap().task;
    let queue = db.store.queue();
    assert!(queue.live_runs().await.unwrap().is_none(), "no worker is up");
    worker(&db.store).await;
    assert_eq!(queue.live_runs().await.unwrap().unwrap(), runs());
    assert_eq!(queue.due(PlaceClass::Interactive, &runs(), Limits::default(), 10).await.unwrap(), [mine]);
    assert!(queue.due(PlaceClass::Sync, &runs(), Limits::default(), 10).await.unwrap().is_empty());
    assert!(
        queue.due(PlaceClass::Interactive, &Runs::default(), Limits::default(), 10).await.unwrap().is_empty()
    );
    assert!(queue.note_unrunnable(&runs(), Duration::ZERO).await.unwrap().is_empty(), "noted just now");
    let reason = project.task(other).await.unwrap().hold_reason.unwrap();
    assert!(reason.contains("mysql v0.9.4"), "{reason}");
    assert!(
        queue.note_unrunnable(&runs(), Duration::from_secs(60)).await.unwrap().is_empty(),
        "not long enough"
    );
    let left = queue.note_unrunnable(&runs(), Duration::ZERO).await.unwrap();
    assert_eq!(left, [(other, "mysql".to_owned(), "v0.9.4".to_owned())]);
    // A worker that can run it came: its wait begins anew when that one leaves.
    let mut more = runs();
    more.connectors.push(RunnableConnector { connector_type: "mysql".into(), ..more.connectors[0].clone() });
    queue.note_unrunnable(&more, Duration::ZERO).await.unwrap();
    assert_eq!(project.task(other).await.unwrap().hold_reason, None);
    assert!(queue.note_unrunnable(&runs(), Duration::ZERO).await.unwrap().is_empty());
    let ended = queue.fail_unschedulable(other, "nobody runs it").await.unwrap().unwrap();
    assert_eq!(ended.status, TaskStatus::Failed);
    let shown = project.task(other).await.unwrap();
    assert_eq!(shown.failure_class.as_deref(), Some("unschedulable"));
}

async fn projects_take_turns_and_limits_hold_tasks_back(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let other = db.store.project(&ProjectId::new("olake")).await.unwrap();
    let mut first = Vec::new();
    for n in 0..4 {
        let job = project.create_job(&job(&format!("job {n}")), user).await.unwrap();
        first.push(project.create_sync(job.id, user).await.unwrap().task);
    }
    let job = other.create_job(&job("late"), user).await.unwrap();
    let late = other.create_sync(job.id, user).await.unwrap().task;
    let queue = db.store.queue();
    let due = async |limits| queue.due(PlaceClass::Sync, &runs(), limits, 10).await.unwrap();
    assert_eq!(due(Limits::default()).await, [first[0], late, first[1], first[2], first[3]]);

    let two = Limits { syncs_per_project: 2, syncs_per_source: 0 };
    assert_eq!(due(two).await, [first[0], late, first[1]]);
    let racers = first.iter().map(|id| queue.claim(*id, Uuid::now_v7(), "here", two));
    let taken = futures::future::join_all(racers).await.into_iter().filter_map(Result::unwrap).count();
    // Who finds the project's row locked waits for it; nobody passes the limit.
    assert_eq!(taken, 2);
    assert_eq!(due(two).await, [late]);
    queue.explain_limits(two).await.unwrap();
    let mut held = 0;
    for id in &first {
        let task = project.task(*id).await.unwrap();
        held +=
            usize::from(task.hold_reason.is_some_and(|reason| reason.contains("as many syncs as it may")));
    }
    assert_eq!(held, 2);
    queue.explain_limits(Limits::default()).await.unwrap();
    for id in &first {
        assert_eq!(project.task(*id).await.unwrap().hold_reason, None, "nothing holds it any more");
    }
    // Two of the four run: the other project's comes first, whatever holds the other two back.
    let mut positions = Vec::new();
    for id in &first {
        positions.push(project.queue_position(*id).await.unwrap());
    }
    positions.sort_unstable();
    assert_eq!(positions, [None, None, Some(2), Some(3)]);
    assert_eq!(other.queue_position(late).await.unwrap(), Some(1));
    assert_eq!(project.queue_position(late).await.unwrap(), None, "it is another project's");
    // The four jobs share one source.
    let source = Limits { syncs_per_project: 0, syncs_per_source: 2 };
    assert_eq!(due(source).await, [late]);
}

async fn two_syncs_on_one_replication_slot_never_run_together(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let config = json!({"host": "db", "port": 5432, "database": "shop", "update_method": {"replication_slot": "olake"}});
    let mut tasks = Vec::new();
    for name in ["one", "two"] {
        let source = ConnectionInput { name: format!("source {name}"), config: config.clone(), ..shop() };
        let job = JobInput { source: SideInput::Inline(source), ..job(name) };
        let job = project.create_job(&job, user).await.unwrap();
        tasks.push(project.create_sync(job.id, user).await.unwrap().task);
    }
    let queue = db.store.queue();
    let racers = tasks.iter().map(|id| queue.claim(*id, Uuid::now_v7(), "here", Limits::default()));
    let claims: Vec<_> =
        futures::future::join_all(racers).await.into_iter().filter_map(Result::unwrap).collect();
    let [Claim::Taken(taken)] = &claims[..] else { panic!("{claims:?}") };
    assert!(queue.due(PlaceClass::Sync, &runs(), Limits::default(), 10).await.unwrap().is_empty());
    queue.explain_limits(Limits::default()).await.unwrap();
    let waiting = tasks.iter().find(|id| **id != taken.fence.task).unwrap();
    let reason = project.task(*waiting).await.unwrap().hold_reason.unwrap();
    assert!(reason.contains("replication slot"), "{reason}");
    queue.end(taken.fence, &clean()).await.unwrap();
    assert_eq!(queue.due(PlaceClass::Sync, &runs(), Limits::default(), 10).await.unwrap(), [*waiting]);
}

async fn leases_run_by_the_databases_clock(db: TestDatabase) {
    // The store's clock stands in 1970; the lease must not care.
    let clock = std::sync::Arc::new(TestClock::at(chrono::DateTime::UNIX_EPOCH));
    let store = Store::new(db.store.connection().clone(), databases::keys(), clock);
    let id = worker(&store).await;
    assert!(store.live_runs().await.unwrap().is_some());
    assert!(store.queue().renew(id, Duration::ZERO).await.unwrap());
    let expired = async || store.live_runs().await.unwrap().is_none();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !expired().await {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    store.queue().unregister(id).await.unwrap();
    assert!(!store.queue().renew(id, Duration::from_secs(1)).await.unwrap(), "its row is gone");
}
