//! What becomes of the slots of a schedule that have come.
//!
//! A slot is missed when it is later than a minute: nothing was up to run it. The slots of the last minute are on time,
//! and are one run, the newest of them, should there be several (a schedule by the second, looked at every two).

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::{frequency::Frequency, settings::MissedSlots};

/// How late a slot may be and still count as on time.
const ON_TIME: TimeDelta = TimeDelta::seconds(60);

/// How many missed slots are counted.
const COUNTED: usize = 1000;

/// What is to be done about the slots that have come. At least one of the two is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Come {
    /// The slot that is run.
    pub run: Option<DateTime<Utc>>,
    /// Those that were missed and are not run.
    pub missed: Option<Missed>,
}

/// Slots that were missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    pub oldest: DateTime<Utc>,
    pub newest: DateTime<Utc>,
    /// None: more than were counted.
    pub number: Option<usize>,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        match self.number {
            Some(1) => write!(f, "the slot was missed: ")?,
            Some(number) => {
                write!(f, "{number} slots, {} to {}, were missed: ", time(self.oldest), time(self.newest))?;
            }
            None => write!(
                f,
                "more than {COUNTED} slots, {} to {}, were missed: ",
                time(self.oldest),
                time(self.newest)
            )?,
        }
        f.write_str("nothing was up to run them")
    }
}

/// Decides about the slots from `oldest` (a slot) until `now`.
pub fn decide(frequency: &Frequency, oldest: DateTime<Utc>, now: DateTime<Utc>, policy: MissedSlots) -> Come {
    let newest = newest(frequency, oldest, now);
    let moment = TimeDelta::microseconds(1);
    if now - newest <= ON_TIME {
        return Come { run: Some(newest), missed: missed(frequency, oldest, now - ON_TIME - moment) };
    }
    match policy {
        MissedSlots::Once => Come { run: Some(newest), missed: missed(frequency, oldest, newest - moment) },
        MissedSlots::Skip => Come { run: None, missed: missed(frequency, oldest, newest) },
    }
}

/// The slots from `oldest` (a slot) until `until`, if there are any.
fn missed(frequency: &Frequency, oldest: DateTime<Utc>, until: DateTime<Utc>) -> Option<Missed> {
    if oldest > until {
        return None;
    }
    let slots = std::iter::successors(Some(oldest), |slot| frequency.next_after(*slot));
    let number = slots.take_while(|slot| *slot <= until).take(COUNTED + 1).count();
    let newest = newest(frequency, oldest, until);
    Some(Missed { oldest, newest, number: (number <= COUNTED).then_some(number) })
}

/// The newest slot from `oldest` (a slot) until `until`. Looked for from the end, so that a month of a schedule by the
/// second costs no more than its last minute.
fn newest(frequency: &Frequency, oldest: DateTime<Utc>, until: DateTime<Utc>) -> DateTime<Utc> {
    let back = [TimeDelta::minutes(1), TimeDelta::hours(1), TimeDelta::days(1), TimeDelta::days(31)];
    for back in back {
        let from = until - back;
        if from <= oldest {
            break;
        }
        if let Some(newest) = last_of(frequency, from, until) {
            return newest;
        }
    }
    last_of(frequency, oldest, until).unwrap_or(oldest)
}

fn last_of(frequency: &Frequency, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    std::iter::successors(frequency.next_after(after), |slot| frequency.next_after(*slot))
        .take_while(|slot| *slot <= until)
        .last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    fn hourly() -> Frequency {
        Frequency::parse("0 * * * *", None).unwrap()
    }

    fn words(come: &Come) -> String {
        come.missed.as_ref().unwrap().to_string()
    }

    #[test]
    fn a_slot_on_time_is_run_whatever_the_policy() {
        for policy in [MissedSlots::Skip, MissedSlots::Once] {
            let come = decide(&hourly(), at("2026-01-01T05:00:00Z"), at("2026-01-01T05:01:00Z"), policy);
            assert_eq!(come, Come { run: Some(at("2026-01-01T05:00:00Z")), missed: None });
        }
    }

    #[test]
    fn once_runs_the_newest_and_counts_the_others() {
        let (oldest, now) = (at("2026-01-01T05:00:00Z"), at("2026-01-01T08:30:00Z"));
        let come = decide(&hourly(), oldest, now, MissedSlots::Once);
        assert_eq!(come.run, Some(at("2026-01-01T08:00:00Z")));
        assert_eq!(
            words(&come),
            "3 slots, 2026-01-01T05:00:00Z to 2026-01-01T07:00:00Z, were missed: nothing was up to run them"
        );
        let one = decide(&hourly(), oldest, at("2026-01-01T05:30:00Z"), MissedSlots::Once);
        assert_eq!(one, Come { run: Some(oldest), missed: None });
    }

    #[test]
    fn skip_runs_none_that_was_missed() {
        let (oldest, now) = (at("2026-01-01T05:00:00Z"), at("2026-01-01T06:30:00Z"));
        let come = decide(&hourly(), oldest, now, MissedSlots::Skip);
        let missed = Missed { oldest, newest: at("2026-01-01T06:00:00Z"), number: Some(2) };
        assert_eq!(come, Come { run: None, missed: Some(missed) });
        let just_up = decide(&hourly(), oldest, at("2026-01-01T07:00:10Z"), MissedSlots::Skip);
        assert_eq!(just_up.run, Some(at("2026-01-01T07:00:00Z")), "this one came after the start");
        assert_eq!(just_up.missed, come.missed);
    }

    #[test]
    fn a_year_of_a_schedule_by_the_second_is_decided_at_once() {
        let frequency = Frequency::parse("* * * * * * *", None).unwrap();
        let (oldest, now) = (at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:00.5Z"));
        let come = decide(&frequency, oldest, now, MissedSlots::Once);
        assert_eq!(come.run, Some(at("2026-01-01T00:00:00Z")));
        assert!(words(&come).starts_with("more than 1000 slots, "), "{}", words(&come));
        assert_eq!(come.missed.unwrap().newest, at("2025-12-31T23:59:00Z"));
    }

    #[test]
    fn a_rare_slot_is_found_however_long_ago_it_was() {
        let frequency = Frequency::parse("0 0 29 2 *", None).unwrap();
        let leap_day = at("2024-02-29T00:00:00Z");
        let come = decide(&frequency, leap_day, at("2026-01-01T00:00:00Z"), MissedSlots::Once);
        assert_eq!(come, Come { run: Some(leap_day), missed: None });
    }
}
