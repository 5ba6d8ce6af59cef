//! Lists that are longer than a batch of rows, and than what is kept.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::Duration;

use futures::StreamExt;
use olake_api::server;
use poem::{Body, http::Method};
use serde_json::{Value, json};
use support::{Reply, TestApp, on_both_databases};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const JOBS: &str = "/api/v1/project/olake/jobs";
const COUNT: usize = 3_000;
/// So long that the list as contract clients get it is far longer than what is kept, or waits in a socket.
const CATALOG: usize = 10_000;

/// Makes so many jobs that have run, the first by the API and the others as copies of it.
async fn furnish(app: &TestApp) {
    let side = |name: &str, kind: &str| json!({"name": name, "type": kind, "version": "v0.9.4", "config": {"host": "db"}});
    let job = json!({"name": "job 0", "source": side("shop", "postgres"), "destination": side("lake", "parquet"),
        "frequency": "0 1 * * *", "streams_config": {"streams": [], "note": "x".repeat(CATALOG)}});
    app.user.post(JOBS, job).await.expect(200);
    let task = "01890a5dac96774bbcceb302099a8057";
    let task = match app.context.store.connection().get_database_backend() {
        sea_orm::DbBackend::Postgres => format!("'{task}'::uuid"),
        _ => format!("x'{task}'"),
    };
    app.execute(&format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {})
         INSERT INTO jobs (project_id, name, source_id, destination_id, frequency, streams_config, activate, advanced_settings,
             revision, created_at, updated_at, created_by, updated_by)
         SELECT project_id, 'job ' || n, source_id, destination_id, frequency, streams_config, activate, advanced_settings, 1,
             created_at + n, updated_at + n, created_by, updated_by FROM jobs, numbers WHERE id = 1",
        COUNT - 1
    ))
    .await;
    app.execute(&format!(
        "UPDATE jobs SET last_task_id = {task}, last_run_time = created_at, last_run_state = 'succeeded', last_run_type = 'sync'"
    ))
    .await;
}

/// The items of a list, which has all jobs, newest first.
fn items(reply: &Reply) -> Vec<Value> {
    let mut body = reply.json();
    assert_eq!((&body["success"], &body["message"]), (&json!(true), &json!(format!("{COUNT} found"))));
    let Value::Array(items) = body["data"].take() else { panic!("no list") };
    let names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
    let all: Vec<_> = (0..COUNT).rev().map(|n| format!("job {n}")).collect();
    assert_eq!(names, all);
    items
}

on_both_databases! {
    async fn each_item_of_a_long_list_has_the_form_of_its_client(app: TestApp) {
        furnish(&app).await;
        let ui = app.user.with_header("X-OLake-Profile", "ui");
        // As it is made, and as it is kept.
        for _ in 0..2 {
            let shown = ui.get(JOBS).await.expect(200);
            assert_eq!(shown.header("content-length"), Some(shown.text.len().to_string().as_str()));
            for item in items(&shown) {
                assert_eq!((item.get("streams_config"), item["source"].get("config")), (None, None));
                assert_eq!(item["last_run_state"], "Completed");
            }
        }
        // Too long to be kept.
        for _ in 0..2 {
            let native = app.user.get(JOBS).await.expect(200);
            assert_eq!(native.header("content-length"), None);
            assert!(native.header("etag").is_some());
            for item in items(&native) {
                assert_eq!(item["streams_config"]["note"].as_str().unwrap().len(), CATALOG);
                assert_eq!((&item["source"]["config"], &item["last_run_state"]), (&json!({"host": "db"}), &json!("succeeded")));
            }
        }
        let tag = app.user.open(JOBS).await.headers().get("etag").unwrap().to_str().unwrap().to_owned();
        assert_eq!(app.user.with_header("If-None-Match", &tag).get(JOBS).await.status, 304);
        app.user.send(Method::HEAD, JOBS, None, Body::empty()).await.expect(200);
    }

    async fn a_list_that_cannot_be_read_to_its_end_breaks_off(app: TestApp) {
        furnish(&app).await;
        let response = app.user.open(JOBS).await;
        assert_eq!(response.status().as_u16(), 200);
        app.execute("ALTER TABLE jobs RENAME TO jobs_that_are_gone").await;
        let mut parts = Box::pin(response.into_body().into_bytes_stream());
        let mut length = 0;
        let error = loop {
            match parts.next().await.expect("it ended as if it were whole") {
                Ok(part) => length += part.len(),
                Err(error) => break error,
            }
        };
        assert!((1..COUNT * CATALOG).contains(&length), "{length}");
        assert_eq!(error.to_string(), "a list could not be read to its end");
        // Nothing has been sent of the next one: it has an answer.
        let failed = app.user.get(JOBS).await.expect(500);
        assert_eq!(failed.error(), "Internal server error");
    }

    async fn a_list_that_would_be_kept_has_an_answer_when_it_cannot_be_read_to_its_end(app: TestApp) {
        furnish(&app).await;
        app.execute("UPDATE jobs SET advanced_settings = 'damaged' WHERE id = 1").await;
        let ui = app.user.with_header("X-OLake-Profile", "ui");
        assert_eq!(ui.get(JOBS).await.expect(500).error(), "Internal server error");
        app.execute("UPDATE jobs SET advanced_settings = '{}' WHERE id = 1").await;
        items(&ui.get(JOBS).await.expect(200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_is_broken_off_when_the_database_goes_away_in_the_middle() {
    let (app, proxy) = TestApp::postgres_behind_a_proxy().await;
    furnish(&app).await;
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = bound.addresses()[0];
    let serving = tokio::spawn(bound.serve(app.context.clone()));
    for encoding in ["identity", "gzip"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {JOBS} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {encoding}\r\n{}\r\n",
            app.authorization()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        // The server goes on as this reads: most of the list has not been read from the database.
        proxy.break_down();
        let mut rest = Vec::new();
        let ended =
            tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await.unwrap();
        // However the end is seen, it is not that of a chunked body.
        assert!(ended.is_err() || !rest.ends_with(b"\r\n0\r\n\r\n"), "{encoding}: it looks whole");
        let head = String::from_utf8_lossy(&rest[..rest.len().min(1_000)]).to_ascii_lowercase();
        assert!(head.contains("transfer-encoding: chunked"), "{encoding}: {head}");
        proxy.restore();
    }
    app.context.shutdown.cancel();
    serving.await.unwrap();
}
