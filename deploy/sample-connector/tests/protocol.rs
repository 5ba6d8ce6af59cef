//! The connector's side of the protocol, seen from outside: arguments, lines, files, exit codes. Syncs are in
//! `sync.rs`.

mod connector;

use std::os::unix::fs::PermissionsExt;

use connector::{Place, list};
use serde_json::{Value, json};

#[test]
fn what_a_version_does_not_know_ends_with_1_and_not_a_byte() {
    let known = [
        ("spec", "v0.2.0"),
        ("spec --destination-type parquet", "v0.2.0"),
        ("spec --no-save", "v0.2.1"),
        ("check --config missing.json", "v0.1.0"),
        ("check --config missing.json --no-save", "v0.2.1"),
        ("discover --config missing.json --catalog streams.json", "v0.1.0"),
        ("discover --config missing.json --destination-database-prefix job", "v0.2.0"),
        ("discover --config missing.json --max-discover-threads 5", "v0.3.18"),
        ("sync --config missing.json --destination d.json --catalog c.json --state s.json", "v0.1.0"),
        ("sync --config missing.json --destination d.json --catalog c.json --no-save", "v0.2.1"),
        ("check --frob", "never"),
        ("discover --config missing.json --state s.json", "never"),
        ("clear-destination --streams s.json --destination d.json", "v0.3.0"),
        ("clear-destination --streams s.json --destination d.json --state s.json --no-save", "v0.3.0"),
        ("clear-destination --streams s.json --config d.json", "never"),
        ("discover --streams a.json --difference b.json", "v0.3.0"),
        ("discover --streams a.json --difference b.json --no-save", "v0.3.0"),
        ("frob", "never"),
        ("", "never"),
    ];
    let versions =
        ["v0.1.0", "v0.2.0", "v0.2.1", "v0.3.0", "v0.3.17", "v0.3.18", "v0.7.3", "v0.8.2", "v0.9.4"];
    let number =
        |version: &str| -> Vec<u32> { version[1..].split('.').map(|part| part.parse().unwrap()).collect() };
    for version in versions {
        let place = Place::with_rows(1).version(version);
        for (line, since) in known {
            let ran = place.run(line);
            if since != "never" && number(version) >= number(since) {
                assert!(!ran.messages().is_empty(), "{version}: {line}");
            } else {
                assert_eq!(
                    (ran.code(), ran.stdout.as_str(), ran.stderr.as_str()),
                    (Some(1), "", ""),
                    "{version}: {line}"
                );
            }
        }
    }
}

#[test]
fn an_unknown_flag_leaves_no_file_either() {
    let place = Place::with_rows(1);
    place.run("check --config source.json --frob");
    assert!(!place.path("config/logs").exists());
}

#[test]
fn spec_is_one_line_with_a_schema_and_hints_for_a_form() {
    for line in ["spec", "spec --destination-type parquet"] {
        let place = Place::with_rows(1);
        let ran = place.run(line).succeeded();
        let [spec] = ran.results().try_into().unwrap();
        assert!(spec["jsonschema"]["properties"].is_object());
        assert!(serde_json::from_str::<Value>(spec["uischema"].as_str().unwrap()).unwrap().is_object());
        assert_eq!(place.log("home")[0]["message"], spec, "the log is below the working directory");
    }
    let unknown = Place::with_rows(1).run("spec --destination-type iceberg");
    assert_eq!(unknown.code(), Some(1));
    assert!(unknown.fatal().contains("iceberg"));
}

#[test]
fn a_check_says_succeeded() {
    let place = Place::with_rows(1);
    for line in ["check --config source.json", "check --destination destination.json"] {
        let ran = place.run(line).succeeded();
        let expected = json!({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}});
        assert_eq!(ran.results(), [expected], "{line}");
    }
    assert!(list(&place.path("lake")).is_empty(), "the probe leaves nothing behind");
}

#[test]
fn a_failed_check_ends_with_0_before_v0_9_0_and_with_1_since() {
    for (version, code) in [("v0.8.2", 0), ("v0.9.0", 1), ("v0.9.4", 1)] {
        let place = Place::with_rows(1).version(version);
        place.source(json!({"path": place.path("nowhere")}));
        let ran = place.run("check --config source.json");
        assert_eq!(ran.code(), Some(code), "{version}");
        let [status] = ran.results().try_into().unwrap();
        assert_eq!(status["connectionStatus"]["status"], "FAILED");
        assert!(status["connectionStatus"]["message"].as_str().unwrap().contains("nowhere"));
        assert_eq!(ran.fatal().is_empty(), code == 0, "{version}");
    }
}

#[test]
fn a_check_of_a_destination_says_what_is_wrong() {
    let place = Place::with_rows(1);
    for (config, words) in [
        (json!({"type": "PARQUET", "writer": {"local_path": "/proc/nope"}}), "mkdir /proc/nope"),
        (json!({"type": "PARQUET", "writer": {}}), "local_path"),
        (json!({"type": "ICEBERG", "writer": {"local_path": "/tmp"}}), "ICEBERG"),
    ] {
        place.write("config/bad.json", &config);
        let ran = place.run("check --destination bad.json");
        assert_eq!(ran.code(), Some(1));
        assert_eq!(ran.results()[0]["connectionStatus"]["status"], "FAILED");
        assert!(
            ran.fatal().starts_with("failed to test destination") && ran.fatal().contains(words),
            "{}",
            ran.fatal()
        );
    }
}

