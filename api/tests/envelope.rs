//! What holds for every answer, whatever the operation.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::{Duration, Instant};

use poem::{Body, http::Method};
use serde_json::json;
use support::{Reply, TestApp, on_both_databases};

const SOURCES: &str = "/api/v1/project/olake/sources";

/// Every error is the envelope and nothing else.
#[track_caller]
fn assert_envelope(reply: &Reply) {
    assert!(reply.header("content-type").unwrap().starts_with("application/json"), "{reply:?}");
    assert!(!reply.error().is_empty());
    assert!(reply.header("x-request-id").is_some());
}

#[tokio::test]
async fn an_unknown_path_is_a_404_in_the_envelope_everywhere() {
    let app = TestApp::sqlite().await;
    for path in ["/", "/nowhere", "/api", "/api/v1/nowhere", "/api/v1/project/olake/nowhere", "/docs/nowhere"]
    {
        let reply = app.user.get(path).await.expect(404);
        assert_envelope(&reply);
        assert!(reply.error().starts_with("Resource not found: "), "{}", reply.error());
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_405() {
    let app = TestApp::sqlite().await;
    for (method, path) in [(Method::GET, "/login"), (Method::DELETE, "/auth"), (Method::PATCH, SOURCES)] {
        let reply = app.user.send(method, path, None, Body::empty()).await.expect(405);
        assert_envelope(&reply);
        assert_eq!(reply.error(), "Method not allowed");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_a_415_or_a_400() {
    let app = TestApp::sqlite().await;
    let send = |media_type, body: &'static str| {
        app.anon.send(Method::POST, "/login", media_type, Body::from_string(body.into()))
    };
    for media_type in [Some("text/plain"), Some("application/x-www-form-urlencoded"), None] {
        let reply = send(media_type, r#"{"username": "a", "password": "b"}"#).await.expect(415);
        assert_envelope(&reply);
        assert!(reply.error().starts_with("Unsupported media type"), "{}", reply.error());
    }
    for body in ["", "{", "[]", "null", "\"text\"", "{\"username\": \"a\", \"password\": \"\\ud800\"}"] {
        let reply = send(Some("application/json"), body).await.expect(400);
        assert_envelope(&reply);
        assert!(reply.error().starts_with("Bad request: body: "), "{}", reply.error());
    }
}

#[tokio::test]
async fn a_refused_value_is_named_and_never_shown() {
    let app = TestApp::sqlite().await;
    let reply = app
        .anon
        .post("/login", json!({"username": "ann", "password": {"hunter2": "hunter2"}}))
        .await
        .expect(400);
    assert_eq!(reply.error(), "Bad request: password: expected a string, not an object");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_413_whether_it_says_so_or_not() {
    let app = TestApp::sqlite().await;
    let mib = 1 << 20;
    for (path, size) in [("/login", 17 << 10), (SOURCES, 17 * mib), ("/api/v1/project/olake/jobs", 25 * mib)]
    {
        let told = app.user.with_header("Content-Length", &size.to_string());
        let reply =
            told.send(Method::POST, path, Some("application/json"), Body::from_vec(vec![b' '; size])).await;
        assert_envelope(&reply.expect(413));

        let pieces =
            futures::stream::iter((0..size / 1024).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
        let reply = app
            .user
            .send(Method::POST, path, Some("application/json"), Body::from_bytes_stream(pieces))
            .await;
        assert_envelope(&reply.expect(413));
    }
}

#[tokio::test]
async fn an_id_that_is_no_number_is_a_400_that_names_it() {
    let app = TestApp::sqlite().await;
    for id in ["x", "1.5", "99999999999999999999", "-"] {
        let error = app.user.get(&format!("{SOURCES}/{id}")).await.expect(400).error();
        assert!(error.starts_with("Bad request: id: "), "{error}");
    }
}

on_both_databases! {
    async fn a_nul_character_is_refused_before_it_reaches_the_database(app: TestApp) {
        app.user.get("/api/v1/project/o%00/sources").await.expect(400);
        app.user.get(&format!("{SOURCES}?cursor=%00")).await.expect(400);
        let error = app.anon.post("/login", json!({"username": "a\u{0}", "password": "b"})).await.expect(400).error();
        assert_eq!(error, "Bad request: username: it holds a NUL character");
    }

    async fn an_unknown_project_is_a_404(app: TestApp) {
        let error = app.user.get("/api/v1/project/unknown/sources").await.expect(404).error();
        assert!(error.starts_with("Resource not found: "), "{error}");
        for project in ["olake", "123"] {
            app.user.get(&format!("/api/v1/project/{project}/sources")).await.expect(200);
        }
    }

    async fn a_500_says_nothing_but_the_id_of_its_request(app: TestApp) {
        app.execute("DROP TABLE sessions").await;
        let reply = app.user.with_header("X-Request-Id", "abc-1").get("/auth").await.expect(500);
        assert_envelope(&reply);
        assert_eq!(
            reply.json(),
            json!({"success": false, "message": "Internal server error", "request_id": "abc-1"})
        );
        assert_eq!(reply.header("x-request-id"), Some("abc-1"));
    }

    async fn the_server_says_that_it_is_well(app: TestApp) {
        assert_eq!(app.anon.get("/health").await.expect(200).json(), json!({"status": "ok"}));
        let ready = app.anon.get("/ready").await.expect(200).json();
        assert_eq!(ready, json!({"status": "ok", "database": "ok", "bell": "ok"}));
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_plain_one_from_outside_is_kept() {
    let app = TestApp::sqlite().await;
    let new = app.anon.get("/health").await;
    let other = app.anon.get("/health").await;
    assert_ne!(new.header("x-request-id").unwrap(), other.header("x-request-id").unwrap());
    let kept = app.anon.with_header("X-Request-Id", "from.a-proxy_1").get("/nowhere").await;
    assert_eq!(kept.header("x-request-id"), Some("from.a-proxy_1"));
    let odd = app.anon.with_header("X-Request-Id", "a b").get("/health").await;
    assert_ne!(odd.header("x-request-id"), Some("a b"));
}

#[tokio::test]
async fn origins_in_the_list_may_call_and_others_get_no_cors_headers() {
    let app = TestApp::sqlite().await;
    let allowed = app.user.with_header("Origin", "http://localhost:8000");
    for reply in [allowed.get("/auth").await.expect(200), allowed.get("/nowhere").await.expect(404)] {
        assert_eq!(reply.header("access-control-allow-origin"), Some("http://localhost:8000"));
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
        for exposed in ["Content-Disposition", "ETag", "Retry-After", "X-Request-Id", "Link"] {
            assert!(reply.header("access-control-expose-headers").unwrap().contains(exposed));
        }
        assert_eq!(reply.header("vary"), Some("Origin"));
    }
    for origin in
        ["http://evil.example", "null", "http://localhost:8000.evil.example", "HTTP://LOCALHOST:8000"]
    {
        let reply = app.user.with_header("Origin", origin).get("/auth").await.expect(200);
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{origin}");
        assert_eq!(reply.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_same_list() {
    let app = TestApp::sqlite().await;
    let preflight = |origin: &str| {
        let client =
            app.anon.with_header("Origin", origin).with_header("Access-Control-Request-Method", "PUT");
        async move {
            client
                .send(Method::OPTIONS, "/api/v1/project/olake/jobs/1", None, Body::empty())
                .await
                .expect(204)
        }
    };
    let reply = preflight("http://localhost:8000").await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://localhost:8000"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, PUT, DELETE, OPTIONS"));
    for header in ["Origin", "Content-Type", "Accept", "Authorization", "X-OLake-Profile", "Prefer"] {
        assert!(reply.header("access-control-allow-headers").unwrap().contains(header));
    }
    assert!(preflight("http://evil.example").await.header("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn the_documentation_is_served_from_the_program() {
    let app = TestApp::sqlite().await;
    for path in ["/docs", "/docs/"] {
        let page = app.anon.get(path).await.expect(200);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        assert!(page.text.contains("SwaggerUIBundle"));
        assert!(page.text.contains("#/components/responses/NotFound"), "the page shows the exact document");
    }
    assert_eq!(app.anon.get("/openapi.yaml").await.expect(200).text, olake_api::spec_yaml());
    for path in ["/docs", "/openapi.yaml"] {
        let reply = app.anon.post_nothing(path).await.expect(405);
        assert_envelope(&reply);
        assert_eq!(reply.error(), "Method not allowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_a_503_at_once_and_forgotten_when_it_is_back() {
    let (app, proxy) = TestApp::postgres_behind_a_proxy().await;
    app.user.get("/auth").await.expect(200);
    proxy.break_down();
    let start = Instant::now();
    let reply = app.user.get("/auth").await.expect(503);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_envelope(&reply);
    assert!(reply.header("retry-after").is_some());
    let ready = app.anon.get("/ready").await.expect(503).json();
    assert_eq!(ready, json!({"status": "unavailable", "database": "unreachable", "bell": "ok"}));
    app.anon.get("/health").await.expect(200);
    proxy.restore();
    let back = async { while app.anon.get("/ready").await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("the database is found again");
    app.user.get("/auth").await.expect(200);
}
