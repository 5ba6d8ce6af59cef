//! What the agents of pods may do and tell, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/samples.rs"]
mod samples;

use chrono::DateTime;
use databases::TestDatabase;
use olake_shared::{
    domain::task::{FailureClass, TaskId, TaskStatus},
    store::{
        ProjectStore, StoreError,
        logs::{Direction, LogLine},
        tasks::{
            Failure, Fence, Queue,
            end::{Final, Outcome, Retries},
            pods::{Permit, PodIdentity, PodRefused, Push, PushedStats},
        },
    },
};
use samples::{claim, job, project, user};
use sea_orm::ConnectionTrait;

on_both_databases!(
    one_pod_is_permitted_and_may_ask_again,
    a_closed_attempt_is_never_permitted,
    of_a_permit_and_a_close_one_wins,
    a_task_that_is_to_be_cancelled_is_not_started_any_more,
    an_attempt_that_is_over_permits_nothing_and_takes_nothing,
    a_push_is_stored_once_and_an_old_one_changes_nothing,
    lines_told_twice_are_stored_once_and_missing_ones_are_told,
    what_an_agent_could_not_read_stands_in_the_log_and_counts_as_no_line_of_the_connector,
    the_state_of_a_clear_is_not_stored_by_a_push,
    a_record_is_sealed_kept_once_and_goes_with_the_attempt,
    the_state_of_the_end_stands_before_those_of_pushes,
);

struct Running {
    project: ProjectStore,
    queue: Queue,
    job: i64,
    fence: Fence,
}

async fn running(db: &TestDatabase) -> Running {
    let (project, user) = (project(&db.store).await, user(&db.store).await);
    let job = project.create_job(&job("j"), user).await.unwrap().id;
    let task = project.create_sync(job, user).await.unwrap().task;
    let fence = claim(&db.store, task).await.fence;
    Running { project, queue: db.store.queue(), job, fence }
}

fn pod(uid: &str) -> PodIdentity {
    PodIdentity {
        uid: uid.to_owned(),
        name: format!("pod-{uid}"),
        node: Some("node-1".to_owned()),
        started: false,
    }
}

fn started(uid: &str) -> PodIdentity {
    PodIdentity { started: true, ..pod(uid) }
}

fn lines(numbers: std::ops::Range<i64>) -> Vec<LogLine> {
    numbers
        .map(|number| LogLine {
            level: "info".to_owned(),
            time: DateTime::UNIX_EPOCH,
            message: format!("line {number}"),
        })
        .collect()
}

impl Running {
    async fn permit(&self, pod: &PodIdentity) -> Result<Permit, PodRefused> {
        self.queue.permit(self.fence.task, self.fence.attempt, pod).await
    }

    async fn push(&self, incarnation: i64, sequence: i64, push: &Push) -> Result<i64, PodRefused> {
        let pushed = self.queue.push(self.fence.task, self.fence.attempt, incarnation, sequence, push).await;
        pushed.map(|pushed| pushed.lines)
    }

    async fn close(&self) -> bool {
        self.queue.close_attempt(self.fence).await.unwrap()
    }

    async fn record(&self) -> Option<String> {
        self.queue.final_record(self.fence.task, self.fence.attempt).await.unwrap()
    }

    async fn state(&self) -> Option<String> {
        self.project.state(self.job).await.unwrap().text
    }

    async fn log(&self) -> Vec<String> {
        let page = self
            .project
            .log_page(None, self.fence.task, Some(0), 1_000, Direction::Newer, true)
            .await
            .unwrap();
        page.lines.into_iter().map(|line| line.message).collect()
    }
}

