//! Clears, and tasks that wait for each other, on both databases: what stands in the rows after each step, since a crash
//! may come after any of them.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/samples.rs"]
mod samples;

use databases::TestDatabase;
use olake_shared::{
    domain::{
        project::ProjectId,
        task::{FailureClass, PlaceClass, TaskId, TaskKind, TaskStatus},
    },
    store::{
        ProjectStore, StoreError,
        jobs::{JobInput, SideInput},
        states::StateOrigin,
        tasks::{
            Failure, Fence,
            chain::Followed,
            claim::{Claimed, ClearWork, Work},
            clear::Cleared,
            end::{Final, Outcome, Recovered, Retries},
            input::{OneShot, OneShotResult},
        },
    },
};
use samples::{claim, given_state, job, project, user};
use serde_json::json;

on_both_databases!(
    a_clear_of_a_job_resets_its_state_when_it_ends_well,
    a_clear_that_fails_leaves_the_state_and_is_tried_again_so_many_times,
    a_clear_that_loses_its_worker_stores_no_state,
    a_clear_is_refused_for_a_paused_job_an_old_connector_or_beside_another_task,
    the_streams_that_changed_are_cleared_at_once_when_nothing_runs,
    a_running_sync_is_cancelled_and_made_up_for_after_the_clear,
    a_sync_that_ends_well_all_the_same_is_followed_too,
    a_sync_that_did_not_start_ends_at_once,
    a_chain_survives_a_stop_of_the_worker_at_each_step,
    a_clear_that_fails_cancels_the_sync_after_it,
    a_clear_that_is_cancelled_while_it_waits_takes_the_sync_with_it,
    the_next_sync_is_not_made_for_a_paused_job,
    a_job_is_not_changed_while_a_clear_runs_or_waits,
    a_chain_is_written_with_the_job_or_not_at_all,
    a_deleted_job_leaves_nothing_waiting,
    the_schedule_is_held_while_a_clear_runs_or_waits,
    a_difference_keeps_both_catalogs_to_the_byte,
);

const STATE: &str = "{\"type\":\"STREAM\",  \"version\":7,\"n\":12345678901234567890.50}\n";
const LEFT: &str = r#"{"type":"STREAM","version":7,"streams":[]}"#;
const CHANGED: &str = r#"{"selected_streams":{"public":[{"stream_name":"orders"}]},"streams":[],"n":1.50}"#;

struct Stage {
    db: TestDatabase,
    project: ProjectStore,
    user: i64,
    job: i64,
}

impl Stage {
    /// A job whose first sync left [`STATE`].
    async fn new(db: TestDatabase) -> Self {
        let (project, user) = (project(&db.store).await, user(&db.store).await);
        let job = project.create_job(&job("j"), user).await.unwrap().id;
        let stage = Self { db, project, user, job };
        let first = stage.start().await;
        stage.db.store.queue().push_state(first.fence, job, 1, STATE).await.unwrap();
        stage.end(first.fence, &clean()).await;
        stage
    }

    /// A sync that runs.
    async fn start(&self) -> Box<Claimed> {
        let task = self.project.create_sync(self.job, self.user).await.unwrap().task;
        claim(&self.db.store, task).await
    }

    /// A clear of the whole job that runs.
    async fn start_clear(&self) -> Box<Claimed> {
        let created = self.project.create_clear(self.job, self.user).await.unwrap();
        assert_eq!((created.class, created.job), (PlaceClass::Sync, Some(self.job)));
        claim(&self.db.store, created.task).await
    }

    /// Saves the job with changed streams.
    async fn change(&self) -> Cleared {
        self.try_change(&job("j"), Some(CHANGED)).await.unwrap()
    }

    async fn try_change(&self, input: &JobInput, clear: Option<&str>) -> Result<Cleared, StoreError> {
        self.project
            .update_job_and_clear(self.job, input, clear, None, self.user)
            .await
            .map(|(_, cleared)| cleared)
    }

    async fn end(&self, fence: Fence, end: &Final) -> Vec<Followed> {
        self.db.store.queue().end(fence, end).await.unwrap().then
    }

