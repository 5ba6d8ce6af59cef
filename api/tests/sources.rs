//! Sources: making, reading, replacing, deleting; and what their connectors are asked.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;

use std::time::Duration;

use chrono::TimeDelta;
use fake_worker::{FakeWorker, failed, found, lines, spec, until};
use olake_api::server::bind;
use olake_shared::{
    crypto::token::new_token,
    store::{
        connections::Side,
        tasks::{
            claim::{Claimed, Work},
            input::{OneShot, OneShotResult},
        },
    },
};
use poem::{Body, http::Method};
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const SOURCES: &str = "/api/v1/project/olake/sources";
const STREAMS: &str = "/api/v1/project/olake/source/streams";

fn source(name: &str, config: Value) -> Value {
    json!({"name": name, "type": "postgres", "version": "v0.9.4", "config": config})
}

fn tested(config: Value) -> Value {
    json!({"type": "postgres", "version": "v0.9.4", "config": config})
}

/// The config of a claimed one-shot task, as the connector would get it.
fn opened(context: &olake_api::Context, claimed: &Claimed) -> Value {
    let (side, config) = match &claimed.work {
        Work::OneShot(OneShot::Check { side, config }) => (*side, config),
        Work::OneShot(OneShot::Discover { config, .. }) => (Side::Source, config),
        other => panic!("no config: {other:?}"),
    };
    context.store.open_config(&claimed.project, side, config).unwrap()
}

on_both_databases! {
    async fn a_source_is_made_listed_replaced_and_deleted(app: TestApp) {
        let made = app.user.post(SOURCES, source("shop", json!({"host": "db"}))).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let id = made.data()["id"].as_i64().unwrap();
        assert_eq!(made.data(), json!({"id": id, "name": "shop", "type": "postgres", "version": "v0.9.4", "config": {"host": "db"}}));
        assert_eq!(made.header("etag"), Some("\"1\""));

        let list = app.user.get(SOURCES).await;
        let item = &list.data()[0];
        assert_eq!((&item["id"], &item["config"], &item["jobs"]), (&json!(id), &json!({"host": "db"}), &json!([])));
        assert_eq!((&item["created_by"], &item["updated_by"]), (&json!(app.account.username), &json!(app.account.username)));
        assert!(item["created_at"].as_str().unwrap().starts_with("20"));

        let one = format!("{SOURCES}/{id}");
        let changed = app.user.put(&one, source("shop 2", json!({"host": "other"}))).await;
        assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")));
        let read = app.user.get(&one).await;
        assert_eq!((&read.data()["name"], read.header("etag")), (&json!("shop 2"), Some("\"2\"")));

        let deleted = app.user.delete(&one).await;
        assert_eq!((deleted.status, deleted.data()), (200, json!({"name": "shop 2"})));
        assert_eq!(app.user.get(&one).await.status, 404);
        assert_eq!(app.user.get(SOURCES).await.data(), json!([]));
    }
}

