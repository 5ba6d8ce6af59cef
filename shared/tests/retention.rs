//! What is dropped and what is kept, on both databases, on a clock that the test moves.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/jobs.rs"]
mod jobs;

use std::sync::Arc;

use chrono::TimeDelta;
use databases::TestDatabase;
use jobs::{bad, claimed, good, job, project, run, running, user};
use olake_shared::{
    clock::{Clock, TestClock},
    domain::{settings::AdvancedSettings, task::TaskId, webhook::NotificationFormat},
    store::{
        ProjectStore, Store, StoreError,
        connections::{Page, Side},
        logs::{Direction, LogLine},
        notifications::settings::{NotificationInput, SecretChange},
        retention::{Old, Retention},
        tasks::{end::Final, input::OneShot},
    },
};
use sea_orm::{ConnectionTrait, Statement};

on_both_databases!(
    old_tasks_go_but_not_the_last_run_nor_what_runs_nor_states,
    logs_go_before_their_tasks_and_a_page_of_them_is_empty,
    no_more_tasks_than_wanted_are_kept_of_a_job,
    skipped_slots_and_one_shots_go_after_a_week,
    a_task_stays_until_somebody_was_told_of_it,
    a_deleted_job_goes_with_its_sides_after_a_while,
    a_source_that_only_deleted_jobs_use_can_be_deleted,
    sessions_go_when_they_have_expired,
);

struct Stage {
    store: Store,
    clock: Arc<TestClock>,
    project: ProjectStore,
    user: i64,
    _db: TestDatabase,
}

impl Stage {
    async fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(TestClock::default());
        let store = Store::new(db.store.connection().clone(), databases::keys(), clock.clone());
        let (project, user) = (project(&store, "olake").await, user(&store).await);
        Self { store, clock, project, user, _db: db }
    }

    async fn run(&self, job: i64, end: &Final) -> TaskId {
        run(&self.store, &self.project, self.user, job, end).await
    }

    fn days_pass(&self, days: i64) {
        self.clock.advance(TimeDelta::days(days));
    }

    /// Drops all that is too old; answers how many rows.
    async fn drop_old(&self) -> u64 {
        let mut dropped = 0;
        for old in Old::ALL {
            dropped += self.store.queue().drop_old(old, &Retention::default()).await.unwrap();
        }
        dropped
    }

    async fn tasks(&self, job: i64) -> Vec<TaskId> {
        self.project.tasks_of_job(job, 10_000, None).await.unwrap().into_iter().map(|task| task.id).collect()
    }

    async fn count(&self, table: &str) -> i64 {
        let connection = self.store.connection();
        let sql = format!("SELECT COUNT(*) AS n FROM {table}");
        let row =
            connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql)).await;
        row.unwrap().unwrap().try_get("", "n").unwrap()
    }

    fn lines(&self, count: usize) -> Vec<LogLine> {
        let time = self.clock.now();
        (0..count).map(|n| LogLine { level: "info".into(), time, message: format!("line {n}") }).collect()
    }
}

fn with_state(end: Final, text: &str) -> Final {
    Final { state: Some((1, text.to_owned())), ..end }
}

