//! `POST P/jobs/{id}/tasks/{taskid}/logs`: a page of a task's log, asked for by its `file_path`, which is the task's id.

use poem_openapi::{Object, types::Example};

use super::logs::{self, Wanted};
use crate::{
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
    routes::connections::test::LogLineItem,
};

/// Which task's log is wanted.
#[derive(Clone, Debug, Object)]
#[oai(rename = "LogFile", example)]
pub struct LogFileBody {
    /// As the list of tasks shows it.
    pub file_path: String,
}

impl Example for LogFileBody {
    fn example() -> Self {
        Self { file_path: "0197c1de-5f1a-7b22-9c3e-5a1de0a7b001".into() }
    }
}

/// A page of a task's log, oldest line first.
#[derive(Clone, Debug, Object)]
pub struct FileLogs {
    /// Oldest first.
    pub logs: Vec<LogLineItem>,
    /// With `direction=older`: what comes before this page.
    pub older_cursor: i64,
    /// With `direction=newer`: what comes after this page, also what is written later.
    pub newer_cursor: i64,
    /// Whether there are lines before this page.
    pub has_more_older: bool,
    /// Whether there are lines after this page by now.
    pub has_more_newer: bool,
}

/// Reads a page of a task's log.
pub async fn logs_of_file(
    context: &Context,
    project: &str,
    job: i64,
    body: LogFileBody,
    wanted: Wanted,
) -> Answer<FileLogs> {
    let task = body
        .file_path
        .parse()
        .map_err(|_| Problem::bad_request("file_path", "is none that a list of tasks has shown"))?;
    let page = logs::logs(context, project, job, task, wanted).await?.0;
    let data = FileLogs {
        logs: page.data.task_logs,
        older_cursor: page.data.older_cursor,
        newer_cursor: page.data.newer_cursor,
        has_more_older: page.data.has_more_older,
        has_more_newer: page.data.has_more_newer,
    };
    ok(page.message, data)
}
