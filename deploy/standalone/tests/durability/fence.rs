//! The proof can fail: when the start guard is broken on purpose, the witnesses tell of two connectors at once, and what is
//! counted from them is wrong. The same switch makes `deploy/chaos/run.sh --break-fence` red.

use rustix::process::Signal;
use serde_json::json;

use crate::{
    cluster::{Cluster, Deployment},
    support::waiting::wait_until,
};

#[test]
fn without_the_start_guard_two_connectors_of_one_job_are_witnessed() {
    let settings = [
        ("OLAKE_WORKER_LEASE_SECONDS", "3"),
        ("OLAKE_WORKER_RECONCILE_SECONDS", "1"),
        ("OLAKE_TEST_BREAK", "fence"),
    ];
    let cluster = Cluster::start(Deployment::Services, &settings, str::to_owned);
    // It outlives every lease, so that the other worker meets it alive.
    let job = cluster.create_job(&json!({"take_seconds": 300}));
    assert!(cluster.ask_for_sync(&job));
    job.wait_for_batches(1);
    let task = cluster.tasks(&job).unwrap()[0]["id"].as_str().unwrap().to_owned();
    cluster.workers[cluster.worker_of(&task)].signal(Signal::STOP);
    wait_until("a second connector beside the first", || job.story().overlaps > 0);
    let faults = job.story().faults(0, None, &[]);
    assert!(faults.iter().any(|fault| fault.contains("beside a living one")), "{faults:?}");
}
