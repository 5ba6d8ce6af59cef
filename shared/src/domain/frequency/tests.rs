use std::collections::HashSet;

use proptest::{prelude::*, sample::select};

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
        assert!(error.contains("frequency is cron text") || error.contains("never comes"), "{bad}: {error}");
    }
    let error = Frequency::parse("* * * * *", Some("Mars/Base")).unwrap_err();
    assert!(matches!(error, FrequencyError::Zone(_)) && error.to_string().contains("Mars/Base"), "{error}");
}

/// The slots from one time (exclusive) to another (inclusive).
fn slots(frequency: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
    let frequency = Frequency::parse(frequency, Some(zone)).unwrap();
    std::iter::successors(frequency.next_after(at(from)), |last| frequency.next_after(*last))
        .take_while(|slot| *slot <= at(to))
        .map(|slot| slot.format("%dT%H:%M").to_string())
        .collect()
}

#[test]
fn a_daily_slot_that_the_clock_passes_over_comes_once_as_if_it_had_not_been_changed() {
    let berlin = slots("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(berlin, ["28T01:30", "29T01:30", "30T00:30"]);
    let new_york = slots("30 2 * * *", "America/New_York", "2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z");
    assert_eq!(new_york, ["07T07:30", "08T07:30", "09T06:30"]);
    let lord_howe =
        slots("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T00:00:00Z", "2026-10-05T00:00:00Z");
    assert_eq!(lord_howe, ["02T15:45", "03T15:45", "04T15:15"]);
    // With seconds and year, and one of several hours.
    let seconds =
        slots("0 30 2,14 * * * 2026", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T23:00:00Z");
    assert_eq!(seconds, ["29T01:30", "29T12:30"]);
}

#[test]
fn a_daily_slot_that_comes_twice_on_the_clock_counts_once() {
    let berlin = slots("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
    assert_eq!(berlin, ["24T00:30", "25T00:30", "26T01:30"]);
    let new_york = slots("30 1 * * *", "America/New_York", "2026-10-31T00:00:00Z", "2026-11-03T00:00:00Z");
    assert_eq!(new_york, ["31T05:30", "01T05:30", "02T06:30"]);
    let lord_howe =
        slots("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T00:00:00Z", "2026-04-06T00:00:00Z");
    assert_eq!(lord_howe, ["03T14:45", "04T14:45", "05T15:15"]);
    let several = slots("0,30 1-3 * * *", "Europe/Berlin", "2026-10-24T22:30:00Z", "2026-10-25T03:00:00Z");
    assert_eq!(several, ["24T23:00", "24T23:30", "25T00:00", "25T00:30", "25T02:00", "25T02:30"]);
}

#[test]
fn a_zone_that_never_changes_its_clock_keeps_its_distance() {
    let tokyo = slots("30 2 * * *", "Asia/Tokyo", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(tokyo, ["28T17:30", "29T17:30", "30T17:30"]);
}

#[test]
fn every_half_hour_is_one_of_real_time() {
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"] {
        let frequency = Frequency::parse("*/30 * * * *", Some(zone)).unwrap();
        let mut last = at("2025-12-31T23:30:00Z");
        while last < at("2027-01-01T00:00:00Z") {
            let next = frequency.next_after(last).unwrap();
            assert_eq!(next - last, TimeDelta::minutes(30), "{zone} after {last}");
            last = next;
        }
    }
}

#[test]
fn the_next_slot_after_any_moment_of_a_second_is_later() {
    let frequency = Frequency::parse("* * * * * * *", Some("Europe/Berlin")).unwrap();
    let change = at("2026-10-25T01:00:00Z");
    for micros in [-3_600_000_001, -1_500_000, -1, 0, 1, 999_999, 3_599_999_999] {
        let time = change + TimeDelta::microseconds(micros);
        let next = frequency.next_after(time).unwrap();
        assert!(next > time && next - time <= TimeDelta::seconds(1), "{time} {next}");
    }
}

#[test]
fn the_next_times_are_as_many_as_there_are() {
    let frequency = Frequency::parse("0 0 12 24-31 12 * 2026", None).unwrap();
    let next = frequency.next_times(at("2026-12-30T00:00:00Z"), 5);
    assert_eq!(next, [at("2026-12-30T12:00:00Z"), at("2026-12-31T12:00:00Z")]);
}

/// What the module's head promises, looked up minute by minute instead of calculated.
fn by_the_minute(frequency: &Frequency, from: DateTime<Utc>, minutes: i64) -> Vec<DateTime<Utc>> {
    let is_slot = |label: NaiveDateTime| frequency.cron.is_time_matching(&label).unwrap();
    let mut seen = HashSet::new();
    let mut last: Option<NaiveDateTime> = None;
    // While the clock shows what it would not without the change: by how much it was moved, and for how long yet.
    let (mut moved, mut left) = (TimeDelta::zero(), 0);
    let mut slots = Vec::new();
    for minute in 0..minutes {
        let time = from + TimeDelta::minutes(minute);
        let label = frequency.local(time);
        let step = last.map_or(TimeDelta::minutes(1), |last| label - last);
        if step > TimeDelta::minutes(1) {
            (moved, left) = (step - TimeDelta::minutes(1), (step - TimeDelta::minutes(1)).num_minutes());
        }
        last = Some(label);
        let first_time = seen.insert(label);
        let own = is_slot(label) && (first_time || frequency.every_hour);
        let passed_over = left > 0 && is_slot(label - moved);
        left -= 1;
        if own || passed_over {
            slots.push(time);
        }
    }
    slots
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn over_each_change_of_the_clock_the_slots_are_the_promised_ones(
        minute in select(vec!["0", "30", "15,45", "*/20", "*/7", "59", "*"]),
        hour in select(vec!["*", "2", "*/2", "1-3", "0,2,14", "1,3", "23", "0", "0-23"]),
        day in select(vec!["* * *", "* * SUN", "* * MON-FRI"]),
        (zone, around) in select(vec![
            ("Europe/Berlin", "2026-03-28T00:00:00Z"),
            ("Europe/Berlin", "2026-10-24T00:00:00Z"),
            ("America/New_York", "2026-03-07T00:00:00Z"),
            ("America/New_York", "2026-10-31T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
            ("Asia/Beirut", "2026-03-28T00:00:00Z"),
            ("Asia/Tokyo", "2026-03-28T00:00:00Z"),
        ]),
        start in 0_i64..40 * 60,
    ) {
        let frequency = Frequency::parse(&format!("{minute} {hour} {day}"), Some(zone)).unwrap();
        let around = at(around);
        let (start, end) = (around + TimeDelta::minutes(start), around + TimeDelta::minutes(3 * 24 * 60 - 1));
        let expected: Vec<_> = by_the_minute(&frequency, around, 3 * 24 * 60).into_iter().filter(|slot| *slot > start).collect();
        let mut found = Vec::new();
        let mut last = start;
        while let Some(next) = frequency.next_after(last).filter(|next| *next <= end) {
            prop_assert!(next > last);
            found.push(next);
            last = next;
        }
        prop_assert_eq!(found, expected);
    }
}
