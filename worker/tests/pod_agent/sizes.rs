//! Large states and catalogs.

use std::fmt::Write;

use olake_shared::store::jobs::JobInput;

use super::{
    samples,
    stage::{Stage, until},
};

/// A state of about 3 MB with 20,000 chunks, whose numbers a double does not hold.
fn large_state(round: u64) -> String {
    let mut text =
        format!("{{\"type\":\"STREAM\",\"version\":7,\"round\": {round},\"streams\":[{{\"chunks\":[");
    for chunk in 0..20_000_u64 {
        let (min, max) = (9_007_199_254_740_993 + chunk, 90_071_992_547_409_930_000_u128 + u128::from(chunk));
        let comma = if chunk == 0 { "" } else { "," };
        let rest = "of a chunk that is still to be read, with a name that is long enough to count";
        write!(text, "{comma}{{\"min\":{min},\"max\": {max},\"cursor\":1.50,\"{rest}\":null}}").unwrap();
    }
    text + "]}]}\n"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_state_comes_to_the_byte() {
    let stage = Stage::new().await;
    let pod = stage.pod("a");
    let agent = pod.start_open().await;
    let mut connector = pod.connector();
    for round in 0..3 {
        let state = large_state(round);
        assert!(state.len() > 2_900_000, "{}", state.len());
        connector.state(&state);
        connector.log(10);
        until("the state is stored", async || stage.state().await.as_ref() == Some(&state)).await;
    }
    stage.connector_ended();
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
    stage.assert_log_is(30).await;
    assert_eq!(stage.record().await.unwrap().state, Some(large_state(2)));
}

/// A catalog of 5,000 streams, about as large as a real one.
fn large_catalog() -> String {
    let mut text = String::from("{\"selected_streams\":{\"public\":[]},\"streams\":[");
    for stream in 0..5_000 {
        let comma = if stream == 0 { "" } else { "," };
        let mut columns = String::new();
        for column in 0..20 {
            let comma = if column == 0 { "" } else { "," };
            write!(columns, "{comma}\"column_{column}\":{{\"type\":[\"null\",\"string\"],\"max\":{stream}}}")
                .unwrap();
        }
        write!(
            text,
            "{comma}{{\"stream\":{{\"name\":\"table_{stream}\",\"namespace\":\"public\",\"type_schema\":\
             {{\"properties\":{{{columns}}}}},\"sync_mode\":\"cdc\",\"id\": 12345678901234567890}}}}"
        )
        .unwrap();
    }
    text + "]}\n"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_of_5000_streams_comes_in_and_goes_out_to_the_byte() {
    let catalog = large_catalog();
    assert!(catalog.len() > 5_000_000, "{}", catalog.len());
    let job = JobInput { streams_config: catalog.clone(), ..samples::job("j") };
    let stage = Stage::with(job, None).await;
    let pod = stage.pod("a");
    let agent = pod.start_open().await;
    let given = std::fs::read_to_string(pod.inputs().join("streams.json")).unwrap();
    assert!(given == catalog, "the catalog was changed on its way");
    pod.connector().file("streams.json", &catalog);
    pod.connector().file("difference_streams.json", &catalog);
    stage.connector_ended();
    assert_eq!(agent.code().await, 0, "{}", pod.stderr());
    let record = stage.record().await.unwrap();
    assert!(record.streams.as_ref() == Some(&catalog) && record.difference.as_ref() == Some(&catalog));
}
