//! Jobs: making, reading, replacing, deleting; starting and cancelling their syncs.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use fake_worker::FakeWorker;
use olake_shared::events::What;
use poem::{Body, http::Method};
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};

const JOBS: &str = "/api/v1/project/olake/jobs";
const SOURCES: &str = "/api/v1/project/olake/sources";
const DESTINATIONS: &str = "/api/v1/project/olake/destinations";

fn side(name: &str, connector_type: &str) -> Value {
    json!({"name": name, "type": connector_type, "version": "v0.9.4", "config": {"host": name}})
}

fn job(name: &str) -> Value {
    json!({
        "name": name,
        "source": side("shop", "postgres"),
        "destination": side("lake", "parquet"),
        "frequency": "0 */6 * * *",
        "streams_config": {"selected_streams": {"public": [{"stream_name": "orders"}]}, "streams": []},
    })
}

fn with(mut job: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        job[name] = value.clone();
    }
    job
}

async fn made(app: &TestApp, name: &str) -> String {
    let made = app.user.post(JOBS, job(name)).await;
    assert_eq!(made.status, 200, "{}", made.text);
    format!("{JOBS}/{}", made.data()["id"])
}

on_both_databases! {
    async fn a_job_is_made_with_its_source_and_destination(app: TestApp) {
        let answer = app.user.post(JOBS, job("nightly")).await;
        let id = answer.data()["id"].clone();
        assert_eq!(answer.data(), with(job("nightly"), json!({"id": id})), "the request as it is, plus the id");
        assert_eq!(answer.header("etag"), Some("\"1\""));

        let item = app.user.get(JOBS).await.data()[0].clone();
        assert_eq!((&item["id"], &item["name"], &item["activate"]), (&id, &json!("nightly"), &json!(true)));
        assert_eq!(item["source"]["config"], json!({"host": "shop"}));
        assert_eq!(item["streams_config"], job("")["streams_config"]);
        assert_eq!(item["created_by"], json!(app.account.username));
        for absent in ["last_run_time", "last_run_state", "last_run_type"] {
            assert_eq!(item.get(absent), None, "it never ran");
        }

        let source = app.user.get(SOURCES).await.data()[0].clone();
        let used = &source["jobs"][0];
        assert_eq!((&used["id"], &used["name"], &used["activate"]), (&id, &json!("nightly"), &json!(true)));
        assert_eq!((&used["dest_name"], &used["destination_type"]), (&json!("lake"), &json!("parquet")));
        assert_eq!((used.get("last_run_state"), used.get("source_name")), (None, None));
        let destination = app.user.get(DESTINATIONS).await.data()[0].clone();
        assert_eq!(destination["jobs"][0]["source_name"], "shop");
    }
}

