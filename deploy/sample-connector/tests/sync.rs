//! Syncs, seen from outside: the rows in the Parquet files, state, stats, and what SIGTERM leaves.

mod connector;

use std::path::Path;

use connector::{Place, Ran, one_to, send, value};
use parquet::record::Field;
use rustix::process::Signal;
use serde_json::{Value, json};

#[test]
fn a_full_refresh_replaces_the_data_and_keeps_no_state() {
    let place = Place::with_rows(250);
    place.catalog("full_refresh", "");
    place.sync().succeeded();
    assert_eq!(place.ids(), one_to(250));
    place.write_numbers(1, 120);
    let ran = place.sync().succeeded();
    assert_eq!(place.ids(), one_to(120));
    assert!(!place.path("config/state.json").exists());
    let (_, last) = *ran.messages().last().unwrap();
    assert!(last.starts_with("Total records read: 120 | Total bytes read: "), "{last}");
    assert!(last.ends_with(" KB"), "{last}");
}

#[test]
fn parquet_columns_have_the_types_of_the_catalog() {
    let place = Place::with_rows(3);
    place.catalog("full_refresh", "");
    place.sync().succeeded();
    let rows = place.rows("lake/files_data/numbers");
    let row = rows.iter().find(|row| *value(row, "id") == Field::Long(3)).unwrap();
    assert_eq!(*value(row, "half"), Field::Double(3.5));
    assert_eq!(*value(row, "even"), Field::Bool(false));
    assert_eq!(*value(row, "word"), Field::Null);
    assert_eq!(*value(row, "at"), Field::TimestampMicros(1_704_067_200_000_000));
    assert_eq!(*value(row, "_op_type"), Field::Str("r".to_owned()));
    assert!(matches!(value(row, "_olake_id"), Field::Str(id) if id.len() == 32));
    assert!(matches!(value(row, "_olake_timestamp"), Field::TimestampMicros(_)));
}

