//! The web UI's files beside the API.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::{fs, os::unix::fs::symlink};

use olake_api::context::Settings;
use poem::{Body, http::Method};
use serde_json::json;
use support::{Reply, Setup, TestApp};
use tempfile::TempDir;

const PAGE: &str = "<!doctype html><title>OLake</title>";

/// A server with a UI, and the folder around the UI's own.
async fn app() -> (TestApp, TempDir) {
    let around = TempDir::new().unwrap();
    let ui = around.path().join("ui");
    fs::create_dir_all(ui.join("assets")).unwrap();
    fs::write(around.path().join("secret.txt"), "secret").unwrap();
    fs::write(ui.join("index.html"), PAGE).unwrap();
    fs::write(ui.join(".env"), "secret").unwrap();
    fs::write(ui.join("assets/index-B3f9dK2a.js"), "let a = 1;").unwrap();
    symlink(around.path().join("secret.txt"), ui.join("link.txt")).unwrap();
    symlink(around.path(), ui.join("up")).unwrap();
    let settings = Settings { ui_dir: Some(ui), ..Settings::default() };
    (TestApp::sqlite_with(Setup { settings, ..Setup::default() }).await, around)
}

#[track_caller]
fn assert_page(reply: &Reply) {
    assert_eq!((reply.status, reply.text.as_str()), (200, PAGE));
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn every_page_of_the_ui_survives_a_reload() {
    let (app, _folder) = app().await;
    for path in
        ["/", "/index.html", "/login", "/jobs/5/history", "/sources/new", "/assets/none.js", "/assets"]
    {
        assert_page(&app.anon.get(path).await);
    }
}

#[tokio::test]
async fn the_api_stays_the_api() {
    let (app, _folder) = app().await;
    app.anon.get("/auth").await.expect(401).error();
    app.anon.get("/health").await.expect(200);
    app.user.get("/telemetry-id").await.expect(200).data();
    app.user.get("/api/v1/project/123/sources").await.expect(200).data();
    app.user.get("/api/v1/nowhere").await.expect(404).error();
    app.user.get("/api").await.expect(404).error();
    app.anon.post("/login", json!({"username": "nobody", "password": "wrong"})).await.expect(401).error();
    app.anon.post("/nowhere", json!({})).await.expect(404).error();
    assert!(app.anon.get("/openapi.yaml").await.expect(200).text.starts_with("openapi:"));
}

#[tokio::test]
async fn nothing_outside_the_folder_is_read() {
    let (app, _folder) = app().await;
    for path in [
        "/link.txt",
        "/up/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/.env",
        "//secret.txt",
    ] {
        assert_page(&app.anon.get(path).await);
    }
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let (app, folder) = app().await;
    let first = app.anon.get("/jobs").await;
    let (tag, modified) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    let known = app.anon.with_header("If-None-Match", &format!("W/{tag}")).get("/").await.expect(304);
    assert_eq!((known.text.as_str(), known.header("etag")), ("", Some(tag)));
    app.anon.with_header("If-Modified-Since", modified).get("/").await.expect(304);
    fs::write(folder.path().join("ui/index.html"), "another").unwrap();
    let changed = app.anon.with_header("If-None-Match", tag).get("/").await.expect(200);
    assert_eq!(changed.text, "another");
}

#[tokio::test]
async fn a_file_has_its_type_and_a_name_with_a_hash_is_kept() {
    let (app, _folder) = app().await;
    let script = app.anon.get("/assets/index-B3f9dK2a.js").await.expect(200);
    assert_eq!(script.text, "let a = 1;");
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("x-content-type-options"), Some("nosniff"));
    assert!(script.header("cache-control").unwrap().contains("immutable"));
    let head =
        app.anon.send(Method::HEAD, "/assets/index-B3f9dK2a.js", None, Body::empty()).await.expect(200);
    assert_eq!((head.text.as_str(), head.header("etag")), ("", script.header("etag")));
}
