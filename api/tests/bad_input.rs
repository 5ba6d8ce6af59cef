//! What bad input gets: the status and the words of the contract, and nothing changed.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use fake_worker::{FakeWorker, spec};
use poem::{Body, http::Method};
use serde_json::{Value, json};
use support::{Reply, TestApp, on_both_databases};

const P: &str = "/api/v1/project/olake";

fn source(changes: Value) -> Value {
    let mut body = json!({"name": "shop", "type": "postgres", "version": "v0.9.4", "config": {"host": "db"}});
    apply(&mut body, changes);
    body
}

fn job(changes: Value) -> Value {
    let side =
        |name: &str, kind: &str| json!({"name": name, "type": kind, "version": "v0.9.4", "config": {}});
    let mut body = json!({
        "name": "nightly", "source": side("shop", "postgres"), "destination": side("lake", "parquet"),
        "frequency": "0 * * * *", "streams_config": {},
    });
    apply(&mut body, changes);
    body
}

/// Puts the changes in by their paths; null takes a field out.
fn apply(body: &mut Value, changes: Value) {
    for (path, value) in changes.as_object().unwrap() {
        let (parent, field) = path
            .rsplit_once('/')
            .map_or((String::new(), path.as_str()), |(parent, field)| (format!("/{parent}"), field));
        let parent = body.pointer_mut(&parent).unwrap();
        match value {
            Value::Null => drop(parent.as_object_mut().unwrap().remove(field)),
            value => parent[field] = value.clone(),
        }
    }
}

async fn send_text(app: &TestApp, method: Method, path: &str, media_type: &str, text: &str) -> Reply {
    app.user.send(method, path, Some(media_type), Body::from_string(text.to_owned())).await
}

async fn nothing_was_made(app: &TestApp) {
    for list in ["sources", "destinations", "jobs"] {
        assert_eq!(app.user.get(&format!("{P}/{list}")).await.data(), json!([]), "{list}");
    }
}

on_both_databases! {
    async fn a_source_that_is_wrong_is_refused_by_its_field(app: TestApp) {
        let cases = [
            (json!({"name": null}), "name"),
            (json!({"name": "  "}), "name"),
            (json!({"name": "x".repeat(201)}), "name"),
            (json!({"name": "a\u{0}b"}), "name"),
            (json!({"name": 5}), "name"),
            (json!({"name": {"password": "hunter2"}}), "name"),
            (json!({"type": null}), "type"),
            (json!({"type": ""}), "type"),
            (json!({"type": "two words"}), "type"),
            (json!({"version": null}), "version"),
            (json!({"version": ""}), "version"),
            (json!({"version": "latest"}), "version"),
            (json!({"version": "v0.2.0"}), "version"),
            (json!({"config": null}), "config"),
            (json!({"config": []}), "config"),
            (json!({"config": 5}), "config"),
            (json!({"config": "hunter2"}), "config"),
            (json!({"config": "[]"}), "config"),
            (json!({"config": ""}), "config"),
        ];
        for (changes, field) in cases {
            for path in [format!("{P}/sources"), format!("{P}/destinations")] {
                let answer = app.user.post(&path, source(changes.clone())).await;
                assert_eq!(answer.status, 400, "{changes}: {}", answer.text);
                assert_eq!(answer.json()["success"], false);
                assert!(answer.error().starts_with(&format!("Bad request: {field}: ")), "{changes}: {}", answer.error());
                assert!(!answer.text.contains("hunter2"), "{}", answer.text);
            }
        }
        nothing_was_made(&app).await;
    }
}

