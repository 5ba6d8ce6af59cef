//! Each fault that the config can ask for.

mod connector;

use std::time::{Duration, Instant};

use connector::{Place, Ran, one_to, send};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn a_wrong_password_fails_check_discover_and_sync_without_being_shown() {
    let place = Place::with_rows(10);
    place.catalog("incremental", "id");
    let with = |password: &str| {
        place.source(json!({"password": password, "faults": {"expected_password": "right-one"}}));
    };
    with("wrong-one");
    for ran in
        [place.run("check --config source.json"), place.run("discover --config source.json"), place.sync()]
    {
        assert_eq!(ran.code(), Some(1));
        assert!(ran.fatal().ends_with("password authentication failed"), "{}", ran.fatal());
        assert!(!ran.stdout.contains("right-one") && !ran.stdout.contains("wrong-one"));
    }
    with("right-one");
    place.run("check --config source.json").succeeded();
    place.sync().succeeded();
}

#[test]
fn a_sync_that_fails_after_rows_keeps_the_batches_before() {
    let place = Place::with_rows(1000);
    place.catalog("incremental", "id");
    place.faults(json!({"fail_after_rows": 250}));
    let ran = place.sync();
    assert_eq!(ran.code(), Some(1));
    assert!(ran.fatal().ends_with("failed after 250 rows"), "{}", ran.fatal());
    assert_eq!(place.ids(), one_to(200));
    place.faults(json!({}));
    place.sync().succeeded();
    assert_eq!(place.ids(), one_to(1000));
}

#[test]
fn an_exit_code_comes_without_a_reason() {
    let place = Place::with_rows(10);
    place.catalog("incremental", "id");
    place.faults(json!({"exit_code": 7}));
    for ran in
        [place.run("check --config source.json"), place.run("discover --config source.json"), place.sync()]
    {
        assert_eq!((ran.code(), ran.fatal()), (Some(7), ""));
    }
    assert!(!place.path("lake").exists());
}

#[test]
fn a_panic_is_told_on_the_console_alone() {
    let place = Place::with_rows(10);
    place.catalog("incremental", "id");
    place.faults(json!({"panic": "it broke"}));
    for ran in
        [place.run("check --config source.json"), place.run("discover --config source.json"), place.sync()]
    {
        assert_eq!(ran.code(), Some(2));
        assert!(ran.stderr.starts_with("panic: it broke\n\ngoroutine 1 [running]:\n"), "{}", ran.stderr);
        assert!(!ran.stdout.contains("panic"), "{}", ran.stdout);
    }
}

#[test]
fn a_hanging_connector_waits_for_its_signal() {
    let place = Place::with_rows(10);
    place.catalog("incremental", "id");
    place.faults(json!({"hang": true}));
    let destination = json!({"type": "PARQUET", "writer": {"local_path": "/tmp"}, "faults": {"hang": true}});
    place.write("config/hanging.json", &destination);
    for line in [
        "check --config source.json",
        "check --destination hanging.json",
        "discover --config source.json",
        "sync --config source.json --destination destination.json --catalog streams.json",
    ] {
        let _ = std::fs::remove_dir_all(place.path("config/logs"));
        let mut child = place.start(line);
        wait_for_line(&place, "Hanging until killed");
        assert!(child.try_wait().unwrap().is_none(), "{line}");
        send(&child, Signal::TERM);
        let ran = Ran::of(child);
        assert_eq!((ran.code(), ran.fatal()), (Some(1), "context canceled"), "{line}");
    }
}

#[test]
fn only_sigkill_ends_a_connector_that_ignores_sigterm() {
    for version in ["v0.7.3", "v0.9.4"] {
        let place = Place::with_rows(10).version(version);
        place.faults(json!({"hang": true, "ignore_sigterm": true}));
        let mut child = place.start("check --config source.json");
        wait_for_line(&place, "Hanging until killed");
        for _ in 0..20 {
            send(&child, Signal::TERM);
            std::thread::yield_now();
            assert!(child.try_wait().unwrap().is_none());
        }
        send(&child, Signal::KILL);
        assert_eq!(Ran::of(child).signal(), Some(9));
    }
}