on_both_databases! {
    async fn a_config_comes_back_in_its_form_with_its_order_and_its_digits(app: TestApp) {
        let text = r#"{"z":12345678901234567890123,"a":{"y":1.10,"b":[]}}"#;
        let as_object = app
            .user
            .send(
                Method::POST,
                SOURCES,
                Some("application/json"),
                Body::from_string(format!(r#"{{"name":"o","type":"postgres","version":"v0.9.4","config":{text}}}"#)),
            )
            .await;
        assert!(as_object.text.contains(&format!("\"config\":{text}")), "{}", as_object.text);
        let as_text = app.user.post(SOURCES, source("t", json!(text))).await;
        assert_eq!(as_text.data()["config"], json!(text));
        let list = app.user.get(SOURCES).await;
        assert_eq!(list.text.matches(&format!("\"config\":{text}")).count(), 2, "{}", list.text);
    }
}

on_both_databases! {
    async fn a_stale_form_changes_nothing(app: TestApp) {
        let id = app.user.post(SOURCES, source("shop", json!({}))).await.data()["id"].clone();
        let one = format!("{SOURCES}/{id}");
        let put = async |tag: &str| {
            app.user.with_header("If-Match", tag).json(Method::PUT, &one, source("shop", json!({"at": tag}))).await
        };
        assert_eq!(put("\"1\"").await.status, 200);
        assert_eq!(put("\"1\"").await.status, 412);
        assert_eq!(put("*").await.status, 200);
        assert_eq!(put("\"x\"").await.status, 412);
        assert_eq!(app.user.get(&one).await.data()["config"], json!({"at": "*"}));
    }
}

on_both_databases! {
    async fn a_secret_is_shown_as_a_token_that_every_operation_takes_back(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |context, claimed| {
            let config = opened(context, claimed).to_string();
            Some(found(match claimed.work {
                Work::OneShot(OneShot::Check { .. }) => OneShotResult::Check { succeeded: true, message: config },
                _ => OneShotResult::Discover { catalog: config },
            }))
        })
        .await;
        let plain = json!({"host": "db", "password": "hunter2"});
        let made = app.user.post(SOURCES, source("shop", plain.clone())).await;
        let token = made.data()["config"]["password"].as_str().unwrap().to_owned();
        assert!(token.starts_with("sealed:"), "{token}");
        let one = format!("{SOURCES}/{}", made.data()["id"]);
        let shown = app.user.get(&one).await.data()["config"].clone();
        assert_eq!(shown, made.data()["config"]);

        // Tested and discovered with: the connector gets the secret, the answer the token.
        let test = app.user.post(&format!("{SOURCES}/test"), tested(shown.clone())).await;
        assert_eq!(test.data()["connection_result"]["message"], json!(plain.to_string()));
        assert_eq!(test.data()["config"], shown);
        let streams = app.user.post(STREAMS, tested(shown.clone())).await;
        assert_eq!(streams.data()["streams_config"], plain);

        // Posted back, with another field changed.
        let changed = app.user.put(&one, source("shop", json!({"host": "db2", "password": token}))).await;
        assert_eq!(changed.data()["config"], json!({"host": "db2", "password": token}));

        // Elsewhere it opens nothing: another field, another project, a destination, a broken token.
        let elsewhere = app.user.post(SOURCES, source("b", json!({"token": token}))).await;
        assert_eq!(elsewhere.status, 400);
        assert!(elsewhere.error().starts_with("Bad request: config.token: "), "{}", elsewhere.error());
        let other_project = app.user.post("/api/v1/project/123/sources", source("b", shown.clone())).await;
        assert_eq!(other_project.status, 400, "{}", other_project.text);
        let destination = json!({"name": "d", "type": "parquet", "version": "v0.9.4", "config": shown});
        assert_eq!(app.user.post("/api/v1/project/olake/destinations", destination).await.status, 400);
        let broken = json!({"host": "db", "password": format!("{token}x")});
        assert_eq!(app.user.post(&format!("{SOURCES}/test"), tested(broken)).await.status, 400);
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_name_is_taken_once_and_free_again_when_deleted(app: TestApp) {
        let first = app.user.post(SOURCES, source("shop", json!({}))).await;
        let spaced = app.user.post(SOURCES, source(" shop ", json!({}))).await;
        assert_eq!((spaced.status, &spaced.data()["name"]), (200, &json!(" shop ")), "blanks are part of a name");
        let second = app.user.post(SOURCES, source("shop", json!({}))).await;
        assert_eq!((second.status, second.error().as_str()), (409, "source name 'shop' is not unique"));
        let other = app.user.post(SOURCES, source("other", json!({}))).await;
        let renamed = app.user.put(&format!("{SOURCES}/{}", other.data()["id"]), source("shop", json!({}))).await;
        assert_eq!(renamed.status, 409);
        assert_eq!(app.user.post("/api/v1/project/123/sources", source("shop", json!({}))).await.status, 200);
        app.user.delete(&format!("{SOURCES}/{}", first.data()["id"])).await;
        assert_eq!(app.user.post(SOURCES, source("shop", json!({}))).await.status, 200);
    }
}

on_both_databases! {
    async fn of_requests_that_race_for_a_name_one_wins(app: TestApp) {
        let answers = futures::future::join_all((0..8).map(|_| app.user.post(SOURCES, source("shop", json!({}))))).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
        assert_eq!(app.user.get(SOURCES).await.data().as_array().unwrap().len(), 1);
    }
}

on_both_databases! {
    async fn what_is_of_another_project_is_not_there(app: TestApp) {
        let id = app.user.post(SOURCES, source("shop", json!({}))).await.data()["id"].clone();
        for project in ["123", "nowhere", "%20", "a%2Fb"] {
            let one = format!("/api/v1/project/{project}/sources/{id}");
            assert_eq!(app.user.get(&one).await.status, 404, "{project}");
            assert_eq!(app.user.put(&one, source("x", json!({}))).await.status, 404, "{project}");
            assert_eq!(app.user.delete(&one).await.status, 404, "{project}");
        }
        assert_eq!(app.user.get(&format!("{SOURCES}/{id}")).await.data()["name"], "shop");
    }
}

on_both_databases! {
    async fn a_list_is_paged_when_asked(app: TestApp) {
        for n in 1..=5 {
            app.user.post(SOURCES, source(&format!("s{n}"), json!({}))).await;
        }
        let all = app.user.get(SOURCES).await;
        assert_eq!((all.data().as_array().unwrap().len(), all.header("link")), (5, None));
        let mut names = Vec::new();
        let mut next = Some(format!("{SOURCES}?limit=2"));
        let mut pages = 0;
        while let Some(path) = next {
            let page = app.user.get(&path).await;
            assert_eq!(page.status, 200, "{}", page.text);
            names.extend(page.data().as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            next = page.header("link").map(|link| {
                let (path, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
                assert_eq!(rest, "; rel=\"next\"");
                path.to_owned()
            });
            pages += 1;
        }
        assert_eq!((pages, names), (3, ["s5", "s4", "s3", "s2", "s1"].map(str::to_owned).to_vec()));
        for bad in ["limit=0", "limit=-1", "limit=x", "cursor=nonsense"] {
            assert_eq!(app.user.get(&format!("{SOURCES}?{bad}")).await.status, 400, "{bad}");
        }
    }
}

on_both_databases! {
    async fn a_connector_that_no_live_worker_runs_is_refused(app: TestApp) {
        let unknown = || json!({"name": "x", "type": "oracle", "version": "v0.9.4", "config": {}});
        let id = app.user.post(SOURCES, unknown()).await.data()["id"].clone();
        assert!(id.is_i64(), "without a live worker everything is taken");
        let worker = FakeWorker::idle(&app.context).await;
        let refused = app.user.post(SOURCES, json!({"name": "y", "type": "oracle", "version": "v0.9.4", "config": {}})).await;
        assert_eq!(
            (refused.status, refused.error().as_str()),
            (400, "Bad request: type: no worker runs 'oracle'; known are files, postgres")
        );
        let version = app.user.post(SOURCES, json!({"name": "y", "type": "files", "version": "v0.8.0", "config": {}})).await;
        assert_eq!(
            (version.status, version.error().as_str()),
            (400, "Bad request: version: no worker runs 'files' v0.8.0; known are v0.9.4")
        );
        // An edit stays possible when the workers have moved on.
        assert_eq!(app.user.put(&format!("{SOURCES}/{id}"), unknown()).await.status, 200);
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_spec_is_read_once_and_then_kept(app: TestApp) {
        let path = format!("{SOURCES}/spec?type=postgres&version=v0.9.4");
        let nobody = app.user.get(&path).await;
        assert_eq!(nobody.status, 503);
        assert!(nobody.header("retry-after").is_some());
        let form = json!({"jsonschema": {"type": "object", "properties": {"pin": {"format": "password"}}}, "uischema": "{}"});
        let printed = form.clone();
        let worker = FakeWorker::start(&app.context, move |_, claimed| Some(spec(claimed, &printed))).await;
        // What the spec calls a secret is sealed as soon as it is known.
        let id = app.user.post(SOURCES, source("shop", json!({"pin": "1234"}))).await.data()["id"].clone();
        let read = app.user.get(&path).await;
        assert_eq!((read.status, read.data()), (200, json!({"type": "postgres", "version": "v0.9.4", "spec": form})));
        let shown = app.user.get(&format!("{SOURCES}/{id}")).await.data()["config"]["pin"].clone();
        assert!(shown.as_str().unwrap().starts_with("sealed:"), "{shown}");
        worker.leave().await;
        let body = json!({"type": "postgres", "version": "v0.9.4"});
        let again = app.user.json(Method::GET, &format!("{SOURCES}/spec"), body).await;
        assert_eq!((again.status, &again.data()["spec"]), (200, &form));
    }
}

on_both_databases! {
    async fn a_spec_that_the_connector_cannot_print_is_a_422(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |_, _| Some(failed("no such flag"))).await;
        let answer = app.user.get(&format!("{SOURCES}/spec?type=postgres&version=v0.9.4")).await;
        assert_eq!((answer.status, answer.error().as_str()), (422, "spec failed: no such flag"));
        for missing in ["", "?type=postgres", "?version=v0.9.4", "?type=&version=v0.9.4"] {
            assert_eq!(app.user.get(&format!("{SOURCES}/spec{missing}")).await.status, 400, "{missing}");
        }
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_test_answers_what_the_connector_said_and_logged(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |context, claimed| {
            let mut end = match opened(context, claimed)["host"].as_str().unwrap() {
                "good" => found(OneShotResult::Check { succeeded: true, message: "connected".to_owned() }),
                "bad" => found(OneShotResult::Check { succeeded: false, message: "no route".to_owned() }),
                _ => failed("exit code 1"),
            };
            end.log = lines(context, (0..1_200).map(|n| format!("line {n}")));
            Some(end)
        })
        .await;
        let test = format!("{SOURCES}/test");
        for (host, status, message) in
            [("good", "SUCCEEDED", "connected"), ("bad", "FAILED", "no route"), ("dead", "FAILED", "exit code 1")]
        {
            let config = json!({"host": host});
            let answer = app.user.post(&test, tested(json!(config.to_string()))).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.data()["connection_result"], json!({"status": status, "message": message}));
            assert_eq!(answer.data()["config"], json!(config.to_string()));
            let data = answer.data();
            let logs = data["logs"].as_array().unwrap();
            assert_eq!((logs.len(), &logs[999]["message"]), (1_000, &json!("line 1199")));
        }
        worker.leave().await;
        assert_eq!(app.user.post(&test, tested(json!({"host": "good"}))).await.status, 503);
    }
}

on_both_databases! {
    async fn streams_come_by_get_and_post_with_the_config_in_the_body(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |context, claimed| {
            let Work::OneShot(OneShot::Discover { max_discover_threads, .. }) = claimed.work else { panic!("{claimed:?}") };
            Some(match opened(context, claimed)["host"].as_str() {
                Some("bad") => failed("password authentication failed"),
                _ => {
                    let catalog = json!({"streams": [{"n": 12_345_678_901_234_567_890_u64}], "threads": max_discover_threads});
                    found(OneShotResult::Discover { catalog: catalog.to_string() })
                }
            })
        })
        .await;
        let got = app.user.json(Method::GET, STREAMS, tested(json!({"host": "db"}))).await;
        assert_eq!((got.status, &got.data()["streams_config"]["streams"][0]["n"].to_string()), (200, &"12345678901234567890".to_owned()));
        let by_query = format!("{STREAMS}?type=postgres&version=v0.9.4");
        let got = app.user.json(Method::GET, &by_query, json!({"config": {"host": "db"}})).await;
        assert_eq!(got.status, 200, "{}", got.text);
        let error = app.user.json(Method::GET, STREAMS, json!({"config": {"host": "db"}})).await.expect(400).error();
        assert_eq!(error, "Bad request: type: it is missing");
        let mut body = tested(json!({"host": "db"}));
        body["max_discover_threads"] = json!(7);
        assert_eq!(app.user.post(STREAMS, body).await.data()["streams_config"]["threads"], 7);
        let bad = app.user.post(STREAMS, tested(json!({"host": "bad"}))).await;
        assert_eq!((bad.status, bad.error().as_str()), (422, "discover failed: password authentication failed"));
        let both = app.user.json(Method::GET, &format!("{STREAMS}?type=mysql&version=v9.9.9"), tested(json!({"host": "db"}))).await;
        assert_eq!(both.status, 200, "the body wins: {}", both.text);
        for config in ["config=%7B%7D", "c%6fnfig=%7B%7D", "config"] {
            let address = format!("{STREAMS}?type=postgres&version=v0.9.4&{config}");
            for query in [
                app.user.get(&address).await,
                app.user.json(Method::GET, &address, tested(json!({"host": "db"}))).await,
                app.user.post(&address, tested(json!({"host": "db"}))).await,
            ] {
                assert_eq!(query.status, 400);
                assert!(query.error().contains("query string"), "{}", query.error());
            }
        }
        assert_eq!(app.user.get(STREAMS).await.status, 400);
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_client_that_will_not_wait_gets_the_task(app: TestApp) {
        let worker = FakeWorker::start(&app.context, |_, _| {
            Some(found(OneShotResult::Check { succeeded: true, message: "connected".to_owned() }))
        })
        .await;
        let client = app.user.with_header("Prefer", "respond-async");
        let answer = client.post(&format!("{SOURCES}/test"), tested(json!({}))).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let location = answer.header("location").unwrap().to_owned();
        assert_eq!(location, format!("/api/v1/project/olake/tasks/{}", answer.data()["task_id"].as_str().unwrap()));
        let story = until(|| app.user.get(&location), |story| story.data()["status"] == "succeeded").await;
        assert_eq!(story.data()["kind"], "check");
        assert_eq!(story.data()["result"], json!({"connection_result": {"status": "SUCCEEDED", "message": "connected"}}));
        assert_eq!(story.data()["attempts"].as_array().unwrap().len(), 1);
        worker.leave().await;
    }
}

on_both_databases! {
    async fn a_test_whose_client_hangs_up_is_cancelled(app: TestApp) {
        let (claims, mut claimed) = tokio::sync::mpsc::unbounded_channel();
        let worker = FakeWorker::start(&app.context, move |_, task| {
            claims.send(task.fence.task).unwrap();
            None
        })
        .await;
        let token = new_token();
        app.context.store.create_session(app.account.id, &token, TimeDelta::hours(1)).await.unwrap();
        let server = bind("localhost:0".parse().unwrap()).await.unwrap();
        let address = server.addresses()[0];
        let serving = tokio::spawn(server.serve(app.context.clone()));
        let body = tested(json!({})).to_string();
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST {SOURCES}/test HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let task = claimed.recv().await.unwrap();
        let queue = app.context.store.queue();
        assert!(queue.cancel_wishes(&[task]).await.unwrap().is_empty());
        drop(client);
        let wished = async {
            while queue.cancel_wishes(&[task]).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wished).await.unwrap();
        app.context.shutdown.cancel();
        serving.await.unwrap();
        worker.leave().await;
    }
}

on_both_databases! {
    async fn who_waits_is_sent_away_when_the_server_stops(app: TestApp) {
        let (claims, mut claimed) = tokio::sync::mpsc::unbounded_channel();
        let worker = FakeWorker::start(&app.context, move |_, task| {
            claims.send(task.fence.task).unwrap();
            None
        })
        .await;
        let test = format!("{SOURCES}/test");
        let (answer, ()) = tokio::join!(app.user.post(&test, tested(json!({}))), async {
            claimed.recv().await.unwrap();
            app.context.shutdown.cancel();
        });
        assert_eq!(answer.status, 503);
        worker.leave().await;
    }
}
