//! Which versions a form offers.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use std::time::Duration;

use fake_worker::FakeWorker;
use olake_shared::{
    domain::release::{Product, Release},
    store::workers::{ImageType, RunnableConnector, Runs},
};
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
    Runs {
        connectors: vec![connector("v0.9.4"), connector("v0.10.0"), connector("v0.8.2")],
        ..Runs::default()
    }
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

    async fn tags_of_images_are_offered_beside_what_workers_run(app: TestApp) {
        let tags = |versions: &[&str]| versions.iter().map(|version| version.parse().unwrap()).collect();
        let found = [("postgres".to_owned(), tags(&["v0.10.1", "v0.9.4"])), ("kafka".to_owned(), tags(&["v0.7.0"]))];
        app.context.store.queue().set_image_tags(&found.clone().into()).await.unwrap();
        assert_eq!(offered(&app, "sources", "postgres").await, ["v0.10.1", "v0.9.4"]);
        assert_eq!(offered(&app, "destinations", "PARQUET").await, ["v0.10.1", "v0.9.4", "v0.7.0"]);
        let worker = FakeWorker::start_with(&app.context, runs(), |_, _| None).await;
        let programs = ["v0.10.0", "v0.9.4", "v0.8.2"];
        assert_eq!(offered(&app, "sources", "postgres").await, programs, "it runs no images");
        worker.leave().await;
        let image = |name: &str| ImageType { connector_type: name.to_owned(), destinations: Vec::new() };
        let images = Runs { images: vec![image("postgres"), image("kafka")], ..runs() };
        let worker = FakeWorker::start_with(&app.context, images, |_, _| None).await;
        assert_eq!(offered(&app, "sources", "postgres").await, ["v0.10.1", "v0.10.0", "v0.9.4", "v0.8.2"]);
        let [_, (kafka, _)] = found;
        app.context.store.queue().set_image_tags(&[(kafka, Vec::new())].into()).await.unwrap();
        assert_eq!(offered(&app, "sources", "kafka").await, ["v0.9.4"], "its repository is gone");
        assert_eq!(offered(&app, "sources", "postgres").await[0], "v0.10.1", "what was not read again stays");
        worker.leave().await;
    }

    async fn releases_are_those_that_were_read_last(app: TestApp) {
        let path = "/api/v1/platform/releases";
        let empty = app.user.get(path).await.expect(200).data();
        assert_eq!((&empty["olake"], &empty["olake_ui_worker"]["releases"]), (&json!({"releases": []}), &json!([])));
        let release = |version: &str, day: i64| Release {
            title: format!("Release {version}"),
            version: version.to_owned(),
            description: "what is new".to_owned(),
            link: "https://example.org/news".to_owned(),
            published_at: chrono::DateTime::from_timestamp(day * 86_400, 0).unwrap(),
        };
        let news = [(Product::Olake, vec![release("v0.9.4", 1), release("v0.10.0", 2)]), (Product::OlakeHelm, vec![release("olake-0.1.0", 3)])];
        app.context.store.queue().set_releases(&news).await.unwrap();
        let answer = app.user.get(&format!("{path}?limit=1")).await.expect(200).data();
        let newest = json!({"title": "Release v0.10.0", "version": "v0.10.0", "description": "what is new", "tags": [],
            "date": "1970-01-03T00:00:00Z", "link": "https://example.org/news"});
        assert_eq!(answer["olake"]["releases"], json!([newest]));
        assert_eq!(answer["olake_helm"]["releases"].as_array().unwrap().len(), 1);
        assert_eq!(app.user.get(path).await.expect(200).data()["olake"]["releases"].as_array().unwrap().len(), 2);
        app.context.store.queue().set_releases(&[]).await.unwrap();
        assert_eq!(app.user.get(path).await.expect(200).data(), empty);
        app.user.get(&format!("{path}?limit=0")).await.expect(400);
    }

    async fn one_worker_has_the_turn_to_read_what_is_elsewhere(app: TestApp) {
        let queue = app.context.store.queue();
        let (long, short) = (Duration::from_secs(600), Duration::ZERO);
        let claims = futures::future::join_all((0..8).map(|_| queue.claim_refresh("tags", long))).await;
        assert_eq!(claims.into_iter().filter(|claim| *claim.as_ref().unwrap()).count(), 1);
        assert!(queue.claim_refresh("news", short).await.unwrap(), "each thing has turns of its own");
        assert!(queue.claim_refresh("news", long).await.unwrap(), "the turn of a worker that died runs out");
        queue.settle_refresh("tags", short).await.unwrap();
        assert!(queue.claim_refresh("tags", long).await.unwrap());
        queue.postpone_refresh("tags", long, long).await.unwrap();
        assert!(!queue.claim_refresh("tags", long).await.unwrap());
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
