//! How often a job runs: cron text, in UTC unless the job has a time zone.
//!
//! Accepted are 5 fields (minute first) or 7 (seconds first, year last) with names for months and days,
//! and the older texts `N-minutes|hours|days|weeks|months|years`. The extensions `? L W #` of Quartz are refused:
//! schedulers read them differently.
//!
//! Cron text names times of the local clock. Where that clock is changed:
//! - a time that is passed over comes as if the clock had not been changed yet: `30 2 * * *` runs at 3:30 where the
//!   clock goes from 2 to 3. If another slot comes at that moment too, they are one;
//! - a time that comes twice counts once, the first time. Only what runs in each of the 24 hours runs through both,
//!   so that `*/30 * * * *` comes every half hour of real time.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc, offset::LocalResult};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// Why there is no schedule, in words for the person who typed it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrequencyError {
    /// The text is no frequency.
    #[error("{0}")]
    Text(String),
    /// There is no such time zone.
    #[error("'{0}' is no IANA time zone (such as Europe/Berlin)")]
    Zone(String),
}

/// Longer than any change of a clock: the longest yet left out a whole day.
const CHANGE: TimeDelta = TimeDelta::hours(25);

/// A schedule: when a job runs next.
#[derive(Clone, Debug)]
pub struct Frequency {
    cron: Cron,
    zone: Tz,
    /// Whether it runs in each of the 24 hours.
    every_hour: bool,
}

impl Frequency {
    /// Reads `text` in the IANA time zone `zone` (none: UTC).
    ///
    /// # Errors
    /// [`FrequencyError`] with what is wrong, in words for the person who typed it.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, FrequencyError> {
        let zone = match zone {
            None | Some("") => Tz::UTC,
            Some(name) => Tz::from_str(name).map_err(|_| FrequencyError::Zone(name.to_owned()))?,
        };
        let cron = match interval(text)? {
            Some(cron) => cron,
            None => cron_text(text)?,
        };
        let every_hour = cron.pattern.hours.values().len() == 24;
        let frequency = Self { cron, zone, every_hour };
        match frequency.next_after(DateTime::UNIX_EPOCH + chrono::TimeDelta::days(365 * 30)) {
            Some(_) => Ok(frequency),
            None => Err(FrequencyError::Text(format!("'{text}' never comes"))),
        }
    }

    /// The first time after `time` (exclusive) at which the job runs; none if there is none any more.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Near a change, times of the local clock do not come in their order: the search begins earlier and goes on
        // longer by what the clock is changed.
        let change = self.change_near(time);
        let mut label = self.local(time).checked_sub_signed(change)?;
        let mut best: Option<DateTime<Utc>> = None;
        while let Ok(slot) = self.cron.find_next_occurrence(&label, false) {
            if best.is_some_and(|best| slot > self.local(best) + change) {
                break;
            }
            let first = self.moments(slot).into_iter().flatten().filter(|moment| *moment > time).min();
            best = best.into_iter().chain(first).min();
            if change.is_zero() && best.is_some_and(|best| self.local(best) == slot) {
                break;
            }
            label = slot;
        }
        best
    }

    /// The next `number` times after `time`, fewer if there are no more.
    pub fn next_times(&self, time: DateTime<Utc>, number: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(time), |last| self.next_after(*last)).take(number).collect()
    }

    fn local(&self, time: DateTime<Utc>) -> NaiveDateTime {
        time.with_timezone(&self.zone).naive_local()
    }

    /// By how much the clock is changed near `time`; zero almost always.
    fn change_near(&self, time: DateTime<Utc>) -> TimeDelta {
        let seconds = |time: Option<DateTime<Utc>>| {
            time.map(|time| self.zone.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc())
        };
        let around =
            [time.checked_sub_signed(CHANGE), Some(time), time.checked_add_signed(CHANGE)].map(seconds);
        let offsets = around.iter().flatten();
        let change = offsets.clone().max().zip(offsets.min()).map_or(0, |(most, least)| most - least);
        TimeDelta::seconds(i64::from(change))
    }

    /// The moments at which a time of the local clock counts: one, or two of a time that comes twice.
    fn moments(&self, slot: NaiveDateTime) -> [Option<DateTime<Utc>>; 2] {
        let utc = |moment: DateTime<Tz>| moment.with_timezone(&Utc);
        match self.zone.from_local_datetime(&slot) {
            LocalResult::Single(moment) => [Some(utc(moment)), None],
            LocalResult::Ambiguous(first, second) => [Some(utc(first)), self.every_hour.then(|| utc(second))],
            LocalResult::None => {
                // Passed over: it comes as if the clock had not been changed yet.
                let before = slot
                    .checked_sub_signed(CHANGE)
                    .and_then(|before| self.zone.from_local_datetime(&before).latest());
                [before.map(|before| utc(before + CHANGE)), None]
            }
        }
    }
}

const HELP: &str = "a frequency is cron text with 5 fields (minute hour day month weekday), or 7 (seconds first, year last), \
                    or N-minutes, N-hours, N-days, N-weeks, N-months, N-years";

fn cron_text(text: &str) -> Result<Cron, FrequencyError> {
    let fields = text.split_whitespace().count();
    if fields != 5 && fields != 7 {
        return Err(FrequencyError::Text(format!("'{text}' has {fields} fields; {HELP}")));
    }
    if let Some(sign) = quartz_sign(text) {
        return Err(FrequencyError::Text(format!("'{sign}' in '{text}' is not understood; {HELP}")));
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
        .map_err(|e| FrequencyError::Text(format!("'{text}' is no cron text ({e}); {HELP}")))
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
    let bad = |why: &str| FrequencyError::Text(format!("'{text}': {why}; {HELP}"));
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
mod tests;
