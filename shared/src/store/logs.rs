//! The log lines of tasks: chunks of zstd-compressed JSON lines, read back by line number.
//!
//! A cursor is a position between two lines: `n` stands before line `n` (from 0). Chunks count their visible lines
//! (all but debug), so that a page without debug lines never scans.
//!
//! - [`search`]: pages of the lines that match a filter;
//! - [`follow`]: what was written since a cursor, for whoever follows a running task;
//! - [`archive`]: the whole log, chunk by chunk, for a download;
//! - [`attempt`]: what is stored of one attempt, for whoever finishes what a dead worker left.

pub mod archive;
pub mod attempt;
pub mod follow;
pub mod search;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Statement, Value as Db,
};
use serde::{Deserialize, Serialize};

use super::{
    ProjectStore, Store, StoreError,
    entities::{task, task_log_chunk as chunk},
    tasks::Fence,
    time,
};
use crate::domain::task::TaskId;

/// A line of a connector's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn`, `error` or `fatal`.
    pub level: String,
    pub time: DateTime<Utc>,
    pub message: String,
}

impl LogLine {
    fn is_visible(&self) -> bool {
        self.level != "debug"
    }
}

/// Which way to read from a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The lines before it.
    Older,
    /// The lines after it.
    Newer,
}

/// A page of a log, oldest line first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    pub lines: Vec<LogLine>,
    /// Reading [`Direction::Older`] from here gives what comes before this page.
    pub older_cursor: i64,
    /// Reading [`Direction::Newer`] from here gives what comes after this page.
    pub newer_cursor: i64,
    pub has_more_older: bool,
    pub has_more_newer: bool,
}

/// A page ends at about this many bytes of text, although it has fewer lines than were asked for: a line can be as long as
/// a megabyte.
const PAGE_BYTES: usize = 8 << 20;

/// How much is read.
#[derive(Clone, Copy, Debug)]
struct Bound {
    lines: usize,
    bytes: usize,
}

impl Bound {
    /// Whether these lines, which have so many bytes, are enough.
    fn is_reached(self, lines: &[(i64, LogLine)], bytes: usize) -> bool {
        lines.len() >= self.lines || bytes >= self.bytes
    }
}

/// Lines with their numbers, and whether they end where the bound was reached.
type Bounded = (Vec<(i64, LogLine)>, bool);