on_both_databases! {
    async fn a_job_that_is_wrong_is_refused_by_its_field(app: TestApp) {
        let cases = [
            (json!({"name": null}), "name"),
            (json!({"source": null}), "source"),
            (json!({"source": []}), "source"),
            (json!({"source/name": null}), "source.name"),
            (json!({"source/config": null}), "source.config"),
            (json!({"source/config": "no json"}), "source.config"),
            (json!({"source/version": "1"}), "source.version"),
            (json!({"destination/type": null}), "destination.type"),
            (json!({"destination/version": "v0.9.3"}), "destination.version"),
            (json!({"destination": {"id": "7"}}), "destination.id"),
            (json!({"frequency": null}), "frequency"),
            (json!({"frequency": ""}), "frequency"),
            (json!({"frequency": "whenever"}), "frequency"),
            (json!({"frequency": "* * * *"}), "frequency"),
            (json!({"frequency": "0 0 ? * *"}), "frequency"),
            (json!({"frequency": "0-minutes"}), "frequency"),
            (json!({"streams_config": null}), "streams_config"),
            (json!({"streams_config": "no json"}), "streams_config"),
            (json!({"streams_config": {"streams": 5}}), "streams_config.streams"),
            (json!({"streams_config": {"selected_streams": {"public": 5}}}), "streams_config.selected_streams.public"),
            (json!({"activate": "yes"}), "activate"),
            (json!({"advanced_settings": {"retries": -1}}), "advanced_settings.retries"),
            (json!({"advanced_settings": {"time_zone": "Mars"}}), "advanced_settings.time_zone"),
            (json!({"advanced_settings": {"missed_slots": "all"}}), "advanced_settings.missed_slots"),
            (json!({"advanced_settings": {"max_memory": "lots"}}), "advanced_settings.max_memory"),
        ];
        for (changes, field) in cases {
            let answer = app.user.post(&format!("{P}/jobs"), job(changes.clone())).await;
            assert_eq!(answer.status, 400, "{changes}: {}", answer.text);
            assert!(answer.error().starts_with(&format!("Bad request: {field}: ")), "{changes}: {}", answer.error());
        }
        nothing_was_made(&app).await;
    }
}

on_both_databases! {
    async fn a_body_that_is_no_json_is_refused(app: TestApp) {
        for (path, method) in [
            ("sources", Method::POST),
            ("jobs", Method::POST),
            ("sources/test", Method::POST),
            ("source/streams", Method::GET),
        ] {
            for text in ["{", "", "[]", "5", "null", "\u{feff}{}", "{\"name\": \"a\", }"] {
                let answer = send_text(&app, method.clone(), &format!("{P}/{path}"), "application/json", text).await;
                assert_eq!(answer.status, 400, "{method} {path} {text:?}: {}", answer.text);
                assert!(answer.error().starts_with("Bad request: "), "{}", answer.error());
            }
        }
        let deep = format!("{{\"config\": {}{}}}", "[".repeat(300), "]".repeat(300));
        assert_eq!(send_text(&app, Method::POST, &format!("{P}/sources"), "application/json", &deep).await.status, 400);
        assert_eq!(send_text(&app, Method::POST, &format!("{P}/sources"), "text/plain", "{}").await.status, 415);
        nothing_was_made(&app).await;
    }
}

on_both_databases! {
    async fn an_id_that_is_no_number_is_refused(app: TestApp) {
        for path in [
            "sources/x", "destinations/x", "jobs/x", "jobs/x/tasks", "jobs/x/cancel", "sources/9223372036854775808",
            "jobs/1/task/x/logs", "tasks/x", "jobs?dest_id=x", "jobs?source_id=1.5",
        ] {
            let answer = app.user.get(&format!("{P}/{path}")).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text);
            assert!(answer.error().starts_with("Bad request: "), "{path}: {}", answer.error());
        }
        assert_eq!(app.user.post_nothing(&format!("{P}/jobs/x/sync")).await.status, 400);
        assert_eq!(app.user.delete(&format!("{P}/jobs/x")).await.status, 400);
        assert_eq!(app.user.get(&format!("{P}/jobs/-1")).await.status, 404);
    }
}

on_both_databases! {
    async fn a_body_of_30_megabytes_is_refused(app: TestApp) {
        let long = "x".repeat(30 << 20);
        for path in ["sources", "jobs"] {
            let answer = app.user.post(&format!("{P}/{path}"), json!({"name": long})).await;
            assert_eq!((answer.status, &answer.json()["success"]), (413, &json!(false)), "{path}");
        }
        let fits = "x".repeat(20 << 20);
        let answer = app.user.post(&format!("{P}/jobs"), job(json!({"streams_config": {"note": fits}}))).await;
        assert_eq!(answer.status, 200, "a job may have 24 MiB");
        let answer = app.user.post(&format!("{P}/sources"), source(json!({"config": {"note": fits}}))).await;
        assert_eq!(answer.status, 413, "anything else 16 MiB");
    }
}

