//! The store's promises, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;

use std::time::Duration;

use chrono::TimeDelta;
use databases::TestDatabase;
use olake_shared::{
    clock::TestClock,
    domain::{
        project::ProjectId,
        task::{FailureClass, PlaceClass, TaskPhase, TaskStatus},
    },
    store::{
        ProjectStore, Store, StoreError,
        accounts::NewUser,
        connections::{ConnectionInput, Page, Side},
        jobs::{JobFilter, JobInput, SideInput},
        logs::{Direction, LogLine},
        specs::SpecKey,
        tasks::{
            Failure, Fence,
            claim::{Claim, Claimed, Work},
            end::{Final, Outcome, Recovered, Retries},
            input::{OneShot, OneShotResult},
            limits::Limits,
        },
        workers::{NewWorker, RunnableConnector, Runs},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

on_both_databases!(
    accounts_and_sessions,
    configs_are_kept_sealed_and_shown_with_tokens,
    a_spec_that_arrives_later_seals_what_it_names,
    names_are_unique_among_those_not_deleted,
    racing_creates_have_one_winner,
    a_source_in_use_is_not_deleted_and_keeps_its_type,
    a_stale_revision_changes_nothing,
    projects_do_not_see_each_other,
    a_job_makes_reuses_or_refuses_its_sides,
    lists_are_paged_newest_first,
    one_active_sync_per_job,
    a_task_is_claimed_once_however_many_workers_race,
    a_worker_gets_only_what_it_runs,
    the_state_of_a_run_is_fenced_and_kept_to_the_byte,
    an_interrupted_task_comes_back_with_its_state,
    cancel_wishes_hold_without_a_worker,
    a_dead_workers_task_is_taken_back_once,
    failures_are_retried_as_often_as_the_job_says,
    projects_take_turns_and_limits_hold_tasks_back,
    two_syncs_on_one_replication_slot_never_run_together,
    a_task_that_loses_its_workers_over_and_over_fails,
    one_shots_lose_their_input_and_keep_their_result_for_a_day,
    log_pages_join_without_gaps,
    a_deleted_job_cancels_what_runs,
    leases_run_by_the_databases_clock,
);

fn shop() -> ConnectionInput {
    ConnectionInput {
        name: "shop".into(),
        connector_type: "files".into(),
        version: "v0.9.4".into(),
        config: json!({"z": 1, "path": "/in", "password": "hunter22", "big": serde_json::from_str::<Value>("12345678901234567890123").unwrap()}),
    }
}

fn lake() -> ConnectionInput {
    ConnectionInput {
        name: "lake".into(),
        connector_type: "PARQUET".into(),
        version: "v0.9.4".into(),
        config: json!({"type": "PARQUET", "writer": {"local_path": "/lake"}}),
    }
}

fn job(name: &str) -> JobInput {
    JobInput {
        name: name.into(),
        source: SideInput::Inline(shop()),
        destination: SideInput::Inline(lake()),
        frequency: "0 * * * *".into(),
        streams_config: r#"{"streams":[],"selected_streams":{}}"#.into(),
        activate: None,
        advanced_settings: None,
    }
}

fn runs() -> Runs {
    Runs {
        connectors: vec![RunnableConnector {
            connector_type: "files".into(),
            version: "v0.9.4".into(),
            destinations: vec!["parquet".into()],
        }],
    }
}

async fn user(store: &Store) -> i64 {
    let new = NewUser {
        username: format!("u{}", Uuid::now_v7()),
        email: format!("{}@example.org", Uuid::now_v7()),
        password_hash: "hash".into(),
        is_admin: false,
    };
    store.create_user(new).await.unwrap().id
}

async fn project(store: &Store) -> ProjectStore {
    store.project(&ProjectId::new("123")).await.unwrap()
}

async fn setting(db: &TestDatabase) -> (ProjectStore, i64) {
    (project(&db.store).await, user(&db.store).await)
}

async fn worker(store: &Store) -> Uuid {
    let worker = NewWorker {
        id: Uuid::now_v7(),
        host: "here".into(),
        launcher: "process".into(),
        place: None,
        runs: runs(),
        places_sync: 1,
        places_interactive: 1,
    };
    store.queue().register(&worker, Duration::from_secs(60)).await.unwrap();
    worker.id
}

/// A job with a sync that this worker has claimed.
async fn claimed(db: &TestDatabase, name: &str) -> (ProjectStore, i64, i64, Box<Claimed>) {
    let (project, user) = setting(db).await;
    let job = project.create_job(&job(name), user).await.unwrap();
    let task = project.create_sync(job.id, user).await.unwrap().task;
    let worker = worker(&db.store).await;
    let Some(Claim::Taken(claimed)) =
        db.store.queue().claim(task, worker, "here", Limits::default()).await.unwrap()
    else {
        panic!("not claimed")
    };
    (project, job.id, user, claimed)
}

fn clean() -> Final {
    Final::bare(Outcome::Clean)
}

async fn accounts_and_sessions(db: TestDatabase) {
    let store = &db.store;
    let new = NewUser {
        username: "ada".into(),
        email: "ada@example.org".into(),
        password_hash: "h".into(),
        is_admin: true,
    };
    let ada = store.create_user(new.clone()).await.unwrap();
    let again = store.create_user(new.clone()).await.unwrap_err();
    assert_eq!(again.to_string(), "username 'ada' is not unique");
    let mail = store.create_user(NewUser { username: "eve".into(), ..new }).await.unwrap_err();
    assert_eq!(mail.to_string(), "email 'ada@example.org' is not unique");

    store.create_session(ada.id, "token", TimeDelta::hours(1)).await.unwrap();
    store.create_session(ada.id, "old", TimeDelta::seconds(-1)).await.unwrap();
    assert_eq!(store.session_user("token").await.unwrap().unwrap().username, "ada");
    assert!(store.session_user("old").await.unwrap().is_none(), "an expired session opens nothing");
    assert!(store.session_user("other").await.unwrap().is_none());
    store.end_session("token").await.unwrap();
    assert!(store.session_user("token").await.unwrap().is_none());

    store.create_session(ada.id, "third", TimeDelta::hours(1)).await.unwrap();
    store.set_password("ada", "h2".into()).await.unwrap();
    assert!(store.session_user("third").await.unwrap().is_none(), "another password ends the sessions");
}

async fn configs_are_kept_sealed_and_shown_with_tokens(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let made = project.create_connection(Side::Source, &shop(), user).await.unwrap();
    let token = made.config["password"].as_str().unwrap().to_owned();
    assert!(token.starts_with("sealed:"), "{token}");
    assert_eq!(made.config["big"].to_string(), "12345678901234567890123");
    assert_eq!(made.config.as_object().unwrap().keys().collect::<Vec<_>>(), ["z", "path", "password", "big"]);

    let row = olake_shared::store::entities::source::Entity::find_by_id_raw(&db, made.id).await;
    assert!(
        !row.contains("hunter22") && !row.contains("/in") && !row.contains(&token),
        "stored in clear: {row}"
    );

    let opened = db.store.open_config(project.project(), Side::Source, &made.config).unwrap();
    assert_eq!(opened, shop().config);

    // What was read is posted back: the token is the secret, and the same one again.
    let back = ConnectionInput { config: made.config.clone(), ..shop() };
    let updated = project.update_connection(Side::Source, made.id, &back, None, user).await.unwrap();
    assert_eq!(updated.config, made.config);
    assert_eq!(
        db.store.open_config(project.project(), Side::Source, &updated.config).unwrap(),
        shop().config
    );

    // A token of another place opens nothing, and the error names the field.
    let mut moved = made.config.clone();
    moved["passphrase"] = moved["password"].clone();
    let moved = ConnectionInput { config: moved, name: "moved".into(), ..shop() };
    let error = project.create_connection(Side::Source, &moved, user).await.unwrap_err();
    assert!(matches!(error, StoreError::Secret(_)) && error.to_string().contains("passphrase"), "{error}");
    let other = db.store.project(&ProjectId::new("olake")).await.unwrap();
    let foreign = other.create_connection(Side::Source, &back, user).await.unwrap_err();
    assert!(matches!(foreign, StoreError::Secret(_)), "{foreign}");
}

trait RawRow {
    async fn find_by_id_raw(db: &TestDatabase, id: i64) -> String;
}

impl RawRow for olake_shared::store::entities::source::Entity {
    async fn find_by_id_raw(db: &TestDatabase, id: i64) -> String {
        use sea_orm::EntityTrait;
        format!("{:?}", Self::find_by_id(id).one(db.store.connection()).await.unwrap().unwrap())
    }
}

async fn a_spec_that_arrives_later_seals_what_it_names(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let input = ConnectionInput { config: json!({"pin": "4711-4711"}), ..shop() };
    let made = project.create_connection(Side::Source, &input, user).await.unwrap();
    assert_eq!(made.config["pin"], "4711-4711", "no name of a secret, and no spec yet");

    let worker = worker(&db.store).await;
    let ask = OneShot::Spec { destination_type: None };
    let task = project.create_one_shot("files", "v0.9.4", &ask, user).await.unwrap().task;
    let Some(Claim::Taken(claimed)) =
        db.store.queue().claim(task, worker, "here", Limits::default()).await.unwrap()
    else {
        panic!()
    };
    let spec = json!({"jsonschema": {"properties": {"pin": {"type": "string", "format": "password"}}}, "uischema": "{}"});
    let key = SpecKey { connector_type: "files".into(), version: "v0.9.4".into(), destination_type: None };
    let end = Final {
        result: Some(OneShotResult::Spec { spec: spec.to_string() }),
        spec: Some((key.clone(), spec.to_string())),
        ..clean()
    };
    db.store.queue().end(claimed.fence, &end).await.unwrap();
    assert_eq!(db.store.cached_spec(&key).await.unwrap().unwrap(), spec.to_string());
    let shown = project.connection(Side::Source, made.id).await.unwrap();
    assert!(shown.config["pin"].as_str().unwrap().starts_with("sealed:"));
    assert_eq!(db.store.open_config(project.project(), Side::Source, &shown.config).unwrap(), input.config);
}

async fn names_are_unique_among_those_not_deleted(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let made = project.create_connection(Side::Source, &shop(), user).await.unwrap();
    let error = project.create_connection(Side::Source, &shop(), user).await.unwrap_err();
    assert_eq!(error.to_string(), "source name 'shop' is not unique");
    assert_eq!(project.delete_connection(Side::Source, made.id, None, user).await.unwrap(), "shop");
    let again = project.create_connection(Side::Source, &shop(), user).await.unwrap();
    assert_ne!(again.id, made.id);
    assert!(matches!(project.connection(Side::Source, made.id).await, Err(StoreError::NotFound(_))));
    // The other side, and another project, have names of their own.
    project.create_connection(Side::Destination, &shop(), user).await.unwrap();
    let other = db.store.project(&ProjectId::new("olake")).await.unwrap();
    other.create_connection(Side::Source, &shop(), user).await.unwrap();
}

async fn racing_creates_have_one_winner(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let input = job("same");
    let racers = (0..8).map(|_| project.create_job(&input, user));
    let results = futures::future::join_all(racers).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    for lost in results.iter().filter_map(|r| r.as_ref().err()) {
        assert!(matches!(lost, StoreError::NameTaken { .. }), "{lost}");
    }
    assert_eq!(
        project.connection_keys(Side::Source, None, Page::default()).await.unwrap().len(),
        1,
        "a loser left a source"
    );
}

async fn a_source_in_use_is_not_deleted_and_keeps_its_type(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let a = project.create_job(&job("b"), user).await.unwrap();
    project.create_job(&job("a"), user).await.unwrap();
    let error = project.delete_connection(Side::Source, a.source.id, None, user).await.unwrap_err();
    assert_eq!(error.to_string(), "source 'shop' is used by 2 jobs: a, b");
    let other_type = ConnectionInput { connector_type: "mysql".into(), ..shop() };
    let error =
        project.update_connection(Side::Source, a.source.id, &other_type, None, user).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { ref field, .. } if field == "type"), "{error}");
    let jobs = project.jobs_of_connection(Side::Source, a.source.id).await.unwrap();
    assert_eq!((jobs.len(), jobs[0].other_name.as_str()), (2, "lake"));
}

