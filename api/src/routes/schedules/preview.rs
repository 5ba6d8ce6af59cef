//! `POST P/schedule/preview`.

use chrono::{DateTime, Utc};
use olake_shared::domain::frequency::{Frequency, FrequencyError};
use poem_openapi::{Object, types::Example};

use crate::{
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
    routes::scope,
};

/// How many of the next times are shown.
pub const SHOWN: usize = 5;

/// A schedule to be looked at.
#[derive(Clone, Debug, Object)]
#[oai(rename = "SchedulePreviewInput", example)]
pub struct PreviewBody {
    /// As a job's: cron text with 5 fields (or 7: seconds first, year last), or `N-minutes`, `N-hours`, `N-days`,
    /// `N-weeks`, `N-months`, `N-years`.
    pub frequency: String,
    /// The IANA time zone, as `Europe/Berlin`; UTC unless given.
    pub time_zone: Option<String>,
}

impl Example for PreviewBody {
    fn example() -> Self {
        Self { frequency: "30 2 * * *".to_owned(), time_zone: Some("Europe/Berlin".to_owned()) }
    }
}

/// When a schedule comes.
#[derive(Clone, Debug, Object)]
pub struct NextRuns {
    /// The next five times, fewer if there are no more. RFC 3339, UTC.
    pub next_runs: Vec<DateTime<Utc>>,
}

/// Says when a schedule would come.
pub async fn preview(context: &Context, project: &str, body: &PreviewBody) -> Answer<NextRuns> {
    scope::project(context, project).await?;
    let frequency =
        Frequency::parse(body.frequency.trim(), body.time_zone.as_deref()).map_err(|error| match error {
            FrequencyError::Text(_) => Problem::bad_request("frequency", error.to_string()),
            FrequencyError::Zone(_) => Problem::bad_request("time_zone", error.to_string()),
        })?;
    let next_runs = frequency.next_times(context.store.clock().now(), SHOWN);
    ok(format!("the next {} runs", next_runs.len()), NextRuns { next_runs })
}
