//! Ends of the one process, in the middle of a sync.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    job::{Job, NewJob, Task},
    living,
    place::one_to,
    system::System,
    waiting::wait_until,
};

/// A sync in its middle: some rows are written, and it has seconds to go.
fn in_the_middle(system: &System) -> (Job, Task) {
    system.place.write_numbers(1000);
    let job = NewJob::with_faults(system, "slow", json!({"take_seconds": 8})).create(system);
    let task = job.start();
    job.wait_for_rows(200);
    (job, task)
}

/// The state that an attempt began with, as its connector has logged it.
fn states_at_start(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix("Running sync with state: ")).collect()
}

#[test]
fn ctrl_c_stops_cleanly_and_the_sync_goes_on_at_the_next_start() {
    let mut system = System::standalone(&[]);
    let (job, task) = in_the_middle(&system);
    system.api.signal(Signal::INT);
    assert_eq!(system.api.ended().code(), Some(0));
    let left = living::of_folder(system.place.path());
    assert!(left.is_empty(), "{left:?}");
    let left = system.place.files_of_attempts();
    assert!(left.is_empty(), "{left:?}");
    let rows = job.ids();
    assert!((200..1000).contains(&rows.len()), "{} rows", rows.len());

    system.start_again();
    let (job, task) = (job.seen_by(&system.client), task.seen_by(&system.client));
    let ended = task.succeeded();
    assert_eq!(job.ids(), one_to(1000), "each row is there once");
    assert_eq!((&ended["attempt"], &ended["trigger"]), (&json!(2), &json!("manual")), "{ended:#}");
    assert_eq!(ended["attempts"][0]["failure_class"], "interrupted");
    assert_eq!(job.tasks().len(), 1);
    let lines = task.lines();
    assert!(lines.iter().any(|line| line.contains("context canceled")), "the connector got its SIGTERM");
    let states = states_at_start(&lines);
    assert!(states.len() == 2 && states[1].contains(&format!("{}", rows.len())), "{states:?}");
}

#[test]
fn a_connector_that_ignores_sigterm_does_not_keep_the_process_from_stopping() {
    let mut system = System::standalone(&[("OLAKE_WORKER_KILL_GRACE_SECONDS", "1")]);
    system.place.write_numbers(10);
    let faults = json!({"hang": true, "ignore_sigterm": true});
    let job = NewJob::with_faults(&system, "stubborn", faults).create(&system);
    job.start().wait_for_line("Hanging until killed");
    system.api.signal(Signal::TERM);
    assert_eq!(system.api.ended().code(), Some(0));
    assert!(living::of_folder(system.place.path()).is_empty());
}

#[test]
fn a_test_that_runs_while_the_process_stops_is_answered() {
    let mut system = System::standalone(&[]);
    let source = json!({
        "type": "files", "version": "v0.9.4",
        "config": {"path": system.place.rows(), "faults": {"hang": true}},
    });
    let client = system.client.clone();
    let asking = std::thread::spawn(move || client.post("/sources/test", &source).error(503));
    wait_until("the connector to run", || !living::connectors(system.place.path()).is_empty());
    system.api.signal(Signal::TERM);
    let words = asking.join().unwrap();
    assert!(words.contains("stopping"), "{words}");
    assert_eq!(system.api.ended().code(), Some(0));
    assert!(living::of_folder(system.place.path()).is_empty());
}

#[test]
fn a_killed_process_loses_nothing() {
    let mut system = System::standalone(&[]);
    let (job, task) = in_the_middle(&system);
    system.api.signal(Signal::KILL);
    system.api.ended();
    wait_until("the supervisor to end the connector", || living::of_folder(system.place.path()).is_empty());

    system.start_again();
    let (job, task) = (job.seen_by(&system.client), task.seen_by(&system.client));
    let ended = task.succeeded();
    let mut ids = job.ids();
    ids.dedup();
    assert_eq!(ids, one_to(1000), "each row is there");
    assert_eq!(ended["attempts"][0]["failure_class"], "infrastructure", "{ended:#}");
    assert_eq!(ended["attempt"], 2);
    assert!(system.place.files_of_attempts().is_empty());

    let lines = task.lines();
    let states = states_at_start(&lines);
    assert!(states.len() == 2 && states[1].contains("\"id\""), "it goes on from the last state: {states:?}");
    let mut files: Vec<&String> =
        lines.iter().filter(|line| line.contains("created new partition file")).collect();
    let all = files.len();
    files.sort();
    files.dedup();
    assert_eq!(files.len(), all, "no line is there twice");
    assert!(all >= 20, "no line is missing: {all} batches");
}

#[test]
fn a_connector_left_by_a_killed_process_is_ended_before_the_next_one_starts() {
    let mut system = System::standalone(&[("OLAKE_WORKER_KILL_GRACE_SECONDS", "1")]);
    system.place.write_numbers(10);
    let faults = json!({"hang": true, "ignore_sigterm": true});
    let job = NewJob::with_faults(&system, "stubborn", faults).create(&system);
    job.start().wait_for_line("Hanging until killed");
    let connector = living::connectors(system.place.path()).pop().unwrap();
    // Its supervisor first, so that nobody ends it.
    let supervisor = living::of_folder(system.place.path())
        .into_iter()
        .find(|process| process.pid == connector.parent)
        .expect("a supervisor is the parent of its connector");
    system.api.signal(Signal::STOP);
    supervisor.kill();
    system.api.signal(Signal::KILL);
    system.api.ended();
    assert!(!living::connectors(system.place.path()).is_empty(), "it ignores everything");

    system.start_again();
    let others = || living::connectors(system.place.path()).into_iter().map(|process| process.pid);
    wait_until("the old connector to be gone", || others().all(|pid| pid != connector.pid));
    wait_until("a new one to run", || others().count() == 1);
    let job = job.seen_by(&system.client);
    job.cancel();
    let ended = job.newest().ended();
    assert_eq!(ended["status"], "cancelled", "{ended:#}");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(2), "{ended:#}");
}

#[test]
fn what_was_made_is_kept_over_a_restart() {
    let mut system = System::standalone(&[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "kept", Value::Null).create(&system);
    let first = job.start();
    first.succeeded();
    let shown = job.shown();
    system.api.signal(Signal::TERM);
    assert_eq!(system.api.ended().code(), Some(0));
    system.start_again();
    let job = job.seen_by(&system.client);
    assert_eq!(job.shown(), shown);
    assert!(!first.seen_by(&system.client).lines().is_empty());
    assert_eq!(job.start().succeeded()["records_read"], 0);
}
