//! The time, from one place. Log lines carry whole seconds, file names too.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};

/// The time now, UTC.
pub fn now() -> DateTime<Utc> {
    DateTime::from(SystemTime::now())
}

/// A time as log lines show it: `2026-11-24T07:06:46Z`.
pub fn for_log(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time as file and folder names show it: `2026-11-24_07-06-46`.
pub fn for_name(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d_%H-%M-%S").to_string()
}
