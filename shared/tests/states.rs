//! What operators do with the state of a job, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/samples.rs"]
mod samples;

use databases::TestDatabase;
use olake_migrations::{Migrator, MigratorTrait};
use olake_shared::{
    domain::{project::ProjectId, task::TaskStatus},
    store::{
        ProjectStore, StoreError,
        states::{JobState, STATES_KEPT, StateOrigin, StateVersion},
        tasks::{
            claim::Claimed,
            end::{Final, Outcome, Recovered},
        },
    },
};
use samples::{claim, given_state, job, project, user};
use sea_orm::{ConnectionTrait, Database};

on_both_databases!(
    an_operators_state_is_given_to_the_next_run_to_the_byte,
    a_reset_job_begins_from_the_start_and_keeps_its_history,
    a_state_is_not_touched_while_a_task_of_the_job_is_open,
    a_state_that_has_moved_is_not_replaced,
    what_is_no_state_is_refused,
    the_last_twenty_states_are_kept,
    a_state_that_races_a_sync_is_given_to_it_or_refused,
    a_state_that_is_found_after_its_workers_death_stands_before_a_late_one,
    a_job_of_another_project_has_no_state_to_touch,
);

const TEXT: &str = "{\"type\":\"STREAM\",  \"n\":12345678901234567890.50}\n";

async fn new_job(db: &TestDatabase) -> (ProjectStore, i64, i64) {
    let (project, user) = (project(&db.store).await, user(&db.store).await);
    let job = project.create_job(&job("j"), user).await.unwrap();
    (project, job.id, user)
}

async fn start(db: &TestDatabase, project: &ProjectStore, job: i64, user: i64) -> Box<Claimed> {
    let task = project.create_sync(job, user).await.unwrap().task;
    claim(&db.store, task).await
}

/// A sync that writes these states and ends well.
async fn run(db: &TestDatabase, project: &ProjectStore, job: i64, user: i64, states: &[&str]) {
    let claimed = start(db, project, job, user).await;
    for (sequence, state) in (1..).zip(states) {
        db.store.queue().push_state(claimed.fence, job, sequence, state).await.unwrap();
    }
    db.store.queue().end(claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
}

fn origins(state: &JobState) -> Vec<&'static str> {
    let word = |origin| match origin {
        StateOrigin::Run { .. } => "run",
        StateOrigin::Operator => "operator",
        StateOrigin::Reset => "reset",
    };
    state.history.iter().map(|entry| word(entry.origin)).collect()
}

