//! What the system is for: rows from a source in a destination, again and again.

use serde_json::{Value, json};

use crate::support::{
    job::NewJob,
    place::{files_below, one_to},
    system::System,
};

#[test]
fn one_process_does_the_main_job() {
    do_the_main_job(&System::standalone(&[]));
}

#[test]
fn the_services_do_the_main_job() {
    do_the_main_job(&System::services(2, &[]));
}

fn do_the_main_job(system: &System) {
    let (client, place) = (&system.client, &system.place);
    place.write_numbers(1000);
    let source =
        json!({"type": "files", "version": "v0.9.4", "config": {"path": place.rows(), "batch_size": 100}});
    let destination = json!({
        "type": "parquet", "version": "v0.9.4",
        "config": {"type": "PARQUET", "writer": {"local_path": place.path().join("tested")}},
    });
    let form = client.get("/sources/spec?type=files&version=v0.9.4").data();
    assert!(form["spec"].to_string().contains("batch_size"), "{form}");
    for (what, body) in [("sources", &source), ("destinations", &destination)] {
        let tested = client.post(&format!("/{what}/test"), body).data();
        assert_eq!(tested["connection_result"]["status"], "SUCCEEDED", "{tested}");
        assert_eq!(tested["config"], body["config"], "it is echoed");
        assert!(!tested["logs"].as_array().unwrap().is_empty(), "{tested}");
    }

    let job = NewJob::with_faults(system, "numbers", Value::Null).create(system);
    assert!(job.shown().get("last_run_state").is_none(), "it never ran");
    let first = job.start();
    let ended = first.succeeded();
    assert_eq!(job.ids(), one_to(1000));
    assert_eq!((&ended["kind"], &ended["trigger"]), (&json!("sync"), &json!("manual")));
    assert_eq!((&ended["records_read"], &ended["exit_code"]), (&json!(1000), &json!(0)));
    assert!(ended["bytes_read"].as_i64().unwrap() > 0, "{ended:#}");
    assert!(ended.get("failure_message").is_none(), "{ended:#}");
    let [attempt] = ended["attempts"].as_array().unwrap().as_slice() else { panic!("{ended:#}") };
    assert!(attempt["connector_started_at"].is_string() && attempt["ended_at"].is_string(), "{attempt:#}");
    let lines = first.lines();
    assert_eq!(ended["log_lines"], lines.len());
    assert!(lines.last().unwrap().starts_with("Total records read: 1000"), "{lines:#?}");
    assert_eq!(job.shown()["last_run_state"], "succeeded");

    let files = files_below(&job.lake);
    let second = job.start().succeeded();
    assert_eq!(second["records_read"], 0, "the second sync takes up from the first one's state");
    assert_eq!(files_below(&job.lake), files);

    place.write_numbers(1010);
    let third = job.start();
    assert_eq!(third.succeeded()["records_read"], 10, "the new rows and no others");
    assert_eq!(job.ids(), one_to(1010));
    let listed: Vec<Value> = job.tasks().iter().map(|task| task["status"].clone()).collect();
    assert_eq!(listed, ["succeeded", "succeeded", "succeeded"]);
    assert_eq!(job.tasks()[0]["id"], third.id, "the newest is the first");
    assert!(place.files_of_attempts().is_empty(), "{:?}", place.files_of_attempts());
}
