//! How often a job runs: cron text, in UTC unless the job has a time zone.
//!
//! Accepted are 5 fields (minute first) or 7 (seconds first, year last) with names for months and days,
//! and the older texts `N-minutes|hours|days|weeks|months|years`. The extensions `? L W #` of Quartz are refused:
//! schedulers read them differently.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// Why a text is no frequency.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct FrequencyError(String);

/// A schedule: when a job runs next.
#[derive(Clone, Debug)]
pub struct Frequency {
    cron: Cron,
    zone: Tz,
}

impl Frequency {
    /// Reads `text` in the IANA time zone `zone` (none: UTC).
    ///
    /// # Errors
    /// [`FrequencyError`] with what is wrong, in words for the person who typed it.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, FrequencyError> {
        let zone = match zone {
            None | Some("") => Tz::UTC,
            Some(name) => Tz::from_str(name).map_err(|_| {
                FrequencyError(format!("'{name}' is no IANA time zone (such as Europe/Berlin)"))
            })?,
        };
        let cron = match interval(text)? {
            Some(cron) => cron,
            None => cron_text(text)?,
        };
        let frequency = Self { cron, zone };
        match frequency.next_after(DateTime::UNIX_EPOCH + chrono::TimeDelta::days(365 * 30)) {
            Some(_) => Ok(frequency),
            None => Err(FrequencyError(format!("'{text}' never comes"))),
        }
    }

    /// The first time after `time` (exclusive) at which the job runs; none if there is none any more.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = time.with_timezone(&self.zone);
        self.cron.find_next_occurrence(&local, false).ok().map(|t| t.with_timezone(&Utc))
    }
}

const HELP: &str = "a frequency is cron text with 5 fields (minute hour day month weekday), or 7 (seconds first, year last), \
                    or N-minutes, N-hours, N-days, N-weeks, N-months, N-years";

fn cron_text(text: &str) -> Result<Cron, FrequencyError> {
    let fields = text.split_whitespace().count();
    if fields != 5 && fields != 7 {
        return Err(FrequencyError(format!("'{text}' has {fields} fields; {HELP}")));
    }
    if let Some(sign) = quartz_sign(text) {
        return Err(FrequencyError(format!("'{sign}' in '{text}' is not understood; {HELP}")));
    }
    let (seconds, year) = if fields == 5 {
        (Seconds::Disallowed, Year::Disallowed)
    } else {
        (Seconds::Required, Year::Required)
    };
    CronParser::builder()
        .seconds(seconds)
        .year(year)
        .build()
        .parse(text)
        .map_err(|e| FrequencyError(format!("'{text}' is no cron text ({e}); {HELP}")))
}

/// The first sign of Quartz' extensions. `L` and `W` stand in names too (JUL, WED), so names are taken out first.
fn quartz_sign(text: &str) -> Option<char> {
    const NAMES: [&str; 19] = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "SUN", "MON",
        "TUE", "WED", "THU", "FRI", "SAT",
    ];
    let mut rest = text.to_ascii_uppercase();
    for name in NAMES {
        rest = rest.replace(name, "");
    }
    rest.chars().find(|c| matches!(c, '?' | 'L' | 'W' | '#' | '@' | '+' | '~'))
}

/// `N-unit` as the cron text that comes as often as that, on round times.
fn interval(text: &str) -> Result<Option<Cron>, FrequencyError> {
    let Some((number, unit)) = text.trim().split_once('-') else { return Ok(None) };
    if !number.bytes().all(|b| b.is_ascii_digit()) || number.is_empty() || text.contains(char::is_whitespace)
    {
        return Ok(None);
    }
    let bad = |why: &str| FrequencyError(format!("'{text}': {why}; {HELP}"));
    let n: u32 = number.parse().map_err(|_| bad("the number is too large"))?;
    let cron = match (unit, n) {
        (_, 0) => return Err(bad("the number must be at least 1")),
        ("minutes" | "minute", 1..=59) => format!("*/{n} * * * *"),
        ("minutes" | "minute", n) if n % 60 == 0 && n / 60 <= 23 => format!("0 */{} * * *", n / 60),
        ("hours" | "hour", 1..=23) => format!("0 */{n} * * *"),
        ("hours" | "hour", n) if n % 24 == 0 && n / 24 <= 31 => format!("0 0 */{} * *", n / 24),
        ("days" | "day", 1..=31) => format!("0 0 */{n} * *"),
        ("weeks" | "week", 1) => "0 0 * * 0".to_owned(),
        ("weeks" | "week", 2..=4) => format!("0 0 */{} * *", n * 7),
        ("months" | "month", 1..=12) => format!("0 0 1 */{n} *"),
        ("years" | "year", 1) => "0 0 1 1 *".to_owned(),
        ("years" | "year", _) => return Err(bad("more than 1 year apart is not possible")),
        (
            "minutes" | "minute" | "hours" | "hour" | "days" | "day" | "weeks" | "week" | "months" | "month",
            _,
        ) => {
            return Err(bad("cron has no such interval"));
        }
        _ => return Ok(None),
    };
    cron_text(&cron).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    fn next(frequency: &str, zone: Option<&str>, after: &str) -> String {
        let frequency = Frequency::parse(frequency, zone).unwrap();
        frequency.next_after(at(after)).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    #[test]
    fn five_and_seven_fields_names_and_old_texts_are_understood() {
        let start = "2026-01-01T00:00:30Z";
        assert_eq!(next("*/5 * * * *", None, start), "2026-01-01T00:05:00Z");
        assert_eq!(next("0 6 * JUL WED", None, start), "2026-07-01T06:00:00Z");
        assert_eq!(next("15 30 6 * * * 2027", None, start), "2027-01-01T06:30:15Z");
        assert_eq!(next("0 0 * * 7", None, start), "2026-01-04T00:00:00Z");
        assert_eq!(next("10-minutes", None, start), "2026-01-01T00:10:00Z");
        assert_eq!(next("120-minutes", None, start), "2026-01-01T02:00:00Z");
        assert_eq!(next("1-weeks", None, start), "2026-01-04T00:00:00Z");
        assert_eq!(next("1-years", None, start), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn a_time_zone_moves_the_slots() {
        assert_eq!(next("0 6 * * *", Some("Europe/Berlin"), "2026-07-01T00:00:00Z"), "2026-07-01T04:00:00Z");
        assert_eq!(next("0 6 * * *", Some("Europe/Berlin"), "2026-01-01T00:00:00Z"), "2026-01-01T05:00:00Z");
    }

    #[test]
    fn the_next_time_is_later_than_the_given_one() {
        assert_eq!(next("* * * * *", None, "2026-01-01T00:00:00Z"), "2026-01-01T00:01:00Z");
    }

    #[test]
    fn anything_else_is_refused_with_words() {
        for bad in [
            "",
            " ",
            "hourly",
            "@daily",
            "* * * *",
            "* * * * * *",
            "61 * * * *",
            "0 0 ? * *",
            "0 0 L * *",
            "0 0 15W * *",
            "0 0 * * 5#2",
            "0-minutes",
            "90-minutes",
            "x-minutes",
            "-1-minutes",
            "5-fortnights",
            "99999999999-days",
            "0 0 30 2 *",
            "0 0 0 1 1 * 1999",
        ] {
            let error = Frequency::parse(bad, None).expect_err(bad).to_string();
            assert!(
                error.contains("frequency is cron text") || error.contains("never comes"),
                "{bad}: {error}"
            );
        }
        assert!(
            Frequency::parse("* * * * *", Some("Mars/Base")).unwrap_err().to_string().contains("Mars/Base")
        );
    }
}
