//! `clear-destination` and `discover --difference`, seen from outside.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod connector;

use connector::{Place, list, one_to};
use serde_json::{Value, json};

const CLEAR: &str = "clear-destination --streams streams.json --destination destination.json";

/// With the streams `numbers` and `others`, both synced.
fn synced() -> Place {
    let place = Place::with_rows(50);
    std::fs::write(place.path("data/others.csv"), "id\n1\n2\n").unwrap();
    place.catalog("incremental", "id");
    place.sync().succeeded();
    place
}

/// The catalog, with only `numbers` selected.
fn only_numbers(place: &Place) -> Value {
    let mut catalog = place.json("config/streams.json");
    let list = catalog["selected_streams"]["data"].as_array_mut().unwrap();
    list.retain(|selection| selection["stream_name"] == "numbers");
    catalog
}

#[test]
fn a_clear_removes_what_is_selected_from_the_destination_and_from_the_state() {
    let place = synced();
    place.write("config/clear.json", &only_numbers(&place));
    let others = list(&place.path("lake/files_data/others"));
    let ran =
        place.run(&format!("{} --state state.json", CLEAR.replace("streams.json", "clear.json"))).succeeded();
    let folder = place.path("lake/files_data/numbers");
    let state = place.read("config/state.json");
    let expected = [
        ("DEBUG", "Skipping stream data.others; not in selected streams.".to_owned()),
        ("INFO", "Valid selected streams are data.numbers".to_owned()),
        ("INFO", "State for selected streams cleared successfully.".to_owned()),
        ("INFO", format!("clearing local path: {}", folder.display())),
        ("INFO", "Successfully cleared destination data for selected streams.".to_owned()),
        ("INFO", format!("New saved state: {state}")),
    ];
    let said: Vec<_> = ran.messages().into_iter().map(|(level, text)| (level, text.to_owned())).collect();
    assert_eq!(said, expected);
    assert!(!folder.exists());
    assert_eq!(list(&place.path("lake/files_data/others")), others);
    let state: Value = serde_json::from_str(&state).unwrap();
    let names: Vec<&Value> =
        state["streams"].as_array().unwrap().iter().map(|entry| &entry["stream"]).collect();
    assert_eq!((names, &state["version"]), (vec![&json!("others")], &json!(7)));

    // The next sync loads the stream anew, and goes on with the other one.
    place.sync().succeeded();
    assert_eq!(place.ids(), one_to(50));
    assert_eq!(list(&place.path("lake/files_data/others")), others);
}

#[test]
fn a_clear_without_a_state_leaves_one_without_a_version() {
    let place = synced();
    let ran = place.run(&format!("{CLEAR} --no-save")).succeeded();
    assert_eq!(place.read("tmp/state.json"), r#"{"type":"STREAM"}"#);
    let messages = ran.messages();
    assert_eq!(messages[messages.len() - 2], ("DEBUG", "state is empty"));
    assert_eq!(messages.last(), Some(&("INFO", r#"New saved state: {"type":"STREAM"}"#)));
    let again = place.run(&format!("{CLEAR} --no-save")).succeeded();
    let skipped = again
        .messages()
        .iter()
        .any(|(level, text)| *level == "DEBUG" && text.starts_with("local path does not exist, skipping: "));
    assert!(skipped, "twice is once");
}

#[test]
fn a_clear_of_nothing_fails() {
    let place = synced();
    let mut catalog = place.json("config/streams.json");
    catalog["selected_streams"] = json!({});
    place.write("config/none.json", &catalog);
    let before = place.read("config/state.json");
    let ran = place.run(&format!("{} --state state.json", CLEAR.replace("streams.json", "none.json")));
    assert_eq!(ran.code(), Some(1));
    assert_eq!(ran.fatal(), "failed to get selected streams for clearing: no valid streams found in catalog");
    assert_eq!((place.ids(), place.read("config/state.json")), (one_to(50), before));
}

#[test]
fn a_difference_is_written_beside_the_older_catalog_or_where_no_save_says() {
    let place = synced();
    let mut changed = place.json("config/streams.json");
    for selection in changed["selected_streams"]["data"].as_array_mut().unwrap() {
        if selection["stream_name"] == "numbers" {
            selection["normalization"] = json!(false);
        }
    }
    place.write("config/new.json", &changed);
    let ran = place.run("discover --streams streams.json --difference new.json").succeeded();
    assert_eq!(ran.messages()[0], ("INFO", "Successfully wrote stream differences"));
    let difference = place.json("config/difference_streams.json");
    let [result] = ran.results().try_into().unwrap();
    assert_eq!(result, json!({"type": "CATALOG", "catalog": difference}));
    let streams = difference["streams"].as_array().unwrap();
    assert_eq!((streams.len(), &streams[0]["stream"]["name"]), (1, &json!("numbers")));
    assert_eq!(difference["selected_streams"]["data"][0]["normalization"], false);
    assert!(place.path("home/logs").exists(), "the log is below the working directory");

    place.run("discover --streams streams.json --difference streams.json --no-save").succeeded();
    assert_eq!(place.json("tmp/difference_streams.json"), json!({"selected_streams": {}, "streams": []}));
}
