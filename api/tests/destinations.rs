//! Destinations: what they share with sources, and that their spec and test run in a source's program.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use fake_worker::{FakeWorker, found, spec};
use olake_shared::store::{
    connections::Side,
    tasks::{
        claim::Work,
        input::{OneShot, OneShotResult},
    },
};
use poem::http::Method;
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};

const DESTINATIONS: &str = "/api/v1/project/olake/destinations";

fn destination(name: &str, config: Value) -> Value {
    json!({"name": name, "type": "parquet", "version": "v0.9.4", "config": config})
}

on_both_databases! {
    async fn a_destination_is_made_listed_replaced_and_deleted(app: TestApp) {
        let config = json!({"type": "PARQUET", "writer": {"s3_bucket": "lake", "s3_secret_key": "hunter2"}});
        let made = app.user.post(DESTINATIONS, destination("lake", json!(config.to_string()))).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let echoed: Value = serde_json::from_str(made.data()["config"].as_str().unwrap()).unwrap();
        assert!(echoed["writer"]["s3_secret_key"].as_str().unwrap().starts_with("sealed:"));
        let one = format!("{DESTINATIONS}/{}", made.data()["id"]);
        assert_eq!(app.user.get(&one).await.data()["config"], echoed);
        let changed = app.user.put(&one, destination("lake 2", echoed.clone())).await;
        assert_eq!((changed.status, &changed.data()["config"]), (200, &echoed));
        assert_eq!(app.user.get(DESTINATIONS).await.data()[0]["name"], "lake 2");
        let taken = app.user.post(DESTINATIONS, destination("lake 2", json!({}))).await;
        assert_eq!((taken.status, taken.error().as_str()), (409, "destination name 'lake 2' is not unique"));
        assert_eq!(app.user.delete(&one).await.data(), json!({"name": "lake 2"}));
        assert_eq!(app.user.get(DESTINATIONS).await.data(), json!([]));
    }
}

