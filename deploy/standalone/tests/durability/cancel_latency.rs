//! From the API's answer to a cancel until the connector gets its SIGTERM. The connector notes the time itself, ten
//! milliseconds later at most.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::{
    cluster::{Cluster, Deployment},
    support::{client::PROJECT, waiting::wait_until},
};

const ROUNDS: usize = 20;

/// What is promised on a machine with nothing else to do is one second; the tests run side by side.
const LIMIT_MILLIS: i64 = 4000;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn measure(deployment: Deployment) {
    // Timers that help nobody within the test: what is measured is the way of the signal.
    let settings = [("OLAKE_WORKER_LEASE_SECONDS", "60"), ("OLAKE_WORKER_RECONCILE_SECONDS", "60")];
    let cluster = Cluster::start(deployment, &settings, str::to_owned);
    let job = cluster.create_job(&json!({"hang": true}));
    let mut latencies = Vec::new();
    for round in 1..=ROUNDS {
        wait_until("a sync to be acknowledged", || cluster.ask_for_sync(&job));
        wait_until("the connector to run", || job.story().runs.len() == round);
        let answer = cluster.client.send("POST", &format!("{PROJECT}/jobs/{}/cancel", job.id), None).unwrap();
        let answered = now();
        answer.data();
        wait_until("the connector to end", || job.story().runs.last().is_some_and(|run| run.end.is_some()));
        latencies.push(job.story().runs.last().unwrap().ended_at.unwrap() - answered);
        wait_until("the task to be cancelled", || {
            cluster.tasks(&job).is_some_and(|tasks| tasks[0]["status"] == "cancelled")
        });
    }
    latencies.sort_unstable();
    let (median, last) = (latencies[ROUNDS / 2], latencies[ROUNDS - 1]);
    println!("{deployment:?}: from the answer to SIGTERM: p50 {median} ms, p99 {last} ms");
    assert!(last <= LIMIT_MILLIS, "{latencies:?}");
}

#[test]
fn a_wish_to_cancel_reaches_the_connector_at_once_on_one_machine() {
    measure(Deployment::Standalone);
}

#[test]
fn a_wish_to_cancel_reaches_the_connector_at_once_through_the_services() {
    measure(Deployment::Services);
}