async fn an_operators_state_is_given_to_the_next_run_to_the_byte(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    let none = project.state(job).await.unwrap();
    assert_eq!((none.text.as_deref(), none.version()), (None, StateVersion::default()));

    let claimed = start(&db, &project, job, user).await;
    db.store.queue().push_state(claimed.fence, job, 7, r#"{"at":7}"#).await.unwrap();
    db.store.queue().end(claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    let written = project.state(job).await.unwrap();
    assert_eq!(written.text.as_deref(), Some(r#"{"at":7}"#));
    let entry = &written.history[0];
    assert_eq!(entry.origin, StateOrigin::Run { task: claimed.fence.task, attempt: 1 });
    assert_eq!((entry.version.sequence, entry.bytes, entry.created_by.as_deref()), (7, 8, None));

    let put = project.put_state(job, TEXT, None, user).await.unwrap();
    assert_eq!(put, project.state(job).await.unwrap());
    assert_eq!(put.text.as_deref(), Some(TEXT));
    assert_eq!(origins(&put), ["operator", "run"]);
    assert!(put.history[0].created_by.is_some());
    let next = start(&db, &project, job, user).await;
    assert_eq!(given_state(&next), Some(TEXT));

    // What the next run writes stands before the operator's.
    db.store.queue().push_state(next.fence, job, 1, r#"{"at":9}"#).await.unwrap();
    let now = project.state(job).await.unwrap();
    assert_eq!((now.text.as_deref(), origins(&now)), (Some(r#"{"at":9}"#), vec!["run", "operator", "run"]));
    let (old, text) = project.state_of_history(job, now.history[2].version.id).await.unwrap();
    assert_eq!((&old, text.as_deref()), (&now.history[2], Some(r#"{"at":7}"#)));
    let unknown = project.state_of_history(job, 999_999).await.unwrap_err();
    assert_eq!(unknown.to_string(), format!("state 999999 of job {job} not found"));
}

async fn a_reset_job_begins_from_the_start_and_keeps_its_history(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    let never = project.reset_state(job, user).await.unwrap();
    assert!(never.history.is_empty(), "there was nothing to reset");
    run(&db, &project, job, user, &[TEXT]).await;
    let reset = project.reset_state(job, user).await.unwrap();
    assert_eq!((reset.text.as_deref(), origins(&reset)), (None, vec!["reset", "run"]));
    assert_eq!(project.reset_state(job, user).await.unwrap(), reset, "twice is once");
    let (_, none) = project.state_of_history(job, reset.history[0].version.id).await.unwrap();
    assert_eq!(none, None);

    // A run that ends without a state changes nothing about that.
    run(&db, &project, job, user, &[]).await;
    let next = start(&db, &project, job, user).await;
    assert_eq!(given_state(&next), None);
    db.store.queue().push_state(next.fence, job, 1, r#"{"new":1}"#).await.unwrap();
    let end = Final::bare(Outcome::Interrupted("stopped".into()));
    assert_eq!(db.store.queue().end(next.fence, &end).await.unwrap().status, TaskStatus::Queued);
    let again = claim(&db.store, next.fence.task).await;
    assert_eq!(given_state(&again), Some(r#"{"new":1}"#), "the next attempt goes on");

    // The old one can be put back.
    db.store.queue().end(again.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    let history = project.state(job).await.unwrap().history;
    let (_, old) = project.state_of_history(job, history[2].version.id).await.unwrap();
    project.put_state(job, &old.unwrap(), None, user).await.unwrap();
    assert_eq!(project.state(job).await.unwrap().text.as_deref(), Some(TEXT));
}

async fn a_state_is_not_touched_while_a_task_of_the_job_is_open(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    run(&db, &project, job, user, &[TEXT]).await;
    let refused = async |words: String| {
        let put = project.put_state(job, r#"{"a":1}"#, None, user).await.unwrap_err();
        let reset = project.reset_state(job, user).await.unwrap_err();
        assert_eq!((put.to_string(), reset.to_string()), (words.clone(), words));
    };
    let task = project.create_sync(job, user).await.unwrap().task;
    let words = format!("a sync of job 'j' is running: {task}");
    refused(words.clone()).await;
    let claimed = claim(&db.store, task).await;
    refused(words).await;
    db.store.queue().end(claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    assert_eq!(project.state(job).await.unwrap().text.as_deref(), Some(TEXT));
    project.reset_state(job, user).await.unwrap();
}

async fn a_state_that_has_moved_is_not_replaced(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    let none = StateVersion::default();
    let claimed = start(&db, &project, job, user).await;
    db.store.queue().push_state(claimed.fence, job, 1, r#"{"at":1}"#).await.unwrap();
    let seen = project.state(job).await.unwrap().version();
    db.store.queue().push_state(claimed.fence, job, 2, r#"{"at":2}"#).await.unwrap();
    db.store.queue().end(claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    let current = project.state(job).await.unwrap().version();
    assert_eq!((current.id, current.sequence), (seen.id, 2));
    for stale in [none, seen] {
        let error = project.put_state(job, TEXT, Some(&[stale]), user).await.unwrap_err();
        assert!(matches!(error, StoreError::StateMoved { current: c } if c == current), "{error}");
    }
    let put = project.put_state(job, TEXT, Some(&[seen, current]), user).await.unwrap();
    let again = project.put_state(job, TEXT, Some(&[seen, current]), user).await.unwrap_err();
    assert!(matches!(again, StoreError::StateMoved { current: c } if c == put.version()), "{again}");
}

async fn what_is_no_state_is_refused(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    for bad in ["", "{}", "null", "[1]", "{\"a\":1", "\"{}\""] {
        let error = project.put_state(job, bad, None, user).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { ref field, .. } if field == "state"), "{bad}: {error}");
    }
    assert!(project.state(job).await.unwrap().history.is_empty());
}

async fn the_last_twenty_states_are_kept(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    run(&db, &project, job, user, &[TEXT]).await;
    let first = project.state(job).await.unwrap().version();
    for n in 0..STATES_KEPT + 4 {
        project.put_state(job, &format!("{{\"n\":{n}}}"), None, user).await.unwrap();
    }
    let state = project.state(job).await.unwrap();
    assert_eq!(state.history.len(), usize::try_from(STATES_KEPT).unwrap());
    assert_eq!(state.text, Some(format!("{{\"n\":{}}}", STATES_KEPT + 3)));
    assert!(matches!(project.state_of_history(job, first.id).await, Err(StoreError::NotFound(_))));
}

async fn a_state_that_races_a_sync_is_given_to_it_or_refused(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    for n in 0..8 {
        let text = format!("{{\"n\":{n}}}");
        let (put, created) =
            tokio::join!(project.put_state(job, &text, None, user), project.create_sync(job, user));
        let claimed = claim(&db.store, created.unwrap().task).await;
        match put {
            Ok(_) => assert_eq!(given_state(&claimed), Some(text.as_str())),
            Err(error) => {
                assert!(matches!(error, StoreError::JobBusy { .. }), "{error}");
                assert_ne!(given_state(&claimed), Some(text.as_str()));
            }
        }
        db.store.queue().end(claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    }
}

async fn a_state_that_is_found_after_its_workers_death_stands_before_a_late_one(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    let claimed = start(&db, &project, job, user).await;
    for (sequence, state) in [(1, r#"{"at":1}"#), (3, r#"{"at":3}"#), (2, r#"{"at":2}"#)] {
        db.store.queue().push_state(claimed.fence, job, sequence, state).await.unwrap();
    }
    assert_eq!(project.state(job).await.unwrap().text.as_deref(), Some(r#"{"at":3}"#));
    let left = Recovered { state: Some(r#"{"at":4}"#.into()), ..Recovered::default() };
    db.store.queue().take_back(claimed.fence, "gone", &left).await.unwrap();
    assert_eq!(project.state(job).await.unwrap().text.as_deref(), Some(r#"{"at":4}"#));
}

async fn a_job_of_another_project_has_no_state_to_touch(db: TestDatabase) {
    let (project, job, user) = new_job(&db).await;
    let id = project.put_state(job, TEXT, None, user).await.unwrap().version().id;
    let other = db.store.project(&ProjectId::new("olake")).await.unwrap();
    assert!(matches!(other.state(job).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.state_of_history(job, id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.put_state(job, TEXT, None, user).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.reset_state(job, user).await, Err(StoreError::NotFound(_))));
    project.delete_job(job, None, user).await.unwrap();
    assert!(matches!(project.state(job).await, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn states_from_before_operators_wrote_some_are_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("olake.db");
    let db = Database::connect(format!("sqlite://{}?mode=rwc", file.display())).await.unwrap();
    let before = Migrator::migrations().iter().position(|m| m.name().ends_with("states_of_operators"));
    Migrator::up(&db, before.map(|steps| u32::try_from(steps).unwrap())).await.unwrap();
    let side = "(project_id, name, type, version, seal_id, config, revision, created_at, updated_at) \
                VALUES ('123', 'n', 'files', 'v0.9.4', x'00', '', 1, 0, 0)";
    db.execute_unprepared(&format!("INSERT INTO sources {side}; INSERT INTO destinations {side};"))
        .await
        .unwrap();
    db.execute_unprepared(
        "INSERT INTO jobs (project_id, name, source_id, destination_id, frequency, streams_config, activate, \
         advanced_settings, revision, created_at, updated_at) VALUES ('123', 'j', 1, 1, '', '', 1, '{}', 1, 0, 0); \
         INSERT INTO job_states (id, job_id, task_id, attempt, sequence, state, created_at, updated_at) \
         VALUES (41, 1, x'00112233445566778899aabbccddeeff', 2, 3, '{\"a\": 1}', 4, 5);",
    )
    .await
    .unwrap();
    Migrator::up(&db, None).await.unwrap();
    let row = db.query_one_raw(sea_orm::Statement::from_string(
        sea_orm::DbBackend::Sqlite,
        "SELECT id, hex(task_id) AS task, attempt, sequence, state, created_at, updated_at FROM job_states",
    ));
    let row = row.await.unwrap().unwrap();
    let text = |column: &str| row.try_get::<String>("", column).unwrap();
    let number = |column: &str| row.try_get::<i64>("", column).unwrap();
    assert_eq!((number("id"), number("attempt"), number("sequence")), (41, 2, 3));
    assert_eq!((number("created_at"), number("updated_at")), (4, 5));
    assert_eq!(
        (text("state"), text("task")),
        ("{\"a\": 1}".into(), "00112233445566778899AABBCCDDEEFF".into())
    );
    db.execute_unprepared(
        "INSERT INTO job_states (job_id, sequence, created_at, updated_at) VALUES (1, 0, 0, 0)",
    )
    .await
    .unwrap();
}
