//! Clearing destinations, and saving a job whose streams have changed, with the sample connector.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    job::{Job, NewJob},
    living,
    place::{files_below, one_to},
    system::System,
    waiting::wait_until,
};

/// A second stream beside `numbers`.
fn write_others(system: &System) {
    std::fs::write(system.place.rows().join("others.csv"), "id,word\n5001,other\n5002,other\n").unwrap();
}

/// The job as it is sent to replace it, with these changes.
fn body(job: &Job, changes: &Value) -> Value {
    let shown = job.shown();
    let mut body = json!({
        "name": shown["name"],
        "source": {"id": shown["source"]["id"]},
        "destination": {"id": shown["destination"]["id"]},
        "frequency": shown["frequency"],
        "streams_config": shown["streams_config"],
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The job's catalog, in which `numbers` is not normalized.
fn changed(job: &Job) -> Value {
    let mut catalog = job.shown()["streams_config"].take();
    for (_, list) in catalog["selected_streams"].as_object_mut().unwrap() {
        for selection in list.as_array_mut().unwrap() {
            if selection["stream_name"] == "numbers" {
                selection["normalization"] = json!(false);
            }
        }
    }
    catalog
}

fn kinds(job: &Job) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    job.tasks().iter().rev().map(|task| word(&task["kind"]) + " " + &word(&task["status"])).collect()
}

fn files_of(job: &Job, table: &str) -> Vec<PathBuf> {
    files_below(&job.lake.join("files_rows").join(table))
}

#[test]
fn a_cleared_job_begins_from_the_start() {
    let system = System::standalone(&[]);
    system.place.write_numbers(200);
    write_others(&system);
    let job = NewJob::with_faults(&system, "numbers", Value::Null).create(&system);
    let path = format!("/jobs/{}/clear-destination", job.id);
    assert_eq!(system.client.get(&path).data(), json!({"running": false}));
    job.start().succeeded();
    let mut all = one_to(200);
    all.extend([5001, 5002]);
    assert_eq!(job.ids(), all);

    assert_eq!(system.client.post_nothing(&path).data(), json!({"running": true}));
    let clear = job.newest();
    let ended = clear.succeeded();
    assert_eq!((&ended["kind"], &ended["exit_code"]), (&json!("clear"), &json!(0)), "{ended:#}");
    assert!(job.ids().is_empty());
    assert_eq!(system.client.get(&path).data(), json!({"running": false}));
    let lines = clear.lines();
    assert!(lines.iter().any(|line| line == "Successfully cleared destination data for selected streams."));
    let state = system.client.get(&format!("/jobs/{}/state", job.id)).data();
    assert_eq!(state["state"], Value::Null, "{state:#}");

    assert_eq!(job.start().succeeded()["records_read"], 202);
    assert_eq!(job.ids(), all);
    assert!(system.place.files_of_attempts().is_empty());
}

#[test]
fn a_clear_that_fails_says_why_and_loses_nothing() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "numbers", Value::Null).create(&system);
    job.start().succeeded();
    let none = json!({"streams_config": {"streams": [], "selected_streams": {}}});
    system.client.put(&format!("/jobs/{}", job.id), &body(&job, &none)).data();
    system.client.post_nothing(&format!("/jobs/{}/clear-destination", job.id)).data();
    let words = job.newest().failed("connector");
    assert_eq!(words, "failed to get selected streams for clearing: no valid streams found in catalog");
    assert_eq!(job.ids(), one_to(10));
    let state = system.client.get(&format!("/jobs/{}/state", job.id)).data();
    assert!(state["state"].is_object(), "{state:#}");
}

#[test]
fn changed_streams_are_told_cleared_and_loaded_again() {
    let system = System::standalone(&[]);
    system.place.write_numbers(100);
    write_others(&system);
    let job = NewJob::with_faults(&system, "numbers", Value::Null).create(&system);
    job.start().succeeded();
    let others = files_of(&job, "others");
    assert_eq!(others.len(), 1);

    let path = format!("/jobs/{}/stream-difference", job.id);
    let same = json!({"updated_streams_config": job.shown()["streams_config"]});
    assert_eq!(system.client.post(&path, &same).data(), json!({"difference_streams": {}}));
    let asked = json!({"updated_streams_config": changed(&job).to_string()});
    let difference = system.client.post(&path, &asked).data()["difference_streams"].take();
    assert_eq!(difference["streams"].as_array().unwrap().len(), 1, "{difference:#}");
    assert_eq!(difference["streams"][0]["stream"]["name"], "numbers");

    // Nothing runs: the clear alone is made.
    let changes = json!({"streams_config": changed(&job), "difference_streams": difference.to_string()});
    system.client.put(&format!("/jobs/{}", job.id), &body(&job, &changes)).data();
    job.newest().succeeded();
    assert_eq!(kinds(&job), ["sync succeeded", "clear succeeded"]);
    assert!(files_of(&job, "numbers").is_empty());
    assert_eq!(files_of(&job, "others"), others);
    let next = job.start().succeeded();
    assert_eq!(next["records_read"], 100, "the cleared stream alone is loaded again: {next:#}");
    assert_eq!(files_of(&job, "others"), others);
}

#[test]
fn a_running_sync_is_cancelled_and_made_up_for_across_a_crash() {
    let mut system = System::standalone(&[]);
    system.place.write_numbers(1000);
    let job = NewJob::with_faults(&system, "slow", json!({"take_seconds": 8})).create(&system);
    job.start();
    job.wait_for_rows(100);
    let changes = json!({"difference_streams": job.shown()["streams_config"]});
    let path = format!("/jobs/{}", job.id);
    job.change_source(&json!({"path": system.place.rows()}));
    system.client.put(&path, &body(&job, &changes)).data();
    let refused = system.client.put(&path, &body(&job, &json!({}))).error(409);
    assert!(refused.starts_with("a clear of job 'slow' is running: "), "{refused}");

    system.api.signal(Signal::KILL);
    system.api.ended();
    system.start_again();
    let job = job.seen_by(&system.client);
    wait_until("the chain to end", || kinds(&job) == ["sync cancelled", "clear succeeded", "sync succeeded"]);
    assert_eq!(job.ids(), one_to(1000), "each row is there once");
    assert_eq!(job.newest().shown()["records_read"], 1000, "what was cleared is read again");
    assert!(living::connectors(system.place.path()).is_empty());
    assert!(system.place.files_of_attempts().is_empty());
}

#[test]
fn a_discover_for_a_job_keeps_its_selections() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "numbers", Value::Null).create(&system);
    let changes = json!({"streams_config": changed(&job)});
    system.client.put(&format!("/jobs/{}", job.id), &body(&job, &changes)).data();
    write_others(&system);
    let config = json!({"path": system.place.rows()});
    let asked = json!({"type": "files", "version": "v0.9.4", "config": config, "job_id": job.id});
    let merged = system.client.post("/source/streams", &asked).data()["streams_config"].take();
    let selected = merged["selected_streams"]["rows"].as_array().unwrap().clone();
    assert_eq!(selected.len(), 1, "a new stream is listed, not selected: {merged:#}");
    assert_eq!(
        (&selected[0]["stream_name"], &selected[0]["normalization"]),
        (&json!("numbers"), &json!(false))
    );
    let streams = merged["streams"].as_array().unwrap();
    let databases: Vec<&Value> =
        streams.iter().map(|entry| &entry["stream"]["destination_database"]).collect();
    assert_eq!(databases, ["files:rows", "numbers:rows"], "a new stream's database has the job's name");
}
