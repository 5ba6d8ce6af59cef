//! What a task has written since a cursor, for whoever follows it.

use super::{Bound, ProjectStore, StoreError};
use crate::{
    domain::task::{TaskId, TaskStatus},
    store::logs::LogLine,
};

/// How many bytes of text are read at once, about.
const BYTES: usize = 1 << 20;

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
    /// At most `limit` lines of a task's log (fewer if they are long) from `cursor` on; a cursor beyond the end, or a negative one, is the end.
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
        let (lines, full) = match cursor < task.log_lines {
            true => self.lines_from(id, cursor, Bound { lines: limit, bytes: BYTES }, true).await?,
            false => (Vec::new(), false),
        };
        // Lines that are gone are not waited for.
        let next = if full { lines.last().map_or(cursor, |(number, _)| number + 1) } else { task.log_lines };
        // More may have been written since the row was read.
        let next = lines.last().map_or(next, |(number, _)| next.max(number + 1));
        let all_read = next >= task.log_lines;
        Ok(Followed {
            lines: lines.into_iter().map(|(number, line)| (number + 1, line)).collect(),
            cursor: next,
            ended: (all_read && status.is_end()).then_some(status),
        })
    }
}