#[test]
fn a_config_that_cannot_be_read_gives_only_a_fatal_line_without_its_content() {
    let place = Place::with_rows(1).version("v0.8.2");
    for content in [r#"{"password": "s3cret", "#, r#"{"password": 53, "path": "/s3cret"}"#, r#"["s3cret"]"#] {
        std::fs::write(place.path("config/bad.json"), content).unwrap();
        let ran = place.run("check --config bad.json");
        assert_eq!(ran.code(), Some(1));
        let messages = ran.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(
            ran.fatal().starts_with("failed to unmarshal file[") && !ran.stdout.contains("s3cret"),
            "{}",
            ran.fatal()
        );
    }
    assert!(place.run("check --config missing.json").fatal().contains("missing.json"));
}

#[test]
fn the_log_file_has_the_same_messages_and_is_private() {
    let place = Place::with_rows(1);
    let ran = place.run("check --config source.json").succeeded();
    let log = place.log("config");
    assert_eq!(log.len(), ran.messages().len());
    for (line, (level, text)) in log.iter().zip(ran.messages()) {
        assert_eq!(line["level"], level.to_lowercase());
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
        let message = line["message"].as_str().map_or_else(|| line["message"].clone(), |text| json!(text));
        let expected =
            serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or_else(|| json!(text));
        assert_eq!(message, expected);
    }
    let mode = std::fs::metadata(place.log_file("config")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn discover_writes_the_catalog_in_the_shape_of_the_real_connectors() {
    let place = Place::with_rows(30);
    std::fs::write(place.path("data/words.jsonl"), "{\"word\": \"a\", \"n\": 1}\n{\"word\": \"a\"}\n")
        .unwrap();
    let ran = place.run("discover --config source.json").succeeded();
    let catalog = place.json("config/streams.json");
    assert_eq!(ran.results(), [json!({"type": "CATALOG", "catalog": catalog})]);

    let stream = &catalog["streams"][0]["stream"];
    let keys: Vec<&String> = stream.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "name",
            "namespace",
            "type_schema",
            "supported_sync_modes",
            "source_defined_primary_key",
            "available_cursor_fields",
            "cursor_field",
            "sync_mode",
            "destination_database",
            "destination_table",
            "default_stream_properties",
        ]
    );
    let types = &stream["type_schema"]["properties"];
    for (column, kinds) in [
        ("id", json!(["integer"])),
        ("at", json!(["timestamp"])),
        ("half", json!(["number"])),
        ("even", json!(["boolean"])),
        ("word", json!(["string", "null"])),
        ("_olake_timestamp", json!(["timestamp_micro", "null"])),
    ] {
        assert_eq!(types[column]["type"], kinds, "{column}");
    }
    assert_eq!(stream["source_defined_primary_key"], json!(["id"]));
    assert_eq!(stream["destination_database"], "files:data");
    let words = &catalog["streams"][1]["stream"];
    assert_eq!((&words["sync_mode"], words.get("cursor_field")), (&json!("full_refresh"), None));
    let names: Vec<&Value> =
        catalog["selected_streams"]["data"].as_array().unwrap().iter().map(|s| &s["stream_name"]).collect();
    assert_eq!(names, ["numbers", "words"]);
}

#[test]
fn discover_merges_selections_into_the_file_but_not_into_the_line() {
    let place = Place::with_rows(30);
    place.catalog("full_refresh", "at");
    std::fs::write(place.path("data/words.jsonl"), "{\"word\": \"a\"}\n").unwrap();
    let ran = place
        .run("discover --config source.json --catalog streams.json --destination-database-prefix job --max-discover-threads 1")
        .succeeded();
    let merged = place.json("config/streams.json");
    assert_eq!(merged["selected_streams"]["data"].as_array().unwrap().len(), 1);
    assert_eq!(merged["streams"][0]["stream"]["sync_mode"], "full_refresh");
    assert_eq!(merged["streams"][0]["stream"]["cursor_field"], "at");
    assert_eq!(merged["streams"][0]["stream"]["destination_database"], "files:data");
    assert_eq!(merged["streams"][1]["stream"]["destination_database"], "job:data");
    let line = &ran.results()[0]["catalog"];
    assert_eq!(line["selected_streams"]["data"].as_array().unwrap().len(), 2);
    assert_eq!(line["streams"][0]["stream"]["sync_mode"], "incremental");
}

#[test]
fn with_no_save_nothing_is_written_beside_the_inputs() {
    let place = Place::with_rows(150);
    place.catalog("incremental", "id");
    std::fs::remove_dir_all(place.path("config/logs")).unwrap();
    let before = list(&place.path("config"));
    let line = "--config source.json --catalog streams.json --no-save";
    place.run(&format!("sync --destination destination.json {line}")).succeeded();
    place.run(&format!("discover {line}")).succeeded();
    place.run("check --config source.json --no-save").succeeded();
    place.run("spec --no-save").succeeded();
    assert_eq!(list(&place.path("config")), before);
    assert!(list(&place.path("home")).is_empty());
    for file in ["logs", "state.json", "stats.json", "streams.json"] {
        assert!(place.path("tmp").join(file).exists(), "{file}");
    }
}

#[test]
fn the_version_played_is_named() {
    let place = Place::with_rows(1);
    let first = place.run("discover --config source.json");
    assert_eq!(first.messages()[0].1, "Ruuning OLake sync with version v0.9.4");
    let place = place.version("v0.7.3");
    let first = place.run("discover --config source.json");
    assert_eq!(first.messages()[0].1, "Ruuning OLake sync with version v0.7.3");
}
