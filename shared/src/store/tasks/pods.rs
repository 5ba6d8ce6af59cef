//! Attempts that run in pods: who may start the connector, and what its agent tells.
//!
//! The agent of a pod talks to any worker, and goes on while no worker owns the task. So its writes carry no worker's
//! fence: they count while the attempt is the current one of a running task, and come from the newest start of the agent
//! in the pod that was permitted. A start of the agent is an incarnation; its pushes are numbered.
//!
//! Invariants:
//! - at most one pod of an attempt is ever permitted, by one compare and set: once a pod is permitted or the attempt is
//!   closed, that stays;
//! - a push changes everything that it carries or nothing; told twice is told once, and one that comes late changes
//!   nothing;
//! - what is told at the end is kept sealed, and goes with the end of the attempt.

use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, Value as Db};

use super::{Fence, Queue, claim::Claimed, progress::write_state};
use crate::{
    domain::{
        project::ProjectId,
        task::{TaskId, TaskKind, TaskStatus},
    },
    store::{
        Store, StoreError,
        entities::task_attempt,
        logs::{self, LogLine},
    },
};

/// What stands in place of a pod's uid when none will ever be permitted.
const CLOSED: &str = "closed";

/// The pod that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// Its uid: a pod that is made anew under the same name has another one.
    pub uid: String,
    pub name: String,
    pub node: Option<String>,
    /// Whether its agent has let the connector start already, in an earlier start of its own.
    pub started: bool,
}

/// The leave to start a connector, or to go on telling of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The number of this start of the agent, from 1.
    pub incarnation: i64,
    /// How many lines of the attempt are stored.
    pub lines: i64,
}

/// Whether a pod may start an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitState {
    /// None has asked yet.
    Open,
    /// None ever will.
    Closed,
    /// One was permitted: it may have started its connector.
    Given,
}

/// Why a pod is not permitted, or no longer listened to, in words for the agent's log.
#[derive(Debug, thiserror::Error)]
pub enum PodRefused {
    /// There is no such task or attempt, or the task has ended or gone on to another attempt.
    #[error("attempt {attempt} of task {task} is over, or never was")]
    Over { task: TaskId, attempt: i32 },
    /// It is to end before it has begun.
    #[error("the task is being cancelled: its connector does not start any more")]
    Cancelled,
    /// It was decided that no pod starts it any more.
    #[error("the attempt is closed: no pod may start its connector any more")]
    Closed,
    /// Another pod may run it.
    #[error("another pod runs this attempt")]
    OtherPod,
    /// The agent has been started again since.
    #[error(
        "this agent was started again since: start {told} tells something, and start {newest} is the newest"
    )]
    OldIncarnation { told: i64, newest: i64 },
    /// It comes late: a later push is stored.
    #[error("this push is old: it is number {told}, and number {newest} is stored")]
    OldSequence { told: i64, newest: i64 },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an agent tells while the connector runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// The state, to the byte. Stored for syncs alone: that of a clear counts only if it ends well.
    pub state: Option<String>,
    pub stats: Option<PushedStats>,
    /// The number of the first of these lines in the attempt.
    pub first_line: i64,
    pub lines: Vec<LogLine>,
    /// What the agent could not read or tell, in words for the task's log. They have no number in the attempt.
    pub gaps: Vec<String>,
}

/// The connector's statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedStats {
    /// As JSON text.
    pub text: String,
    pub records_read: Option<i64>,
    pub bytes_read: Option<i64>,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// How many lines of the attempt are stored now.
    pub lines: i64,
    pub project: ProjectId,
    pub job: Option<i64>,
}

/// An attempt that can be told of, with the lock of its task's row.
#[derive(FromQueryResult)]
struct Open {
    project_id: String,
    job_id: Option<i64>,
    kind: String,
    epoch: i64,
    cancel_requested_at: Option<i64>,
    state_sequence: i64,
    attempt_lines: i64,
    pod_uid: Option<String>,
    incarnation: i64,
    push_sequence: i64,
    final_incarnation: Option<i64>,
}

impl Queue {
    /// Permits a pod to start the connector of an attempt, and to tell of it. The same pod may ask again, when its agent
    /// was started again: pushes of the agent before are refused from then on, and what it told as the end was none.
    ///
    /// # Errors
    /// [`PodRefused`]; the connector must not be started then.
    pub async fn permit(&self, task: TaskId, attempt: i32, pod: &PodIdentity) -> Result<Permit, PodRefused> {
        let tx = self.store.begin().await?;
        let done = self.permit_in(&tx, task, attempt, pod).await;
        settle(tx, done).await
    }