on_both_databases! {
    async fn a_type_that_no_connector_writes_is_refused(app: TestApp) {
        let worker = FakeWorker::idle(&app.context).await;
        let unknown = json!({"name": "x", "type": "delta", "version": "v0.9.4", "config": {}});
        let refused = app.user.post(DESTINATIONS, unknown).await;
        assert_eq!(
            (refused.status, refused.error().as_str()),
            (400, "Bad request: type: no worker writes 'delta'; known are parquet, iceberg")
        );
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_spec_is_narrowed_to_a_catalog(app: TestApp) {
        let branch = |name: &str| json!({"properties": {"catalog_type": {"const": name}}});
        let form = json!({
            "jsonschema": {"properties": {"writer": {
                "properties": {"catalog_type": {"enum": ["glue", "rest"], "default": "glue"}},
                "dependencies": {"catalog_type": {"oneOf": [branch("glue"), branch("rest")]}},
            }}},
            "uischema": "{}",
        });
        let printed = form.clone();
        let worker = FakeWorker::start(&app.context, move |_, claimed| {
            // The only connector that writes it.
            assert_eq!(claimed.connector_type, "postgres");
            let Work::OneShot(OneShot::Spec { destination_type }) = &claimed.work else { panic!("{claimed:?}") };
            assert_eq!(destination_type.as_deref(), Some("iceberg"));
            Some(spec(claimed, &printed))
        })
        .await;
        let whole = app.user.get(&format!("{DESTINATIONS}/spec?type=ICEBERG&version=v0.9.4")).await;
        assert_eq!((whole.status, &whole.data()["spec"], &whole.data()["catalog"]), (200, &form, &json!("")));
        let rest = app.user.get(&format!("{DESTINATIONS}/spec?type=iceberg&version=v0.9.4&catalog=rest")).await;
        assert_eq!(rest.data()["catalog"], "rest");
        let writer = &rest.data()["spec"]["jsonschema"]["properties"]["writer"];
        assert_eq!(writer["properties"]["catalog_type"]["enum"], json!(["rest"]));
        assert_eq!(writer["dependencies"]["catalog_type"]["oneOf"], json!([branch("rest")]));
        let body = json!({"type": "iceberg", "version": "v0.9.4", "catalog": "none of them"});
        let unknown = app.user.json(Method::GET, &format!("{DESTINATIONS}/spec"), body).await;
        assert_eq!((&unknown.data()["catalog"], &unknown.data()["spec"]), (&json!("none of them"), &form));
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_spec_is_read_once_and_then_needs_no_worker(app: TestApp) {
        let ask = async |kind: &str, version: &str, source_type: &str| {
            let body = json!({"type": kind, "version": version, "source_type": source_type, "source_version": ""});
            app.user.post(&format!("{DESTINATIONS}/spec"), body).await
        };
        assert_eq!(ask("Parquet", "v0.9.4", "").await.status, 503);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let worker = FakeWorker::start(&app.context, move |_, claimed| {
            counted.fetch_add(1, Ordering::SeqCst);
            Some(spec(claimed, &json!({"jsonschema": {"title": claimed.connector_type}, "uischema": "{}"})))
        })
        .await;
        for (source_type, printed_by, so_far) in [("", "files", 1), ("", "files", 1), ("postgres", "postgres", 2), ("postgres", "postgres", 2)] {
            let printed = ask("Parquet", "v0.9.4", source_type).await.expect(200).data();
            assert_eq!((&printed["type"], &printed["spec"]["jsonschema"]["title"]), (&json!("Parquet"), &json!(printed_by)));
            assert_eq!(runs.load(Ordering::SeqCst), so_far);
        }
        worker.leave().await;
        for (source_type, printed_by) in [("", "files"), ("postgres", "postgres")] {
            let kept = ask("PARQUET", "v0.9.4", source_type).await.expect(200).data();
            assert_eq!(kept["spec"]["jsonschema"]["title"], printed_by);
        }
        app.user.get(&format!("{DESTINATIONS}/spec?type=parquet&version=v0.9.4")).await.expect(200);
        for (kind, version, source_type) in [("iceberg", "v0.9.4", ""), ("parquet", "v0.9.3", ""), ("parquet", "v0.9.4", "mysql")] {
            assert_eq!(ask(kind, version, source_type).await.status, 503, "{kind} {version} {source_type}");
        }
        assert_eq!(ask("parquet", "v0.9.4", "two words").await.status, 400);
    }
}

on_both_databases! {
    async fn a_test_runs_in_the_program_of_a_source(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |_, claimed| {
            let Work::OneShot(OneShot::Check { side: Side::Destination, .. }) = &claimed.work else { panic!("{claimed:?}") };
            Some(found(OneShotResult::Check { succeeded: true, message: claimed.connector_type.clone() }))
        })
        .await;
        let tested = |source_type: Option<&str>| {
            let mut body = json!({"type": "parquet", "version": "v0.9.4", "config": {"type": "PARQUET"}});
            if let Some(source_type) = source_type {
                body["source_type"] = json!(source_type);
                body["source_version"] = json!("");
            }
            app.user.post("/api/v1/project/olake/destinations/test", body)
        };
        for (source_type, ran_in) in [(None, "files"), (Some(""), "files"), (Some("postgres"), "postgres")] {
            let answer = tested(source_type).await;
            assert_eq!(answer.data()["connection_result"], json!({"status": "SUCCEEDED", "message": ran_in}));
        }
        let unknown = tested(Some("oracle")).await;
        assert_eq!(
            (unknown.status, unknown.error().as_str()),
            (400, "Bad request: source_type: no worker runs 'oracle'; known are files, postgres")
        );
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_version_that_no_connector_writes_is_refused(app: TestApp) {
        let worker = FakeWorker::idle(&app.context).await;
        let at = |version: &str| json!({"name": "x", "type": "PARQUET", "version": version, "config": {}});
        let expected = "Bad request: version: no worker writes 'PARQUET' at v0.8.0; known are v0.9.4";
        assert_eq!(app.user.post(DESTINATIONS, at("v0.8.0")).await.expect(400).error(), expected);
        let made = app.user.post(DESTINATIONS, at("v0.9.4")).await.expect(200).data();
        let one = format!("{DESTINATIONS}/{}", made["id"]);
        assert_eq!(app.user.put(&one, at("v0.8.0")).await.expect(400).error(), expected);
        worker.leave().await;
    }
}
