//! Which versions a form offers.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use fake_worker::FakeWorker;
use olake_shared::store::workers::{RunnableConnector, Runs};
use serde_json::json;
use support::{TestApp, on_both_databases};

const PROJECT: &str = "/api/v1/project/olake";

async fn offered(app: &TestApp, side: &str, kind: &str) -> Vec<String> {
    let data = app.user.get(&format!("{PROJECT}/{side}/versions?type={kind}")).await.expect(200).data();
    serde_json::from_value(data["version"].clone()).unwrap()
}

fn runs() -> Runs {
    let connector = |version: &str| RunnableConnector {
        connector_type: "postgres".to_owned(),
        version: version.to_owned(),
        destinations: vec!["iceberg".to_owned()],
    };
    Runs { connectors: vec![connector("v0.9.4"), connector("v0.10.0"), connector("v0.8.2")] }
}

on_both_databases! {
    async fn what_workers_run_is_offered_newest_first(app: TestApp) {
        let worker = FakeWorker::start_with(&app.context, runs(), |_, _| None).await;
        for (side, kind) in [("sources", "postgres"), ("destinations", "iceberg"), ("destinations", "ICEBERG")] {
            assert_eq!(offered(&app, side, kind).await, ["v0.10.0", "v0.9.4", "v0.8.2"]);
        }
        worker.leave().await;
    }

    async fn what_workers_once_ran_is_offered_while_none_is_up(app: TestApp) {
        let _worker = FakeWorker::start_with(&app.context, runs(), |_, _| None).await;
        app.execute("UPDATE workers SET lease_until = 1").await;
        app.execute("INSERT INTO spec_cache (type, version, destination_type, spec, created_at) VALUES ('oracle', 'v0.7.0', '', '{}', 1)").await;
        app.execute("INSERT INTO spec_cache (type, version, destination_type, spec, created_at) VALUES ('oracle', 'v0.7.1', 'parquet', '{}', 1)").await;
        assert_eq!(offered(&app, "sources", "postgres").await, ["v0.10.0", "v0.9.4", "v0.8.2"]);
        assert_eq!(offered(&app, "sources", "oracle").await, ["v0.7.1", "v0.7.0"]);
        assert_eq!(offered(&app, "destinations", "parquet").await, ["v0.7.1"]);
    }

    async fn a_form_is_never_without_a_version(app: TestApp) {
        assert_eq!(offered(&app, "sources", "kafka").await, ["v0.9.4"]);
        assert_eq!(offered(&app, "destinations", "parquet").await, ["v0.9.4"]);
        for bad in ["?type=nothing", "", "?type=", "?type=a%20b"] {
            let error = app.user.get(&format!("{PROJECT}/sources/versions{bad}")).await.expect(400).error();
            assert!(error.starts_with("Bad request: type: "), "{error}");
        }
    }

    async fn a_name_is_asked_for_within_its_project_and_kind(app: TestApp) {
        let source = json!({"name": "shop", "type": "postgres", "version": "v0.9.4", "config": {}});
        app.user.post(&format!("{PROJECT}/sources"), source).await.expect(200);
        let ask = |project: &str, kind: &str| {
            let path = format!("/api/v1/project/{project}/check-unique");
            let (user, body) = (app.user.clone(), json!({"name": "shop", "entity_type": kind}));
            async move { user.post(&path, body).await }
        };
        assert_eq!(ask("olake", "source").await.expect(409).error(), "source name 'shop' is not unique");
        assert_eq!(ask("olake", "job").await.expect(200).data(), json!({"unique": true}));
        assert_eq!(ask("123", "source").await.expect(200).data(), json!({"unique": true}));
        ask("olake", "table").await.expect(400);
        app.user.delete(&format!("{PROJECT}/sources/1")).await.expect(200);
        ask("olake", "source").await.expect(200);
    }

    async fn the_settings_of_a_project_are_its_webhook(app: TestApp) {
        let path = format!("{PROJECT}/settings");
        let empty = json!({"id": 0, "project_id": "olake", "webhook_alert_url": ""});
        assert_eq!(app.user.get(&path).await.expect(200).data(), empty);
        let url = "https://hooks.example.com/services/olake";
        let set = json!({"id": 0, "project_id": "olake", "webhook_alert_url": url});
        let answer = app.user.put(&path, set).await.expect(200).data();
        assert_eq!(answer, app.user.get(&path).await.expect(200).data());
        assert_eq!(answer["id"], 1);
        let webhook = app.user.get(&format!("{path}/notifications")).await.expect(200).data();
        assert_eq!((&webhook["url"], &webhook["enabled"], &webhook["format"]), (&answer["webhook_alert_url"], &json!(true), &json!("text")));
        let again = json!({"webhook_alert_url": answer["webhook_alert_url"]});
        assert_eq!(app.user.put(&path, again).await.expect(200).data(), answer);
        let private = app.user.put(&path, json!({"webhook_alert_url": "http://127.0.0.1:9/hook"})).await.expect(400).error();
        assert!(private.starts_with("Bad request: webhook_alert_url: "), "{private}");
        let off = app.user.put(&path, json!({"webhook_alert_url": ""})).await.expect(200).data();
        assert_eq!(off["webhook_alert_url"], "");
        assert_eq!(app.user.get(&format!("{path}/notifications")).await.data()["enabled"], false);
    }
}