    async fn permit_in(
        &self,
        tx: &DatabaseTransaction,
        task: TaskId,
        attempt: i32,
        pod: &PodIdentity,
    ) -> Result<Permit, PodRefused> {
        let store = &self.store;
        let open = open(store, tx, task, attempt).await?;
        match open.pod_uid.as_deref() {
            Some(CLOSED) => return Err(PodRefused::Closed),
            Some(uid) if uid != pod.uid => return Err(PodRefused::OtherPod),
            _ => {}
        }
        // One that runs has to be heard to its end.
        let runs = open.pod_uid.is_some() && pod.started;
        if open.cancel_requested_at.is_some() && !runs {
            return Err(PodRefused::Cancelled);
        }
        let sql = "UPDATE task_attempts SET pod_uid = $3, pod_name = $4, node = COALESCE($5, node), \
                   incarnation = incarnation + 1, push_sequence = 0, final_record = NULL, final_incarnation = NULL \
                   WHERE task_id = $1 AND attempt = $2 AND (pod_uid IS NULL OR pod_uid = $3)";
        let values: [Db; 5] = [
            task.into(),
            attempt.into(),
            pod.uid.as_str().into(),
            pod.name.as_str().into(),
            pod.node.as_deref().into(),
        ];
        let done = tx.execute_raw(store.sql(sql, values)).await.map_err(StoreError::from)?;
        // It was closed at this moment.
        if done.rows_affected() == 0 {
            return Err(PodRefused::Closed);
        }
        Ok(Permit { incarnation: open.incarnation + 1, lines: open.attempt_lines })
    }

    /// Decides that no pod will ever start this attempt. False: one is permitted already.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the task is no longer the worker's; [`StoreError::Database`].
    pub async fn close_attempt(&self, fence: Fence) -> Result<bool, StoreError> {
        let sql = "UPDATE task_attempts SET pod_uid = $4 \
                   WHERE task_id = $1 AND attempt = $2 AND (pod_uid IS NULL OR pod_uid = $4) \
                   AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = $1 AND t.attempt = $2 AND t.epoch = $3 \
                   AND t.status = 'running')";
        let values: [Db; 4] = [fence.task.into(), fence.attempt.into(), fence.epoch.into(), CLOSED.into()];
        if self.store.db.execute_raw(self.store.sql(sql, values)).await?.rows_affected() > 0 {
            return Ok(true);
        }
        // Epochs never go back: whoever is the owner now was it a moment ago.
        match self.fence_of(fence.task, fence.attempt).await? {
            Some(current) if current == fence => Ok(false),
            _ => Err(StoreError::Fenced),
        }
    }

