//! The end of an attempt: one transaction for the last state, the last lines, the status, the times, the result and
//! what follows from them.

use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, Statement, Value as Db};

use super::{
    Ended, Failure, Fence, Queue, apply, clear::ClearInput, input::OneShotResult, kind_of,
    progress::write_state,
};
use crate::{
    domain::{
        machine::Event,
        project::ProjectId,
        task::{FailureClass, TaskId, TaskKind, TaskStatus},
    },
    store::{Store, StoreError, entities::task, logs, specs, states},
};

/// How long the result of a one-shot task is kept.
const RESULT_KEPT_MICROS: i64 = 24 * 3600 * 1_000_000;

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Exit code 0 and everything that is needed was there.
    Clean,
    /// It failed. The class and the job's settings decide whether another attempt follows.
    Bad(Failure),
    /// The worker stops: back to the queue.
    Interrupted(String),
}

/// All that is written with the end of an attempt.
#[derive(Clone, Debug)]
pub struct Final {
    pub outcome: Outcome,
    /// The last state with its sequence, for a job's task.
    pub state: Option<(i64, String)>,
    /// The last lines.
    pub log: Vec<logs::LogLine>,
    pub records_read: Option<i64>,
    pub bytes_read: Option<i64>,
    /// What a one-shot task found out.
    pub result: Option<OneShotResult>,
    /// The spec to be cached, and of what.
    pub spec: Option<(specs::SpecKey, String)>,
    /// How often failures are tried again.
    pub retries: Retries,
}

impl Final {
    /// An end with nothing but its outcome.
    pub fn bare(outcome: Outcome) -> Self {
        Self {
            outcome,
            state: None,
            log: Vec::new(),
            records_read: None,
            bytes_read: None,
            result: None,
            spec: None,
            retries: Retries::default(),
        }
    }
}

/// How often each class of failure is tried again, from the last state and with back-off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// The connector's own errors.
    pub connector: u32,
    /// Failures of what runs it.
    pub infrastructure: u32,
    /// Ends for want of memory. The next attempt gets more.
    pub out_of_memory: u32,
}

/// How often the infrastructure's failures are tried again when the job says nothing.
const INFRASTRUCTURE_RETRIES: u32 = 3;

/// How often an end for want of memory is tried again, with more of it.
const OUT_OF_MEMORY_RETRIES: u32 = 1;

/// How often a clear is tried again at most: the job's schedule is held meanwhile.
const CLEAR_RETRIES_AT_MOST: u32 = 3;

/// How many workers a task may lose before it fails: it may be what kills them.
const OWNERS_LOST_AT_MOST: u32 = 20;

impl Retries {
    /// What a job's `retries` setting means: by default the connector's own errors are not tried again, and the
    /// infrastructure's are.
    pub fn of_job(setting: Option<u32>) -> Self {
        Self {
            connector: setting.unwrap_or(0),
            infrastructure: setting.unwrap_or(INFRASTRUCTURE_RETRIES),
            out_of_memory: OUT_OF_MEMORY_RETRIES,
        }
    }

    /// What a job's `retries` setting means for its clears: the same, at most three times.
    pub fn of_clear(setting: Option<u32>) -> Self {
        let Self { connector, infrastructure, out_of_memory } = Self::of_job(setting);
        Self {
            connector: connector.min(CLEAR_RETRIES_AT_MOST),
            infrastructure: infrastructure.min(CLEAR_RETRIES_AT_MOST),
            out_of_memory,
        }
    }

    fn of(self, class: FailureClass) -> u32 {
        match class {
            FailureClass::Connector => self.connector,
            FailureClass::Infrastructure => self.infrastructure,
            FailureClass::OutOfMemory => self.out_of_memory,
            _ => 0,
        }
    }
}

/// What was found of an attempt whose worker is gone.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last state it wrote.
    pub state: Option<String>,
    /// The number of the first of these lines in the attempt.
    pub first_line: i64,
    /// The lines that were not stored when it was looked at. Its worker may have stored some of them since: it may have
    /// been paused rather than dead.
    pub log: Vec<logs::LogLine>,
}

