//! Each way in which a connector can fail ends in its status, its class and words that a person can act on.

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use crate::support::{
    job::{BATCH, NewJob},
    living,
    place::{Place, one_to},
    system::System,
    waiting::wait_until,
};

fn source(system: &System, faults: &Value) -> Value {
    json!({
        "type": "files", "version": "v0.9.4",
        "config": {"path": system.place.rows(), "password": "wrong-one", "faults": faults},
    })
}

#[test]
fn a_wrong_password_is_said_by_test_discover_and_sync() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let faults = json!({"expected_password": "right-one"});
    let source = source(&system, &faults);
    let tested = system.client.post("/sources/test", &source).data();
    let result = &tested["connection_result"];
    assert_eq!(result["status"], "FAILED");
    assert!(result["message"].as_str().unwrap().contains("password authentication failed"), "{result}");
    let refused = system.client.post("/source/streams", &source).error(422);
    assert!(refused.starts_with("discover failed: "), "{refused}");
    assert!(refused.contains("password authentication failed"), "{refused}");

    let mut job = NewJob::with_faults(&system, "wrong password", faults);
    job.config["password"] = "wrong-one".into();
    let job = job.create(&system);
    let words = job.start().failed("connector");
    assert!(words.contains("password authentication failed"), "{words}");
    assert!(job.ids().is_empty());
}

#[test]
fn a_sync_that_fails_in_the_middle_goes_on_from_there_when_it_is_mended() {
    let system = System::standalone(&[]);
    system.place.write_numbers(500);
    let job = NewJob::with_faults(&system, "breaks", json!({"fail_after_rows": 230})).create(&system);
    let task = job.start();
    let words = task.failed("connector");
    assert!(words.contains("failed after 230 rows"), "{words}");
    assert_eq!(task.shown()["exit_code"], 1);
    assert_eq!(job.ids(), one_to(200));
    assert_eq!(job.shown()["last_run_state"], "failed");
    job.change_source(&json!({"path": system.place.rows(), "batch_size": BATCH}));
    assert_eq!(job.start().succeeded()["records_read"], 300);
    assert_eq!(job.ids(), one_to(500));
}

#[test]
fn an_exit_code_without_a_reason_is_told_with_what_it_may_mean() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "exits", json!({"exit_code": 7})).create(&system);
    let task = job.start();
    let words = task.failed("connector");
    assert!(words.contains("exit code 7"), "{words}");
    assert_eq!(task.shown()["exit_code"], 7);
    let tested = system.client.post("/sources/test", &source(&system, &json!({"exit_code": 7}))).data();
    assert_eq!(tested["connection_result"]["status"], "FAILED");
}

#[test]
fn a_connector_that_kills_itself_is_a_failure_of_the_infrastructure() {
    let system = System::standalone(&[]);
    system.place.write_numbers(500);
    let mut job = NewJob::with_faults(&system, "crashes", json!({"crash": true}));
    job.advanced_settings = json!({"retries": 0});
    let job = job.create(&system);
    let words = job.start().failed("infrastructure");
    assert!(words.contains("SIGKILL") && words.contains("memory"), "{words}");
    job.change_source(&json!({"path": system.place.rows(), "batch_size": BATCH}));
    job.start().succeeded();
    assert_eq!(job.ids(), one_to(500), "the next sync goes on from the batch before");
}

#[test]
fn a_connector_that_hangs_ends_by_the_job_s_deadline() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let mut job = NewJob::with_faults(&system, "hangs", json!({"hang": true}));
    job.advanced_settings = json!({"timeout_seconds": 1});
    let words = job.create(&system).start().failed("timeout");
    assert!(words.contains("deadline"), "{words}");
    wait_until("the connector to be gone", || living::connectors(system.place.path()).is_empty());
}

#[test]
fn a_test_that_hangs_ends_by_the_configured_deadline() {
    let system = System::standalone(&[("OLAKE_DEADLINES_CHECK_SECONDS", "1")]);
    let tested = system.client.post("/sources/test", &source(&system, &json!({"hang": true}))).data();
    let result = &tested["connection_result"];
    assert_eq!(result["status"], "FAILED");
    assert!(result["message"].as_str().unwrap().contains("deadline"), "{result}");
}

#[test]
fn rubbish_in_place_of_a_result_is_told_in_words() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let source = source(&system, &json!({"rubbish": true}));
    let tested = system.client.post("/sources/test", &source).data();
    let result = &tested["connection_result"];
    assert_eq!(result["status"], "FAILED");
    assert!(result["message"].as_str().unwrap().contains("did not say"), "{result}");
    let words = system.client.post("/source/streams", &source).error(422);
    assert!(
        words.starts_with("discover failed: ") && words.len() > "discover failed: ".len() + 20,
        "{words}"
    );
}

#[test]
fn a_config_that_the_connector_refuses_is_told_in_its_words() {
    let system = System::standalone(&[]);
    let source = source(&system, &json!({"hangs": true}));
    let tested = system.client.post("/sources/test", &source).data();
    let result = &tested["connection_result"];
    assert_eq!(result["status"], "FAILED");
    assert!(result["message"].as_str().unwrap().contains("faults has no key hangs"), "{result}");
}

#[test]
fn a_connector_whose_program_is_missing_is_named() {
    let system = System::standalone(&[]);
    let client = &system.client;
    let source = json!({"type": "missing", "version": "v0.9.4", "config": {"path": "/"}});
    let tested = client.post("/sources/test", &source).data();
    let result = &tested["connection_result"];
    assert_eq!(result["status"], "FAILED");
    let words = result["message"].as_str().unwrap();
    assert!(words.contains("no-such-program was not found") && words.contains("OLAKE_CONNECTORS"), "{words}");
    let words = client.post("/source/streams", &source).error(422);
    assert!(words.contains("no-such-program was not found"), "{words}");
    let words = client.get("/sources/spec?type=missing&version=v0.9.4").error(422);
    assert!(words.contains("no-such-program was not found"), "{words}");
}

#[test]
fn a_program_that_is_gone_by_the_time_of_the_sync_fails_it_as_image() {
    let place = Place::new();
    let program = place.path().join("moved-connector");
    symlink(Place::sample_connector(), &program).unwrap();
    place.write_connectors(&program);
    let system = System::standalone_at(place, &[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "moved", Value::Null).create(&system);
    fs::remove_file(&program).unwrap();
    let words = job.start().failed("image");
    assert!(words.contains("moved-connector was not found"), "{words}");
}

#[test]
fn what_no_worker_runs_is_refused_before_anything_is_made() {
    let system = System::standalone(&[]);
    for (kind, version) in [("oracle", "v0.9.4"), ("files", "v0.8.2")] {
        let source = json!({"name": "unknown", "type": kind, "version": version, "config": {"path": "/"}});
        for path in ["/sources/test", "/source/streams", "/sources"] {
            let words = system.client.post(path, &source).error(400);
            assert!(words.starts_with("Bad request: ") && words.contains(kind), "{path}: {words}");
        }
    }
    assert_eq!(system.client.get("/sources").data(), json!([]));
}
