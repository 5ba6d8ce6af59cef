//! The whole log of a task as it stands, chunk by chunk: sizes first, so that a download can begin with them.

use chrono::{DateTime, Utc};
use sea_orm::{EntityTrait, FromQueryResult};

use super::{ProjectStore, StoreError, chunk, text_of};
use crate::{domain::task::TaskId, store::time};

/// What an archive of a task's log holds.
#[derive(Clone, Debug)]
pub struct LogArchive {
    task: TaskId,
    /// The text of the state: the one that this task wrote, else the job's own.
    pub state: Option<String>,
    /// The length of the log as JSON lines.
    pub bytes: i64,
    /// When the task ended: from then on its log stays as it is.
    pub ended_at: Option<DateTime<Utc>>,
    last: i64,
    /// Id and sequence of the state's row.
    revision: (i64, i64),
}

impl LogArchive {
    /// Differs when anything differs that the archive of a task that has ended is made of.
    pub fn fingerprint(&self) -> String {
        let (id, sequence) = self.revision;
        format!("{}-{:x}-{:x}-{id:x}-{sequence:x}", self.task.simple(), self.bytes, self.last)
    }
}

/// A run of the log as text.
#[derive(Clone, Debug)]
pub struct LogText {
    /// JSON lines, each with its newline.
    pub text: Vec<u8>,
    /// Where to go on.
    pub after: i64,
}

impl ProjectStore {
    /// The log of a task as it stands now: what is written later does not belong to it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the task is not one of this job and project.
    pub async fn log_archive(&self, job: i64, task: TaskId) -> Result<LogArchive, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            bytes: i64,
            last: i64,
        }
        #[derive(FromQueryResult)]
        struct State {
            id: i64,
            sequence: i64,
            state: Option<String>,
        }
        let row = self.task_of(Some(job), task).await?;
        let ended_at = row.ended_at.map(time::utc);
        let store = &self.store;
        let sql = "SELECT CAST(COALESCE(SUM(raw_bytes), 0) AS BIGINT) AS bytes, \
                   CAST(COALESCE(MAX(sequence), -1) AS BIGINT) AS last FROM task_log_chunks WHERE task_id = $1";
        let sums = Row::find_by_statement(store.sql(sql, [task.into()])).one(&store.db).await?;
        let sums = sums.ok_or_else(|| StoreError::Corrupt("a sum returned no row".into()))?;
        // The one that this task wrote, else what the job has now.
        let sql = "SELECT id, sequence, state FROM job_states WHERE job_id = $1 \
                   ORDER BY CASE WHEN task_id = $2 AND state IS NOT NULL THEN 0 ELSE 1 END, id DESC LIMIT 1";
        let state =
            State::find_by_statement(store.sql(sql, [job.into(), task.into()])).one(&store.db).await?;
        let revision = state.as_ref().map_or((0, 0), |state| (state.id, state.sequence));
        let state = state.and_then(|state| state.state);
        Ok(LogArchive { task, state, bytes: sums.bytes, ended_at, last: sums.last, revision })
    }

    /// The next run of an archive's log after a place (at first -1); none at its end.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a run cannot be unpacked.
    pub async fn log_text(&self, archive: &LogArchive, after: i64) -> Result<Option<LogText>, StoreError> {
        let store = &self.store;
        let sql = "SELECT * FROM task_log_chunks WHERE task_id = $1 AND sequence > $2 AND sequence <= $3 \
                   ORDER BY sequence LIMIT 1";
        let values = [archive.task.into(), after.into(), archive.last.into()];
        let row = chunk::Entity::find().from_raw_sql(store.sql(sql, values)).one(&store.db).await?;
        row.map(|row| Ok(LogText { text: text_of(&row)?, after: row.sequence })).transpose()
    }
}
