//! The web UI on this API: every request that it was seen to send is sent again, page by page, and every answer is held
//! against the table of what the UI needs. A row of the table that was never requested is a failure.
//!
//! The recording (`fixtures/ui-requests.jsonl`) has two sessions of a browser; what it lacks is in [`beyond_the_recording`].

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod fake_worker;
mod support;
mod ui;

use std::collections::BTreeSet;

use fake_worker::until;
use olake_shared::{config::Secret, crypto::password, store::accounts::NewUser};
use serde_json::{Value, json};
use support::{Client, TestApp};
use ui::{
    connector::{Connector, VERSION},
    exchange::{Asked, Exchange},
    rows::{ROWS, check, row_of},
};

const PROJECT: &str = "/api/v1/project/123";

/// A browser in front of a server of its own.
struct Browser {
    app: TestApp,
    connector: Connector,
    cookie: Option<String>,
    /// The rows that were requested.
    seen: BTreeSet<String>,
}

impl Browser {
    async fn open(app: TestApp) -> Self {
        let password_hash = password::hash_async(Secret::new("password")).await.unwrap();
        let admin = NewUser {
            username: "admin".to_owned(),
            email: "admin@example.com".to_owned(),
            password_hash,
            is_admin: true,
        };
        app.context.store.create_user(admin).await.unwrap();
        let connector = Connector::start(&app.context).await;
        Self { app, connector, cookie: None, seen: BTreeSet::new() }
    }

    /// Sends a request and holds its answer against the table.
    async fn ask(&mut self, mut asked: Asked) -> Exchange {
        let row = row_of(&asked.method, &asked.path);
        self.prepare(row.method, row.path, &mut asked).await;
        let (method, body) = (asked.method.clone(), asked.body.clone());
        let exchange = asked.send(&self.app.anon, self.cookie.as_deref()).await;
        self.seen.insert(row.name());
        check(row, &exchange);
        if let Some(cookie) = exchange.reply.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(ToOwned::to_owned);
        }
        if method == "POST" && row.path.ends_with("/sync") {
            self.the_sync_is_seen_at_once().await;
        }
        let starts_or_ends_tasks = row.path.ends_with("/cancel")
            || row.path.ends_with("/clear-destination")
            || !body["difference_streams"].is_null();
        if starts_or_ends_tasks && exchange.is_success() {
            self.connector.release(&self.app.context).await;
            self.idle().await;
        }
        exchange
    }

    /// Brings about what a request needs that the recording does not show.
    async fn prepare(&mut self, method: &str, path: &str, asked: &mut Asked) {
        match (method, path) {
            (_, "P/jobs/*/tasks/1/logs" | "P/jobs/*/logs/download") => {
                asked.set_file_path(&self.finished_run().await);
            }
            (_, "P/jobs/*/cancel") if asked.status == 200 => {
                self.idle().await;
                self.connector.hold();
                self.native().post_nothing(&format!("{PROJECT}/jobs/1/sync")).await.expect(200);
                let tasks = format!("{PROJECT}/jobs/1/tasks");
                until(|| self.app.user.get(&tasks), |_| self.connector.holds()).await;
            }
            ("POST", "P/jobs/*/clear-destination") => self.idle().await,
            _ => {}
        }
    }

    fn native(&self) -> Client {
        self.app.user.clone()
    }

    /// The `file_path` of a run that has ended; makes one if there is none.
    async fn finished_run(&self) -> String {
        let tasks = format!("{PROJECT}/jobs/1/tasks");
        if self.native().get(&tasks).await.data().as_array().unwrap().is_empty() {
            self.native().post_nothing(&format!("{PROJECT}/jobs/1/sync")).await.expect(200);
        }
        self.idle().await;
        let list = self.native().get(&tasks).await.data();
        list[0]["file_path"].as_str().unwrap().to_owned()
    }

    /// Waits until no task of the job is under way.
    async fn idle(&self) {
        let tasks = format!("{PROJECT}/jobs/1/tasks");
        let ended =
            |item: &Value| !["queued", "waiting", "running"].iter().any(|word| item["status"] == *word);
        until(|| self.app.user.get(&tasks), |list| list.data().as_array().unwrap().iter().all(ended)).await;
    }

    /// The UI looks for the sync that it started, by a start within two seconds of its own clock.
    async fn the_sync_is_seen_at_once(&self) {
        let list = self.native().get(&format!("{PROJECT}/jobs/1/tasks")).await.data();
        let start = ui::form::time(&list[0], "start_time");
        let age = self.app.context.store.clock().now() - start;
        assert!(list[0]["job_type"] == "sync" && age.num_milliseconds().abs() < 2_000, "{list}");
    }

    /// Makes the source, the destination and the job that the recording has before it begins.
    async fn furnish(&self, source: &str, destination: &str) {
        let connection = |name: &str, kind: &str| json!({"name": name, "type": kind, "version": VERSION, "config": {"host": "db"}});
        let user = self.native();
        user.post(&format!("{PROJECT}/sources"), connection(source, "postgres")).await.expect(200);
        user.post(&format!("{PROJECT}/destinations"), connection(destination, "iceberg")).await.expect(200);
    }

    async fn sign_in(&mut self) {
        self.ask(Asked::new("POST", "/login", json!({"username": "admin", "password": "password"}), 200))
            .await;
    }
}

/// The requests of the recording, by session: each begins with an empty server.
fn recording() -> (Vec<Asked>, Vec<Asked>) {
    let mut first: Vec<Asked> = include_str!("fixtures/ui-requests.jsonl").lines().map(Asked::read).collect();
    let login = first.iter().position(|asked| asked.path == "/login").unwrap();
    let second = first.split_off(login);
    (first, second)
}