    /// Whether a pod may start an attempt, or was permitted to.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn permit_state(&self, task: TaskId, attempt: i32) -> Result<PermitState, StoreError> {
        let row = task_attempt::Entity::find_by_id((task, attempt)).one(&self.store.db).await?;
        Ok(match row.and_then(|row| row.pod_uid).as_deref() {
            None => PermitState::Open,
            Some(CLOSED) => PermitState::Closed,
            Some(_) => PermitState::Given,
        })
    }

    /// How many lines of the current attempt of a running task are stored; none when it is over.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn lines_of_attempt(&self, task: TaskId, attempt: i32) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT attempt_lines FROM tasks WHERE id = $1 AND attempt = $2 AND status = 'running'";
        let row = self.store.db.query_one_raw(self.store.sql(sql, [task.into(), attempt.into()])).await?;
        row.map(|row| Ok(row.try_get("", "attempt_lines")?)).transpose()
    }

    /// Stores what an agent tells. `sequence` grows with each try; the number that is stored already may be told again,
    /// and changes nothing.
    ///
    /// # Errors
    /// [`PodRefused`]; nothing was stored then.
    pub async fn push(
        &self,
        task: TaskId,
        attempt: i32,
        incarnation: i64,
        sequence: i64,
        push: &Push,
    ) -> Result<Pushed, PodRefused> {
        let tx = self.store.begin().await?;
        let done = self.push_in(&tx, task, attempt, incarnation, sequence, push).await;
        settle(tx, done).await
    }

    async fn push_in(
        &self,
        tx: &DatabaseTransaction,
        task: TaskId,
        attempt: i32,
        incarnation: i64,
        sequence: i64,
        push: &Push,
    ) -> Result<Pushed, PodRefused> {
        let store = &self.store;
        let open = open_for(store, tx, task, attempt, incarnation).await?;
        let done =
            |lines| Pushed { lines, project: ProjectId::new(open.project_id.as_str()), job: open.job_id };
        if sequence < open.push_sequence {
            return Err(PodRefused::OldSequence { told: sequence, newest: open.push_sequence });
        }
        if sequence == open.push_sequence {
            return Ok(done(open.attempt_lines));
        }
        let sql = "UPDATE task_attempts SET push_sequence = $3 WHERE task_id = $1 AND attempt = $2";
        let values: [Db; 3] = [task.into(), attempt.into(), sequence.into()];
        tx.execute_raw(store.sql(sql, values)).await.map_err(StoreError::from)?;
        let fence = Fence { task, attempt, epoch: open.epoch };
        if let (Some(state), Some(job)) = (&push.state, open.job_id)
            && open.kind == TaskKind::Sync.as_str()
        {
            write_state(store, tx, fence, job, open.state_sequence + 1, state).await?;
        }
        if let Some(stats) = &push.stats {
            write_stats(store, tx, task, stats).await?;
        }
        let mut stored = open.attempt_lines;
        if !push.lines.is_empty() {
            if push.first_line > stored {
                // The agent holds them to be stored, and the database has lost them: it was put back to an earlier time.
                let missing = push.first_line - stored;
                let words = format!("{missing} lines of the connector's log are missing here");
                tell_between(store, tx, fence, push, vec![words], push.first_line).await?;
            }
            logs::append(store, tx, fence, Some(push.first_line), &push.lines).await?;
            let last = push.first_line.saturating_add(i64::try_from(push.lines.len()).unwrap_or(i64::MAX));
            stored = last.max(stored);
        }
        if !push.gaps.is_empty() {
            let words = push.gaps.iter().map(|gap| format!("Lines or a state may be missing: {gap}"));
            tell_between(store, tx, fence, push, words.collect(), stored).await?;
        }
        Ok(done(stored))
    }

    /// Stores what an agent tells at the end. The first record of a start of the agent stays; one of a later start takes
    /// its place. Answers the task's project and job.
    ///
    /// # Errors
    /// [`PodRefused`]; nothing was stored then.
    pub async fn store_final(
        &self,
        task: TaskId,
        attempt: i32,
        incarnation: i64,
        record: &str,
    ) -> Result<Pushed, PodRefused> {
        let store = &self.store;
        let sealed = store.keys.seal_text(&sealed_as(task, attempt), record);
        let tx = store.begin().await?;
        let stored = async {
            let open = open_for(store, &tx, task, attempt, incarnation).await?;
            if open.final_incarnation.is_none_or(|stored| stored < incarnation) {
                let sql = "UPDATE task_attempts SET final_record = $3, final_incarnation = $4 \
                           WHERE task_id = $1 AND attempt = $2";
                let values: [Db; 4] = [task.into(), attempt.into(), sealed.into(), incarnation.into()];
                tx.execute_raw(store.sql(sql, values)).await.map_err(StoreError::from)?;
            }
            let project = ProjectId::new(open.project_id.as_str());
            Ok(Pushed { lines: open.attempt_lines, project, job: open.job_id })
        };
        let stored = stored.await;
        settle(tx, stored).await
    }

    /// What the agent of an attempt told at the end. None while it has not, and after the attempt was ended.
    ///
    /// # Errors
    /// [`StoreError::Secret`] when it does not open; [`StoreError::Database`].
    pub async fn final_record(&self, task: TaskId, attempt: i32) -> Result<Option<String>, StoreError> {
        let row = task_attempt::Entity::find_by_id((task, attempt)).one(&self.store.db).await?;
        let Some(sealed) = row.and_then(|row| row.final_record) else { return Ok(None) };
        Ok(Some(self.store.keys.open_text(&sealed_as(task, attempt), &sealed)?))
    }

    /// What the current attempt of a running task works with, read anew.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the attempt is over; others when what it needs cannot be read.
    pub async fn work_of_attempt(&self, task: TaskId, attempt: i32) -> Result<Claimed, StoreError> {
        let fence = self.fence_of(task, attempt).await?.ok_or(StoreError::Fenced)?;
        self.work_of(fence).await
    }

    /// Whether an attempt is the current one of a running task.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn is_attempt_open(&self, task: TaskId, attempt: i32) -> Result<bool, StoreError> {
        Ok(self.fence_of(task, attempt).await?.is_some())
    }

    /// The fence of whoever owns this attempt now.
    async fn fence_of(&self, task: TaskId, attempt: i32) -> Result<Option<Fence>, StoreError> {
        let sql = "SELECT epoch FROM tasks WHERE id = $1 AND attempt = $2 AND status = 'running'";
        let row = self.store.db.query_one_raw(self.store.sql(sql, [task.into(), attempt.into()])).await?;
        row.map(|row| Ok(Fence { task, attempt, epoch: row.try_get("", "epoch")? })).transpose()
    }
}

