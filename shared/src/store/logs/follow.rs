//! What a task has written since a cursor, for whoever follows it.

use super::{ProjectStore, StoreError};
use crate::{
    domain::task::{TaskId, TaskStatus},
    store::logs::LogLine,
};

/// The next lines of a log that is followed.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Each with the cursor after it.
    pub lines: Vec<(i64, LogLine)>,
    /// Where to go on.
    pub cursor: i64,
    /// How the task ended, once it has and all of its log has been read.
    pub ended: Option<TaskStatus>,
}

impl ProjectStore {
    /// At most `limit` lines of a task's log from `cursor` on; a cursor beyond the end, or a negative one, is the end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the task is not one of this job and project.
    pub async fn follow_log(
        &self,
        job: i64,
        id: TaskId,
        cursor: i64,
        limit: usize,
    ) -> Result<Followed, StoreError> {
        // Read before the lines: a task that has ended by now has no more of them.
        let task = self.task_of(Some(job), id).await?;
        let status: TaskStatus = task.status.parse()?;
        let cursor = if cursor < 0 { task.log_lines } else { cursor.min(task.log_lines) };
        let lines = match cursor < task.log_lines {
            true => self.lines_from(id, cursor, limit, true).await?,
            false => Vec::new(),
        };
        // Lines that are gone are not waited for.
        let next = lines.last().map_or(task.log_lines, |(number, _)| number + 1);
        let all_read = next >= task.log_lines;
        Ok(Followed {
            lines: lines.into_iter().map(|(number, line)| (number + 1, line)).collect(),
            cursor: next,
            ended: (all_read && status.is_end()).then_some(status),
        })
    }
}