on_both_databases! {
    async fn a_wrong_method_and_an_unknown_path_are_answered_in_the_envelope(app: TestApp) {
        let answer = app.user.send(Method::PATCH, &format!("{P}/sources"), None, Body::empty()).await;
        assert_eq!((answer.status, answer.error().as_str()), (405, "Method not allowed"));
        let answer = app.user.get(&format!("{P}/nothing")).await;
        assert_eq!((answer.status, &answer.json()["success"]), (404, &json!(false)));
        assert!(answer.error().starts_with("Resource not found: "));
    }
}

on_both_databases! {
    async fn what_is_wrong_is_named_in_our_words(app: TestApp) {
        let discover = |threads: i64| {
            json!({"type": "postgres", "version": "v0.9.4", "config": {}, "max_discover_threads": threads})
        };
        for threads in [-1, 0, 1_001, 5_000_000_000] {
            let error = app.user.post(&format!("{P}/source/streams"), discover(threads)).await.expect(400).error();
            assert_eq!(error, "Bad request: max_discover_threads: must be a whole number from 1 to 1000");
            let settings = json!({"advanced_settings": {"max_discover_threads": threads}});
            let error = app.user.post(&format!("{P}/jobs"), job(settings)).await.expect(400).error();
            assert_eq!(error, "Bad request: advanced_settings.max_discover_threads: must be a whole number from 1 to 1000");
        }
        let error = app.user.post(&format!("{P}/jobs"), job(json!({"advanced_settings": {"colour": 1}}))).await.expect(400).error();
        assert_eq!(error, "Bad request: advanced_settings.colour: there is no such field");
        let task = uuid::Uuid::nil();
        for (path, expected) in [
            (format!("{P}/jobs/1/task/{task}/logs?direction=sideways"), "direction: must be older or newer"),
            (format!("{P}/tasks/abc"), "id: must be an id as this server gives them, such as 01890a5d-ac96-774b-bcce-b302099a8057"),
            (format!("{P}/jobs/1/task/abc/logs"), "id: must be an id as this server gives them, such as 01890a5d-ac96-774b-bcce-b302099a8057"),
            (format!("{P}/jobs/x"), "id: expected a whole number of at most 64 bits"),
            ("/api/v1/project/%ff/sources".to_owned(), "path: it is not UTF-8"),
            ("/api/v1/project/%00/sources".to_owned(), "path: it holds a NUL character"),
            (format!("{P}/jobs?limit=%00"), "limit: it holds a NUL character"),
            (format!("{P}/jobs?cursor=%ff"), "cursor: it is not UTF-8"),
            (format!("{P}/jobs?%00=1"), "query: it holds a NUL character"),
            (format!("{P}/jobs?limit=x"), "limit: expected a whole number of at most 64 bits"),
        ] {
            let error = app.user.get(&path).await.expect(400).error();
            assert_eq!(error, format!("Bad request: {expected}"), "{path}");
        }
    }
}

