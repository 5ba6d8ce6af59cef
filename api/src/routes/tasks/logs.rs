//! `GET P/jobs/{jobid}/task/{id}/logs`.

use olake_shared::{
    domain::task::TaskId,
    store::logs::{
        Direction,
        search::{Level, LogFilter},
    },
};
use poem_openapi::{Enum, Object};

use crate::{
    context::Context,
    envelope::{Answer, ok},
    paging,
    problem::Problem,
    routes::{connections::test::LogLineItem, scope},
};

const LIMIT: i64 = 1_000;
const LONGEST: u64 = 5_000;

/// Which way to read from the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "LogDirection", rename_all = "lowercase")]
pub enum DirectionWord {
    /// The lines before it.
    Older,
    /// The lines after it.
    Newer,
}

/// How bad a line has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "LogLevel", rename_all = "lowercase")]
pub enum LevelWord {
    /// Every line.
    Debug,
    /// All but debug lines.
    Info,
    /// Warnings and errors.
    Warn,
    /// Errors.
    Error,
    /// What the connector did not survive.
    Fatal,
}

impl From<LevelWord> for Level {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::Debug => Self::Debug,
            LevelWord::Info => Self::Info,
            LevelWord::Warn => Self::Warn,
            LevelWord::Error => Self::Error,
            LevelWord::Fatal => Self::Fatal,
        }
    }
}

/// The filter of a level and a text.
///
/// # Errors
/// 400 for a text that is too long.
pub fn filter(level: Option<LevelWord>, search: Option<&str>) -> Result<LogFilter, Problem> {
    paging::checked_search(search)?;
    Ok(LogFilter::new(level.map_or(Level::Debug, Level::from), search))
}

/// A page of a task's log, oldest line first.
#[derive(Clone, Debug, Object)]
pub struct TaskLogs {
    /// Oldest first.
    pub task_logs: Vec<LogLineItem>,
    /// With `direction=older`: what comes before this page.
    pub older_cursor: i64,
    /// With `direction=newer`: what comes after this page, also what is written later.
    pub newer_cursor: i64,
    /// Whether there are lines before this page.
    pub has_more_older: bool,
    /// Whether there are lines after this page by now.
    pub has_more_newer: bool,
}

/// Which page of which lines is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub cursor: Option<i64>,
    pub limit: Option<i64>,
    pub direction: Option<DirectionWord>,
    pub level: Option<LevelWord>,
    pub search: Option<String>,
}

/// Reads a page of a task's log.
pub async fn logs(
    context: &Context,
    project: &str,
    job: i64,
    task: TaskId,
    wanted: Wanted,
) -> Answer<TaskLogs> {
    let limit = paging::checked(wanted.limit.unwrap_or(LIMIT), LONGEST)?;
    let direction = match wanted.direction {
        Some(DirectionWord::Newer) => Direction::Newer,
        Some(DirectionWord::Older) | None => Direction::Older,
    };
    let filter = filter(wanted.level, wanted.search.as_deref())?;
    let project = scope::project(context, project).await?;
    project.job_exists(job).await?;
    let (job, cursor) = (Some(job), wanted.cursor);
    let page = if filter.is_open() {
        project.log_page(job, task, cursor, limit, direction, true).await?
    } else if filter.leaves_out_debug_only() {
        project.log_page(job, task, cursor, limit, direction, false).await?
    } else {
        project.log_matches(job, task, cursor, limit, direction, &filter).await?
    };
    let data = TaskLogs {
        task_logs: page.lines.into_iter().map(LogLineItem::from).collect(),
        older_cursor: page.older_cursor,
        newer_cursor: page.newer_cursor,
        has_more_older: page.has_more_older,
        has_more_newer: page.has_more_newer,
    };
    ok(format!("{} lines", data.task_logs.len()), data)
}
