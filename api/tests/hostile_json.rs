//! JSON that is made to harm: names that the parser keeps for itself, and rows that cannot be read.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use olake_shared::store::connections::{ConnectionInput, Side};
use poem::{Body, http::Method};
use serde_json::{Value, json};
use support::{Reply, TestApp, on_both_databases};

const P: &str = "/api/v1/project/olake";
const RAW: &str = "$serde_json::private::RawValue";
const NUMBER: &str = "$serde_json::private::Number";

async fn send(app: &TestApp, method: Method, path: &str, text: &str) -> Reply {
    app.user.send(method, path, Some("application/json"), Body::from_string(text.to_owned())).await
}

#[track_caller]
fn refused(reply: &Reply, field: &str) {
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert!(reply.error().starts_with(&format!("Bad request: {field}: ")), "{}", reply.error());
}

/// Documents that hold a reserved name, in all spellings.
fn hostile() -> Vec<String> {
    let mut nested = "[[1]]".to_owned();
    for _ in 0..7 {
        nested = json!({RAW: nested}).to_string();
    }
    vec![
        json!({RAW: "{}"}).to_string(),
        json!({NUMBER: "12e5"}).to_string(),
        json!({"a": [{"b": {RAW: "[[]]"}}]}).to_string(),
        format!("{{{}:\"{{}}\"}}", json!(RAW).to_string().replace('$', "\\u0024")),
        format!("{{{}:\"1\"}}", json!(NUMBER).to_string().replace("private", "pr\\u0069vate")),
        nested,
    ]
}

/// The answers of every place where a document is taken.
async fn answers(app: &TestApp, document: &str) -> Vec<(Reply, &'static str)> {
    let text = json!(document).to_string();
    let side = |kind: &str, config: &str| {
        format!(r#"{{"name":"{kind}","type":"{kind}","version":"v0.9.4","config":{config}}}"#)
    };
    let job = |config: &str, streams: &str| {
        format!(
            r#"{{"name":"j","source":{},"destination":{},"frequency":"0 * * * *","streams_config":{streams}}}"#,
            side("postgres", config),
            side("parquet", "{}"),
        )
    };
    let post = |path: &str, text: String| {
        let path = format!("{P}/{path}");
        async move { send(app, Method::POST, &path, &text).await }
    };
    vec![
        (send(app, Method::POST, "/login", document).await, "body"),
        (
            send(app, Method::POST, "/login", &format!(r#"{{"username":"a","password":{document}}}"#)).await,
            "body",
        ),
        (post("sources", side("postgres", document)).await, "body"),
        (post("sources", side("postgres", &text)).await, "config"),
        (post("destinations", side("parquet", document)).await, "body"),
        (post("destinations", side("parquet", &text)).await, "config"),
        (post("sources/test", side("postgres", &text)).await, "config"),
        (post("jobs", job(document, "{}")).await, "body"),
        (post("jobs", job(&text, "{}")).await, "source.config"),
        (post("jobs", job("{}", document)).await, "body"),
        (post("jobs", job("{}", &text)).await, "streams_config"),
    ]
}

on_both_databases! {
    async fn names_that_the_parser_keeps_for_itself_are_refused_everywhere(app: TestApp) {
        for document in hostile() {
            for (reply, field) in answers(&app, &document).await {
                refused(&reply, field);
            }
        }
        for list in ["sources", "destinations", "jobs"] {
            assert_eq!(app.user.get(&format!("{P}/{list}")).await.expect(200).data(), json!([]), "{list}");
        }
    }

    async fn a_document_is_no_deeper_than_what_can_be_read_where_it_is_put(app: TestApp) {
        let nested = |levels: usize| format!("{}{}", r#"{"a":"#.repeat(levels) + "1", "}".repeat(levels));
        for form in [|text: String| text, |text: String| json!(text).to_string()] {
            let source = |name: &str, levels: usize| {
                format!(r#"{{"name":"{name}","type":"postgres","version":"v0.9.4","config":{}}}"#, form(nested(levels)))
            };
            let path = format!("{P}/sources");
            refused(&send(&app, Method::POST, &path, &source("a", 97)).await, "config");
            refused(&send(&app, Method::POST, &path, &source("a", 125)).await, "config");
            let made = send(&app, Method::POST, &path, &source("a", 96)).await.expect(200).data();
            app.user.get(&path).await.expect(200);
            app.user.delete(&format!("{path}/{}", made["id"])).await.expect(200);
        }
        // Deeper than the parser goes at all.
        refused(&send(&app, Method::POST, "/login", &"[".repeat(10_000)).await, "body");
    }

    async fn a_row_that_cannot_be_read_hides_no_other_and_can_be_deleted(app: TestApp) {
        let project = app.context.project("olake").await.unwrap();
        let input = |name: &str, config: Value| ConnectionInput {
            name: name.to_owned(),
            connector_type: "postgres".to_owned(),
            version: "v0.9.4".to_owned(),
            config,
        };
        // As older versions could write it.
        let bad = project.create_connection(Side::Source, &input("bad", json!({RAW: "{}"})), app.account.id).await.unwrap();
        project.create_connection(Side::Source, &input("good", json!({"host": "db"})), app.account.id).await.unwrap();
        let side = |kind: &str| json!({"name": kind, "type": kind, "version": "v0.9.4", "config": {}});
        let job = json!({
            "name": "j", "source": {"id": bad.id}, "destination": side("parquet"),
            "frequency": "0 * * * *", "streams_config": {},
        });
        let job = app.user.post(&format!("{P}/jobs"), job).await.expect(200).data();
        app.execute("UPDATE destinations SET config = 'damaged'").await;

        let listed = app.user.get(&format!("{P}/sources")).await.expect(200).data();
        assert_eq!((&listed[0]["name"], &listed[0]["config"]), (&json!("good"), &json!({"host": "db"})));
        assert_eq!((&listed[1]["name"], &listed[1]["config"]), (&json!("bad"), &json!({})));
        assert_eq!(app.user.get(&format!("{P}/destinations")).await.expect(200).data()[0]["config"], json!({}));
        assert_eq!(app.user.get(&format!("{P}/jobs")).await.expect(200).data()[0]["name"], "j");
        app.user.delete(&format!("{P}/jobs/{}", job["id"])).await.expect(200);
        app.user.delete(&format!("{P}/sources/{}", bad.id)).await.expect(200);
        app.user.delete(&format!("{P}/destinations/{}", job["destination"]["id"].as_i64().unwrap_or(1))).await.expect(200);
    }
}