#[test]
fn a_sync_that_ignores_sigterm_goes_on_to_its_end() {
    let place = Place::with_rows(1000);
    place.catalog("incremental", "id");
    place.faults(json!({"ignore_sigterm": true, "take_seconds": 1}));
    let child = place.start_sync();
    place.wait_for_state();
    send(&child, Signal::TERM);
    Ran::of(child).succeeded();
    assert_eq!(place.ids(), one_to(1000));
}

#[test]
fn numbered_lines_all_come_out_in_order() {
    let place = Place::with_rows(300);
    place.catalog("incremental", "id");
    for faults in [json!({"log_lines": 20_000}), json!({"log_lines": 40, "log_lines_per_second": 200})] {
        place.faults(faults.clone());
        let begin = Instant::now();
        let ran = place.sync().succeeded();
        let lines: Vec<&str> = ran
            .messages()
            .into_iter()
            .map(|(_, text)| text)
            .filter(|text| text.starts_with("line "))
            .collect();
        let expected: Vec<String> =
            (1..=faults["log_lines"].as_u64().unwrap()).map(|number| format!("line {number}")).collect();
        assert!(lines == expected, "{} lines", lines.len());
        assert!(ran.messages().last().unwrap().1.starts_with("Total records read"));
        if faults.get("log_lines_per_second").is_some() {
            assert!(begin.elapsed() >= Duration::from_millis(195), "{:?}", begin.elapsed());
        }
    }
}

#[test]
fn a_sync_takes_the_time_it_is_told_to() {
    let place = Place::with_rows(300);
    place.catalog("full_refresh", "");
    place.faults(json!({"take_seconds": 0.5}));
    let begin = Instant::now();
    place.sync().succeeded();
    assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
}

#[test]
fn rubbish_takes_the_place_of_results() {
    let place = Place::with_rows(10);
    place.faults(json!({"rubbish": true}));
    for line in ["check --config source.json", "discover --config source.json"] {
        let ran = place.run(line).succeeded();
        assert!(ran.results().is_empty() && ran.stdout.contains("this is no JSON"), "{}", ran.stdout);
    }
    assert!(serde_json::from_str::<serde_json::Value>(&place.read("config/streams.json")).is_err());
}

#[test]
fn a_crash_comes_in_the_middle_and_the_next_run_goes_on() {
    let place = Place::with_rows(300);
    place.catalog("incremental", "id");
    place.faults(json!({"crash": true}));
    let ran = place.sync();
    assert_eq!((ran.signal(), ran.fatal()), (Some(9), ""));
    assert_eq!(place.ids(), one_to(100));
    place.faults(json!({}));
    place.sync().succeeded();
    assert_eq!(place.ids(), one_to(300));
}

#[test]
fn a_sync_that_fails_once_fails_no_more() {
    let place = Place::with_rows(300);
    place.catalog("incremental", "id");
    for (more, failure) in [
        (json!({}), Some("failed once, as told")),
        (json!({"fail_after_rows": 100}), Some("failed after 100 rows")),
        (json!({"exit_code": 3}), None),
    ] {
        let _ = std::fs::remove_file(place.path("config/state.json"));
        let _ = std::fs::remove_dir_all(place.path("lake"));
        let _ = std::fs::remove_file(place.path("mark"));
        let mut faults = more.clone();
        faults["fail_once"] = json!(place.path("mark"));
        place.faults(faults);
        let ran = place.sync();
        match failure {
            Some(words) => assert!(ran.code() == Some(1) && ran.fatal().ends_with(words), "{}", ran.fatal()),
            None => assert_eq!((ran.code(), ran.fatal()), (Some(3), "")),
        }
        place.sync().succeeded();
        assert_eq!(place.ids(), one_to(300), "{more}");
    }
}

#[test]
fn half_a_state_is_in_the_file_for_a_moment() {
    let place = Place::with_rows(200);
    place.catalog("incremental", "id");
    place.faults(json!({"half_state": true}));
    let child = place.start_sync();
    connector::wait_for("half a state", || {
        let text = std::fs::read_to_string(place.path("config/state.json")).unwrap_or_default();
        !text.is_empty() && serde_json::from_str::<serde_json::Value>(&text).is_err()
    });
    Ran::of(child).succeeded();
    assert!(place.read("config/state.json").contains("\"id\":200"));
}

