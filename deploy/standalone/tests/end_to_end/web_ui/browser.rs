//! A browser with the UI in front of a system of its own, whose connector plays the types of the recording.

use std::{collections::BTreeSet, fs};

use olake_shared::clock::SystemClock;
use serde_json::{Value, json};

use super::{
    exchange::{Asked, Exchange},
    form,
    rows::{check, row_of},
};
use crate::support::{
    client::{Client, PROJECT},
    place::Place,
    system::System,
    waiting::wait_until,
};

/// The version of the recording.
pub const VERSION: &str = "v0.7.4";
/// What a discover finds.
pub const CATALOG: &str = include_str!("catalog.json");

/// Which system stands behind the browser.
#[derive(Clone, Copy)]
pub enum Deployment {
    Standalone,
    Services,
}

pub struct Browser {
    system: System,
    /// Who is not signed in by a token: what the UI uses.
    anybody: Client,
    cookie: Option<String>,
    /// The rows that were requested.
    pub seen: BTreeSet<String>,
}

impl Browser {
    pub fn open(deployment: Deployment) -> Self {
        let place = Place::new();
        fs::write(place.path().join("catalog.json"), CATALOG).unwrap();
        write_connectors(&place);
        // The account of the recording.
        let settings = [("OLAKE_ADMIN_USERNAME", "admin"), ("OLAKE_ADMIN_PASSWORD", "password")];
        let system = match deployment {
            Deployment::Standalone => System::standalone_at(place, &settings),
            Deployment::Services => System::services_at(place, 1, &settings),
        };
        let anybody = Client::new(system.client.port());
        Self { system, anybody, cookie: None, seen: BTreeSet::new() }
    }

