//! What the server's own log says of a request, and what it must not say.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use support::TestApp;
use tracing_subscriber::fmt::MakeWriter;

/// The log of one test, as lines of JSON.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Catches what this thread logs until the guard is dropped.
fn catch() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(log.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn a_request_is_one_line_without_its_query_string() {
    let app = TestApp::sqlite().await;
    let (log, _guard) = catch();
    app.user.with_header("X-Request-Id", "abc-1").get("/auth?password=hunter2").await.expect(200);
    let lines = log.lines();
    let line = lines.iter().find(|line| line["message"] == "answered").expect("the request is logged");
    assert_eq!((&line["method"], &line["path"]), (&json!("GET"), &json!("/auth")));
    assert_eq!((&line["operation"], &line["status"]), (&json!("whoAmI"), &json!(200)));
    assert_eq!(line["span"]["request.id"], "abc-1");
    assert!(!log.text().contains("hunter2"));
}

#[tokio::test]
async fn the_cause_of_a_500_is_in_the_log_under_the_requests_id() {
    let app = TestApp::sqlite().await;
    app.execute("DROP TABLE sessions").await;
    let (log, _guard) = catch();
    let reply = app.user.with_header("X-Request-Id", "abc-2").get("/auth").await.expect(500);
    assert!(!reply.text.contains("sessions"), "{}", reply.text);
    let lines = log.lines();
    let line = lines.iter().find(|line| line["message"] == "a request failed").expect("the cause is logged");
    assert!(line["cause"].as_str().unwrap().contains("sessions"), "{line}");
    assert_eq!(line["span"]["request.id"], "abc-2");
}

#[tokio::test]
async fn no_secret_of_a_request_reaches_the_log() {
    let app = TestApp::sqlite().await;
    let (log, _guard) = catch();
    let account = json!({"username": "ann", "email": "ann@example.org", "password": "hunter2hunter2"});
    app.anon.post("/signup", account).await.expect(200);
    let token =
        app.anon.post("/login", json!({"username": "ann", "password": "hunter2hunter2"})).await.expect(200);
    app.anon.post("/login", json!({"username": "ann", "password": "hunter2-wrong"})).await.expect(401);
    app.anon.post("/login", json!({"username": "hunter2", "password": ["hunter2"]})).await.expect(400);
    let config = json!({"host": "db", "password": "hunter2"});
    let source = json!({"name": "shop", "type": "postgres", "version": "v0.9.4", "config": config});
    app.user.post("/api/v1/project/olake/sources", source.clone()).await.expect(200);
    app.user.post("/api/v1/project/olake/sources", source).await.expect(409);
    let text = log.text();
    assert!(text.contains("createSource") && text.contains("login"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!text.contains(token.data()["token"].as_str().unwrap()), "{text}");
}