fn texts(numbers: std::ops::Range<i64>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

fn state(text: &str) -> Push {
    Push { state: Some(text.to_owned()), ..Push::default() }
}

async fn one_pod_is_permitted_and_may_ask_again(db: TestDatabase) {
    let running = running(&db).await;
    assert_eq!(running.permit(&pod("a")).await.unwrap(), Permit { incarnation: 1, lines: 0 });
    assert!(matches!(running.permit(&pod("b")).await, Err(PodRefused::OtherPod)));
    let push = Push { lines: lines(0..3), ..Push::default() };
    assert_eq!(running.push(1, 1, &push).await.unwrap(), 3);
    assert_eq!(running.permit(&started("a")).await.unwrap(), Permit { incarnation: 2, lines: 3 });
    // The pod's earlier agent is not heard any more; the new one counts from 1 again.
    let old = running.push(1, 2, &state(r#"{"old":1}"#)).await.unwrap_err();
    assert_eq!(
        old.to_string(),
        "this agent was started again since: start 1 tells something, and start 2 is the newest"
    );
    assert_eq!(running.push(2, 1, &state(r#"{"new":1}"#)).await.unwrap(), 3);
    assert_eq!(running.state().await.as_deref(), Some(r#"{"new":1}"#));
    assert!(!running.close().await, "it is permitted");
    assert!(running.queue.is_attempt_open(running.fence.task, 1).await.unwrap());
}

async fn a_closed_attempt_is_never_permitted(db: TestDatabase) {
    let running = running(&db).await;
    assert!(running.close().await);
    assert!(running.close().await, "twice is once");
    assert!(matches!(running.permit(&pod("a")).await, Err(PodRefused::Closed)));
    // Nor is a pod that says it is the word that stands for this.
    assert!(matches!(running.permit(&pod("closed")).await, Err(PodRefused::Closed)));
    assert!(matches!(running.push(0, 1, &state(r#"{"a":1}"#)).await, Err(PodRefused::Closed)));
    assert_eq!(running.state().await, None);
}

async fn of_a_permit_and_a_close_one_wins(db: TestDatabase) {
    let (project, user) = (project(&db.store).await, user(&db.store).await);
    let queue = db.store.queue();
    for round in 0..10 {
        let job = project.create_job(&job(&format!("j{round}")), user).await.unwrap().id;
        let task = project.create_sync(job, user).await.unwrap().task;
        let fence = claim(&db.store, task).await.fence;
        let (one, other) = (pod("a"), pod("b"));
        let (first, second, closed) = tokio::join!(
            queue.permit(task, fence.attempt, &one),
            queue.permit(task, fence.attempt, &other),
            queue.close_attempt(fence),
        );
        let won =
            [first.is_ok(), second.is_ok(), closed.unwrap()].into_iter().filter(|has_won| *has_won).count();
        assert_eq!(won, 1);
    }
}

async fn a_task_that_is_to_be_cancelled_is_not_started_any_more(db: TestDatabase) {
    let running = running(&db).await;
    running.permit(&pod("a")).await.unwrap();
    running.project.cancel_job(running.job).await.unwrap();
    // Its gate is not open yet.
    assert!(matches!(running.permit(&pod("a")).await, Err(PodRefused::Cancelled)));
    // One that runs is heard to its end.
    assert_eq!(running.permit(&started("a")).await.unwrap().incarnation, 2);
    assert!(matches!(running.permit(&started("b")).await, Err(PodRefused::OtherPod)));
    running.push(2, 1, &state(r#"{"a":1}"#)).await.unwrap();
}

async fn an_attempt_that_is_over_permits_nothing_and_takes_nothing(db: TestDatabase) {
    let running = running(&db).await;
    running.permit(&pod("a")).await.unwrap();
    let end = Final {
        retries: Retries { infrastructure: 1, ..Retries::default() },
        ..Final::bare(Outcome::Bad(Failure::new(FailureClass::Infrastructure, "lost")))
    };
    assert_eq!(running.queue.end(running.fence, &end).await.unwrap().status, TaskStatus::Queued);
    let (task, attempt) = (running.fence.task, running.fence.attempt);
    let words = format!("attempt {attempt} of task {task} is over, or never was");
    assert_eq!(running.permit(&started("a")).await.unwrap_err().to_string(), words);
    assert!(!running.queue.is_attempt_open(task, attempt).await.unwrap());
    let again = claim(&db.store, task).await.fence;
    assert_eq!(again.attempt, 2);
    for refused in [
        running.permit(&started("a")).await.map(|_| ()),
        running.push(1, 5, &state(r#"{"late":1}"#)).await.map(|_| ()),
        running.queue.store_final(task, attempt, 1, "{}").await.map(|_| ()),
        running.queue.permit(TaskId::now_v7(), 1, &pod("a")).await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(PodRefused::Over { .. })), "{refused:?}");
    }
    assert!(matches!(running.queue.work_of_attempt(task, attempt).await, Err(StoreError::Fenced)));
    assert_eq!(running.queue.work_of_attempt(task, 2).await.unwrap().fence, again);
    assert_eq!(running.state().await, None);
    // The next attempt has a permit of its own.
    assert_eq!(running.queue.permit(task, 2, &pod("b")).await.unwrap().incarnation, 1);
}

async fn a_push_is_stored_once_and_an_old_one_changes_nothing(db: TestDatabase) {
    let running = running(&db).await;
    running.permit(&pod("a")).await.unwrap();
    let text = "{\"id\": 12345678901234567890,  \"x\":1.0}\n";
    let stats = PushedStats { text: r#"{"a":1}"#.into(), records_read: Some(5), bytes_read: None };
    let push = Push {
        state: Some(text.to_owned()),
        stats: Some(stats),
        first_line: 0,
        lines: lines(0..2),
        gaps: Vec::new(),
    };
    assert_eq!(running.push(1, 7, &push).await.unwrap(), 2);
    // The answer was lost.
    let other = Push { state: Some(r#"{"other":1}"#.to_owned()), ..push.clone() };
    assert_eq!(running.push(1, 7, &other).await.unwrap(), 2);
    let old = running.push(1, 6, &other).await.unwrap_err();
    assert_eq!(old.to_string(), "this push is old: it is number 6, and number 7 is stored");
    assert_eq!(running.state().await.as_deref(), Some(text));
    assert_eq!(running.log().await, texts(0..2));
    let shown = running.project.task(running.fence.task).await.unwrap();
    assert_eq!((shown.records_read, shown.stats.as_deref()), (Some(5), Some(r#"{"a":1}"#)));
    // Each state that is stored counts in the version that people see.
    running.push(1, 8, &other).await.unwrap();
    let state = running.project.state(running.job).await.unwrap();
    assert_eq!((state.text.as_deref(), state.version().sequence), (Some(r#"{"other":1}"#), 2));
}

async fn lines_told_twice_are_stored_once_and_missing_ones_are_told(db: TestDatabase) {
    let running = running(&db).await;
    running.permit(&pod("a")).await.unwrap();
    let push = |first: i64, to: i64| Push { first_line: first, lines: lines(first..to), ..Push::default() };
    assert_eq!(running.push(1, 1, &push(0, 5)).await.unwrap(), 5);
    assert_eq!(running.push(1, 2, &push(3, 8)).await.unwrap(), 8);
    assert_eq!(running.push(1, 3, &push(2, 6)).await.unwrap(), 8);
    assert_eq!(running.log().await, texts(0..8));
    // The database was put back to an earlier time.
    assert_eq!(running.push(1, 4, &push(10, 12)).await.unwrap(), 12);
    assert_eq!(running.push(1, 5, &push(11, 13)).await.unwrap(), 13);
    let mut expected = texts(0..8);
    expected.push("2 lines of the connector's log are missing here".to_owned());
    expected.extend(texts(10..13));
    assert_eq!(running.log().await, expected);
    assert_eq!(running.permit(&started("a")).await.unwrap().lines, 13);
}

async fn what_an_agent_could_not_read_stands_in_the_log_and_counts_as_no_line_of_the_connector(
    db: TestDatabase,
) {
    let running = running(&db).await;
    running.permit(&pod("a")).await.unwrap();
    let gaps = vec!["cannot read state.json of the connector's output".to_owned()];
    let with_lines = Push { lines: lines(0..2), gaps: gaps.clone(), ..Push::default() };
    assert_eq!(running.push(1, 1, &with_lines).await.unwrap(), 2);
    assert_eq!(running.push(1, 1, &with_lines).await.unwrap(), 2, "told twice is told once");
    let alone = Push { first_line: 2, gaps: vec!["another file".to_owned()], ..Push::default() };
    assert_eq!(running.push(1, 2, &alone).await.unwrap(), 2);
    let more = Push { first_line: 2, lines: lines(2..4), ..Push::default() };
    assert_eq!(running.push(1, 3, &more).await.unwrap(), 4);
    let mut expected = texts(0..2);
    expected
        .push("Lines or a state may be missing: cannot read state.json of the connector's output".to_owned());
    expected.push("Lines or a state may be missing: another file".to_owned());
    expected.extend(texts(2..4));
    assert_eq!(running.log().await, expected);
    assert_eq!(running.permit(&started("a")).await.unwrap().lines, 4);
}

async fn the_state_of_a_clear_is_not_stored_by_a_push(db: TestDatabase) {
    let sync = running(&db).await;
    sync.permit(&pod("a")).await.unwrap();
    sync.push(1, 1, &state(r#"{"sync":1}"#)).await.unwrap();
    sync.queue.end(sync.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    let user = user(&db.store).await;
    let task = sync.project.create_clear(sync.job, user).await.unwrap().task;
    let clear = Running { fence: claim(&db.store, task).await.fence, ..sync };
    clear.permit(&pod("b")).await.unwrap();
    let push = Push { lines: lines(0..1), ..state(r#"{"clear":1}"#) };
    assert_eq!(clear.push(1, 1, &push).await.unwrap(), 1);
    assert_eq!(clear.state().await.as_deref(), Some(r#"{"sync":1}"#));
}

async fn a_record_is_sealed_kept_once_and_goes_with_the_attempt(db: TestDatabase) {
    let running = running(&db).await;
    let (task, attempt) = (running.fence.task, running.fence.attempt);
    let tell = async |incarnation, text: &str| {
        running.queue.store_final(task, attempt, incarnation, text).await.map(|_| ())
    };
    assert!(matches!(tell(1, "early").await, Err(PodRefused::Closed)), "no pod is permitted");
    running.permit(&pod("a")).await.unwrap();
    assert_eq!(running.record().await, None);
    tell(1, r#"{"streams":"secret plans"}"#).await.unwrap();
    tell(1, "twice").await.unwrap();
    assert_eq!(running.record().await.as_deref(), Some(r#"{"streams":"secret plans"}"#));
    let row = db
        .store
        .connection()
        .query_one_raw(sea_orm::Statement::from_string(
            db.store.connection().get_database_backend(),
            "SELECT final_record FROM task_attempts",
        ))
        .await
        .unwrap()
        .unwrap();
    let sealed: String = row.try_get("", "final_record").unwrap();
    assert!(sealed.starts_with("rest1:") && !sealed.contains("plans"));
    running.permit(&started("a")).await.unwrap();
    assert!(matches!(tell(1, "late").await, Err(PodRefused::OldIncarnation { .. })));
    tell(2, "newer").await.unwrap();
    assert_eq!(running.record().await.as_deref(), Some("newer"));
    running.queue.end(running.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    assert_eq!(running.record().await, None);
}

async fn the_state_of_the_end_stands_before_those_of_pushes(db: TestDatabase) {
    let running = running(&db).await;
    running.permit(&pod("a")).await.unwrap();
    for sequence in 1..5 {
        running.push(1, sequence, &state(&format!(r#"{{"at":{sequence}}}"#))).await.unwrap();
    }
    // Its owner has counted none of them.
    let end = Final { state: Some((1, r#"{"at":"the end"}"#.to_owned())), ..Final::bare(Outcome::Clean) };
    running.queue.end(running.fence, &end).await.unwrap();
    assert_eq!(running.state().await.as_deref(), Some(r#"{"at":"the end"}"#));
}