    async fn state(&self) -> Option<String> {
        self.project.state(self.job).await.unwrap().text
    }

    /// Kind and status of the job's tasks, oldest first.
    async fn rows(&self) -> Vec<String> {
        let mut tasks = self.project.tasks_of_job(self.job, 100, None).await.unwrap();
        tasks.reverse();
        tasks.iter().map(|task| format!("{} {}", task.kind, task.status)).collect()
    }

    async fn last_run(&self) -> (String, String) {
        let run = self.project.job(self.job).await.unwrap().last_run.unwrap();
        (run.kind, run.state)
    }
}

fn clean() -> Final {
    Final::bare(Outcome::Clean)
}

fn clean_with_state(state: &str) -> Final {
    Final { state: Some((1, state.to_owned())), ..clean() }
}

fn cancelled() -> Final {
    Final::bare(Outcome::Bad(Failure::new(FailureClass::Cancelled, "cancelled")))
}

fn failed(retries: Option<u32>) -> Final {
    let failure = Failure::new(FailureClass::Connector, "access denied");
    Final { retries: Retries::of_clear(retries), ..Final::bare(Outcome::Bad(failure)) }
}

fn clear_work(claimed: &Claimed) -> &ClearWork {
    match &claimed.work {
        Work::Clear(work) => work,
        other => panic!("no clear: {other:?}"),
    }
}

fn promoted(followed: &[Followed]) -> TaskId {
    match followed {
        [Followed::Promoted(created)] => created.task,
        other => panic!("not promoted: {other:?}"),
    }
}

async fn a_clear_of_a_job_resets_its_state_when_it_ends_well(db: TestDatabase) {
    let stage = Stage::new(db).await;
    assert!(!stage.project.clears(stage.job).await.unwrap());
    let clear = stage.start_clear().await;
    assert!(stage.project.clears(stage.job).await.unwrap());
    let work = clear_work(&clear);
    assert_eq!((work.whole, work.state.as_deref()), (true, Some(STATE)));
    assert_eq!(work.catalog, job("j").streams_config);
    assert_eq!(
        (work.destination_type.as_str(), &work.destination_config["path"]),
        ("PARQUET", &json!("/somewhere"))
    );
    assert_eq!((clear.kind, clear.connector_type.as_str()), (TaskKind::Clear, "files"));
    assert_eq!(stage.state().await.as_deref(), Some(STATE), "as long as it runs");
    assert_eq!(stage.last_run().await, ("clear".into(), "running".into()));

    stage.end(clear.fence, &clean_with_state(LEFT)).await;
    let state = stage.project.state(stage.job).await.unwrap();
    assert_eq!((state.text.as_deref(), state.history[0].origin), (None, StateOrigin::Reset));
    assert!(state.history[0].created_by.is_some(), "who cleared it");
    assert!(!stage.project.clears(stage.job).await.unwrap());
    assert_eq!(stage.last_run().await, ("clear".into(), "succeeded".into()));
    assert_eq!(given_state(&*stage.start().await), None, "the next sync begins from the start");
}

async fn a_clear_that_fails_leaves_the_state_and_is_tried_again_so_many_times(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let first = stage.start_clear().await;
    for attempt in 1..=4 {
        let again = match attempt {
            1 => first.clone(),
            _ => {
                // `sync` does not hurry a clear that waits before its next attempt.
                let busy = stage.project.create_sync(stage.job, stage.user).await.unwrap_err();
                assert!(matches!(busy, StoreError::JobBusy { kind, .. } if kind == "clear"));
                claim(&stage.db.store, first.fence.task).await
            }
        };
        assert_eq!(again.fence.attempt, attempt);
        assert_eq!(
            clear_work(&again).state.as_deref(),
            Some(STATE),
            "what it clears is there for each attempt"
        );
        let left = Final { state: Some((1, LEFT.to_owned())), ..failed(Some(100)) };
        let ended = stage.db.store.queue().end(again.fence, &left).await.unwrap();
        assert_eq!(ended.status == TaskStatus::Failed, attempt == 4, "attempt {attempt}: {}", ended.status);
        assert_eq!(stage.state().await.as_deref(), Some(STATE));
    }
    assert!(!stage.project.clears(stage.job).await.unwrap());
    let other = stage.start_clear().await;
    stage.end(other.fence, &failed(None)).await;
    assert_eq!(
        stage.rows().await.last().unwrap(),
        "clear failed",
        "by default an error of its own is not tried again"
    );
}

