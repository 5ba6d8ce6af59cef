//! A worker that is told to end at a bad moment: while it claims, and while the database is away. It ends all the same, and
//! what it had goes on elsewhere.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    cluster::{Cluster, Deployment},
    crash_points::TIMERS,
    pauses::{is_stopped, wake},
    proxy::Proxy,
    support::{
        process::Process,
        waiting::{wait_for, wait_until},
    },
};

/// Longer than it takes when a write is given up at the last moment (20 s) and each last answer is waited for (5 s, twice),
/// and shorter than any time-out of a connection.
const PATIENCE: Duration = Duration::from_secs(45);

fn succeeds(cluster: &Cluster, job: &crate::cluster::WitnessedJob) -> serde_json::Value {
    let task = wait_for("the sync to succeed", || {
        let task = cluster.tasks(job)?[0].clone();
        (task["status"] == "succeeded").then_some(task)
    });
    assert_eq!(cluster.faults(job), Vec::<String>::new());
    task
}

/// Stops a worker in its claim; by the time that it goes on, it is told to end.
fn stops_while_it_claims(point: &str) {
    // No timer gives the task away: it is handed over, or lost.
    let timers = [("OLAKE_WORKER_LEASE_SECONDS", "3600"), ("OLAKE_WORKER_RECONCILE_SECONDS", "1")];
    let mut cluster = Cluster::start(Deployment::Services, &timers, str::to_owned);
    let job = cluster.create_job(&json!({"take_seconds": 1, "log_lines": 10, "log_lines_per_second": 10}));
    let mark = cluster.place.path().join("paused");
    cluster.restart(&[
        ("OLAKE_TEST_CRASH", point),
        ("OLAKE_TEST_CRASH_MARK", mark.to_str().unwrap()),
        ("OLAKE_TEST_CRASH_BY", "pause"),
    ]);
    assert!(cluster.ask_for_sync(&job));
    let at = wait_for("a worker to stop in its claim", || {
        cluster.workers.iter().map(Process::pid).position(is_stopped)
    });
    cluster.workers[at].signal(Signal::TERM);
    wake(cluster.workers[at].pid());
    assert_eq!(cluster.workers[at].ended().code(), Some(0));
    let task = succeeds(&cluster, &job);
    assert!(task["attempt"].as_i64().unwrap() <= 2, "{task:#}");
    assert!(cluster.workers[1 - at].log().contains(task["id"].as_str().unwrap()), "the other worker had it");
}

#[test]
fn a_worker_that_is_stopped_just_before_a_claim_hands_the_task_over() {
    stops_while_it_claims("claimed:before");
}

#[test]
fn a_worker_that_is_stopped_just_after_a_claim_hands_the_task_over() {
    stops_while_it_claims("claimed:after");
}

fn ends_without_its_database(go_away: impl Fn(&Proxy)) {
    let proxy = Proxy::default();
    let mut cluster = Cluster::start(Deployment::Services, TIMERS, |url| proxy.before(url));
    let job = cluster.create_job(&json!({"take_seconds": 20, "log_lines": 200, "log_lines_per_second": 10}));
    assert!(cluster.ask_for_sync(&job));
    job.wait_for_batches(1);
    let task = cluster.tasks(&job).unwrap()[0]["id"].as_str().unwrap().to_owned();
    let at = cluster.worker_of(&task);
    go_away(&proxy);
    let begin = Instant::now();
    cluster.workers[at].signal(Signal::TERM);
    assert_eq!(cluster.workers[at].ended().code(), Some(0));
    println!("it ended after {:.1} s", begin.elapsed().as_secs_f64());
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert!(cluster.connectors_and_supervisors().is_empty(), "a connector was left");

    proxy.restore();
    wait_until("the API to be back", || cluster.tasks(&job).is_some());
    let task = succeeds(&cluster, &job);
    assert_eq!(task["attempt"], 2, "{task:#}");
}

#[test]
fn a_worker_that_is_stopped_while_the_database_refuses_connections_ends() {
    ends_without_its_database(Proxy::break_down);
}

#[test]
fn a_worker_that_is_stopped_while_the_database_answers_nothing_ends() {
    ends_without_its_database(Proxy::stall);
}