#[test]
fn eaten_memory_is_kept_until_the_end() {
    let place = Place::with_rows(10);
    place.faults(json!({"eat_memory_mb": 64, "hang": true}));
    let child = place.start("check --config source.json");
    let status = format!("/proc/{}/status", child.id());
    connector::wait_for("the memory to be taken", || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        resident.trim().trim_end_matches(" kB").parse::<u64>().is_ok_and(|kilobytes| kilobytes > 64 * 1024)
    });
    send(&child, Signal::TERM);
    Ran::of(child);
}

#[test]
fn a_child_that_eats_memory_ends_before_the_rest_goes_on() {
    let place = Place::with_rows(10);
    place.faults(json!({"child_eats_memory_mb": 8}));
    let ran = place.run("check --config source.json");
    let ran = ran.succeeded();
    assert!(
        ran.messages().contains(&("INFO", "A child has eaten memory: exit status: 0")),
        "{:?}",
        ran.messages()
    );
}

#[test]
fn a_witness_tells_of_all_runs_and_numbers_their_lines() {
    let place = Place::with_rows(300);
    place.catalog("incremental", "id");
    let witness = json!({"folder": place.path("witness"), "key": "job-7"});
    place.faults(json!({"witness": witness, "log_lines": 5, "fail_after_rows": 250}));
    assert_eq!(place.sync().code(), Some(1));
    place.faults(json!({"witness": witness, "log_lines": 5}));
    let ran = place.sync().succeeded();
    let entries: Vec<serde_json::Value> =
        place.read("witness/job-7.witness").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| entries.iter().filter(|entry| entry["event"] == event).collect::<Vec<_>>();
    assert!(entries.iter().zip(1..).all(|(entry, number)| entry["n"] == number), "{entries:#?}");
    let batches: Vec<_> =
        of("batch").iter().map(|entry| (entry["run"].clone(), entry["last"].clone())).collect();
    assert_eq!(batches, [(json!(1), json!(100)), (json!(1), json!(200)), (json!(2), json!(300))]);
    let starts = of("start");
    assert_eq!((&starts[0]["state"], &starts[1]["state"]), (&json!(null), &of("batch")[1]["state"]));
    assert_eq!(of("end").iter().map(|entry| entry["code"].clone()).collect::<Vec<_>>(), [json!(1), json!(0)]);
    let said: Vec<u64> = of("line").iter().map(|entry| entry["line"].as_u64().unwrap()).collect();
    assert_eq!(said, (1..=said.len() as u64).collect::<Vec<_>>());
    let last = format!("line {}", said.len());
    assert!(ran.messages().iter().any(|(_, text)| *text == last), "{}", ran.stdout);
}

#[test]
fn a_second_run_beside_the_first_is_seen() {
    let place = Place::with_rows(300);
    place.catalog("incremental", "id");
    let witness = json!({"folder": place.path("witness"), "key": "job-7"});
    place.faults(json!({"witness": witness, "take_seconds": 30}));
    let first = place.start_sync();
    connector::wait_for("the first run", || place.path("witness/job-7.witness").exists());
    let ran = place.sync();
    assert!(ran.code() == Some(1) && ran.fatal().starts_with("OVERLAP"), "{}", ran.fatal());
    assert!(place.read("witness/job-7.witness").contains("\"overlap\""));
    send(&first, Signal::TERM);
    Ran::of(first);
}

#[test]
fn a_fault_that_does_not_exist_is_refused() {
    let place = Place::with_rows(10);
    place.faults(json!({"hangs": true}));
    let ran = place.run("check --config source.json");
    assert_eq!(ran.code(), Some(1));
    assert!(ran.fatal().ends_with("faults has no key hangs"), "{}", ran.fatal());
}

/// Waits until the log of `config/` has a message.
fn wait_for_line(place: &Place, text: &str) {
    connector::wait_for(text, || {
        let logs = connector::list(&place.path("config/logs"));
        logs.iter()
            .any(|log| std::fs::read_to_string(log.join("olake.log")).is_ok_and(|log| log.contains(text)))
    });
}