#[test]
fn a_selection_without_normalization_keeps_rows_as_json() {
    let place = Place::with_rows(1);
    place.catalog("full_refresh", "");
    let mut catalog = place.json("config/streams.json");
    catalog["selected_streams"]["data"][0]["normalization"] = json!(false);
    catalog["selected_streams"]["data"][0]["selected_columns"]["columns"] = json!(["id", "word"]);
    place.write("config/streams.json", &catalog);
    place.sync().succeeded();
    let [row] = place.rows("lake/files_data/numbers").try_into().unwrap();
    assert_eq!(*value(&row, "data"), Field::Str(r#"{"id":1,"word":"w1"}"#.to_owned()));
    assert_eq!(row.len(), 4);
}

#[test]
fn an_incremental_sync_takes_up_from_its_state() {
    let place = Place::with_rows(250);
    place.catalog("incremental", "id");
    place.sync().succeeded();
    let expected = |id: u64| {
        let stream = r#"{"stream":"numbers","namespace":"data","sync_mode":"","state":{"chunks":[],"id":"#;
        format!(r#"{{"type":"STREAM","version":7,"streams":[{stream}{id}}}}}]}}"#)
    };
    assert_eq!(place.read("config/state.json"), expected(250));

    place.write_numbers(200, 330);
    let ran = place.sync().succeeded();
    assert!(ran.stdout.contains("Total records read: 80 |"), "{}", ran.stdout);
    assert_eq!(place.ids(), one_to(330));
    assert_eq!(place.read("config/state.json"), expected(330));

    let ran = place.sync().succeeded();
    assert!(ran.stdout.ends_with("Total records read: 0 | Total bytes read: 0 B\n"), "{}", ran.stdout);
    assert_eq!(place.ids(), one_to(330));
}

#[test]
fn rows_without_a_cursor_value_are_read_once() {
    let place = Place::with_rows(1);
    std::fs::write(place.path("data/numbers.csv"), "id,at\n1,\n2,2024-01-01\n3,\n4,2024-01-02\n").unwrap();
    place.source(json!({"batch_size": 1}));
    place.catalog("incremental", "at");
    place.sync().succeeded();
    place.sync().succeeded();
    assert_eq!(place.ids(), one_to(4));
    let state = &place.json("config/state.json")["streams"][0]["state"];
    assert_eq!(state["at"], "2024-01-02T00:00:00.000000000Z");
}

#[test]
fn sigterm_ends_a_sync_with_1_and_the_next_one_loses_and_doubles_nothing() {
    for cursor in ["id", "at"] {
        let place = Place::with_rows(2000);
        place.catalog("incremental", cursor);
        place.faults(json!({"take_seconds": 100}));
        let child = place.start_sync();
        place.wait_for_state();
        send(&child, Signal::TERM);
        let ran = Ran::of(child);
        assert_eq!(ran.code(), Some(1), "{}", ran.stdout);
        assert!(ran.fatal().ends_with("context canceled"), "{}", ran.fatal());
        let first = place.ids().len();
        assert!((100..2000).contains(&first), "{first}");

        place.faults(json!({}));
        place.sync().succeeded();
        assert_eq!(place.ids(), one_to(2000), "{cursor}");
    }
}

#[test]
fn sigterm_kills_versions_before_v0_7_4() {
    for (version, code, signal) in [("v0.7.3", None, Some(15)), ("v0.7.4", Some(1), None)] {
        let place = Place::with_rows(2000).version(version);
        place.catalog("incremental", "id");
        place.faults(json!({"take_seconds": 100}));
        let child = place.start_sync();
        place.wait_for_state();
        send(&child, Signal::TERM);
        let ran = Ran::of(child);
        assert_eq!((ran.code(), ran.signal()), (code, signal), "{version}");
    }
}

#[test]
fn stats_have_the_keys_of_the_real_connectors() {
    let place = Place::with_rows(150);
    place.catalog("full_refresh", "");
    place.sync().succeeded();
    let stats = place.json("config/stats.json");
    let keys: Vec<&String> = stats.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "Bytes Read",
            "CPU Utilization",
            "Estimated Remaining Time",
            "Memory Usage Bytes",
            "Seconds Elapsed",
            "Speed",
            "Synced Records",
            "Writer Threads",
        ]
    );
    assert_eq!(stats["Synced Records"], 150);
}

#[test]
fn stats_are_written_while_it_runs() {
    let place = Place::with_rows(2000);
    place.catalog("full_refresh", "");
    place.faults(json!({"take_seconds": 100}));
    let child = place.start_sync();
    connector::wait_for("stats", || {
        let text = std::fs::read_to_string(place.path("config/stats.json")).unwrap_or_default();
        serde_json::from_str::<Value>(&text).is_ok_and(|stats| stats["Synced Records"].as_u64() > Some(0))
    });
    send(&child, Signal::TERM);
    assert_eq!(Ran::of(child).code(), Some(1));
}

#[test]
fn an_empty_state_file_is_an_error_and_an_empty_object_is_none() {
    let place = Place::with_rows(10);
    place.catalog("incremental", "id");
    std::fs::write(place.path("config/state.json"), "").unwrap();
    let ran = place.sync();
    assert_eq!((ran.code(), ran.messages().len()), (Some(1), 1));
    assert!(ran.fatal().starts_with("failed to unmarshal file["), "{}", ran.fatal());
    std::fs::write(place.path("config/state.json"), "{}").unwrap();
    place.sync().succeeded();
    assert_eq!(place.ids(), one_to(10));
    assert_eq!(place.json("config/state.json").get("version"), None);
}

#[test]
fn a_catalog_that_does_not_fit_the_source_is_refused_before_anything_is_dropped() {
    let place = Place::with_rows(10);
    place.catalog("full_refresh", "");
    place.sync().succeeded();
    std::fs::write(place.path("data/words.jsonl"), "{\"word\": \"a\"}\n").unwrap();
    place.catalog("full_refresh", "");
    std::fs::remove_file(place.path("data/words.jsonl")).unwrap();
    let ran = place.sync();
    assert_eq!(ran.code(), Some(1));
    assert_eq!(ran.fatal(), "stream data.words does not exist");
    assert_eq!(place.ids(), one_to(10));
}

#[test]
fn the_data_set_is_synced_whole() {
    let place = Place::with_rows(1);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    place.source(json!({"path": data, "batch_size": 1000}));
    place.run("discover --config source.json").succeeded();
    let ran = place.sync().succeeded();
    assert!(ran.stdout.contains("Total records read: 8399 |"), "{}", ran.stdout);
    assert_eq!(place.rows("lake/files_data/transitions").len(), 8087);
    assert_eq!(place.rows("lake/files_data/zones").len(), 312);
    assert_eq!(place.json("config/state.json")["streams"][0]["state"]["id"], 8087);
}