on_both_databases! {
    async fn documents_and_secrets_come_back_in_the_form_they_were_sent(app: TestApp) {
        let streams = r#"{"streams":[],"z":12345678901234567890123,"a":1.10}"#;
        let mut body = with(job("nightly"), json!({"streams_config": streams, "advanced_settings": {"retries": 2}}));
        body["source"]["config"] = json!(r#"{"host":"shop","password":"hunter2"}"#);
        let answer = app.user.post(JOBS, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.data()["streams_config"], json!(streams));
        assert_eq!(answer.data()["advanced_settings"], json!({"retries": 2}));
        let config: Value = serde_json::from_str(answer.data()["source"]["config"].as_str().unwrap()).unwrap();
        assert!(config["password"].as_str().unwrap().starts_with("sealed:"));
        let read = app.user.get(&format!("{JOBS}/{}", answer.data()["id"])).await;
        assert!(read.text.contains(&format!("\"streams_config\":{streams}")), "{}", read.text);
        assert_eq!(read.data()["source"]["config"], config);
        assert!(!read.text.contains("hunter2"));

        // What a read shows makes another job of the same source.
        let mut again = with(job("second"), json!({}));
        again["source"]["config"] = config;
        assert_eq!(app.user.post(JOBS, again).await.status, 200);
        assert_eq!(app.user.get(SOURCES).await.data().as_array().unwrap().len(), 1);
    }
}

on_both_databases! {
    async fn a_side_is_picked_by_id_or_by_an_equal_name(app: TestApp) {
        let source = app.user.post(SOURCES, side("shop", "postgres")).await.data()["id"].clone();
        let picked = with(job("by id"), json!({"source": {"id": source, "name": "ignored"}}));
        let answer = app.user.post(JOBS, picked.clone()).await;
        assert_eq!(answer.data(), with(picked, json!({"id": answer.data()["id"]})));
        assert_eq!(app.user.post(JOBS, job("by name")).await.status, 200);
        assert_eq!(app.user.get(SOURCES).await.data().as_array().unwrap().len(), 1);
        assert_eq!(app.user.get(DESTINATIONS).await.data().as_array().unwrap().len(), 1);

        let mut differs = job("differs");
        differs["source"]["config"] = json!({"host": "elsewhere"});
        let refused = app.user.post(JOBS, differs).await;
        assert_eq!((refused.status, refused.error().as_str()), (409, "source name 'shop' is not unique"));
        let unknown = app.user.post(JOBS, with(job("unknown"), json!({"source": {"id": 999_999}}))).await;
        assert_eq!(unknown.status, 404);
        let mut versions = job("versions");
        versions["destination"] = json!({"name": "old", "type": "parquet", "version": "v0.8.0", "config": {}});
        assert_eq!(app.user.post(JOBS, versions).await.status, 400);
        // Nothing was made by those that were refused.
        assert_eq!(app.user.get(JOBS).await.data().as_array().unwrap().len(), 2);
        assert_eq!(app.user.get(DESTINATIONS).await.data().as_array().unwrap().len(), 1);
    }
}

on_both_databases! {
    async fn a_job_is_replaced_and_keeps_what_is_not_said(app: TestApp) {
        let one = made(&app, "nightly").await;
        let settings = json!({"advanced_settings": {"retries": 2, "time_zone": "Europe/Berlin"}, "activate": false});
        let paused = app.user.put(&one, with(job("nightly"), settings)).await;
        assert_eq!((paused.status, &paused.data()["activate"]), (200, &json!(false)));
        let kept = app.user.put(&one, with(job("renamed"), json!({"frequency": "2-hours"}))).await;
        assert_eq!((&kept.data()["activate"], &kept.data()["frequency"]), (&json!(false), &json!("2-hours")));
        let read = app.user.get(&one).await;
        assert_eq!((&read.data()["name"], &read.data()["activate"]), (&json!("renamed"), &json!(false)));
        assert_eq!(read.data()["advanced_settings"], json!({"retries": 2, "time_zone": "Europe/Berlin"}));
        let default = with(job("renamed"), json!({"advanced_settings": {"retries": null}}));
        assert_eq!(app.user.put(&one, default).await.status, 200);
        assert_eq!(app.user.get(&one).await.data()["advanced_settings"], json!({"time_zone": "Europe/Berlin"}));
        let stale = app.user.with_header("If-Match", "\"1\"").json(Method::PUT, &one, job("stale")).await;
        assert_eq!(stale.status, 412);
    }
}

on_both_databases! {
    async fn jobs_are_filtered_in_every_spelling(app: TestApp) {
        made(&app, "a").await;
        let other = with(job("b"), json!({"destination": side("other", "parquet")}));
        let other = app.user.post(JOBS, other).await.data()["id"].clone();
        let id = app.user.get(&format!("{JOBS}/{other}")).await.data()["destination"]["id"].clone();
        for path in [
            format!("?dest_id={id}"),
            format!("/dest_id=\"{id}\""),
            format!("/dest_id={id}"),
            format!("/dest_id=%22{id}%22"),
            format!("/dest_id%3D%22{id}%22"),
        ] {
            let list = app.user.get(&format!("{JOBS}{path}")).await;
            assert_eq!(list.status, 200, "{path}: {}", list.text);
            let names: Vec<_> = list.data().as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
            assert_eq!(names, [json!("b")], "{path}");
        }
        let source = app.user.get(&format!("{JOBS}/{other}")).await.data()["source"]["id"].clone();
        let both = app.user.get(&format!("{JOBS}/source_id=\"{source}\"?limit=1")).await;
        assert_eq!(both.data().as_array().unwrap().len(), 1);
        let next = both.header("link").unwrap().trim_start_matches('<').split_once('>').unwrap().0.to_owned();
        assert_eq!(app.user.get(&next).await.data()[0]["name"], "a");
        assert_eq!(app.user.get(&format!("{JOBS}/dest_id=\"x\"")).await.status, 400);
    }
}

on_both_databases! {
    async fn a_source_in_use_is_neither_deleted_nor_of_another_type(app: TestApp) {
        let one = made(&app, "a").await;
        made(&app, "b").await;
        let job = app.user.get(&one).await.data();
        let source = format!("{SOURCES}/{}", job["source"]["id"]);
        let destination = format!("{DESTINATIONS}/{}", job["destination"]["id"]);
        let refused = app.user.delete(&source).await;
        assert_eq!((refused.status, refused.error().as_str()), (409, "source 'shop' is used by 2 jobs: a, b"));
        assert_eq!(app.user.delete(&destination).await.status, 409);
        let retyped = app.user.put(&source, side("shop", "files")).await;
        assert_eq!(retyped.status, 400);
        assert!(retyped.error().starts_with("Bad request: type: "), "{}", retyped.error());
        for job in app.user.get(JOBS).await.data().as_array().unwrap() {
            assert_eq!(app.user.delete(&format!("{JOBS}/{}", job["id"])).await.status, 200);
        }
        assert_eq!(app.user.delete(&source).await.status, 200);
    }
}

on_both_databases! {
    async fn a_sync_is_started_once_and_cancelled_once(app: TestApp) {
        let one = made(&app, "nightly").await;
        let mut events = app.context.events.subscribe();
        let started = app.user.post_nothing(&format!("{one}/sync")).await;
        assert_eq!((started.status, started.data()), (200, Value::Null));
        let created = events.recv().await.unwrap();
        assert_eq!((created.what, created.job.is_some()), (What::Created, true));
        let again = app.user.post_nothing(&format!("{one}/sync")).await;
        let expected = format!("a sync of job 'nightly' is running: {}", created.task);
        assert_eq!((again.status, again.error().as_str()), (409, expected.as_str()));
        let job = app.user.get(&one).await.data();
        assert_eq!((&job["last_run_state"], &job["last_run_type"]), (&json!("queued"), &json!("sync")));
        assert!(job["last_run_time"].is_string());

        let foreign = app.user.with_header("Sec-Fetch-Site", "cross-site").send(Method::GET, &format!("{one}/cancel"), None, Body::empty()).await;
        assert_eq!(foreign.status, 403);
        let cancelled = app.user.get(&format!("{one}/cancel")).await;
        assert_eq!(cancelled.status, 200);
        assert!(cancelled.data()["message"].as_str().unwrap().contains("cancelled"));
        assert!(matches!(events.recv().await.unwrap().what, What::Status(_)));
        for answer in [app.user.post_nothing(&format!("{one}/cancel")).await, app.user.get(&format!("{one}/cancel")).await] {
            assert_eq!((answer.status, answer.error().as_str()), (409, "no sync of job 'nightly' is running"));
        }
        assert_eq!(app.user.post_nothing(&format!("{one}/sync")).await.status, 200);
    }
}

on_both_databases! {
    async fn a_paused_job_starts_no_sync(app: TestApp) {
        let one = made(&app, "nightly").await;
        assert!(app.user.get(&one).await.data()["next_run_at"].is_string());
        let paused = app.user.post(&format!("{one}/activate"), json!({"activate": false})).await;
        assert_eq!((paused.status, paused.data()), (200, json!({"activate": false})));
        let refused = app.user.post_nothing(&format!("{one}/sync")).await;
        assert_eq!((refused.status, refused.error().as_str()), (409, "job 'nightly' is paused"));
        assert_eq!(app.user.get(&one).await.data().get("next_run_at"), None);
        app.user.post(&format!("{one}/activate"), json!({"activate": true})).await;
        assert_eq!(app.user.post_nothing(&format!("{one}/sync")).await.status, 200);
    }
}

on_both_databases! {
    async fn a_deleted_job_is_gone_with_its_sync_and_its_name_is_free(app: TestApp) {
        let one = made(&app, "nightly").await;
        app.user.post_nothing(&format!("{one}/sync")).await;
        let task = app.user.get(&format!("{one}/tasks")).await.data()[0]["id"].as_str().unwrap().to_owned();
        let deleted = app.user.delete(&one).await;
        assert_eq!((deleted.status, deleted.data()), (200, json!({"name": "nightly"})));
        let story = app.user.get(&format!("/api/v1/project/olake/tasks/{task}")).await;
        assert_eq!(story.data()["status"], "cancelled");
        for gone in ["", "/tasks", "/cancel"] {
            assert_eq!(app.user.get(&format!("{one}{gone}")).await.status, 404, "{gone}");
        }
        assert_eq!(app.user.post_nothing(&format!("{one}/sync")).await.status, 404);
        made(&app, "nightly").await;
    }
}

on_both_databases! {
    async fn a_running_sync_is_wished_to_end(app: TestApp) {
        let (claims, mut claimed) = tokio::sync::mpsc::unbounded_channel();
        let worker = FakeWorker::start(&app.context, move |_, task| {
            claims.send(task.fence.task).unwrap();
            None
        })
        .await;
        let one = made(&app, "nightly").await;
        app.user.post_nothing(&format!("{one}/sync")).await;
        let task = claimed.recv().await.unwrap();
        let mut events = app.context.events.subscribe();
        let cancelled = app.user.post_nothing(&format!("{one}/cancel")).await;
        assert_eq!(cancelled.data()["message"], json!(format!("task {task} is being cancelled")));
        let wish = events.recv().await.unwrap();
        assert_eq!((wish.task, wish.what), (task, What::CancelWish));
        let item = app.user.get(&format!("{one}/tasks")).await.data()[0].clone();
        assert_eq!((&item["status"], &item["cancel_requested"]), (&json!("running"), &json!(true)));
        worker.leave().await;
    }
}

on_both_databases! {
    async fn of_jobs_that_race_for_a_name_one_wins(app: TestApp) {
        let answers = futures::future::join_all((0..6).map(|_| app.user.post(JOBS, job("nightly")))).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
        assert_eq!(app.user.get(JOBS).await.data().as_array().unwrap().len(), 1);
    }
}

on_both_databases! {
    async fn jobs_that_race_to_make_one_source_share_it(app: TestApp) {
        let names = ["a", "b", "c"];
        let answers = futures::future::join_all(names.map(|name| app.user.post(JOBS, job(name)))).await;
        for answer in &answers {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        assert_eq!(app.user.get(SOURCES).await.data().as_array().unwrap().len(), 1);
        assert_eq!(app.user.get(DESTINATIONS).await.data().as_array().unwrap().len(), 1);
    }
}

on_both_databases! {
    async fn a_token_that_does_not_open_is_named_with_its_side(app: TestApp) {
        let mut body = job("nightly");
        body["destination"]["config"] = json!({"writer": {"s3_secret_key": "sealed:nonsense"}});
        let refused = app.user.post(JOBS, body).await;
        assert_eq!(
            (refused.status, refused.error().as_str()),
            (400, "Bad request: destination.config.writer.s3_secret_key: the sealed secret does not open here")
        );
        assert_eq!(app.user.get(SOURCES).await.data(), json!([]));
    }
}

on_both_databases! {
    async fn a_job_is_edited_when_the_workers_have_moved_on(app: TestApp) {
        let mut body = job("nightly");
        body["source"]["type"] = json!("oracle");
        let id = app.user.post(JOBS, body.clone()).await.data()["id"].clone();
        let worker = FakeWorker::idle(&app.context).await;
        let one = format!("{JOBS}/{id}");
        assert_eq!(app.user.put(&one, with(body.clone(), json!({"frequency": "5-minutes"}))).await.status, 200);
        let refused = app.user.post(JOBS, with(body, json!({"name": "another"}))).await;
        assert_eq!(refused.status, 400);
        assert!(refused.error().starts_with("Bad request: source.type: no worker runs 'oracle'"), "{}", refused.error());
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_job_of_another_project_is_not_there(app: TestApp) {
        let one = made(&app, "nightly").await;
        let elsewhere = one.replace("/olake/", "/123/");
        for path in ["", "/tasks", "/cancel"] {
            assert_eq!(app.user.get(&format!("{elsewhere}{path}")).await.status, 404, "{path}");
        }
        assert_eq!(app.user.put(&elsewhere, job("x")).await.status, 404);
        assert_eq!(app.user.post_nothing(&format!("{elsewhere}/sync")).await.status, 404);
        assert_eq!(app.user.post(&format!("{elsewhere}/activate"), json!({"activate": false})).await.status, 404);
        assert_eq!(app.user.delete(&elsewhere).await.status, 404);
        let source = app.user.get(&one).await.data()["source"]["id"].clone();
        let borrowed = with(job("x"), json!({"source": {"id": source}}));
        assert_eq!(app.user.post("/api/v1/project/123/jobs", borrowed).await.status, 404);
    }
}

on_both_databases! {
    async fn a_head_cancels_nothing(app: TestApp) {
        let one = made(&app, "nightly").await;
        app.user.post_nothing(&format!("{one}/sync")).await.expect(200);
        let head = app.user.send(Method::HEAD, &format!("{one}/cancel"), None, Body::empty()).await;
        assert_eq!(head.status, 405);
        assert_eq!(app.user.get(&format!("{one}/tasks")).await.data()[0]["status"], "queued");
        app.user.get(&format!("{one}/cancel")).await.expect(200);
    }

    async fn a_filter_by_an_id_that_nothing_has_finds_nothing(app: TestApp) {
        made(&app, "nightly").await;
        for filter in ["?dest_id=0", "?source_id=0", "?dest_id=-1", "/dest_id=\"0\""] {
            assert_eq!(app.user.get(&format!("{JOBS}{filter}")).await.expect(200).data(), json!([]), "{filter}");
        }
    }

    async fn beside_an_id_the_rest_of_a_side_is_ignored_and_echoed(app: TestApp) {
        made(&app, "first").await;
        let source = app.user.get(SOURCES).await.data()[0]["id"].clone();
        let ignored = json!({"id": source, "config": "garbage", "version": 7, "name": null, "colour": {"b": 1, "a": 2}});
        let body = with(job("second"), json!({"source": ignored}));
        let answer = app.user.post(JOBS, body.clone()).await.expect(200);
        let id = answer.data()["id"].clone();
        assert_eq!(answer.data(), with(body, json!({"id": id})));

        let secret = json!({"id": source, "config": {"password": "hunter2", "port": 1}});
        let answer = app.user.put(&format!("{JOBS}/{id}"), with(job("second"), json!({"source": secret}))).await.expect(200);
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
        assert_eq!(answer.data()["source"]["config"]["port"], 1, "what was received, not what is stored");
        let text = json!({"id": source, "config": "{\"password\":\"hunter2\"}"});
        let answer = app.user.put(&format!("{JOBS}/{id}"), with(job("second"), json!({"source": text}))).await.expect(200);
        assert!(answer.data()["source"]["config"].as_str().unwrap().contains("sealed:"));

        for bad in [json!(1.5), json!("1"), json!(true)] {
            let body = with(job("third"), json!({"source": {"id": bad}}));
            let error = app.user.post(JOBS, body).await.expect(400).error();
            assert!(error.starts_with("Bad request: source.id: "), "{error}");
        }
    }

    async fn a_name_and_what_no_schema_knows_come_back_as_they_were_sent(app: TestApp) {
        let body = with(job("  nightly "), json!({"labels": {"b": 1.10, "a": [null]}, "id": "mine"}));
        let answer = app.user.post(JOBS, body.clone()).await.expect(200);
        let id = answer.data()["id"].clone();
        assert!(id.is_i64(), "{}", answer.text);
        assert_eq!(answer.data(), with(body.clone(), json!({"id": id})));
        let one = format!("{JOBS}/{id}");
        assert_eq!(app.user.get(&one).await.data()["name"], "  nightly ");
        let answer = app.user.put(&one, body.clone()).await.expect(200);
        assert_eq!(answer.data(), with(body, json!({"id": id, "activate": true})));
        let error = app.user.post(JOBS, job(" \t ")).await.expect(400).error();
        assert_eq!(error, "Bad request: name: must not be empty");
    }

    async fn if_match_names_revisions_and_nothing_else(app: TestApp) {
        made(&app, "nightly").await;
        let first = |list: &'static str| {
            let app = &app;
            async move { format!("{list}/{}", app.user.get(list).await.data()[0]["id"]) }
        };
        let bodies = [(JOBS, job("nightly")), (SOURCES, side("shop", "postgres")), (DESTINATIONS, side("lake", "parquet"))];
        for (list, body) in bodies {
            let one = first(list).await;
            for other in ["\"abc\"", "\"\"", "\"99999999999999999999\"", "\"2\"", "\"2\", \"3\""] {
                let client = app.user.with_header("If-Match", other);
                client.put(&one, body.clone()).await.expect(412);
                client.delete(&one).await.expect(412);
            }
            app.user.with_header("If-Match", "\"abc\", \"1\"").put(&one, body.clone()).await.expect(200);
            app.user.with_header("If-Match", "*").put(&one, body).await.expect(200);
            app.user.with_header("If-Match", "\"1\", \"2\"").delete(&one).await.expect(412);
            app.user.with_header("If-Match", "\"1\", \"3\"").delete(&one).await.expect(200);
        }
    }

    async fn a_schedule_that_never_comes_again_is_refused(app: TestApp) {
        let over = json!({"frequency": "0 0 0 1 1 * 2020"});
        let error = app.user.post(JOBS, with(job("late"), over.clone())).await.expect(400).error();
        assert!(error.starts_with("Bad request: frequency: "), "{error}");
        let one = made(&app, "nightly").await;
        let paused = with(over, json!({"activate": false}));
        let error = app.user.put(&one, with(job("nightly"), paused)).await.expect(400).error();
        assert!(error.starts_with("Bad request: frequency: "), "{error}");
        assert_eq!(app.user.get(&one).await.data()["frequency"], job("")["frequency"]);
    }
}