async fn a_clear_that_loses_its_worker_stores_no_state(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let clear = stage.start_clear().await;
    let left = Recovered { state: Some(LEFT.to_owned()), ..Recovered::default() };
    let back = stage.db.store.queue().take_back(clear.fence, "gone", &left).await.unwrap();
    assert_eq!(back.status, TaskStatus::Queued);
    assert_eq!(stage.state().await.as_deref(), Some(STATE));
    let again = claim(&stage.db.store, clear.fence.task).await;
    assert_eq!(clear_work(&again).state.as_deref(), Some(STATE));
    stage.end(again.fence, &clean()).await;
    assert_eq!(stage.state().await, None);
}

async fn a_clear_is_refused_for_a_paused_job_an_old_connector_or_beside_another_task(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let refused = async |words: String| {
        let error = stage.project.create_clear(stage.job, stage.user).await.unwrap_err();
        assert_eq!(error.to_string(), words);
    };
    let sync = stage.start().await;
    refused(format!("a sync of job 'j' is running: {}", sync.fence.task)).await;
    stage.end(sync.fence, &clean()).await;
    let clear = stage.start_clear().await;
    refused(format!("a clear of job 'j' is running: {}", clear.fence.task)).await;
    let sync = stage.project.create_sync(stage.job, stage.user).await.unwrap_err();
    assert_eq!(sync.to_string(), format!("a clear of job 'j' is running: {}", clear.fence.task));
    stage.end(clear.fence, &clean()).await;
    stage.project.activate_job(stage.job, false, stage.user).await.unwrap();
    refused("job 'j' is paused".into()).await;
    let missing = stage.project.create_clear(999_999, stage.user).await.unwrap_err();
    assert_eq!(missing.to_string(), "job 999999 not found");
    assert!(stage.project.clears(999_999).await.is_err());
    let foreign = stage.db.store.project(&ProjectId::new("olake")).await.unwrap();
    assert!(foreign.create_clear(stage.job, stage.user).await.is_err());

    let old = |side: SideInput| match side {
        SideInput::Inline(mut side) => {
            (side.version, side.name) = ("v0.2.9".into(), format!("old {}", side.name));
            SideInput::Inline(side)
        }
        other => other,
    };
    let JobInput { source, destination, .. } = job("old");
    let input = JobInput { source: old(source), destination: old(destination), ..job("old") };
    let old = stage.project.create_job(&input, stage.user).await.unwrap();
    let words = "the destination of job 'old' cannot be cleared: its source's v0.2.9 is older than v0.3.0";
    let refused = stage.project.create_clear(old.id, stage.user).await.unwrap_err();
    assert_eq!(refused.to_string(), words);
    let update = stage.project.update_job_and_clear(old.id, &input, Some(CHANGED), None, stage.user).await;
    assert_eq!(update.unwrap_err().to_string(), words);
    assert_eq!(stage.project.job(old.id).await.unwrap().revision, old.revision, "nothing was written");
}

async fn the_streams_that_changed_are_cleared_at_once_when_nothing_runs(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let cleared = stage.change().await;
    assert!(
        cleared.cancelled.is_none() && cleared.tasks.len() == 1,
        "no sync was cancelled, none is made up for"
    );
    assert_eq!(stage.rows().await, ["sync succeeded", "clear queued"]);
    let clear = claim(&stage.db.store, cleared.tasks[0].task).await;
    let work = clear_work(&clear);
    assert_eq!((work.whole, work.catalog.as_str(), work.state.as_deref()), (false, CHANGED, Some(STATE)));
    assert!(stage.end(clear.fence, &clean_with_state(LEFT)).await.is_empty());
    assert_eq!(stage.state().await.as_deref(), Some(LEFT), "what the connector left");
    assert_eq!(given_state(&*stage.start().await), Some(LEFT));
}