async fn old_tasks_go_but_not_the_last_run_nor_what_runs_nor_states(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let busy = job(&stage.project, stage.user, "busy").await;
    let quiet = job(&stage.project, stage.user, "quiet").await;
    stage.run(busy, &with_state(good(), r#"{"n":1}"#)).await;
    stage.run(busy, &good()).await;
    let quiet_run = stage.run(quiet, &bad("no")).await;
    let running = running(&stage.store, &stage.project, stage.user, busy).await.task;
    stage.days_pass(89);
    assert_eq!(stage.drop_old().await, 0);
    stage.days_pass(2);
    assert_eq!(stage.drop_old().await, 2);
    assert_eq!(stage.tasks(busy).await, [running]);
    assert_eq!(stage.tasks(quiet).await, [quiet_run]);
    assert_eq!(stage.count("job_states").await, 1, "the next run begins where the last one ended");
    assert_eq!(stage.count("task_attempts").await, 2);
    assert_eq!(stage.drop_old().await, 0, "done twice is done");
}

async fn logs_go_before_their_tasks_and_a_page_of_them_is_empty(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let job = job(&stage.project, stage.user, "nightly").await;
    let old = stage.run(job, &Final { log: stage.lines(3), ..good() }).await;
    let last = stage.run(job, &Final { log: stage.lines(3), ..good() }).await;
    stage.days_pass(31);
    assert_eq!(stage.drop_old().await, 1);
    for (task, lines) in [(old, 0), (last, 3)] {
        for direction in [Direction::Older, Direction::Newer] {
            let cursor = (direction == Direction::Newer).then_some(0);
            let page = stage.project.log_page(Some(job), task, cursor, 10, direction, true).await.unwrap();
            assert_eq!(page.lines.len(), lines);
            assert!(!page.has_more_older && !page.has_more_newer);
        }
    }
    assert_eq!(stage.tasks(job).await, [last, old]);
}

async fn no_more_tasks_than_wanted_are_kept_of_a_job(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let (many, few) =
        (job(&stage.project, stage.user, "many").await, job(&stage.project, stage.user, "few").await);
    let mut made = Vec::new();
    for _ in 0..8 {
        made.insert(0, stage.run(many, &Final { log: stage.lines(1), ..good() }).await);
    }
    stage.run(few, &good()).await;
    let keep = Retention { tasks_per_job: 3, ..Retention::default() };
    let queue = stage.store.queue();
    assert_eq!(queue.jobs_with_too_many_tasks(&keep).await.unwrap(), [many]);
    assert_eq!(queue.drop_beyond_number(many, &keep).await.unwrap(), 5);
    assert_eq!(stage.tasks(many).await, made[..3]);
    assert!(queue.jobs_with_too_many_tasks(&keep).await.unwrap().is_empty());
    assert_eq!(stage.count("task_log_chunks").await, 3);
}

async fn skipped_slots_and_one_shots_go_after_a_week(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let job = job(&stage.project, stage.user, "nightly").await;
    let ask = OneShot::Spec { destination_type: None };
    let one_shot = stage.project.create_one_shot("files", "v0.9.4", &ask, stage.user).await.unwrap().task;
    stage.store.queue().end(claimed(&stage.store, one_shot).await, &good()).await.unwrap();
    let waiting = stage.project.create_one_shot("files", "v0.9.4", &ask, stage.user).await.unwrap().task;
    let settings = AdvancedSettings { profile: Some("large".into()), ..AdvancedSettings::default() };
    let ask = OneShot::Validate { settings };
    let asked = stage.project.create_one_shot("files", "v0.9.4", &ask, stage.user).await.unwrap().task;
    stage.store.queue().end(claimed(&stage.store, asked).await, &bad("no")).await.unwrap();
    let skipped = stage.run(job, &good()).await;
    let sql = format!("UPDATE tasks SET status = 'skipped' WHERE job_id = {job}");
    stage.store.connection().execute_unprepared(&sql).await.unwrap();
    let run = stage.run(job, &good()).await;
    stage.days_pass(6);
    assert_eq!(stage.drop_old().await, 0);
    stage.days_pass(2);
    assert_eq!(stage.drop_old().await, 3);
    assert_eq!(stage.tasks(job).await, [run]);
    assert!(matches!(stage.project.task(asked).await, Err(StoreError::NotFound(_))));
    assert!(matches!(stage.project.task(skipped).await, Err(StoreError::NotFound(_))));
    assert!(matches!(stage.project.task(one_shot).await, Err(StoreError::NotFound(_))));
    assert!(stage.project.task(waiting).await.is_ok(), "it did not end");
}

async fn a_task_stays_until_somebody_was_told_of_it(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let job = job(&stage.project, stage.user, "nightly").await;
    let webhook = NotificationInput {
        url: "https://hooks.example.com/x".into(),
        secret: SecretChange::Keep,
        format: NotificationFormat::Json,
        on_failure: true,
        on_recovery: false,
        on_success: false,
        enabled: true,
        allow_private: false,
    };
    stage.project.put_notification_settings(&webhook, None, stage.user).await.unwrap();
    let failed = stage.run(job, &bad("no")).await;
    let last = stage.run(job, &good()).await;
    stage.days_pass(100);
    assert_eq!(stage.drop_old().await, 0);
    let told = "UPDATE notification_deliveries SET status = 'delivered'";
    stage.store.connection().execute_unprepared(told).await.unwrap();
    assert_eq!(stage.tasks(job).await, [last, failed]);
    assert_eq!(stage.drop_old().await, 2, "the delivery, which is older than 30 days, and the task");
    assert_eq!(stage.tasks(job).await, [last]);
}

async fn a_deleted_job_goes_with_its_sides_after_a_while(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let (gone, kept) =
        (job(&stage.project, stage.user, "gone").await, job(&stage.project, stage.user, "kept").await);
    for job in [gone, kept] {
        stage.run(job, &with_state(Final { log: stage.lines(2), ..good() }, r#"{"n":1}"#)).await;
    }
    let unfinished = running(&stage.store, &stage.project, stage.user, gone).await;
    let sides = stage.project.job(gone).await.unwrap();
    let (_, ended) = stage.project.delete_job(gone, None, stage.user).await.unwrap();
    assert_eq!(ended.len(), 1);
    stage.project.delete_connection(Side::Source, sides.source.id, None, stage.user).await.unwrap();
    stage.project.delete_connection(Side::Destination, sides.destination.id, None, stage.user).await.unwrap();
    stage.days_pass(29);
    assert_eq!(stage.drop_old().await, 0);
    stage.days_pass(2);
    stage.drop_old().await;
    assert_eq!(stage.count("jobs").await, 2, "a task of it has not ended");
    stage.store.queue().end(unfinished, &bad("told to stop")).await.unwrap();
    stage.drop_old().await;
    for table in ["jobs", "sources", "destinations", "job_states", "tasks"] {
        assert_eq!(stage.count(table).await, 1, "{table}");
    }
    assert_eq!(stage.tasks(kept).await.len(), 1);
    assert_eq!(stage.project.connection_keys(Side::Source, None, Page::default()).await.unwrap().len(), 1);
}

async fn a_source_that_only_deleted_jobs_use_can_be_deleted(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let job = job(&stage.project, stage.user, "nightly").await;
    let source = stage.project.job(job).await.unwrap().source.id;
    let used = stage.project.delete_connection(Side::Source, source, None, stage.user).await;
    assert!(matches!(used, Err(StoreError::InUse { .. })));
    let fence = running(&stage.store, &stage.project, stage.user, job).await;
    stage.project.delete_job(job, None, stage.user).await.unwrap();
    stage.project.delete_connection(Side::Source, source, None, stage.user).await.unwrap();
    let ended = stage.store.queue().end(fence, &bad("told to stop")).await.unwrap();
    assert_eq!(ended.status.as_str(), "cancelled");
}

async fn sessions_go_when_they_have_expired(db: TestDatabase) {
    let stage = Stage::new(db).await;
    stage.store.create_session(stage.user, "short", TimeDelta::hours(1)).await.unwrap();
    stage.store.create_session(stage.user, "long", TimeDelta::days(2)).await.unwrap();
    stage.days_pass(1);
    assert_eq!(stage.drop_old().await, 1);
    assert!(stage.store.session_user("long").await.unwrap().is_some());
}
