//! A job that is deleted while its sync runs, and whose worker dies at that moment: nothing of it comes back.

use rustix::process::Signal;
use serde_json::json;

use crate::{
    cluster::{Cluster, Deployment},
    crash_points::TIMERS,
    support::{
        client::PROJECT,
        waiting::{wait_for, wait_until},
    },
};

#[test]
fn a_job_and_its_source_deleted_while_the_worker_dies_leave_nothing_behind() {
    let mut cluster = Cluster::start(Deployment::Services, TIMERS, str::to_owned);
    let job = cluster.create_job(&json!({"take_seconds": 60, "log_lines": 600, "log_lines_per_second": 10}));
    assert!(cluster.ask_for_sync(&job));
    job.wait_for_batches(1);
    let task = cluster.tasks(&job).unwrap()[0]["id"].as_str().unwrap().to_owned();
    let shown = cluster.client.get(&format!("/jobs/{}", job.id)).data();
    let sides = ["source", "destination"].map(|side| format!("{PROJECT}/{side}s/{}", shown[side]["id"]));
    let delete = |path: &str| cluster.client.send("DELETE", path, None).unwrap();
    for side in &sides {
        let refused = delete(side).error(409);
        assert!(refused.contains("job-1"), "it is in use: {refused}");
    }

    let worker = cluster.worker_of(&task);
    // Stopped first: it must not hear of the wish to cancel.
    cluster.workers[worker].signal(Signal::STOP);
    delete(&format!("{PROJECT}/jobs/{}", job.id)).data();
    for side in &sides {
        delete(side).data();
    }
    cluster.workers[worker].signal(Signal::KILL);
    cluster.workers[worker].ended();

    let ended = wait_for("the task to end", || {
        let story = cluster.client.get(&format!("/tasks/{task}")).data();
        (story["status"] != "running").then_some(story)
    });
    assert_eq!((&ended["status"], &ended["attempt"]), (&json!("cancelled"), &json!(1)), "{ended:#}");
    wait_until("its processes and files to be gone", || {
        cluster.connectors_and_supervisors().is_empty() && cluster.place.files_of_attempts().is_empty()
    });
    assert_eq!(job.story().runs.len(), 1, "it was never started again");
}
