//! Attempts: their states, ends, retries, and what dead workers leave.

use chrono::TimeDelta;
use olake_shared::{
    clock::TestClock,
    domain::task::{FailureClass, PlaceClass, TaskPhase, TaskStatus},
    store::{
        Store, StoreError,
        connections::{ConnectionInput, Side},
        tasks::{
            Failure, Fence,
            claim::{Claim, Work},
            end::{Final, Outcome, Recovered, Retries},
            input::{OneShot, OneShotResult},
            limits::Limits,
        },
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    databases::{self, TestDatabase},
    on_both_databases,
    stage::{claimed, clean, job, line, project, runs, setting, user, worker},
};

on_both_databases!(
    the_state_of_a_run_is_fenced_and_kept_to_the_byte,
    an_interrupted_task_comes_back_with_its_state,
    cancel_wishes_hold_without_a_worker,
    a_dead_workers_task_is_taken_back_once,
    failures_are_retried_as_often_as_the_job_says,
    a_task_that_loses_its_workers_over_and_over_fails,
    one_shots_lose_their_input_and_keep_their_result_for_a_day,
    secrets_that_were_changed_since_are_not_those_of_an_attempt,
);

async fn secrets_that_were_changed_since_are_not_those_of_an_attempt(db: TestDatabase) {
    let (project, job, user, claimed) = claimed(&db, "j").await;
    let queue = db.store.queue();
    queue.work_as_claimed(claimed.fence).await.unwrap();
    let source = project.job(job).await.unwrap().source;
    let input = ConnectionInput {
        name: source.name,
        connector_type: source.connector_type,
        version: source.version,
        config: json!({"host": "db", "password": "a new one"}),
    };
    project.update_connection(Side::Source, source.id, &input, None, user).await.unwrap();
    let error = queue.work_as_claimed(claimed.fence).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    queue.work_of(claimed.fence).await.unwrap();
}

async fn the_state_of_a_run_is_fenced_and_kept_to_the_byte(db: TestDatabase) {
    let (project, job, user, claimed) = claimed(&db, "j").await;
    let queue = db.store.queue();
    let text = "{\"type\":\"STREAM\",  \"n\":12345678901234567890.50}\n";
    queue.push_state(claimed.fence, job, 1, r#"{"type":"STREAM"}"#).await.unwrap();
    queue.push_state(claimed.fence, job, 3, text).await.unwrap();
    queue.push_state(claimed.fence, job, 2, r#"{"late":1}"#).await.unwrap();
    let old = Fence { epoch: claimed.fence.epoch - 1, ..claimed.fence };
    assert!(matches!(queue.push_state(old, job, 9, "{}").await, Err(StoreError::Fenced)));
    assert!(matches!(queue.set_phase(old, TaskPhase::Running, None).await, Err(StoreError::Fenced)));
    assert!(matches!(queue.end(old, &clean()).await, Err(StoreError::Fenced)));
    let end = Final { records_read: Some(7), bytes_read: Some(70), ..clean() };
    queue.end(claimed.fence, &end).await.unwrap();
    assert!(
        matches!(queue.push_state(claimed.fence, job, 9, "{}").await, Err(StoreError::Fenced)),
        "after the end"
    );
    assert!(matches!(queue.end(claimed.fence, &clean()).await, Err(StoreError::Fenced)), "ended twice");

    let shown = project.task(claimed.fence.task).await.unwrap();
    assert_eq!(
        (shown.status, shown.records_read, shown.exit_code),
        (TaskStatus::Succeeded, Some(7), Some(0))
    );
    assert_eq!(project.job(job).await.unwrap().last_run.unwrap().state, "succeeded");

    let next = project.create_sync(job, user).await.unwrap().task;
    let Some(Claim::Taken(next)) =
        queue.claim(next, worker(&db.store).await, "here", Limits::default()).await.unwrap()
    else {
        panic!()
    };
    let Work::Sync(work) = next.work else { panic!() };
    assert_eq!(work.state.as_deref(), Some(text));
}

async fn an_interrupted_task_comes_back_with_its_state(db: TestDatabase) {
    let (project, job, _, claimed) = claimed(&db, "j").await;
    let queue = db.store.queue();
    let end = Final {
        state: Some((1, r#"{"at":5}"#.into())),
        ..Final::bare(Outcome::Interrupted("stopped".into()))
    };
    let ended = queue.end(claimed.fence, &end).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Queued);
    assert_eq!(
        queue.due(PlaceClass::Sync, &runs(), Limits::default(), 1).await.unwrap(),
        [claimed.fence.task],
        "due at once"
    );
    let Some(Claim::Taken(again)) =
        queue.claim(claimed.fence.task, worker(&db.store).await, "here", Limits::default()).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((again.fence.attempt, again.fence.epoch), (2, 3));
    let Work::Sync(work) = &again.work else { panic!() };
    assert_eq!(work.state.as_deref(), Some(r#"{"at":5}"#));
    queue.end(again.fence, &clean()).await.unwrap();
    let attempts = project.attempts(claimed.fence.task).await.unwrap();
    assert_eq!(attempts[0].failure_class.as_deref(), Some("interrupted"));
    assert_eq!(attempts[1].failure_class, None);
    assert_eq!(project.job(job).await.unwrap().last_run.unwrap().state, "succeeded");
}

async fn cancel_wishes_hold_without_a_worker(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let job = project.create_job(&job("j"), user).await.unwrap();
    let nothing = project.cancel_job(job.id).await.unwrap_err();
    assert_eq!(nothing.to_string(), "no sync of job 'j' is running");
    let task = project.create_sync(job.id, user).await.unwrap().task;
    assert_eq!(
        project.cancel_job(job.id).await.unwrap().status,
        TaskStatus::Cancelled,
        "a queued one ends at once"
    );
    assert!(db.store.queue().claim(task, Uuid::now_v7(), "here", Limits::default()).await.unwrap().is_none());
    assert!(matches!(project.cancel_task(task).await, Err(StoreError::NothingToCancel(_))));

    let task = project.create_sync(job.id, user).await.unwrap().task;
    let Some(Claim::Taken(claimed)) =
        db.store.queue().claim(task, Uuid::now_v7(), "here", Limits::default()).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(project.cancel_job(job.id).await.unwrap().status, TaskStatus::Running);
    assert_eq!(project.cancel_job(job.id).await.unwrap().status, TaskStatus::Running, "twice is once");
    assert_eq!(db.store.queue().cancel_wishes(&[task]).await.unwrap(), [task]);
    let failure = Failure::new(FailureClass::Cancelled, "cancelled");
    let ended = db.store.queue().end(claimed.fence, &Final::bare(Outcome::Bad(failure))).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Cancelled);
}

async fn a_dead_workers_task_is_taken_back_once(db: TestDatabase) {
    let (project, job, _, claimed) = claimed(&db, "j").await;
    let queue = db.store.queue();
    assert!(queue.orphaned(Uuid::nil(), 0).await.unwrap().is_empty(), "its lease runs");
    queue.forget_all_but(Uuid::now_v7()).await.unwrap();
    queue.append_log(claimed.fence, 0, &[line(1), line(2)]).await.unwrap();
    let orphans = queue.orphaned(Uuid::nil(), 0).await.unwrap();
    assert_eq!(
        (orphans[0].fence, orphans[0].job, orphans[0].lines_of_attempt),
        (claimed.fence, Some(job), 2)
    );
    // Its worker was paused, and stored the first of them after it was looked for: that one is not stored again.
    queue.append_log(claimed.fence, 2, &[line(3)]).await.unwrap();
    let left = Recovered { state: Some(r#"{"left":1}"#.into()), first_line: 2, log: vec![line(3), line(4)] };
    assert_eq!(queue.take_back(claimed.fence, "gone", &left).await.unwrap().status, TaskStatus::Queued);
    assert!(queue.take_back(claimed.fence, "gone", &left).await.is_err());
    assert!(matches!(queue.end(claimed.fence, &clean()).await, Err(StoreError::Fenced)));
    let shown = project.task(claimed.fence.task).await.unwrap();
    assert_eq!((shown.status, shown.log_lines), (TaskStatus::Queued, 4));
    let worker = worker(&db.store).await;
    let Some(Claim::Taken(again)) =
        queue.claim(claimed.fence.task, worker, "here", Limits::default()).await.unwrap()
    else {
        panic!()
    };
    let Work::Sync(work) = again.work else { panic!() };
    assert_eq!(work.state.as_deref(), Some(r#"{"left":1}"#), "what the dead worker had not stored is there");
}

async fn failures_are_retried_as_often_as_the_job_says(db: TestDatabase) {
    let (project, _, user, claimed) = claimed(&db, "j").await;
    let queue = db.store.queue();
    let failed =
        || Outcome::Bad(Failure { exit_code: Some(1), ..Failure::new(FailureClass::Connector, "no") });
    let end = Final { retries: Retries { connector: 1, ..Retries::default() }, ..Final::bare(failed()) };
    assert_eq!(queue.end(claimed.fence, &end).await.unwrap().status, TaskStatus::Queued);
    let shown = project.task(claimed.fence.task).await.unwrap();
    assert!(shown.not_before.is_some() && shown.hold_reason.is_some());
    assert_eq!(project.queue_position(shown.id).await.unwrap(), None, "it does not stand in the queue yet");
    assert!(
        queue.due(PlaceClass::Sync, &runs(), Limits::default(), 1).await.unwrap().is_empty(),
        "not before its time"
    );
    // A person who does not want to wait starts it at once.
    let created = project.create_sync(shown.job.unwrap(), user).await.unwrap();
    assert_eq!(created.task, claimed.fence.task);
    assert_eq!(
        queue.due(PlaceClass::Sync, &runs(), Limits::default(), 1).await.unwrap(),
        [claimed.fence.task]
    );
    let Some(Claim::Taken(again)) =
        queue.claim(created.task, Uuid::now_v7(), "here", Limits::default()).await.unwrap()
    else {
        panic!()
    };
    let end = Final { retries: Retries { connector: 1, ..Retries::default() }, ..Final::bare(failed()) };
    assert_eq!(queue.end(again.fence, &end).await.unwrap().status, TaskStatus::Failed);
    let shown = project.task(created.task).await.unwrap();
    assert_eq!((shown.failure_message.as_deref(), shown.exit_code), (Some("no"), Some(1)));
}

async fn a_task_that_loses_its_workers_over_and_over_fails(db: TestDatabase) {
    let (project, _, _, claimed) = claimed(&db, "j").await;
    let queue = db.store.queue();
    let mut fence = claimed.fence;
    for _ in 0..100 {
        let ended = queue.take_back(fence, "gone", &Recovered::default()).await.unwrap();
        if ended.status == TaskStatus::Failed {
            let shown = project.task(fence.task).await.unwrap();
            assert_eq!(shown.failure_class.as_deref(), Some("infrastructure"));
            return;
        }
        let worker = worker(&db.store).await;
        let Some(Claim::Taken(again)) =
            queue.claim(fence.task, worker, "here", Limits::default()).await.unwrap()
        else {
            panic!()
        };
        fence = again.fence;
    }
    panic!("it goes on for ever");
}

async fn one_shots_lose_their_input_and_keep_their_result_for_a_day(db: TestDatabase) {
    let clock = TestClock::default();
    let clock = std::sync::Arc::new(clock);
    let store = Store::new(db.store.connection().clone(), databases::keys(), clock.clone());
    let (project, user) = (project(&store).await, user(&store).await);
    let ask = OneShot::Check { side: Side::Source, config: json!({"n": 12_345_678_901_234_567_u64}) };
    let task = project.create_one_shot("files", "v0.9.4", &ask, user).await.unwrap().task;
    let Some(Claim::Taken(claimed)) =
        store.queue().claim(task, Uuid::now_v7(), "here", Limits::default()).await.unwrap()
    else {
        panic!()
    };
    let Work::OneShot(OneShot::Check { config, .. }) = &claimed.work else { panic!() };
    assert_eq!(config["n"].to_string(), "12345678901234567");
    let result = OneShotResult::Check { succeeded: false, message: "no route".into() };
    store.queue().end(claimed.fence, &Final { result: Some(result.clone()), ..clean() }).await.unwrap();
    use sea_orm::EntityTrait;
    let row = olake_shared::store::entities::task::Entity::find_by_id(task)
        .one(store.connection())
        .await
        .unwrap()
        .unwrap();
    assert!(row.input.is_none() && !row.result.unwrap().contains("no route"));
    assert_eq!(project.one_shot_result(task).await.unwrap(), Some(result));
    assert_eq!(store.queue().drop_old_results().await.unwrap(), 0);
    clock.advance(TimeDelta::hours(25));
    assert_eq!(store.queue().drop_old_results().await.unwrap(), 1);
    assert_eq!(project.one_shot_result(task).await.unwrap(), None);
}