/// The wait before retry number `n` (from 0): 10 s, doubled each time, at most 10 minutes.
fn back_off_micros(n: u32) -> i64 {
    (10_i64 << n.min(6)).min(600) * 1_000_000
}

impl Queue {
    /// Ends an attempt. The task ends with it, or goes back to the queue.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the task is no longer the worker's; then nothing was written.
    pub async fn end(&self, fence: Fence, end: &Final) -> Result<Ended, StoreError> {
        let store = &self.store;
        let tx = store.begin().await?;
        let row = store.lock_task(&tx, fence.task).await?.ok_or(StoreError::Fenced)?;
        if row.status != TaskStatus::Running.as_str()
            || row.epoch != fence.epoch
            || row.attempt != fence.attempt
        {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        self.write_last_state(&tx, &row, fence, end).await?;
        if !end.log.is_empty() {
            logs::append(store, &tx, fence, None, &end.log).await?;
        }
        let epoch = fence.epoch;
        let (event, failure, retry_after) = match &end.outcome {
            Outcome::Clean => (Event::CleanEnd { epoch }, None, None),
            Outcome::Interrupted(why) => {
                let failure = Failure::new(FailureClass::Interrupted, why.as_str());
                (Event::Interrupted { epoch }, Some(failure), None)
            }
            Outcome::Bad(failure) => {
                let failed_before = failures_before(store, &tx, row.id, row.attempt, failure.class).await?;
                let retry = failed_before < end.retries.of(failure.class);
                let event = Event::BadEnd { epoch, class: failure.class, retry };
                (event, Some(failure.clone()), retry.then(|| back_off_micros(failed_before)))
            }
        };
        let ended = apply(store, &tx, &row, event, failure.as_ref()).await?.ok_or(StoreError::Fenced)?;
        self.write_rest(&tx, &row, end, &ended, retry_after).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Writes the state that an attempt ends with. That of a clear counts only if it ends well.
    async fn write_last_state(
        &self,
        tx: &DatabaseTransaction,
        row: &task::Model,
        fence: Fence,
        end: &Final,
    ) -> Result<(), StoreError> {
        let store = &self.store;
        let Some(job) = row.job_id else { return Ok(()) };
        if kind_of(row)? == TaskKind::Clear {
            if !matches!(end.outcome, Outcome::Clean) {
                return Ok(());
            }
            if ClearInput::of(store, row)?.whole {
                return states::reset_after_clear(store, tx, job, row.created_by).await;
            }
        }
        match &end.state {
            // Agents of pods have stored states before it that its owner has not counted: it is the last all the same.
            Some((sequence, state)) => {
                let sequence = (*sequence).max(row.state_sequence + 1);
                write_state(store, tx, fence, job, sequence, state).await
            }
            None => Ok(()),
        }
    }

    async fn write_rest(
        &self,
        tx: &DatabaseTransaction,
        row: &task::Model,
        end: &Final,
        ended: &Ended,
        retry_after: Option<i64>,
    ) -> Result<(), StoreError> {
        let store = &self.store;
        let result =
            end.result.as_ref().map(|result| store.seal_document(row.id, "result", result)).transpose()?;
        let sql = format!(
            "UPDATE tasks SET records_read = COALESCE($2, records_read), bytes_read = COALESCE($3, bytes_read), \
             result = $4, result_until = $5, exit_code = CASE WHEN status = 'succeeded' THEN 0 ELSE exit_code END, \
             not_before = CASE WHEN status = 'queued' AND $6 > 0 THEN {} + $6 ELSE NULL END, \
             hold_reason = CASE WHEN status = 'queued' AND $6 > 0 THEN 'waits before the next attempt' ELSE NULL END \
             WHERE id = $1",
            store.db_now()
        );
        let until = result.is_some().then(|| store.now() + RESULT_KEPT_MICROS);
        let values: [Db; 6] = [
            row.id.into(),
            end.records_read.into(),
            end.bytes_read.into(),
            result.into(),
            until.into(),
            retry_after.unwrap_or(0).into(),
        ];
        tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
        if let (Some((key, spec)), TaskStatus::Succeeded) = (&end.spec, ended.status) {
            specs::write(tx, key, spec, store.now()).await?;
            store.seal_again(tx, key, spec).await?;
        }
        Ok(())
    }

    /// What became of an end that was tried before and not answered. None: it was not stored, and the task is somebody
    /// else's.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn seen_end(&self, fence: Fence) -> Result<Option<Ended>, StoreError> {
        let row = task::Entity::find_by_id(fence.task).one(&self.store.db).await?;
        let Some(row) = row.filter(|row| row.attempt == fence.attempt && row.owner.is_none()) else {
            return Ok(None);
        };
        Ok(Some(Ended {
            task: row.id,
            project: ProjectId::new(row.project_id.as_str()),
            job: row.job_id,
            status: row.status.parse()?,
            owner: None,
            then: Vec::new(),
        }))
    }

    /// Gives a task back whose owner is lost, once its attempt is over, and stores what the attempt left.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when somebody else was faster.
    pub async fn take_back(&self, fence: Fence, why: &str, left: &Recovered) -> Result<Ended, StoreError> {
        let store = &self.store;
        let tx = store.begin().await?;
        let row = store.lock_task(&tx, fence.task).await?.ok_or(StoreError::Fenced)?;
        if row.epoch != fence.epoch || row.attempt != fence.attempt {
            // At once, not when the connection is used again: a claim passes over a row that somebody holds.
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        // A clear's state counts only if it is seen to end well.
        let left_state = left.state.as_ref().filter(|_| row.kind != TaskKind::Clear.as_str());
        if let (Some(state), Some(job)) = (left_state, row.job_id) {
            write_state(store, &tx, fence, job, row.state_sequence + 1, state).await?;
        }
        logs::append(store, &tx, fence, Some(left.first_line), &left.log).await?;
        let failure = Failure::new(FailureClass::Infrastructure, why);
        let lost_before =
            failures_before(store, &tx, row.id, row.attempt, FailureClass::Infrastructure).await?;
        let event = match lost_before < OWNERS_LOST_AT_MOST {
            true => Event::OwnerLost { epoch: fence.epoch },
            // It may be the task that kills its workers.
            false => Event::BadEnd { epoch: fence.epoch, class: failure.class, retry: false },
        };
        let ended = apply(store, &tx, &row, event, Some(&failure)).await?.ok_or(StoreError::Fenced)?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Fails a queued task that no live worker can run.
    pub async fn fail_unschedulable(&self, id: TaskId, message: &str) -> Result<Option<Ended>, StoreError> {
        let store = &self.store;
        let tx = store.begin().await?;
        let Some(row) = store.lock_task(&tx, id).await? else { return Ok(None) };
        let failure = Failure::new(FailureClass::Unschedulable, message);
        let ended = apply(store, &tx, &row, Event::Unschedulable, Some(&failure)).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Drops the results of one-shot tasks that were kept long enough. Answers how many.
    pub async fn drop_old_results(&self) -> Result<u64, StoreError> {
        let store = &self.store;
        let sql = "UPDATE tasks SET result = NULL, result_until = NULL WHERE result_until <= $1";
        Ok(store.db.execute_raw(store.sql(sql, [store.now().into()])).await?.rows_affected())
    }
}

/// How many earlier attempts of a task failed with this class.
pub(super) async fn failures_before(
    store: &Store,
    tx: &DatabaseTransaction,
    task: TaskId,
    attempt: i32,
    class: FailureClass,
) -> Result<u32, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        number: i64,
    }
    if attempt == 1 {
        return Ok(0);
    }
    let sql = "SELECT COUNT(*) AS number FROM task_attempts \
               WHERE task_id = $1 AND attempt < $2 AND failure_class = $3";
    let values: [Db; 3] = [task.into(), attempt.into(), class.as_str().into()];
    let statement = Statement::from_sql_and_values(store.backend(), sql, values);
    let row = Row::find_by_statement(statement).one(tx).await?;
    Ok(row.map_or(0, |row| u32::try_from(row.number).unwrap_or(u32::MAX)))
}
