//! The states of a job: where its connector goes on.
//!
//! Each attempt that writes a state has a row, updated while it runs (`tasks/progress.rs`). A person can put a state in
//! their place, or reset it: a row of its own, without a task, and for a reset without a text. The newest row is what the
//! next attempt is given; the last [`STATES_KEPT`] are kept.
//!
//! Invariants: a text is kept to the byte; a person's row is written under the lock of the job's row and only while no
//! task of the job is open, so that it never lies between two attempts of one task.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Statement, Value as Db};
use uuid::Uuid;

use super::{ProjectStore, Store, StoreError, finish, jobs::job_missing, time};
use crate::domain::{state, task::TaskId};

/// How many states of a job are kept, so that an operator can go back.
pub const STATES_KEPT: i64 = 20;

/// Which state it is, and how often it was written: the ETag. `0-0` while a job has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateVersion {
    pub id: i64,
    pub sequence: i64,
}

impl fmt::Display for StateVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.sequence)
    }
}

/// The text is no [`StateVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no version of a state")]
pub struct NoStateVersion;

impl FromStr for StateVersion {
    type Err = NoStateVersion;

    fn from_str(text: &str) -> Result<Self, NoStateVersion> {
        let (id, sequence) = text.split_once('-').ok_or(NoStateVersion)?;
        let number = |text: &str| text.parse().map_err(|_| NoStateVersion);
        Ok(Self { id: number(id)?, sequence: number(sequence)? })
    }
}

/// Where a state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateOrigin {
    /// The connector of this attempt wrote it.
    Run { task: TaskId, attempt: i32 },
    /// A person put it there.
    Operator,
    /// A person reset it: there is none.
    Reset,
}

/// One state of a job's history, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    pub version: StateVersion,
    pub origin: StateOrigin,
    /// The length of the text.
    pub bytes: i64,
    /// The name of the person, of a state that one has put there and whose account is not gone.
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The states of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobState {
    /// What the next attempt is given; none: it begins from the start.
    pub text: Option<String>,
    /// The last [`STATES_KEPT`], newest first: the first is the current one.
    pub history: Vec<StateEntry>,
}