async fn a_running_sync_is_cancelled_and_made_up_for_after_the_clear(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let sync = stage.start().await;
    let cleared = stage.change().await;
    let ended = cleared.cancelled.unwrap();
    assert_eq!((ended.task, ended.status), (sync.fence.task, TaskStatus::Running), "its worker is told");
    assert!(ended.owner.is_some());
    assert_eq!(stage.rows().await, ["sync succeeded", "sync running", "clear waiting", "sync waiting"]);
    assert_eq!(stage.last_run().await, ("sync".into(), "running".into()));
    assert!(stage.project.clears(stage.job).await.unwrap());
    let waiting = stage.project.task(cleared.tasks[0].task).await.unwrap();
    assert_eq!(waiting.hold_reason.as_deref(), Some("waits until the sync before it has ended"));

    // The sync's last state is what the clear is given.
    let last = Final { state: Some((9, r#"{"at":9}"#.to_owned())), ..cancelled() };
    let clear = promoted(&stage.end(sync.fence, &last).await);
    assert_eq!(clear, cleared.tasks[0].task);
    assert_eq!(stage.rows().await, ["sync succeeded", "sync cancelled", "clear queued", "sync waiting"]);
    assert_eq!(stage.last_run().await, ("clear".into(), "queued".into()));
    assert_eq!(stage.project.task(clear).await.unwrap().hold_reason, None);
    let clear = claim(&stage.db.store, clear).await;
    assert_eq!(clear_work(&clear).state.as_deref(), Some(r#"{"at":9}"#));

    let next = promoted(&stage.end(clear.fence, &clean_with_state(LEFT)).await);
    assert_eq!(next, cleared.tasks[1].task);
    assert_eq!(stage.rows().await, ["sync succeeded", "sync cancelled", "clear succeeded", "sync queued"]);
    let next = claim(&stage.db.store, next).await;
    assert_eq!(given_state(&next), Some(LEFT));
    assert!(stage.end(next.fence, &clean()).await.is_empty());
    assert_eq!(stage.last_run().await, ("sync".into(), "succeeded".into()));
}

async fn a_sync_that_ends_well_all_the_same_is_followed_too(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let sync = stage.start().await;
    let cleared = stage.change().await;
    assert_eq!(promoted(&stage.end(sync.fence, &clean()).await), cleared.tasks[0].task);
    assert_eq!(stage.rows().await, ["sync succeeded", "sync succeeded", "clear queued", "sync waiting"]);
}

async fn a_sync_that_did_not_start_ends_at_once(db: TestDatabase) {
    let stage = Stage::new(db).await;
    stage.project.create_sync(stage.job, stage.user).await.unwrap();
    let cleared = stage.change().await;
    let ended = cleared.cancelled.unwrap();
    assert_eq!((ended.status, promoted(&ended.then)), (TaskStatus::Cancelled, cleared.tasks[0].task));
    assert_eq!(stage.rows().await, ["sync succeeded", "sync cancelled", "clear queued", "sync waiting"]);
}

async fn a_chain_survives_a_stop_of_the_worker_at_each_step(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let queue = stage.db.store.queue();
    let stopped = Final::bare(Outcome::Interrupted("the worker stops".into()));
    let sync = stage.start().await;
    let cleared = stage.change().await;

    // The sync's worker dies: the wish holds, so it does not come back.
    let ended = queue.take_back(sync.fence, "gone", &Recovered::default()).await.unwrap();
    assert_eq!((ended.status, promoted(&ended.then)), (TaskStatus::Cancelled, cleared.tasks[0].task));

    // The clear's worker stops, and another one dies: what waits goes on waiting.
    let clear = claim(&stage.db.store, cleared.tasks[0].task).await;
    assert!(stage.end(clear.fence, &stopped).await.is_empty());
    assert_eq!(stage.rows().await[1..], ["sync cancelled", "clear queued", "sync waiting"]);
    let clear = claim(&stage.db.store, clear.fence.task).await;
    queue.take_back(clear.fence, "gone", &Recovered::default()).await.unwrap();
    assert_eq!(stage.rows().await[1..], ["sync cancelled", "clear queued", "sync waiting"]);
    let late = queue.end(clear.fence, &clean()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "an old owner ends nothing");

    let clear = claim(&stage.db.store, clear.fence.task).await;
    promoted(&stage.end(clear.fence, &clean_with_state(LEFT)).await);
    let next = claim(&stage.db.store, cleared.tasks[1].task).await;
    stage.end(next.fence, &stopped).await;
    let next = claim(&stage.db.store, next.fence.task).await;
    assert_eq!(given_state(&next), Some(LEFT));
    stage.end(next.fence, &clean()).await;
    assert_eq!(stage.rows().await[1..], ["sync cancelled", "clear succeeded", "sync succeeded"]);
}

async fn a_clear_that_fails_cancels_the_sync_after_it(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let sync = stage.start().await;
    let cleared = stage.change().await;
    promoted(&stage.end(sync.fence, &cancelled()).await);
    let clear = claim(&stage.db.store, cleared.tasks[0].task).await;
    let then = stage.end(clear.fence, &failed(None)).await;
    let [Followed::Ended(next)] = then.as_slice() else { panic!("{then:?}") };
    assert_eq!((next.task, next.status), (cleared.tasks[1].task, TaskStatus::Cancelled));
    assert_eq!(stage.rows().await[1..], ["sync cancelled", "clear failed", "sync cancelled"]);
    let next = stage.project.task(next.task).await.unwrap();
    let words = format!("the clear that it waited for ended as failed: {}", clear.fence.task);
    assert_eq!((next.failure_message, next.failure_class.as_deref()), (Some(words), Some("cancelled")));
    assert_eq!(stage.last_run().await, ("clear".into(), "failed".into()), "what never ran hides no failure");
    assert_eq!(stage.state().await.as_deref(), Some(STATE));
    stage.start().await;
}

async fn a_clear_that_is_cancelled_while_it_waits_takes_the_sync_with_it(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let sync = stage.start().await;
    let cleared = stage.change().await;
    let ended = stage.project.cancel_task(cleared.tasks[0].task).await.unwrap();
    assert_eq!((ended.status, ended.then.len()), (TaskStatus::Cancelled, 1));
    assert_eq!(stage.rows().await[1..], ["sync running", "clear cancelled", "sync cancelled"]);
    assert_eq!(stage.last_run().await, ("sync".into(), "running".into()));
    // "Cancel" means the task that runs, not one that waits.
    let again = stage.project.cancel_job(stage.job).await.unwrap();
    assert_eq!(again.task, sync.fence.task);
    assert!(stage.end(sync.fence, &cancelled()).await.is_empty());
}

async fn the_next_sync_is_not_made_for_a_paused_job(db: TestDatabase) {
    let stage = Stage::new(db).await;
    stage.start().await;
    let paused = JobInput { activate: Some(false), ..job("j") };
    let cleared = stage.try_change(&paused, Some(CHANGED)).await.unwrap();
    assert_eq!(cleared.tasks.len(), 1);
    assert_eq!(stage.rows().await[1..], ["sync running", "clear waiting"]);
}

async fn a_job_is_not_changed_while_a_clear_runs_or_waits(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let sync = stage.start().await;
    let cleared = stage.change().await;
    let words = format!("a clear of job 'j' is running: {}", cleared.tasks[0].task);
    let revision = stage.project.job(stage.job).await.unwrap().revision;
    let refused = async || {
        for clear in [None, Some(CHANGED)] {
            let error = stage.try_change(&job("renamed"), clear).await.unwrap_err();
            assert_eq!(error.to_string(), words);
        }
        let reset = stage.project.reset_state(stage.job, stage.user).await;
        assert!(matches!(reset, Err(StoreError::JobBusy { .. })));
    };
    refused().await;
    stage.end(sync.fence, &cancelled()).await;
    refused().await;
    let clear = claim(&stage.db.store, cleared.tasks[0].task).await;
    refused().await;
    stage.end(clear.fence, &clean()).await;
    assert_eq!(stage.project.job(stage.job).await.unwrap().revision, revision);
    // The next sync alone does not hold the job.
    stage.try_change(&job("renamed"), None).await.unwrap();
}

async fn a_chain_is_written_with_the_job_or_not_at_all(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let sync = stage.start().await;
    stage.project.create_job(&job("taken"), stage.user).await.unwrap();
    let taken = stage.try_change(&job("taken"), Some(CHANGED)).await;
    assert!(matches!(taken, Err(StoreError::NameTaken { .. })));
    let (input, stale) = (job("renamed"), Some(77));
    let stale = stage.project.update_job_and_clear(stage.job, &input, Some(CHANGED), stale, stage.user).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })));
    assert_eq!(stage.rows().await[1..], ["sync running"]);
    assert!(!stage.project.task(sync.fence.task).await.unwrap().cancel_requested);
    stage.try_change(&job("renamed"), Some(CHANGED)).await.unwrap();
    assert_eq!(stage.project.job(stage.job).await.unwrap().name, "renamed");
    assert!(stage.project.task(sync.fence.task).await.unwrap().cancel_requested);
}

async fn a_deleted_job_leaves_nothing_waiting(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let sync = stage.start().await;
    let cleared = stage.change().await;
    stage.project.delete_job(stage.job, None, stage.user).await.unwrap();
    for task in &cleared.tasks {
        assert_eq!(stage.project.task(task.task).await.unwrap().status, TaskStatus::Cancelled);
    }
    assert!(stage.end(sync.fence, &cancelled()).await.is_empty());
}

async fn the_schedule_is_held_while_a_clear_runs_or_waits(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let due = async || {
        let sql = "UPDATE jobs SET next_run_at = 1000000";
        sea_orm::ConnectionTrait::execute_unprepared(stage.db.store.connection(), sql).await.unwrap();
        stage.db.store.queue().fire_schedules(10).await.unwrap()
    };
    let clear = stage.start_clear().await;
    due().await;
    let skipped = "sync skipped";
    let rows = stage.rows().await;
    assert_eq!(rows[1], "clear running");
    assert!(rows.len() > 2 && rows[2..].iter().all(|row| row == skipped), "{rows:?}");
    stage.end(clear.fence, &clean()).await;

    let sync = stage.start().await;
    stage.change().await;
    let open = async || {
        let mut rows = stage.rows().await;
        rows.retain(|row| row != skipped);
        rows.split_off(2)
    };
    due().await;
    assert_eq!(open().await, ["sync running", "clear waiting", "sync waiting"]);
    let clear = promoted(&stage.end(sync.fence, &cancelled()).await);
    due().await;
    assert_eq!(open().await, ["sync cancelled", "clear queued", "sync waiting"], "{clear}");
}

async fn a_difference_keeps_both_catalogs_to_the_byte(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let input = OneShot::Difference { old: STATE.into(), new: CHANGED.into() };
    let created = stage.project.create_one_shot("files", "v0.9.4", &input, stage.user).await.unwrap();
    assert_eq!(created.class, PlaceClass::Interactive);
    let claimed = claim(&stage.db.store, created.task).await;
    let Work::OneShot(OneShot::Difference { old, new }) = &claimed.work else { panic!("{claimed:?}") };
    assert_eq!((claimed.kind, old.as_str(), new.as_str()), (TaskKind::Difference, STATE, CHANGED));
    let result = OneShotResult::Difference { catalog: CHANGED.into() };
    stage.end(claimed.fence, &Final { result: Some(result.clone()), ..clean() }).await;
    assert_eq!(stage.project.one_shot_result(created.task).await.unwrap(), Some(result));
}
