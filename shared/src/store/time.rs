//! Times in rows: microseconds since 1970, UTC.

use chrono::{DateTime, Utc};

/// The form in which a row keeps a time.
pub fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// The time that a row keeps. A value out of range, which no code of ours writes, reads as 1970.
pub fn utc(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