async fn a_stale_revision_changes_nothing(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let made = project.create_connection(Side::Source, &shop(), user).await.unwrap();
    let renamed = ConnectionInput { name: "renamed".into(), ..shop() };
    let first =
        project.update_connection(Side::Source, made.id, &renamed, Some(made.revision), user).await.unwrap();
    assert_eq!(first.revision, made.revision + 1);
    let stale = project
        .update_connection(Side::Source, made.id, &shop(), Some(made.revision), user)
        .await
        .unwrap_err();
    assert!(matches!(stale, StoreError::Stale { current } if current == first.revision));
    assert_eq!(project.connection(Side::Source, made.id).await.unwrap().name, "renamed");
}

async fn projects_do_not_see_each_other(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let job = project.create_job(&job("j"), user).await.unwrap();
    let task = project.create_sync(job.id, user).await.unwrap().task;
    let other = db.store.project(&ProjectId::new("olake")).await.unwrap();
    assert!(matches!(db.store.project(&ProjectId::new("nowhere")).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.job(job.id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.connection(Side::Source, job.source.id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.task(task).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.cancel_task(task).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.cancel_job(job.id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.create_sync(job.id, user).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.delete_job(job.id, None, user).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.tasks_of_job(job.id, 10, None).await, Err(StoreError::NotFound(_))));
    let page = other.log_page(None, task, None, 10, Direction::Older, true).await;
    assert!(matches!(page, Err(StoreError::NotFound(_))));
    assert!(other.job_keys(&JobFilter::default(), Page::default()).await.unwrap().is_empty());
    assert!(
        other.jobs(&[job.id]).await.unwrap().is_empty()
            && other.jobs_brief(&[job.id]).await.unwrap().is_empty()
    );
    assert!(other.connections(Side::Source, &[job.source.id]).await.unwrap().is_empty());
    let foreign = JobInput { source: SideInput::Existing(job.source.id), ..self::job("x") };
    assert!(matches!(other.create_job(&foreign, user).await, Err(StoreError::NotFound(_))));
}

async fn a_job_makes_reuses_or_refuses_its_sides(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let first = project.create_job(&job("first"), user).await.unwrap();
    let second = project.create_job(&job("second"), user).await.unwrap();
    assert_eq!(first.source.id, second.source.id, "an equal one is reused");
    let shown = ConnectionInput { config: first.source.config.clone(), ..shop() };
    let third = JobInput { source: SideInput::Inline(shown), ..job("third") };
    assert_eq!(project.create_job(&third, user).await.unwrap().source.id, first.source.id, "with tokens too");

    let differs = ConnectionInput { config: json!({"path": "/elsewhere"}), ..shop() };
    let error = project
        .create_job(&JobInput { source: SideInput::Inline(differs), ..job("x") }, user)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "source name 'shop' is not unique");

    let newer = ConnectionInput { name: "newer".into(), version: "v0.9.5".into(), ..lake() };
    let error = project
        .create_job(&JobInput { destination: SideInput::Inline(newer), ..job("x") }, user)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    assert_eq!(
        project.connection_keys(Side::Destination, None, Page::default()).await.unwrap().len(),
        1,
        "half a job was made"
    );

    let bad = JobInput { frequency: "hourly".into(), ..job("x") };
    assert!(matches!(project.create_job(&bad, user).await, Err(StoreError::Invalid { .. })));
    assert!(matches!(
        project.create_job(&JobInput { source: SideInput::Existing(999_999), ..job("x") }, user).await,
        Err(StoreError::NotFound(_))
    ));

    // An edit without `activate` changes neither that nor the next slot.
    project.activate_job(first.id, false, user).await.unwrap();
    let edited = project.update_job(first.id, &job("renamed"), None, user).await.unwrap();
    assert_eq!((edited.name.as_str(), edited.activate, edited.next_run_at), ("renamed", false, None));
    project.activate_job(first.id, true, user).await.unwrap();
    assert!(project.job(first.id).await.unwrap().next_run_at.is_some());
}

async fn lists_are_paged_newest_first(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    for n in 0..5 {
        project.create_job(&job(&format!("job {n}")), user).await.unwrap();
    }
    let keys = project.job_keys(&JobFilter::default(), Page::default()).await.unwrap();
    let all = project.jobs(&keys.iter().map(|key| key.id).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(
        all.iter().map(|j| j.name.as_str()).collect::<Vec<_>>(),
        ["job 4", "job 3", "job 2", "job 1", "job 0"]
    );
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = project.job_keys(&JobFilter::default(), Page { limit: Some(2), after }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.updated_at, last.id));
        seen.extend(page.into_iter().map(|key| key.id));
    }
    assert_eq!(seen, all.iter().map(|job| job.id).collect::<Vec<_>>());
    let filter = JobFilter { source_id: Some(all[0].source.id + 1), destination_id: None, search: None };
    assert!(project.job_keys(&filter, Page::default()).await.unwrap().is_empty());
}

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
    let end = Final { retries: Retries { connector: 1, infrastructure: 0 }, ..Final::bare(failed()) };
    assert_eq!(queue.end(claimed.fence, &end).await.unwrap().status, TaskStatus::Queued);
    let shown = project.task(claimed.fence.task).await.unwrap();
    assert!(shown.not_before.is_some() && shown.hold_reason.is_some());
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
    let end = Final { retries: Retries { connector: 1, infrastructure: 0 }, ..Final::bare(failed()) };
    assert_eq!(queue.end(again.fence, &end).await.unwrap().status, TaskStatus::Failed);
    let shown = project.task(created.task).await.unwrap();
    assert_eq!((shown.failure_message.as_deref(), shown.exit_code), (Some("no"), Some(1)));
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

fn line(n: usize) -> LogLine {
    let level = if n.is_multiple_of(3) { "debug" } else { "info" };
    LogLine { level: level.into(), time: chrono::DateTime::UNIX_EPOCH, message: format!("line {n}") }
}

async fn log_pages_join_without_gaps(db: TestDatabase) {
    let (project, job, _, claimed) = claimed(&db, "j").await;
    let queue = db.store.queue();
    let all: Vec<LogLine> = (0..100).map(line).collect();
    for (n, part) in all.chunks(7).enumerate() {
        let first = i64::try_from(n * 7).unwrap();
        queue.append_log(claimed.fence, first, part).await.unwrap();
        // The answer was lost, and it is written again: nothing is there twice.
        queue.append_log(claimed.fence, first, part).await.unwrap();
    }
    let task = claimed.fence.task;
    for debug in [true, false] {
        let wanted: Vec<String> =
            all.iter().filter(|l| debug || l.level != "debug").map(|l| l.message.clone()).collect();
        let mut back = Vec::new();
        let mut cursor = None;
        loop {
            let page = project.log_page(Some(job), task, cursor, 9, Direction::Older, debug).await.unwrap();
            let lines: Vec<_> = page.lines.iter().map(|l| l.message.clone()).collect();
            back.splice(0..0, lines);
            if !page.has_more_older {
                break;
            }
            cursor = Some(page.older_cursor);
        }
        assert_eq!(back, wanted);
        let (mut forth, mut cursor) = (Vec::new(), Some(0));
        loop {
            let page = project.log_page(Some(job), task, cursor, 9, Direction::Newer, debug).await.unwrap();
            forth.extend(page.lines.iter().map(|l| l.message.clone()));
            cursor = Some(page.newer_cursor);
            if !page.has_more_newer {
                break;
            }
        }
        assert_eq!(forth, wanted);
    }
    let beyond = project.log_page(Some(job), task, Some(1_000_000), 9, Direction::Newer, true).await.unwrap();
    assert!(beyond.lines.is_empty() && !beyond.has_more_newer && beyond.has_more_older);
    assert!(matches!(
        project.log_page(Some(job + 1), task, None, 9, Direction::Older, true).await,
        Err(StoreError::NotFound(_))
    ));
}

async fn a_deleted_job_cancels_what_runs(db: TestDatabase) {
    let (project, job, user, claimed) = claimed(&db, "j").await;
    let (name, ended) = project.delete_job(job, None, user).await.unwrap();
    assert_eq!((name.as_str(), ended.len(), ended[0].status), ("j", 1, TaskStatus::Running));
    assert_eq!(db.store.queue().cancel_wishes(&[claimed.fence.task]).await.unwrap().len(), 1);
    let failure = Failure::new(FailureClass::Cancelled, "cancelled");
    db.store.queue().end(claimed.fence, &Final::bare(Outcome::Bad(failure))).await.unwrap();
    assert!(matches!(project.job(job).await, Err(StoreError::NotFound(_))));
    let again = project.create_job(&self::job("j"), user).await.unwrap();
    assert_ne!(again.id, job);
    project.delete_connection(Side::Source, again.source.id, None, user).await.unwrap_err();
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
