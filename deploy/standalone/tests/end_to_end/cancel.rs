//! A wish to cancel ends what it is meant for, whatever the connector does.

use serde_json::{Value, json};

use crate::support::{
    client::PROJECT,
    job::NewJob,
    living,
    place::one_to,
    system::System,
    waiting::{wait_for, wait_until},
};

#[test]
fn a_connector_that_hangs_is_cancelled_by_its_signal() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "hangs", json!({"hang": true})).create(&system);
    let task = job.start();
    task.wait_for_line("Hanging until killed");
    let running = job.tasks()[0].clone();
    assert_eq!(
        (&running["status"], &running["phase"]),
        (&json!("running"), &json!("running")),
        "{running:#}"
    );
    job.cancel();
    let ended = task.ended();
    assert_eq!(ended["status"], "cancelled", "{ended:#}");
    assert_eq!(ended["exit_code"], 1, "it has ended by itself: {ended:#}");
    assert!(task.lines().iter().any(|line| line.contains("context canceled")), "SIGTERM came first");
    assert!(living::connectors(system.place.path()).is_empty());
    assert!(system.place.files_of_attempts().is_empty());
    let refused = system.client.post_nothing(&format!("/jobs/{}/cancel", job.id)).error(409);
    assert!(refused.contains("hangs"), "{refused}");
}

#[test]
fn a_connector_that_ignores_sigterm_is_killed_after_the_grace() {
    let system = System::standalone(&[("OLAKE_WORKER_KILL_GRACE_SECONDS", "1")]);
    system.place.write_numbers(10);
    let faults = json!({"hang": true, "ignore_sigterm": true});
    let job = NewJob::with_faults(&system, "stubborn", faults).create(&system);
    let task = job.start();
    task.wait_for_line("Hanging until killed");
    job.cancel();
    task.wait_until("the task to be stopping", |task| {
        task["phase"] == "stopping" || task["status"] == "cancelled"
    });
    let ended = task.ended();
    assert_eq!(ended["status"], "cancelled", "{ended:#}");
    assert!(living::connectors(system.place.path()).is_empty());
    assert!(system.place.files_of_attempts().is_empty());
}

#[test]
fn a_sync_that_is_cancelled_in_the_middle_can_go_on_later() {
    let system = System::standalone(&[]);
    system.place.write_numbers(1000);
    let job = NewJob::with_faults(&system, "slow", json!({"take_seconds": 6})).create(&system);
    let task = job.start();
    job.wait_for_rows(100);
    job.cancel();
    assert_eq!(task.ended()["status"], "cancelled");
    let rows = job.ids().len();
    assert!((100..1000).contains(&rows), "{rows} rows");
    job.change_source(&json!({"path": system.place.rows()}));
    job.start().succeeded();
    assert_eq!(job.ids(), one_to(1000));
}

#[test]
fn a_task_that_nobody_waits_for_any_more_is_cancelled() {
    let system = System::standalone(&[]);
    let source = json!({
        "type": "files", "version": "v0.9.4",
        "config": {"path": system.place.rows(), "faults": {"hang": true}},
    });
    let path = format!("{PROJECT}/source/streams");
    let waiting = system.client.ask("POST", &path, Some(&source)).unwrap();
    wait_for("the connector to run", || living::connectors(system.place.path()).pop());
    drop(waiting);
    wait_until("the connector to be gone", || living::connectors(system.place.path()).is_empty());
}

#[test]
fn a_job_that_is_deleted_takes_its_running_sync_with_it() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "unwanted", json!({"hang": true})).create(&system);
    let task = job.start();
    task.wait_for_line("Hanging until killed");
    let path = format!("{PROJECT}/jobs/{}", job.id);
    let deleted = system.client.send("DELETE", &path, None).unwrap().data();
    assert_eq!(deleted, json!({"name": "unwanted"}));
    wait_until("the connector to be gone", || living::connectors(system.place.path()).is_empty());
    assert_eq!(task.ended()["status"], "cancelled");
    wait_until("its files to be gone", || system.place.files_of_attempts().is_empty());
    assert_eq!(system.client.get("/jobs").data(), Value::Array(Vec::new()));
}