/// Locks the row of a running task, and reads its current attempt.
async fn open(
    store: &Store,
    tx: &DatabaseTransaction,
    task: TaskId,
    attempt: i32,
) -> Result<Open, PodRefused> {
    let sql = format!(
        "SELECT t.project_id, t.job_id, t.kind, t.epoch, t.cancel_requested_at, t.state_sequence, t.attempt_lines, \
         a.pod_uid, a.incarnation, a.push_sequence, a.final_incarnation \
         FROM tasks t JOIN task_attempts a ON a.task_id = t.id AND a.attempt = t.attempt \
         WHERE t.id = $1 AND t.attempt = $2 AND t.status = $3 {}",
        store.for_update_of("t")
    );
    let values: [Db; 3] = [task.into(), attempt.into(), TaskStatus::Running.as_str().into()];
    let row = Open::find_by_statement(store.sql(&sql, values)).one(tx).await.map_err(StoreError::from)?;
    row.ok_or(PodRefused::Over { task, attempt })
}

/// As [`open`], for the newest start of the permitted pod's agent.
async fn open_for(
    store: &Store,
    tx: &DatabaseTransaction,
    task: TaskId,
    attempt: i32,
    incarnation: i64,
) -> Result<Open, PodRefused> {
    let open = open(store, tx, task, attempt).await?;
    match open.pod_uid.as_deref() {
        None | Some(CLOSED) => Err(PodRefused::Closed),
        Some(_) if open.incarnation != incarnation => {
            Err(PodRefused::OldIncarnation { told: incarnation, newest: open.incarnation })
        }
        Some(_) => Ok(open),
    }
}

async fn write_stats(
    store: &Store,
    tx: &DatabaseTransaction,
    task: TaskId,
    stats: &PushedStats,
) -> Result<(), StoreError> {
    let sql = "UPDATE tasks SET stats = $2, records_read = COALESCE($3, records_read), \
               bytes_read = COALESCE($4, bytes_read) WHERE id = $1";
    let values: [Db; 4] =
        [task.into(), stats.text.as_str().into(), stats.records_read.into(), stats.bytes_read.into()];
    tx.execute_raw(store.sql(sql, values)).await?;
    Ok(())
}

/// Says something in the log that is no line of the connector's: those go on with number `next` after it.
async fn tell_between(
    store: &Store,
    tx: &DatabaseTransaction,
    fence: Fence,
    push: &Push,
    words: Vec<String>,
    next: i64,
) -> Result<(), StoreError> {
    let time = push.lines.first().map_or(store.clock.now(), |line| line.time);
    let line = |message| LogLine { level: "warn".to_owned(), time, message };
    let lines: Vec<LogLine> = words.into_iter().map(line).collect();
    logs::append(store, tx, fence, None, &lines).await?;
    let sql = "UPDATE tasks SET attempt_lines = $2 WHERE id = $1";
    tx.execute_raw(store.sql(sql, [fence.task.into(), next.into()])).await?;
    Ok(())
}

/// Ends a transaction; a refused one gives the task's row back at once.
async fn settle<T>(tx: DatabaseTransaction, done: Result<T, PodRefused>) -> Result<T, PodRefused> {
    match &done {
        Ok(_) => tx.commit().await.map_err(StoreError::from)?,
        Err(_) => tx.rollback().await.map_err(StoreError::from)?,
    }
    done
}

/// The place that a record is sealed for.
fn sealed_as(task: TaskId, attempt: i32) -> String {
    format!("tasks|{task}|final|{attempt}")
}
