//! Pages of the lines that match a filter: a text, a level, or both.
//!
//! A request looks through a bounded part of the log. When the bound is reached before the page is full, the page ends
//! there, its cursor leads on, and `has_more_*` says that there is more to look through, not that more matches.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Direction, LogLine, LogPage, chunk, unpack};
use crate::{
    domain::task::TaskId,
    store::{ProjectStore, StoreError},
};

/// How much text one request looks through, in bytes.
pub const SEARCHED_BYTES: i64 = 8 << 20;
/// How many chunks one request looks through.
pub const SEARCHED_CHUNKS: usize = 256;
/// How many chunks are read at once.
const AT_ONCE: u64 = 16;

/// How bad a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    /// The level of a line's word. A word that nobody knows counts as info, so that it is not lost with debug.
    pub fn of(word: &str) -> Self {
        match word {
            "debug" => Self::Debug,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            "fatal" | "panic" => Self::Fatal,
            _ => Self::Info,
        }
    }
}

/// Which lines are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// Only lines of this level and worse.
    least: Level,
    /// In lower case; empty: any.
    text: String,
}

impl LogFilter {
    /// Lines of this level and worse whose message holds this text, without regard to case.
    pub fn new(least: Level, text: Option<&str>) -> Self {
        Self { least, text: text.unwrap_or_default().to_lowercase() }
    }

    /// Whether every line is wanted.
    pub fn is_open(&self) -> bool {
        self.least == Level::Debug && self.text.is_empty()
    }

    /// Whether every line is wanted that is no debug line: a page of those needs no search.
    pub fn leaves_out_debug_only(&self) -> bool {
        self.least == Level::Info && self.text.is_empty()
    }

    /// Whether this line is wanted.
    pub fn wants(&self, line: &LogLine) -> bool {
        Level::of(&line.level) >= self.least
            && (self.text.is_empty() || line.message.to_lowercase().contains(&self.text))
    }
}

/// What was found, and how far the look went.
struct Found {
    /// In the order in which they were met.
    lines: Vec<(i64, LogLine)>,
    /// The cursor where it stopped.
    reached: i64,
}

impl ProjectStore {
    /// A page of the lines of a task's log that match `filter`. No cursor, or a negative one, means the end of the log.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the task is not one of this job and project.
    pub async fn log_matches(
        &self,
        job: Option<i64>,
        id: TaskId,
        cursor: Option<i64>,
        limit: u64,
        direction: Direction,
        filter: &LogFilter,
    ) -> Result<LogPage, StoreError> {
        let end = self.task_of(job, id).await?.log_lines;
        let cursor = cursor.filter(|cursor| *cursor >= 0).unwrap_or(end).min(end);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        let mut found = match direction {
            Direction::Older => self.look_back(id, cursor, limit, filter).await?,
            Direction::Newer => self.look_forth(id, cursor, end, limit, filter).await?,
        };
        let (older_cursor, newer_cursor) = match direction {
            Direction::Older => (found.reached, cursor),
            Direction::Newer => (cursor, found.reached),
        };
        if direction == Direction::Older {
            found.lines.reverse();
        }
        Ok(LogPage {
            lines: found.lines.into_iter().map(|(_, line)| line).collect(),
            older_cursor,
            newer_cursor,
            has_more_older: older_cursor > 0,
            has_more_newer: newer_cursor < end,
        })
    }

    async fn look_back(
        &self,
        id: TaskId,
        cursor: i64,
        limit: usize,
        filter: &LogFilter,
    ) -> Result<Found, StoreError> {
        let mut found = Found { lines: Vec::new(), reached: cursor };
        let (mut chunks, mut bytes) = (0, 0);
        loop {
            let rows = chunk::Entity::find()
                .filter(chunk::Column::TaskId.eq(id))
                .filter(chunk::Column::FirstLine.lt(found.reached))
                .order_by_desc(chunk::Column::FirstLine)
                .limit(AT_ONCE)
                .all(&self.store.db)
                .await?;
            if rows.is_empty() {
                found.reached = 0;
                return Ok(found);
            }
            for row in rows {
                let lines = unpack(&row)?;
                for (number, line) in (row.first_line..).zip(lines).collect::<Vec<_>>().into_iter().rev() {
                    if number < cursor && filter.wants(&line) {
                        found.lines.push((number, line));
                        if found.lines.len() == limit {
                            found.reached = number;
                            return Ok(found);
                        }
                    }
                }
                found.reached = row.first_line;
                // Reading a chunk takes a millisecond: others get their turn.
                tokio::task::yield_now().await;
                (chunks, bytes) = (chunks + 1, bytes + row.raw_bytes);
                if chunks >= SEARCHED_CHUNKS || bytes >= SEARCHED_BYTES {
                    return Ok(found);
                }
            }
        }
    }

    async fn look_forth(
        &self,
        id: TaskId,
        cursor: i64,
        end: i64,
        limit: usize,
        filter: &LogFilter,
    ) -> Result<Found, StoreError> {
        let mut found = Found { lines: Vec::new(), reached: cursor };
        let (mut chunks, mut bytes) = (0, 0);
        // The chunk that the cursor stands in begins before it.
        let start = chunk::Entity::find()
            .filter(chunk::Column::TaskId.eq(id))
            .filter(chunk::Column::FirstLine.lte(cursor))
            .order_by_desc(chunk::Column::FirstLine)
            .one(&self.store.db)
            .await?;
        let mut from = start.map_or(cursor, |row| row.first_line);
        loop {
            let rows = chunk::Entity::find()
                .filter(chunk::Column::TaskId.eq(id))
                .filter(chunk::Column::FirstLine.gte(from))
                .filter(chunk::Column::FirstLine.lt(end))
                .order_by_asc(chunk::Column::FirstLine)
                .limit(AT_ONCE)
                .all(&self.store.db)
                .await?;
            if rows.is_empty() {
                found.reached = end;
                return Ok(found);
            }
            for row in rows {
                for (number, line) in (row.first_line..).zip(unpack(&row)?) {
                    if number >= cursor && filter.wants(&line) {
                        found.lines.push((number, line));
                        if found.lines.len() == limit {
                            found.reached = number + 1;
                            return Ok(found);
                        }
                    }
                }
                from = row.first_line + row.lines;
                // Reading a chunk takes a millisecond: others get their turn.
                tokio::task::yield_now().await;
                found.reached = from.max(cursor);
                (chunks, bytes) = (chunks + 1, bytes + row.raw_bytes);
                if chunks >= SEARCHED_CHUNKS || bytes >= SEARCHED_BYTES {
                    return Ok(found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn line(level: &str, message: &str) -> LogLine {
        LogLine { level: level.into(), time: DateTime::UNIX_EPOCH, message: message.into() }
    }

    #[test]
    fn a_filter_takes_lines_by_level_and_text() {
        let filter = LogFilter::new(Level::Warn, Some("DISK full"));
        assert!(filter.wants(&line("error", "the Disk Full of lines")));
        assert!(filter.wants(&line("warn", "disk full")));
        assert!(!filter.wants(&line("info", "disk full")));
        assert!(!filter.wants(&line("error", "the disk is fine")));
        assert!(LogFilter::new(Level::Debug, None).is_open() && !filter.is_open());
        assert!(LogFilter::new(Level::Info, None).wants(&line("notice", "")), "an unknown level is not lost");
    }
}