impl JobState {
    /// The version of the current state.
    pub fn version(&self) -> StateVersion {
        self.history.first().map(|entry| entry.version).unwrap_or_default()
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    task_id: Option<Uuid>,
    attempt: Option<i32>,
    sequence: i64,
    has_state: i32,
    text: Option<String>,
    bytes: i64,
    created_by: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl Row {
    fn entry(&self) -> StateEntry {
        let origin = match (self.task_id, self.attempt, self.has_state) {
            (Some(task), Some(attempt), _) => StateOrigin::Run { task, attempt },
            (_, _, 0) => StateOrigin::Reset,
            _ => StateOrigin::Operator,
        };
        StateEntry {
            version: StateVersion { id: self.id, sequence: self.sequence },
            origin,
            bytes: self.bytes,
            created_by: self.created_by.clone(),
            created_at: time::utc(self.created_at),
            updated_at: time::utc(self.updated_at),
        }
    }
}

/// Rows of job `$1`; the text only of those for which `with_text` holds.
fn select(with_text: &str, condition: &str) -> String {
    format!(
        "SELECT s.id, s.task_id, s.attempt, s.sequence, CASE WHEN s.state IS NULL THEN 0 ELSE 1 END AS has_state, \
         CASE WHEN {with_text} THEN s.state END AS text, \
         CAST(COALESCE(octet_length(s.state), 0) AS BIGINT) AS bytes, \
         u.username AS created_by, s.created_at, s.updated_at \
         FROM job_states s LEFT JOIN users u ON u.id = s.created_by WHERE s.job_id = $1 AND {condition}"
    )
}

impl ProjectStore {
    /// The state of a job, and what it was before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn state(&self, job: i64) -> Result<JobState, StoreError> {
        self.find_job(&self.store.db, job, "").await?;
        read(&self.store, &self.store.db, job).await
    }

    /// One state of a job's history, with its text (none: a reset).
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it is no longer kept.
    pub async fn state_of_history(
        &self,
        job: i64,
        id: i64,
    ) -> Result<(StateEntry, Option<String>), StoreError> {
        self.find_job(&self.store.db, job, "").await?;
        let sql = select("TRUE", "s.id = $2");
        let statement = self.store.sql(&sql, [job.into(), id.into()]);
        let row = Row::find_by_statement(statement).one(&self.store.db).await?;
        let row = row.ok_or_else(|| StoreError::NotFound(format!("state {id} of job {job}")))?;
        Ok((row.entry(), row.text))
    }

    /// Puts a state in place of the current one: the next attempt is given it, to the byte.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a text that is no state, [`StoreError::JobBusy`] while a task of the job is open,
    /// [`StoreError::StateMoved`] when `if_match` names other versions.
    pub async fn put_state(
        &self,
        job: i64,
        text: &str,
        if_match: Option<&[StateVersion]>,
        user: i64,
    ) -> Result<JobState, StoreError> {
        state::check(text).map_err(|e| StoreError::invalid("state", e.to_string()))?;
        let tx = self.store.begin().await?;
        let replaced = self.replace(&tx, job, text, if_match, user).await;
        finish(tx, replaced).await
    }

    /// Resets the state: the next attempt begins from the start. What was there stays in the history. Without a state
    /// nothing changes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::JobBusy`] while a task of the job is open.
    pub async fn reset_state(&self, job: i64, user: i64) -> Result<JobState, StoreError> {
        let tx = self.store.begin().await?;
        let reset = self.reset(&tx, job, user).await;
        finish(tx, reset).await
    }

    async fn replace(
        &self,
        tx: &DatabaseTransaction,
        job: i64,
        text: &str,
        if_match: Option<&[StateVersion]>,
        user: i64,
    ) -> Result<JobState, StoreError> {
        self.lock_idle_job(tx, job).await?;
        let current = read(&self.store, tx, job).await?.version();
        if if_match.is_some_and(|wanted| !wanted.contains(&current)) {
            return Err(StoreError::StateMoved { current });
        }
        self.write(tx, job, Some(text), user).await
    }

    async fn reset(&self, tx: &DatabaseTransaction, job: i64, user: i64) -> Result<JobState, StoreError> {
        self.lock_idle_job(tx, job).await?;
        let current = read(&self.store, tx, job).await?;
        if current.text.is_none() {
            return Ok(current);
        }
        self.write(tx, job, None, user).await
    }

    async fn write(
        &self,
        tx: &DatabaseTransaction,
        job: i64,
        text: Option<&str>,
        user: i64,
    ) -> Result<JobState, StoreError> {
        insert(&self.store, tx, job, text, Some(user)).await?;
        read(&self.store, tx, job).await
    }

    /// The name of a job that is not deleted.
    async fn find_job(&self, db: &impl ConnectionTrait, id: i64, lock: &str) -> Result<String, StoreError> {
        let sql =
            format!("SELECT name FROM jobs WHERE id = $1 AND project_id = $2 AND deleted_at IS NULL {lock}");
        let values: [Db; 2] = [id.into(), self.project.as_str().into()];
        let row = db.query_one_raw(self.store.sql(&sql, values)).await?.ok_or_else(|| job_missing(id))?;
        Ok(row.try_get("", "name")?)
    }

    /// Locks a job's row, and makes sure that none of its tasks is open: while we hold the row, none is made.
    async fn lock_idle_job(&self, tx: &DatabaseTransaction, id: i64) -> Result<(), StoreError> {
        #[derive(FromQueryResult)]
        struct Open {
            id: TaskId,
            kind: String,
        }
        let job = self.find_job(tx, id, self.store.for_update()).await?;
        let sql = "SELECT id, kind FROM tasks WHERE job_id = $1 AND status IN ('queued', 'running', 'waiting') \
                   ORDER BY id LIMIT 1";
        match Open::find_by_statement(self.store.sql(sql, [id.into()])).one(tx).await? {
            Some(open) => Err(StoreError::JobBusy { kind: open.kind, job, task: open.id }),
            None => Ok(()),
        }
    }
}

/// The state of a job, and what it was before: in one statement, so that text and history are of one moment while a connector writes.
pub(super) async fn read(store: &Store, db: &impl ConnectionTrait, job: i64) -> Result<JobState, StoreError> {
    let sql = select(
        "s.id = (SELECT MAX(id) FROM job_states WHERE job_id = $1)",
        "TRUE ORDER BY s.id DESC LIMIT $2",
    );
    let statement = store.sql(&sql, [job.into(), STATES_KEPT.into()]);
    let mut rows = Row::find_by_statement(statement).all(db).await?;
    let text = rows.first_mut().and_then(|row| row.text.take());
    Ok(JobState { text, history: rows.iter().map(Row::entry).collect() })
}

pub(super) async fn insert(
    store: &Store,
    tx: &DatabaseTransaction,
    job: i64,
    text: Option<&str>,
    user: Option<i64>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO job_states (job_id, sequence, state, created_by, created_at, updated_at) \
               VALUES ($1, 0, $2, $3, $4, $4)";
    let values: [Db; 4] = [job.into(), text.into(), user.into(), store.now().into()];
    tx.execute_raw(store.sql(sql, values)).await?;
    drop_oldest(store, tx, job).await
}

/// Resets the state of a job, if it has one, whose destination `user` has had cleared.
pub(super) async fn reset_after_clear(
    store: &Store,
    tx: &DatabaseTransaction,
    job: i64,
    user: Option<i64>,
) -> Result<(), StoreError> {
    match current_text(store, tx, job).await? {
        Some(_) => insert(store, tx, job, None, user).await,
        None => Ok(()),
    }
}

/// What the next attempt of a job is given.
pub(super) async fn current_text(
    store: &Store,
    db: &impl ConnectionTrait,
    job: i64,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT state FROM job_states WHERE job_id = $1 ORDER BY id DESC LIMIT 1";
    let row = db.query_one_raw(Statement::from_sql_and_values(store.backend(), sql, [job.into()])).await?;
    Ok(row.map(|row| row.try_get("", "state")).transpose()?.flatten())
}

/// Drops the oldest states beyond [`STATES_KEPT`].
pub(super) async fn drop_oldest(store: &Store, tx: &DatabaseTransaction, job: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM job_states WHERE job_id = $1 AND id NOT IN \
               (SELECT id FROM job_states WHERE job_id = $1 ORDER BY id DESC LIMIT $2)";
    tx.execute_raw(store.sql(sql, [job.into(), STATES_KEPT.into()])).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_back_as_itself() {
        let version = StateVersion { id: 12, sequence: 34 };
        assert_eq!(version.to_string().parse(), Ok(version));
        for other in ["", "12", "12-", "-", "a-b", "1-2-3"] {
            assert_eq!(other.parse::<StateVersion>(), Err(NoStateVersion), "{other}");
        }
    }
}
