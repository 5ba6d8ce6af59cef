//! `[retention]`: how long things are kept.

use chrono::TimeDelta;

use crate::config::{error::ConfigError, values::Values};

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Tasks of jobs, after their end.
    pub tasks: TimeDelta,
    /// Tasks of each job.
    pub tasks_per_job: u32,
    /// Log lines, after the end of their task.
    pub logs: TimeDelta,
    /// Jobs, sources and destinations, after they were deleted.
    pub deleted: TimeDelta,
}

impl RetentionConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let days = |key| values.number(key, 1, 36_500).map(|days| TimeDelta::days(i64::from(days)));
        Ok(Self {
            tasks: days("retention.tasks_days")?,
            tasks_per_job: values.number("retention.tasks_per_job", 10, 1_000_000)?,
            logs: days("retention.logs_days")?,
            deleted: days("retention.deleted_days")?,
        })
    }
}