async fn first_session(app: TestApp, seen: &mut BTreeSet<String>) {
    let (requests, _) = recording();
    let mut browser = Browser::open(app).await;
    browser.furnish("e2e_postgres_source_1795506103573", "e2e_iceberg_jdbc_dest_1795506103573").await;
    browser.sign_in().await;
    for asked in requests {
        browser.ask(asked).await;
    }
    seen.append(&mut browser.seen);
    browser.connector.leave().await;
}

async fn second_session(app: TestApp, seen: &mut BTreeSet<String>) {
    let (_, requests) = recording();
    let mut browser = Browser::open(app).await;
    for mut asked in requests {
        // What the recorded server called an error of its own is a conflict.
        if asked.status == 500 {
            asked.status = 409;
        }
        browser.ask(asked).await;
    }
    seen.append(&mut browser.seen);
    browser.connector.leave().await;
}

/// What the UI calls, and did not while it was recorded.
async fn beyond_the_recording(app: TestApp, seen: &mut BTreeSet<String>) {
    let mut browser = Browser::open(app).await;
    browser.furnish("shop", "lake").await;
    browser.sign_in().await;
    let side = |kind: &str| json!({"id": 1, "type": kind});
    let job = json!({"name": "nightly", "source": side("postgres"), "destination": side("iceberg"), "frequency": "0 1 * * *",
        "streams_config": "{\"streams\":[],\"selected_streams\":{}}", "advanced_settings": {"max_discover_threads": 5}});
    let catalog = json!({"updated_streams_config": "{\"streams\":[],\"selected_streams\":{}}"});
    let person = json!({"username": "ann", "email": "ann@example.com", "password": "correct horse"});
    let p = |path: &str| format!("{PROJECT}{path}");
    let rows = [
        Asked::new("POST", &p("/jobs"), job.clone(), 200),
        Asked::new("POST", &p("/check-unique"), json!({"name": "nightly", "entity_type": "job"}), 409),
        Asked::new("POST", &p("/check-unique"), json!({"name": "shop", "entity_type": "source"}), 409),
        Asked::new("POST", &p("/check-unique"), json!({"name": "lake", "entity_type": "destination"}), 409),
        Asked::new("GET", "/auth/check", Value::Null, 200),
        Asked::new("GET", "/health", Value::Null, 200),
        Asked::new("GET", "/api/v1/platform/releases?limit=5", Value::Null, 200),
        Asked::new("GET", &p(&format!("/sources/spec?type=postgres&version={VERSION}")), Value::Null, 200),
        Asked::new(
            "GET",
            &p(&format!("/destinations/spec?type=iceberg&version={VERSION}")),
            Value::Null,
            200,
        ),
        Asked::new("GET", &p("/sources/versions?type=oracle"), Value::Null, 200),
        Asked::new("GET", &p("/sources"), Value::Null, 200),
        Asked::new("GET", &p("/jobs"), Value::Null, 200),
        Asked::new("POST", &p("/jobs/1/sync"), Value::Null, 200),
        Asked::new("POST", &p("/jobs/1/cancel"), Value::Null, 200),
        Asked::new("GET", &p("/jobs/1/tasks"), Value::Null, 200),
        Asked::new("GET", &p("/jobs"), Value::Null, 200),
        Asked::new("GET", &p("/sources/1"), Value::Null, 200),
        Asked::new("GET", &p("/destinations/1"), Value::Null, 200),
        Asked::new("POST", &p("/jobs/1/difference-streams"), catalog, 200),
        Asked::new("DELETE", &p("/destinations/1"), Value::Null, 409),
        Asked::new("DELETE", &p("/jobs/1"), Value::Null, 200),
        Asked::new("DELETE", &p("/destinations/1"), Value::Null, 200),
        Asked::new("DELETE", &p("/sources/1"), Value::Null, 200),
        Asked::new("POST", "/api/v1/users", person, 200),
        Asked::new("GET", "/api/v1/users", Value::Null, 200),
    ];
    for asked in rows {
        browser.ask(asked).await;
    }
    let ann = browser.app.context.store.user_by_name("ann").await.unwrap().unwrap().0.id;
    let path = format!("/api/v1/users/{ann}");
    let change = json!({"username": "anna", "email": "ann@example.com", "password": ""});
    browser.ask(Asked::new("PUT", &path, change, 200)).await;
    browser.ask(Asked::new("DELETE", &path, Value::Null, 200)).await;
    let mut foreign = Asked::new("GET", &p("/jobs/1/cancel"), Value::Null, 403);
    foreign.headers = vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())];
    browser.ask(foreign).await;
    seen.append(&mut browser.seen);
    browser.connector.leave().await;
}

fn assert_complete(seen: &BTreeSet<String>) {
    let missed: Vec<_> = ROWS.iter().map(ui::rows::Row::name).filter(|name| !seen.contains(name)).collect();
    assert!(missed.is_empty(), "never requested: {missed:#?}");
}

mod every_request_of_the_ui_is_answered_as_it_needs {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        let mut seen = BTreeSet::new();
        first_session(TestApp::sqlite().await, &mut seen).await;
        second_session(TestApp::sqlite().await, &mut seen).await;
        beyond_the_recording(TestApp::sqlite().await, &mut seen).await;
        assert_complete(&seen);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        let mut seen = BTreeSet::new();
        first_session(TestApp::postgres().await, &mut seen).await;
        second_session(TestApp::postgres().await, &mut seen).await;
        beyond_the_recording(TestApp::postgres().await, &mut seen).await;
        assert_complete(&seen);
    }
}
