//! The part of another source type (`--as TYPE`), seen from outside.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod connector;

use connector::{Place, Ran};
use serde_json::{Value, json};

/// A place with a config and a destination that this connector itself could do nothing with, and a catalog to serve.
fn place() -> Place {
    let place = Place::with_rows(1).version("v0.7.4");
    place.write(
        "config/source.json",
        &json!({"host": "db", "batch_size": "many", "path": 5, "password": "correct horse"}),
    );
    place.write("config/destination.json", &json!({"type": "ICEBERG", "writer": {"catalog_type": "glue"}}));
    place.write("config/served.json", &served());
    place
}

fn served() -> Value {
    let stream = |name: &str| json!({"stream": {"name": name, "namespace": "public", "sync_mode": "cdc"}});
    json!({
        "streams": [stream("orders"), stream("people")],
        "selected_streams": {"public": [{"stream_name": "orders"}, {"stream_name": "people"}]},
    })
}

fn play(place: &Place, line: &str) -> Ran {
    place.run(&format!("--as postgres --catalog-file served.json --unreachable-host badhost {line}"))
}

#[test]
fn a_part_has_forms_for_its_source_and_for_every_destination() {
    let place = place();
    for (line, title) in [("spec", "postgres"), ("spec --destination-type iceberg", "Writer Settings")] {
        let ran = play(&place, line).succeeded();
        let [spec] = ran.results().try_into().unwrap();
        assert_eq!(spec["jsonschema"]["title"], title);
        assert!(serde_json::from_str::<Value>(spec["uischema"].as_str().unwrap()).unwrap().is_object());
    }
}

#[test]
fn a_part_takes_any_config_but_that_of_the_unreachable_host() {
    let place = place();
    let status = |line: &str| {
        let ran = play(&place, line);
        let [result] = ran.results().try_into().unwrap();
        (ran.code(), result["connectionStatus"]["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(status("check --config source.json"), (Some(0), "SUCCEEDED".to_owned()));
    assert_eq!(status("check --destination destination.json"), (Some(0), "SUCCEEDED".to_owned()));
    place.write("config/source.json", &json!({"host": "badhost"}));
    assert_eq!(status("check --config source.json"), (Some(0), "FAILED".to_owned()));
    let newer = place.version("v0.9.4");
    let failed = play(&newer, "check --config source.json");
    assert_eq!(
        (failed.code(), failed.fatal()),
        (Some(1), "failed to connect: dial tcp: lookup badhost: no such host")
    );
}

#[test]
fn a_part_serves_its_catalog_and_keeps_the_selections_of_a_job() {
    let place = place();
    let ran = play(&place, "discover --config source.json --no-save").succeeded();
    assert_eq!(place.json("tmp/streams.json"), served());
    assert!(ran.results().contains(&json!({"type": "CATALOG", "catalog": served()})));
    let mut of_job = served();
    of_job["selected_streams"]["public"].as_array_mut().unwrap().remove(0);
    place.write("config/streams.json", &of_job);
    play(&place, "discover --config source.json --catalog streams.json --no-save").succeeded();
    assert_eq!(place.json("tmp/streams.json"), of_job);
    let none = place.run("--as postgres discover --config source.json --no-save");
    assert_eq!((none.code(), none.fatal()), (Some(1), "--catalog-file not passed"));
}

#[test]
fn a_part_syncs_no_rows_and_clears_what_its_state_has() {
    let place = place();
    place.write("config/streams.json", &served());
    let files = "--destination destination.json --no-save";
    let ran = play(&place, &format!("sync --config source.json --catalog streams.json {files}")).succeeded();
    assert_eq!(ran.messages().last(), Some(&("INFO", "Total records read: 0 | Total bytes read: 0 B")));
    let state = place.json("tmp/state.json");
    assert_eq!(state["streams"].as_array().unwrap().len(), 2, "{state}");
    place.write("config/state.json", &state);
    let mut one = served();
    one["selected_streams"]["public"].as_array_mut().unwrap().remove(0);
    place.write("config/one.json", &one);
    play(&place, &format!("clear-destination --streams one.json --state state.json {files}")).succeeded();
    let left = place.json("tmp/state.json");
    assert_eq!(
        (&left["streams"][0]["stream"], left["streams"].as_array().unwrap().len()),
        (&json!("orders"), 1)
    );
}

#[test]
fn a_part_without_a_selected_stream_fails() {
    let place = place();
    place.write("config/streams.json", &json!({"streams": [], "selected_streams": {}}));
    let line = "sync --config source.json --destination destination.json --catalog streams.json";
    let ran = play(&place, line);
    assert_eq!((ran.code(), ran.fatal()), (Some(1), "no valid streams found in catalog"));
}
