//! The whole log of a task as it stands, chunk by chunk: sizes first, so that a download can begin with them.

use sea_orm::{EntityTrait, FromQueryResult};

use super::{ProjectStore, StoreError, chunk, text_of};
use crate::{domain::task::TaskId, store::states};

/// What an archive of a task's log holds.
#[derive(Clone, Debug)]
pub struct LogArchive {
    task: TaskId,
    /// The text of the state: the one that this task wrote, else the job's own.
    pub state: Option<String>,
    /// The length of the log as JSON lines.
    pub bytes: i64,
    last: i64,
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
            state: Option<String>,
        }
        self.task_of(Some(job), task).await?;
        let store = &self.store;
        let sql = "SELECT CAST(COALESCE(SUM(raw_bytes), 0) AS BIGINT) AS bytes, \
                   CAST(COALESCE(MAX(sequence), -1) AS BIGINT) AS last FROM task_log_chunks WHERE task_id = $1";
        let sums = Row::find_by_statement(store.sql(sql, [task.into()])).one(&store.db).await?;
        let sums = sums.ok_or_else(|| StoreError::Corrupt("a sum returned no row".into()))?;
        let sql = "SELECT state FROM job_states WHERE job_id = $1 AND task_id = $2 ORDER BY id DESC LIMIT 1";
        let own = State::find_by_statement(store.sql(sql, [job.into(), task.into()])).one(&store.db).await?;
        let state = match own.and_then(|own| own.state) {
            Some(state) => Some(state),
            None => states::current_text(store, &store.db, job).await?,
        };
        Ok(LogArchive { task, state, bytes: sums.bytes, last: sums.last })
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