    /// Sends a request and holds its answer against the table.
    pub fn ask(&mut self, mut asked: Asked) -> Exchange {
        let row = row_of(&asked.method, &asked.path);
        let slowed = self.prepare(row.method, row.path, &mut asked);
        let exchange = asked.send(&self.anybody, self.cookie.as_deref());
        self.seen.insert(row.name());
        check(row, &exchange);
        if let Some(cookie) = exchange.reply.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(ToOwned::to_owned);
        }
        if exchange.is_success() {
            self.look_behind(row.path, &exchange);
        }
        if let Some(config) = slowed {
            self.change_source(&config);
        }
        exchange
    }

    /// Brings about what a request needs that the recording does not show. Answers the source's config if it was changed
    /// for that.
    fn prepare(&self, method: &str, path: &str, asked: &mut Asked) -> Option<Value> {
        match (method, path) {
            (_, "P/jobs/*/tasks/1/logs" | "P/jobs/*/logs/download") => {
                asked.set_file_path(&self.finished_run());
            }
            (_, "P/jobs/*/cancel") if asked.status == 200 => {
                self.idle();
                let config = self.native().get("/sources/1").data()["config"].take();
                let mut slow = config.clone();
                slow["faults"] = json!({"take_seconds": 60});
                self.change_source(&slow);
                self.native().post_nothing("/jobs/1/sync").data();
                wait_until("the sync to run", || self.lines_of_newest().iter().any(|line| line.0 == "warn"));
                return Some(config);
            }
            ("POST", "P/jobs/*/clear-destination" | "P/jobs/*/sync") => self.idle(),
            _ => {}
        }
        None
    }

    /// Looks at what an answer alone does not show.
    fn look_behind(&self, path: &str, it: &Exchange) {
        match (it.asked.method.as_str(), path) {
            ("POST", "P/jobs/*/sync") => self.the_sync_is_seen_at_once(),
            (_, "P/jobs/*/tasks/1/logs") => {
                let (all, shown) = (self.lines_of_newest(), it.data()["logs"].as_array().unwrap().len());
                let visible = all.iter().filter(|(level, _)| level != "debug").count();
                assert!(visible < all.len() && visible == shown, "{shown} of {visible}: {all:?}");
            }
            (_, "P/sources/streams") => self.the_jobs_selections_are_kept(it),
            (_, "P/jobs/*/cancel") => {
                self.idle();
                assert_eq!(self.newest()["status"], "cancelled");
            }
            ("POST", "P/jobs/*/clear-destination") => {
                self.idle();
                let newest = self.newest();
                assert_eq!((&newest["kind"], &newest["status"]), (&json!("clear"), &json!("succeeded")));
            }
            ("PUT", "P/jobs/*") if selects(&it.asked.body["difference_streams"]) => {
                assert_eq!(self.newest()["kind"], "clear");
                self.idle();
                assert_eq!(self.newest()["status"], "succeeded");
            }
            _ => {}
        }
    }

    /// The same system, as a contract client sees it.
    fn native(&self) -> &Client {
        &self.system.client
    }

    fn tasks(&self) -> Vec<Value> {
        self.native().get("/jobs/1/tasks").data().as_array().unwrap().clone()
    }

    fn newest(&self) -> Value {
        self.tasks().first().unwrap().clone()
    }

    /// Level and message of the lines of the newest task.
    fn lines_of_newest(&self) -> Vec<(String, String)> {
        let id = self.newest()["id"].as_str().unwrap().to_owned();
        let path = format!("/jobs/1/task/{id}/logs?direction=newer&cursor=0&limit=5000");
        let page = self.native().get(&path).data();
        let word = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let lines = page["task_logs"].as_array().unwrap().iter();
        lines.map(|line| (word(line, "level"), word(line, "message"))).collect()
    }

    /// The `file_path` of the newest run, which has ended; makes one if there is none.
    fn finished_run(&self) -> String {
        if self.tasks().is_empty() {
            self.native().post_nothing("/jobs/1/sync").data();
        }
        self.idle();
        self.newest()["file_path"].as_str().unwrap().to_owned()
    }

    /// Waits until no task of the job is under way.
    fn idle(&self) {
        let is_over =
            |task: &Value| !["queued", "waiting", "running"].iter().any(|word| task["status"] == *word);
        wait_until("the job's tasks to end", || self.tasks().iter().all(is_over));
    }

    /// The UI looks for the sync that it started, by a start within two seconds of its own clock.
    fn the_sync_is_seen_at_once(&self) {
        let newest = self.newest();
        let age = SystemClock::shared().now() - form::time(&newest, "start_time");
        assert!(newest["job_type"] == "sync" && age.num_milliseconds().abs() < 2_000, "{newest}");
    }

    /// A discover for a job has its selections; one for a new job has all streams.
    fn the_jobs_selections_are_kept(&self, it: &Exchange) {
        let job = it.asked.body["job_id"].as_i64().unwrap();
        let (found, wanted) = match job {
            -1 => (it.data(), serde_json::from_str(CATALOG).unwrap()),
            job => (it.data(), self.native().get(&format!("/jobs/{job}")).data()["streams_config"].take()),
        };
        let names = |catalog: &Value| -> Vec<String> {
            let selections = catalog["selected_streams"]["public"].as_array().unwrap().iter();
            selections.map(|selection| selection["stream_name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&found), names(&wanted));
    }

    fn change_source(&self, config: &Value) {
        let source = self.native().get("/sources/1").data();
        let body = json!({
            "name": source["name"], "type": source["type"], "version": source["version"], "config": config,
        });
        self.native().put("/sources/1", &body).data();
    }

    /// Makes the source and the destination that a recording has before it begins.
    pub fn furnish(&self, source: &str, destination: &str) {
        let connection = |name: &str, kind: &str| {
            let config = json!({"host": "db", "password": "correct horse"});
            json!({"name": name, "type": kind, "version": VERSION, "config": config})
        };
        self.native().post("/sources", &connection(source, "postgres")).data();
        self.native().post("/destinations", &connection(destination, "iceberg")).data();
    }

    pub fn sign_in(&mut self) {
        let account = json!({"username": "admin", "password": "password"});
        self.ask(Asked::new("POST", "/login", account, 200));
    }
}

/// Whether a catalog, given as text, selects a stream.
fn selects(catalog: &Value) -> bool {
    let Some(text) = catalog.as_str() else { return false };
    let catalog: Value = serde_json::from_str(text).unwrap();
    catalog["selected_streams"].as_object().is_some_and(|selected| !selected.is_empty())
}

/// The path of an operation of the project.
pub fn p(path: &str) -> String {
    format!("{PROJECT}{path}")
}

/// The types of the recording, all played by the sample connector.
fn write_connectors(place: &Place) {
    let sample = Place::sample_connector();
    let entry = |kind: &str| {
        let catalog = place.path().join("catalog.json");
        format!(
            "[[connector]]\ntype = {kind:?}\nversions = [{VERSION:?}]\ndestinations = [\"parquet\", \"iceberg\"]\n\
             command = [{sample:?}, \"--as\", {kind:?}, \"--catalog-file\", {catalog:?}, \"--unreachable-host\", \
             \"badhost\"]\n\n"
        )
    };
    fs::write(place.connectors(), entry("postgres") + &entry("mongodb")).unwrap();
}
