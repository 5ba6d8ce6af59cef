//! The web UI on this system: every request that it was seen to send is sent again, page by page, and every answer is
//! held against the table of what the UI needs ([`rows`]). A row of the table that was never requested is a failure.
//!
//! The recording (`requests.jsonl`) has two sessions of a browser; what it lacks is in [`beyond_the_recording`]. The
//! sample connector plays the types of the recording, started by the worker as any other. [`browser`] is the UI's side,
//! [`exchange`] one request with its answer, [`form`] how values are looked at.

mod browser;
mod exchange;
mod form;
mod rows;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use browser::{Browser, CATALOG, Deployment, VERSION, p};
use exchange::Asked;
use rows::{ROWS, Row};

#[test]
fn every_request_of_the_ui_is_answered_by_one_process_as_it_needs() {
    replay(Deployment::Standalone);
}

#[test]
fn every_request_of_the_ui_is_answered_by_the_services_as_it_needs() {
    replay(Deployment::Services);
}

#[test]
fn the_browser_test_has_the_same_rows() {
    let listed: BTreeSet<String> =
        serde_json::from_str(include_str!("../../../../e2e-ui/rows.json")).unwrap();
    assert_eq!(listed, ROWS.iter().map(Row::name).collect());
}

/// Each session begins with an empty server.
fn replay(deployment: Deployment) {
    let mut seen = first_session(Browser::open(deployment));
    seen.append(&mut second_session(Browser::open(deployment)));
    seen.append(&mut beyond_the_recording(Browser::open(deployment)));
    let missed: Vec<_> = ROWS.iter().map(Row::name).filter(|name| !seen.contains(name)).collect();
    assert!(missed.is_empty(), "never requested: {missed:#?}");
}

/// The requests of the recording, by session.
fn recording() -> (Vec<Asked>, Vec<Asked>) {
    let mut first: Vec<Asked> = include_str!("requests.jsonl").lines().map(Asked::read).collect();
    let login = first.iter().position(|asked| asked.path == "/login").unwrap();
    let second = first.split_off(login);
    (first, second)
}

fn first_session(mut browser: Browser) -> BTreeSet<String> {
    browser.furnish("e2e_postgres_source_1795506103573", "e2e_iceberg_jdbc_dest_1795506103573");
    browser.sign_in();
    for asked in recording().0 {
        browser.ask(asked);
    }
    browser.seen
}

fn second_session(mut browser: Browser) -> BTreeSet<String> {
    for mut asked in recording().1 {
        // What the recorded server called an error of its own is a conflict.
        if asked.status == 500 {
            asked.status = 409;
        }
        browser.ask(asked);
    }
    browser.seen
}

/// What the UI calls, and did not while it was recorded.
fn beyond_the_recording(mut browser: Browser) -> BTreeSet<String> {
    browser.furnish("shop", "lake");
    browser.sign_in();
    let side = |kind: &str| json!({"id": 1, "type": kind});
    let job = json!({"name": "nightly", "source": side("postgres"), "destination": side("iceberg"), "frequency": "0 1 * * *",
        "streams_config": CATALOG, "advanced_settings": {"max_discover_threads": 5}});
    let catalog = json!({"updated_streams_config": CATALOG});
    let person = json!({"username": "ann", "email": "ann@example.com", "password": "correct horse"});
    let unique = |name: &str, kind: &str| json!({"name": name, "entity_type": kind});
    let rows = [
        ("POST", p("/jobs"), job, 200),
        ("POST", p("/check-unique"), unique("nightly", "job"), 409),
        ("POST", p("/check-unique"), unique("shop", "source"), 409),
        ("POST", p("/check-unique"), unique("lake", "destination"), 409),
        ("GET", "/auth/check".to_owned(), Value::Null, 200),
        ("GET", "/health".to_owned(), Value::Null, 200),
        ("GET", "/api/v1/platform/releases?limit=5".to_owned(), Value::Null, 200),
        ("GET", p(&format!("/sources/spec?type=postgres&version={VERSION}")), Value::Null, 200),
        ("GET", p(&format!("/destinations/spec?type=iceberg&version={VERSION}")), Value::Null, 200),
        ("GET", p("/sources/versions?type=oracle"), Value::Null, 200),
        ("GET", p("/sources"), Value::Null, 200),
        ("GET", p("/jobs"), Value::Null, 200),
        ("POST", p("/jobs/1/sync"), Value::Null, 200),
        ("GET", p("/jobs/1/logs/download?file_path="), Value::Null, 200),
        ("POST", p("/jobs/1/cancel"), Value::Null, 200),
        ("GET", p("/jobs/1/tasks"), Value::Null, 200),
        ("GET", p("/jobs"), Value::Null, 200),
        ("GET", p("/sources/1"), Value::Null, 200),
        ("GET", p("/destinations/1"), Value::Null, 200),
        ("POST", p("/jobs/1/difference-streams"), catalog, 200),
        ("DELETE", p("/destinations/1"), Value::Null, 409),
        ("DELETE", p("/jobs/1"), Value::Null, 200),
        ("DELETE", p("/destinations/1"), Value::Null, 200),
        ("DELETE", p("/sources/1"), Value::Null, 200),
        ("GET", "/api/v1/users".to_owned(), Value::Null, 200),
    ];
    for (method, path, body, status) in rows {
        browser.ask(Asked::new(method, &path, body, status));
    }
    let ann = browser.ask(Asked::new("POST", "/api/v1/users", person, 200)).data()["id"].take();
    let path = format!("/api/v1/users/{ann}");
    let change = json!({"username": "anna", "email": "ann@example.com", "password": ""});
    browser.ask(Asked::new("PUT", &path, change, 200));
    browser.ask(Asked::new("DELETE", &path, Value::Null, 200));
    let mut foreign = Asked::new("GET", &p("/jobs/1/cancel"), Value::Null, 403);
    foreign.headers = vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())];
    browser.ask(foreign);
    browser.seen
}