on_both_databases! {
    async fn what_no_worker_can_do_starts_no_connector(app: TestApp) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let worker = FakeWorker::start(&app.context, move |_, claimed| {
            counted.fetch_add(1, Ordering::SeqCst);
            Some(spec(claimed, &json!({"jsonschema": {}, "uischema": "{}"})))
        })
        .await;
        let cases = [
            ("sources", "nonesuch", "v0.9.4", "type: no worker runs 'nonesuch'; known are files, postgres"),
            ("sources", "postgres", "v9.9.9", "version: no worker runs 'postgres' v9.9.9; known are v0.9.4"),
            ("destinations", "nonesuch", "v0.9.4", "type: no worker writes 'nonesuch'; known are parquet, iceberg"),
            ("destinations", "parquet", "v9.9.9", "version: no worker writes 'parquet' at v9.9.9; known are v0.9.4"),
        ];
        for (side, kind, version, words) in cases {
            let body = json!({"type": kind, "version": version, "config": {}, "name": "x", "job_id": -1, "job_name": ""});
            let query = format!("{P}/{side}/spec?type={kind}&version={version}");
            let mut answers = vec![app.user.get(&query).await];
            let mut paths = vec![format!("{P}/{side}/spec"), format!("{P}/{side}/test")];
            if side == "sources" {
                paths.extend([format!("{P}/sources/streams"), format!("{P}/source/streams")]);
            }
            for path in paths {
                answers.push(app.user.post(&path, body.clone()).await);
            }
            for answer in answers {
                assert_eq!((answer.status, answer.error()), (400, format!("Bad request: {words}")), "{}", answer.text);
            }
        }
        for (side, kind) in [("sources", "nonesuch"), ("destinations", "nonesuch"), ("sources", "../etc")] {
            let refused = app.user.get(&format!("{P}/{side}/versions?type={kind}")).await.expect(400);
            assert!(refused.error().starts_with("Bad request: type: "), "{}", refused.error());
        }
        // What is asked for now is the first that was done.
        app.user.get(&format!("{P}/sources/spec?type=postgres&version=v0.9.4")).await.expect(200);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_page_beyond_the_end_is_empty_and_one_too_long_is_cut(app: TestApp) {
        let id = app.user.post(&format!("{P}/jobs"), job(json!({}))).await.expect(200).data()["id"].clone();
        app.user.post_nothing(&format!("{P}/jobs/{id}/sync")).await.expect(200);
        let tasks = format!("{P}/jobs/{id}/tasks");
        let task = app.user.get(&tasks).await.data()[0]["id"].as_str().unwrap().to_owned();
        let beyond = |list: &str| if list == tasks { "0".repeat(32) } else { "0-0".to_owned() };
        for list in [format!("{P}/jobs"), format!("{P}/sources"), format!("{P}/destinations"), tasks.clone()] {
            let all = app.user.get(&format!("{list}?limit=1000000000")).await.expect(200).data();
            assert_eq!(all.as_array().unwrap().len(), 1, "{list}");
            let beyond = app.user.get(&format!("{list}?limit=10&cursor={}", beyond(&list))).await.expect(200);
            assert_eq!((beyond.data(), beyond.header("link")), (json!([]), None), "{list}");
            for wrong in ["cursor=x", "cursor=-1", "cursor=zz-1", "limit=0", "limit=-5", "limit=99999999999999999999"] {
                let refused = app.user.get(&format!("{list}?{wrong}")).await.expect(400);
                let field = wrong.split('=').next().unwrap();
                assert!(refused.error().starts_with(&format!("Bad request: {field}: ")), "{list}?{wrong}: {}", refused.error());
            }
        }
        let beyond = "cursor=9223372036854775807&limit=1000000000";
        for direction in ["older", "newer"] {
            let path = format!("{P}/jobs/{id}/task/{task}/logs?direction={direction}&{beyond}");
            let page = app.user.get(&path).await.expect(200).data();
            assert_eq!((&page["task_logs"], &page["has_more_newer"]), (&json!([]), &json!(false)), "{page}");
            let path = format!("{P}/jobs/{id}/tasks/1/logs?direction={direction}&{beyond}");
            let page = app.user.post(&path, json!({"file_path": task})).await.expect(200).data();
            assert_eq!((&page["logs"], &page["has_more_newer"]), (&json!([]), &json!(false)), "{page}");
        }
    }
}

on_both_databases! {
    async fn a_log_is_read_by_its_own_job_and_project_alone(app: TestApp) {
        let mut jobs = Vec::new();
        for name in ["one", "two"] {
            let changes = json!({"name": name});
            jobs.push(app.user.post(&format!("{P}/jobs"), job(changes)).await.expect(200).data()["id"].clone());
        }
        app.user.post_nothing(&format!("{P}/jobs/{}/sync", jobs[0])).await.expect(200);
        let task = app.user.get(&format!("{P}/jobs/{}/tasks", jobs[0])).await.data()[0]["file_path"].clone();
        let read = async |project: &str, job: &Value, file_path: &Value| {
            let path = format!("/api/v1/project/{project}/jobs/{job}/tasks/1/logs");
            app.user.post(&path, json!({"file_path": file_path})).await.status
        };
        assert_eq!(read("olake", &jobs[0], &task).await, 200);
        assert_eq!(read("olake", &jobs[1], &task).await, 404, "another job's");
        assert_eq!(read("123", &jobs[0], &task).await, 404, "another project's");
        for wrong in [json!("../../etc/passwd"), json!(""), json!("sync-123-1-2026-11-24T07:42:05Z"), json!(1), Value::Null] {
            assert_eq!(read("olake", &jobs[0], &wrong).await, 400, "{wrong}");
        }
        let long = format!("{P}/jobs/{}/tasks/1/logs?search={}", jobs[0], "x".repeat(10_240));
        let refused = app.user.post(&long, json!({"file_path": task})).await.expect(400);
        assert!(refused.error().starts_with("Bad request: search: "), "{}", refused.error());
    }
}
