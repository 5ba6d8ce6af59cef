//! Many workers, and what becomes of their work when one of them, or Redis, is gone.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    job::{Job, NewJob, Task},
    living,
    place::one_to,
    system::System,
    waiting::wait_until,
};

/// Timers so long that they help nobody within a test: what happens is due to a signal.
const BY_SIGNAL_ONLY: &[(&str, &str)] =
    &[("OLAKE_WORKER_LEASE_SECONDS", "3600"), ("OLAKE_WORKER_RECONCILE_SECONDS", "3600")];

/// Timers that are short.
const BY_TIMER: &[(&str, &str)] =
    &[("OLAKE_WORKER_LEASE_SECONDS", "3"), ("OLAKE_WORKER_RECONCILE_SECONDS", "1")];

fn in_the_middle(system: &System) -> (Job, Task) {
    system.place.write_numbers(1000);
    let job = NewJob::with_faults(system, "slow", json!({"take_seconds": 8})).create(system);
    let task = job.start();
    job.wait_for_rows(200);
    (job, task)
}

#[test]
fn a_worker_that_is_stopped_hands_its_sync_over_at_once() {
    let mut system = System::services(2, BY_SIGNAL_ONLY);
    let (job, task) = in_the_middle(&system);
    let stopped = system.worker_of(&task.id);
    system.workers[stopped].signal(Signal::TERM);
    assert_eq!(system.workers[stopped].ended().code(), Some(0));
    let ended = task.succeeded();
    assert_eq!(job.ids(), one_to(1000), "each row is there once");
    assert_eq!(ended["attempt"], 2);
    assert_eq!(ended["attempts"][0]["failure_class"], "interrupted", "{ended:#}");
    assert!(system.workers[1 - stopped].log().contains(&task.id), "the other worker had it");
}

#[test]
fn the_sync_of_a_killed_worker_is_taken_over_after_its_lease() {
    let mut system = System::services(2, BY_TIMER);
    let (job, task) = in_the_middle(&system);
    let killed = system.worker_of(&task.id);
    system.workers[killed].signal(Signal::KILL);
    system.workers[killed].ended();
    let ended = task.succeeded();
    let mut ids = job.ids();
    ids.dedup();
    assert_eq!(ids, one_to(1000), "each row is there");
    assert_eq!(ended["attempt"], 2);
    assert_eq!(ended["attempts"][0]["failure_class"], "infrastructure", "{ended:#}");
    let lines = task.lines();
    let states: Vec<&String> = lines.iter().filter(|line| line.contains("Running sync with state")).collect();
    assert!(states.len() == 2 && states[1].contains("\"id\""), "it goes on from the last state: {states:?}");
    assert!(system.place.files_of_attempts().is_empty());
}

#[test]
fn a_worker_that_comes_later_finds_what_waits() {
    let mut system = System::services(1, BY_TIMER);
    system.place.write_numbers(100);
    let job = NewJob::with_faults(&system, "waits", json!(null)).create(&system);
    system.workers[0].signal(Signal::TERM);
    assert_eq!(system.workers[0].ended().code(), Some(0));
    let task = job.start();
    assert_eq!(task.shown()["status"], "queued");
    let source = json!({"type": "files", "version": "v0.9.4", "config": {"path": system.place.rows()}});
    let refused = system.client.post("/sources/test", &source).error(503);
    assert!(refused.contains("worker"), "{refused}");
    system.add_worker();
    task.succeeded();
    assert_eq!(job.ids(), one_to(100));
}

#[test]
fn a_task_that_was_cancelled_while_no_worker_was_up_never_starts() {
    let mut system = System::services(1, BY_TIMER);
    system.place.write_numbers(100);
    let job = NewJob::with_faults(&system, "unwanted", json!(null)).create(&system);
    system.workers[0].signal(Signal::TERM);
    system.workers[0].ended();
    let task = job.start();
    job.cancel();
    assert_eq!(task.ended()["status"], "cancelled");
    system.add_worker();
    job.start().succeeded();
    assert_eq!(task.shown()["attempt"], 0);
}

#[test]
fn a_wish_to_cancel_reaches_the_worker_at_once() {
    let system = System::services(2, BY_SIGNAL_ONLY);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "hangs", json!({"hang": true})).create(&system);
    let task = job.start();
    task.wait_for_line("Hanging until killed");
    job.cancel();
    assert_eq!(task.ended()["status"], "cancelled");
    assert!(living::connectors(system.place.path()).is_empty());
}

#[test]
fn without_redis_everything_works_a_little_later() {
    let mut system = System::services(1, BY_TIMER);
    system.place.write_numbers(100);
    let job = NewJob::with_faults(&system, "deaf", json!(null)).create(&system);
    let hangs = NewJob::with_faults(&system, "hangs", json!({"hang": true})).create(&system);
    system.redis.as_mut().unwrap().stop();
    let begin = Instant::now();
    let task = job.start();
    // No request waits for Redis. The limit is far from what it takes, and from any time-out of a connection.
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    task.succeeded();
    assert_eq!(job.ids(), one_to(100));

    let task = hangs.start();
    task.wait_for_line("Hanging until killed");
    hangs.cancel();
    assert_eq!(task.ended()["status"], "cancelled");
    let not_ready = system.client.send("GET", "/ready", None).unwrap();
    assert_eq!(not_ready.status, 503, "{not_ready:?}");

    system.redis.as_mut().unwrap().start_again();
    wait_until("the API to be ready again", || {
        system.client.send("GET", "/ready", None).is_ok_and(|reply| reply.status == 200)
    });
    job.start().succeeded();
}

#[test]
fn a_redis_that_lost_everything_loses_no_sync() {
    let system = System::services(2, BY_TIMER);
    system.place.write_numbers(100);
    let job = NewJob::with_faults(&system, "forgotten", json!(null)).create(&system);
    for _ in 0..3 {
        let task = job.start();
        system.redis.as_ref().unwrap().flush();
        task.succeeded();
    }
    assert_eq!(job.ids(), one_to(100));
}

#[test]
fn an_api_that_is_stopped_leaves_running_syncs_alone() {
    let mut system = System::services(1, &[]);
    let (job, task) = in_the_middle(&system);
    system.api.signal(Signal::TERM);
    assert_eq!(system.api.ended().code(), Some(0));
    wait_until("all rows", || job.ids().len() == 1000);
    assert!(!system.workers[0].has_ended());
    let ends = |log: &str| log.lines().any(|line| line.contains("attempt ended") && line.contains(&task.id));
    system.workers[0].printed("the end of the sync", |log| ends(log).then_some(()));
}
