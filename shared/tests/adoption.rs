//! Attempts that outlive their workers: adoption, more memory after an end for want of it, ends by force; on both
//! databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/samples.rs"]
mod samples;

use databases::TestDatabase;
use olake_shared::{
    domain::task::{FailureClass, TaskPhase, TaskStatus},
    store::{
        ProjectStore, StoreError,
        tasks::{
            Failure, Fence, Queue,
            adopt::Adoption,
            claim::Claimed,
            end::{Final, Outcome, Retries},
            pods::PermitState,
        },
    },
};
use samples::{claim, job, project, user};
use uuid::Uuid;

on_both_databases!(
    an_attempt_is_adopted_once_and_goes_on_as_it_was,
    what_has_no_worker_row_is_seen_to_be_left,
    the_pod_of_an_attempt_is_shown_and_noted_by_its_owner_alone,
    want_of_memory_is_tried_once_more_and_counted,
    a_task_is_ended_by_force_only_while_its_node_is_lost,
    an_attempt_is_open_until_it_is_closed,
    who_is_no_longer_the_owner_closes_no_attempt,
);

struct Running {
    project: ProjectStore,
    queue: Queue,
    fence: Fence,
}

async fn running(db: &TestDatabase) -> Running {
    let (project, user) = (project(&db.store).await, user(&db.store).await);
    let job = project.create_job(&job("j"), user).await.unwrap().id;
    let task = project.create_sync(job, user).await.unwrap().task;
    let fence = claim(&db.store, task).await.fence;
    Running { project, queue: db.store.queue(), fence }
}

impl Running {
    async fn adopt(&self, worker: Uuid) -> Option<Box<Claimed>> {
        match self.queue.adopt(self.fence, worker, "other").await.unwrap() {
            Adoption::Adopted(claimed) => Some(claimed),
            Adoption::Missed => None,
            Adoption::Unreadable(reason) => panic!("{reason}"),
        }
    }
}

async fn an_attempt_is_adopted_once_and_goes_on_as_it_was(db: TestDatabase) {
    let run = running(&db).await;
    let claimed = run.adopt(Uuid::now_v7()).await.unwrap();
    assert_eq!(claimed.fence, Fence { epoch: run.fence.epoch + 1, ..run.fence });
    assert!(run.adopt(Uuid::now_v7()).await.is_none(), "one of two is faster");
    let attempts = run.project.attempts(run.fence.task).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].host.as_str()), (1, "other"));
    let late = run.queue.set_phase(run.fence, TaskPhase::Running, None).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "the old owner changes nothing");
    let ended = run.queue.end(claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Succeeded);
    assert!(run.adopt(Uuid::now_v7()).await.is_none(), "what has ended is nobody's");
}

async fn what_has_no_worker_row_is_seen_to_be_left(db: TestDatabase) {
    let run = running(&db).await;
    assert!(run.queue.orphaned(Uuid::now_v7(), 0).await.unwrap().is_empty(), "its owner lives");
    run.queue.forget_all_but(Uuid::now_v7()).await.unwrap();
    let orphans = run.queue.orphaned(Uuid::now_v7(), 0).await.unwrap();
    assert_eq!(orphans.len(), 1);
    assert!(orphans[0].owner_left && orphans[0].launcher.is_none());
}

async fn the_pod_of_an_attempt_is_shown_and_noted_by_its_owner_alone(db: TestDatabase) {
    let run = running(&db).await;
    run.queue.note_pod(run.fence, "olake-1", None).await.unwrap();
    run.queue.note_pod(run.fence, "olake-1", Some("node-1")).await.unwrap();
    run.queue.note_pod(run.fence, "olake-1", None).await.unwrap();
    let shown = run.project.attempts(run.fence.task).await.unwrap();
    assert_eq!((shown[0].pod.as_deref(), shown[0].node.as_deref()), (Some("olake-1"), Some("node-1")));
    let other = Fence { epoch: run.fence.epoch + 1, ..run.fence };
    assert!(matches!(run.queue.note_pod(other, "x", None).await, Err(StoreError::Fenced)));
}

async fn want_of_memory_is_tried_once_more_and_counted(db: TestDatabase) {
    let run = running(&db).await;
    let failure = Failure::new(FailureClass::OutOfMemory, "it needed more memory than its limit of 64Mi");
    let end = Final { retries: Retries::of_job(None), ..Final::bare(Outcome::Bad(failure)) };
    assert_eq!(run.queue.end(run.fence, &end).await.unwrap().status, TaskStatus::Queued);
    let again = claim(&db.store, run.fence.task).await;
    assert_eq!((again.fence.attempt, again.memory_doublings), (2, 1));
    assert_eq!(run.queue.end(again.fence, &end).await.unwrap().status, TaskStatus::Failed);
}

async fn a_task_is_ended_by_force_only_while_its_node_is_lost(db: TestDatabase) {
    let run = running(&db).await;
    let task = run.fence.task;
    assert!(matches!(run.project.force_end_task(task).await, Err(StoreError::NotLost { .. })));
    assert!(run.queue.force_ends(&[task]).await.unwrap().is_empty());
    run.queue.set_phase(run.fence, TaskPhase::NodeUnreachable, Some("the node is lost")).await.unwrap();
    assert_eq!(run.project.force_end_task(task).await.unwrap().id, task);
    assert_eq!(run.queue.force_ends(&[task]).await.unwrap(), [task]);
    run.project.force_end_task(task).await.unwrap();
    assert!(matches!(run.project.force_end_task(Uuid::now_v7()).await, Err(StoreError::NotFound(_))));
}

async fn an_attempt_is_open_until_it_is_closed(db: TestDatabase) {
    let run = running(&db).await;
    let (task, attempt) = (run.fence.task, run.fence.attempt);
    assert_eq!(run.queue.permit_state(task, attempt).await.unwrap(), PermitState::Open);
    assert!(run.queue.close_attempt(run.fence).await.unwrap());
    assert_eq!(run.queue.permit_state(task, attempt).await.unwrap(), PermitState::Closed);
}

async fn who_is_no_longer_the_owner_closes_no_attempt(db: TestDatabase) {
    let run = running(&db).await;
    let (task, queue) = (run.fence.task, &run.queue);
    let adopted = run.adopt(Uuid::now_v7()).await.unwrap().fence;
    let late = queue.close_attempt(run.fence).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "it was adopted since: {late:?}");
    assert_eq!(queue.permit_state(task, adopted.attempt).await.unwrap(), PermitState::Open);
    // The attempt after that is not its, either, whichever way it asks.
    let lost = Failure::new(FailureClass::Infrastructure, "lost");
    let end = Final { retries: Retries::of_job(None), ..Final::bare(Outcome::Bad(lost)) };
    queue.end(adopted, &end).await.unwrap();
    let next = claim(&db.store, task).await.fence;
    for stale in [run.fence, adopted, Fence { attempt: next.attempt, ..adopted }] {
        let late = queue.close_attempt(stale).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{stale:?}: {late:?}");
    }
    assert_eq!(queue.permit_state(task, next.attempt).await.unwrap(), PermitState::Open);
    assert!(queue.close_attempt(next).await.unwrap(), "its owner closes it");
}