/// A chunk is cut at this many bytes of text, so that a page unpacks little that it does not show.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Appends lines under the fence. `first` is the number of the first one in its attempt: lines that are stored already, by
/// a write whose answer was lost, are left out. None: they are new.
pub(super) async fn append(
    store: &Store,
    tx: &DatabaseTransaction,
    fence: Fence,
    first: Option<i64>,
    lines: &[LogLine],
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT attempt_lines FROM tasks WHERE id = $1 AND attempt = $2 AND epoch = $3 AND status = 'running' {}",
        store.for_update()
    );
    let values: [Db; 3] = [fence.task.into(), fence.attempt.into(), fence.epoch.into()];
    let row = tx
        .query_one_raw(Statement::from_sql_and_values(store.backend(), sql, values))
        .await?
        .ok_or(StoreError::Fenced)?;
    let stored: i64 = row.try_get("", "attempt_lines")?;
    let known = first.map_or(0, |first| usize::try_from(stored - first).unwrap_or(0));
    for part in parts(lines.get(known..).unwrap_or_default()) {
        let sql = "UPDATE tasks SET log_sequence = log_sequence + 1, log_lines = log_lines + $4, \
                   attempt_lines = attempt_lines + $4 \
                   WHERE id = $1 AND attempt = $2 AND epoch = $3 AND status = 'running' \
                   RETURNING log_sequence, log_lines";
        let count = i64::try_from(part.len()).unwrap_or(i64::MAX);
        let values: [Db; 4] = [fence.task.into(), fence.attempt.into(), fence.epoch.into(), count.into()];
        let row = tx
            .query_one_raw(Statement::from_sql_and_values(store.backend(), sql, values))
            .await?
            .ok_or(StoreError::Fenced)?;
        let (sequence, total): (i64, i64) = (row.try_get("", "log_sequence")?, row.try_get("", "log_lines")?);
        let mut text = Vec::new();
        for line in part {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let times = || part.iter().map(|line| time::micros(line.time));
        let row = chunk::ActiveModel {
            task_id: Set(fence.task),
            sequence: Set(sequence),
            attempt: Set(fence.attempt),
            first_line: Set(total - count),
            lines: Set(count),
            visible_lines: Set(i64::try_from(part.iter().filter(|l| l.is_visible()).count()).unwrap_or(count)),
            first_time: Set(times().min().unwrap_or_default()),
            last_time: Set(times().max().unwrap_or_default()),
            raw_bytes: Set(i64::try_from(text.len()).unwrap_or(i64::MAX)),
            data: Set(zstd::encode_all(text.as_slice(), 3).map_err(|e| StoreError::Corrupt(e.to_string()))?),
        };
        chunk::Entity::insert(row).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Cuts lines into runs of about [`CHUNK_BYTES`].
fn parts(lines: &[LogLine]) -> Vec<&[LogLine]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, line) in lines.iter().enumerate() {
        if bytes > 0 && bytes + line.message.len() > CHUNK_BYTES {
            parts.push(&lines[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += line.message.len() + 64;
    }
    if start < lines.len() {
        parts.push(&lines[start..]);
    }
    parts
}

fn text_of(row: &chunk::Model) -> Result<Vec<u8>, StoreError> {
    zstd::decode_all(row.data.as_slice()).map_err(|e| StoreError::Corrupt(e.to_string()))
}

fn unpack(row: &chunk::Model) -> Result<Vec<LogLine>, StoreError> {
    let text = text_of(row)?;
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| Ok(serde_json::from_slice(line)?))
        .collect()
}

impl ProjectStore {
    /// A page of a task's log. No cursor, or a negative one, means the end of the log.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the task is not one of this job and project.
    pub async fn log_page(
        &self,
        job: Option<i64>,
        id: TaskId,
        cursor: Option<i64>,
        limit: u64,
        direction: Direction,
        include_debug: bool,
    ) -> Result<LogPage, StoreError> {
        let end = self.task_of(job, id).await?.log_lines;
        let cursor = cursor.filter(|cursor| *cursor >= 0).unwrap_or(end).min(end);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        let bound = Bound { lines: limit, bytes: PAGE_BYTES };
        let (numbered, full) = match direction {
            Direction::Older => self.lines_before(id, cursor, bound, include_debug).await?,
            Direction::Newer => self.lines_from(id, cursor, bound, include_debug).await?,
        };
        let (first, last) = match (numbered.first(), numbered.last()) {
            (Some(first), Some(last)) => (first.0, last.0 + 1),
            _ => (cursor, cursor),
        };
        let (older_cursor, newer_cursor) = match direction {
            Direction::Older => (if full { first } else { 0 }, cursor),
            Direction::Newer => (cursor, if full { last } else { end }),
        };
        Ok(LogPage {
            has_more_older: self.any_line(id, 0, older_cursor, include_debug).await?,
            has_more_newer: self.any_line(id, newer_cursor, end, include_debug).await?,
            lines: numbered.into_iter().map(|(_, line)| line).collect(),
            older_cursor,
            newer_cursor,
        })
    }

    /// The row of a task of this project, and of this job if one is given.
    async fn task_of(&self, job: Option<i64>, id: TaskId) -> Result<task::Model, StoreError> {
        task::Entity::find_by_id(id)
            .filter(task::Column::ProjectId.eq(self.project.as_str()))
            .one(&self.store.db)
            .await?
            .filter(|row| job.is_none() || row.job_id == job)
            .ok_or_else(|| StoreError::NotFound(format!("task {id}")))
    }

    fn chunks(&self, id: TaskId, include_debug: bool) -> sea_orm::Select<chunk::Entity> {
        let query = chunk::Entity::find().filter(chunk::Column::TaskId.eq(id));
        if include_debug { query } else { query.filter(chunk::Column::VisibleLines.gt(0)) }
    }

    async fn lines_before(
        &self,
        id: TaskId,
        cursor: i64,
        bound: Bound,
        include_debug: bool,
    ) -> Result<Bounded, StoreError> {
        let mut below = cursor;
        let (mut found, mut bytes): (Vec<(i64, LogLine)>, usize) = (Vec::new(), 0);
        'reading: loop {
            let query = self.chunks(id, include_debug).filter(chunk::Column::FirstLine.lt(below));
            let rows = query.order_by_desc(chunk::Column::FirstLine).limit(4).all(&self.store.db).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                below = row.first_line;
                for (number, line) in numbered(&row)?.into_iter().rev() {
                    if number < cursor && (include_debug || line.is_visible()) {
                        bytes += line.message.len();
                        found.push((number, line));
                        if bound.is_reached(&found, bytes) {
                            break 'reading;
                        }
                    }
                }
            }
        }
        found.reverse();
        let full = bound.is_reached(&found, bytes);
        Ok((found, full))
    }

    async fn lines_from(
        &self,
        id: TaskId,
        cursor: i64,
        bound: Bound,
        include_debug: bool,
    ) -> Result<Bounded, StoreError> {
        let mut from = cursor;
        let (mut found, mut bytes): (Vec<(i64, LogLine)>, usize) = (Vec::new(), 0);
        // The chunk that the cursor stands in begins before it.
        let start = self
            .chunks(id, true)
            .filter(chunk::Column::FirstLine.lte(cursor))
            .order_by_desc(chunk::Column::FirstLine)
            .one(&self.store.db)
            .await?;
        if let Some(row) = start {
            from = row.first_line;
        }
        'reading: loop {
            let query = self.chunks(id, include_debug).filter(chunk::Column::FirstLine.gte(from));
            let rows = query.order_by_asc(chunk::Column::FirstLine).limit(4).all(&self.store.db).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                from = row.first_line + row.lines;
                for (number, line) in numbered(&row)? {
                    if number >= cursor && (include_debug || line.is_visible()) {
                        bytes += line.message.len();
                        found.push((number, line));
                        if bound.is_reached(&found, bytes) {
                            break 'reading;
                        }
                    }
                }
            }
        }
        let full = bound.is_reached(&found, bytes);
        Ok((found, full))
    }

    /// Whether a line that would be shown stands in `[from, to)`. Chunks that lie wholly inside answer by their counts.
    async fn any_line(
        &self,
        id: TaskId,
        from: i64,
        to: i64,
        include_debug: bool,
    ) -> Result<bool, StoreError> {
        if from >= to {
            return Ok(false);
        }
        if include_debug {
            return Ok(true);
        }
        let inside = self
            .chunks(id, false)
            .filter(chunk::Column::FirstLine.gte(from))
            .filter(chunk::Column::FirstLine.lt(to))
            .order_by_asc(chunk::Column::FirstLine);
        if let Some(first) = inside.one(&self.store.db).await?
            && first.first_line + first.lines <= to
        {
            return Ok(true);
        }
        // What is left are the chunks at the two borders.
        for border in [from, to - 1] {
            let row = self
                .chunks(id, false)
                .filter(chunk::Column::FirstLine.lte(border))
                .order_by_desc(chunk::Column::FirstLine)
                .one(&self.store.db)
                .await?;
            if let Some(row) = row
                && numbered(&row)?.iter().any(|(n, line)| *n >= from && *n < to && line.is_visible())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn numbered(row: &chunk::Model) -> Result<Vec<(i64, LogLine)>, StoreError> {
    Ok((row.first_line..).zip(unpack(row)?).collect())
}
