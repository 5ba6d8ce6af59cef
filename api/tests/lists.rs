//! Lists that are polled: their tags, their search, their short form.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use olake_shared::store::tasks::{
    claim::Claim,
    end::{Final, Outcome},
    limits::Limits,
};
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};
use uuid::Uuid;

const PROJECT: &str = "/api/v1/project/olake";
const JOBS: &str = "/api/v1/project/olake/jobs";

fn job(name: &str) -> Value {
    let side = |kind: &str| json!({"name": kind, "type": kind, "version": "v0.9.4", "config": {"password": "hunter2"}});
    json!({
        "name": name, "source": side("files"), "destination": side("parquet"), "frequency": "1-days",
        "streams_config": {"streams": []},
    })
}

async fn made(app: &TestApp, name: &str) -> i64 {
    app.user.post(JOBS, job(name)).await.expect(200).data()["id"].as_i64().unwrap()
}

/// The tag of a list.
async fn tag(app: &TestApp, path: &str) -> String {
    let reply = app.user.get(path).await.expect(200);
    assert_eq!(reply.header("cache-control"), Some("private, no-cache"), "{path}");
    let vary = reply
        .headers
        .get_all("vary")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect::<Vec<_>>()
        .join(", ");
    for name in ["Authorization", "Cookie", "X-OLake-Profile", "Origin"] {
        assert!(vary.contains(name), "{path}: {vary}");
    }
    let tag = reply.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    tag
}

async fn status(app: &TestApp, path: &str, tag: &str) -> u16 {
    app.user.with_header("If-None-Match", tag).get(path).await.status
}

on_both_databases! {
    async fn an_unchanged_list_is_a_304_until_something_of_the_project_changes(app: TestApp) {
        let id = made(&app, "a").await;
        let lists = [JOBS.to_owned(), format!("{PROJECT}/sources"), format!("{PROJECT}/destinations"), format!("{JOBS}?limit=1")];
        for list in &lists {
            let first = tag(&app, list).await;
            assert_eq!(tag(&app, list).await, first);
            let same = app.user.with_header("If-None-Match", &format!("\"other\", {first}")).get(list).await;
            assert_eq!((same.status, same.text.as_str(), same.header("etag")), (304, "", Some(first.as_str())));
            assert_eq!(status(&app, list, "*").await, 304);
            app.user.post(&format!("{JOBS}/{id}/activate"), json!({"activate": false})).await.expect(200);
            assert_eq!(status(&app, list, &first).await, 200);
            app.user.post(&format!("{JOBS}/{id}/activate"), json!({"activate": true})).await.expect(200);
        }
    }

    async fn the_list_shows_each_state_of_a_run_although_it_is_kept(app: TestApp) {
        let id = made(&app, "a").await;
        let state = async || app.user.get(JOBS).await.data()[0].get("last_run_state").cloned();
        assert_eq!(state().await, None);
        let project = app.context.project("olake").await.unwrap();
        let task = project.create_sync(id, app.account.id).await.unwrap().task;
        assert_eq!(state().await, Some(json!("queued")));
        let queue = app.context.store.queue();
        let claim = queue.claim(task, Uuid::now_v7(), "here", Limits::default()).await.unwrap();
        let Some(Claim::Taken(claimed)) = claim else { panic!("not claimed") };
        assert_eq!(state().await, Some(json!("running")));
        queue.end(claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
        assert_eq!(state().await, Some(json!("succeeded")));
        assert_eq!(app.user.get(&format!("{PROJECT}/sources")).await.data()[0]["jobs"][0]["last_run_state"], "succeeded");
    }

    async fn a_tag_is_of_one_form_and_a_kept_list_of_one_caller_profile_and_query(app: TestApp) {
        made(&app, "a").await;
        made(&app, "b").await;
        let native = tag(&app, JOBS).await;
        let ui = app.user.with_header("X-OLake-Profile", "ui");
        let shown = ui.with_header("If-None-Match", &native).get(JOBS).await.expect(200);
        assert_ne!(shown.header("etag"), Some(native.as_str()));
        assert_eq!(shown.data()[0].get("streams_config"), None);
        assert!(app.user.get(JOBS).await.data()[0]["streams_config"].is_object());
        assert_eq!(app.user.get(&format!("{JOBS}?search=A")).await.data().as_array().unwrap().len(), 1);
        assert_eq!(app.user.get("/api/v1/project/123/jobs").await.data(), json!([]));
    }

    async fn a_list_is_not_told_to_whoever_may_not_see_it(app: TestApp) {
        let tag = tag(&app, JOBS).await;
        app.anon.with_header("If-None-Match", &tag).get(JOBS).await.expect(401);
        app.anon.with_header("If-None-Match", "*").get(JOBS).await.expect(401);
        app.user.with_header("If-None-Match", "*").get("/api/v1/project/unknown/jobs").await.expect(404);
        app.user.post_nothing("/logout").await.expect(200);
        app.user.with_header("If-None-Match", &tag).get(JOBS).await.expect(401);
    }

    async fn a_brief_list_has_no_documents(app: TestApp) {
        made(&app, "a").await;
        let (full, mut brief) = (app.user.get(JOBS).await.data(), app.user.get(&format!("{JOBS}?brief=true")).await.data());
        assert_eq!((brief[0].get("streams_config"), brief[0]["source"].get("config")), (None, None));
        brief[0]["streams_config"] = full[0]["streams_config"].clone();
        for side in ["source", "destination"] {
            brief[0][side]["config"] = full[0][side]["config"].clone();
        }
        assert_eq!(brief, full);
    }

    async fn lists_are_searched_page_by_page(app: TestApp) {
        for name in ["Orders 1", "orders 2", "orders 3", "customers"] {
            made(&app, name).await;
        }
        let names = |reply: &support::Reply| {
            reply.data().as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let page = app.user.get(&format!("{JOBS}?search=ORDERS&limit=2")).await.expect(200);
        assert_eq!(names(&page), ["orders 3", "orders 2"]);
        let link = page.header("link").unwrap();
        let next = link.trim_start_matches('<').split('>').next().unwrap();
        let page = app.user.get(next).await.expect(200);
        assert_eq!((names(&page), page.header("link")), (vec!["Orders 1".to_owned()], None));
        assert_eq!(app.user.get(&format!("{PROJECT}/sources?search=FILE")).await.data().as_array().unwrap().len(), 1);
        assert_eq!(app.user.get(&format!("{PROJECT}/destinations?search=file")).await.data(), json!([]));
        let long = "x".repeat(1_025);
        for list in ["jobs", "sources", "destinations"] {
            let refused = app.user.get(&format!("{PROJECT}/{list}?search={long}")).await.expect(400);
            assert!(refused.error().starts_with("Bad request: search: "), "{}", refused.text);
        }
        app.user.get(&format!("{JOBS}?limit=1000000000&search={}", "x".repeat(1_024))).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tabs_that_ask_at_once_all_get_the_list() {
    let app = TestApp::postgres().await;
    made(&app, "a").await;
    let all = (0..50).map(|_| app.user.get(JOBS));
    let replies = futures::future::join_all(all).await;
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.text == replies[0].text));
}
