//! A job that allows it is tried again.

use serde_json::{Value, json};

use crate::support::{job::NewJob, place::one_to, system::System};

#[test]
fn a_sync_that_failed_once_is_tried_again_and_at_once_if_a_person_wants_it() {
    let system = System::standalone(&[]);
    system.place.write_numbers(500);
    let mark = system.place.path().join("failed");
    let faults = json!({"fail_once": mark, "fail_after_rows": 230});
    let mut job = NewJob::with_faults(&system, "retried", faults);
    job.advanced_settings = json!({"retries": 1});
    let job = job.create(&system);
    let task = job.start();
    let waiting = task.wait_until("the task to wait for its second attempt", |task| {
        task["status"] == "queued" && task["attempt"] == 1
    });
    assert!(waiting["not_before"].is_string() && waiting["hold_reason"].is_string(), "{waiting:#}");
    assert_eq!(job.start().id, task.id, "it starts the same task");
    let ended = task.succeeded();
    assert_eq!(ended["attempt"], 2);
    let attempts: Vec<Value> = ended["attempts"].as_array().unwrap().clone();
    assert_eq!((&attempts[0]["failure_class"], &attempts[0]["exit_code"]), (&json!("connector"), &json!(1)));
    assert!(attempts[0]["failure_message"].as_str().unwrap().contains("failed after 230 rows"));
    assert!(attempts[1].get("failure_class").is_none(), "{attempts:#?}");
    assert!(ended.get("failure_class").is_none(), "{ended:#}");
    assert_eq!(job.ids(), one_to(500));
}

#[test]
fn what_is_not_the_connector_s_fault_is_tried_again_unasked() {
    let system = System::standalone(&[]);
    system.place.write_numbers(500);
    let mark = system.place.path().join("failed");
    let job =
        NewJob::with_faults(&system, "crashes", json!({"fail_once": mark, "crash": true})).create(&system);
    let task = job.start();
    let waiting = task.wait_until("the task to wait for its second attempt", |task| {
        task["status"] == "queued" && task["attempt"] == 1
    });
    assert!(waiting["not_before"].is_string(), "{waiting:#}");
    assert_eq!(job.start().id, task.id);
    let ended = task.succeeded();
    assert_eq!(ended["attempts"][0]["failure_class"], "infrastructure", "{ended:#}");
    assert_eq!(ended["attempt"], 2);
    assert_eq!(job.ids(), one_to(500));
}

#[test]
fn the_second_attempt_comes_by_itself_after_its_wait() {
    let system = System::standalone(&[("OLAKE_WORKER_RECONCILE_SECONDS", "1")]);
    system.place.write_numbers(100);
    let mut job =
        NewJob::with_faults(&system, "waits", json!({"fail_once": system.place.path().join("failed")}));
    job.advanced_settings = json!({"retries": 1});
    let ended = job.create(&system).start().succeeded();
    assert_eq!(ended["attempt"], 2);
}
