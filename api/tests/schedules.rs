//! When jobs run next.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::sync::Arc;

use chrono::DateTime;
use olake_shared::clock::TestClock;
use serde_json::{Value, json};
use support::{Setup, TestApp};

const JOBS: &str = "/api/v1/project/olake/jobs";
const PREVIEW: &str = "/api/v1/project/olake/schedule/preview";

/// The night before the clocks of Europe go from 2 to 3.
async fn app() -> TestApp {
    let now = DateTime::parse_from_rfc3339("2026-03-28T12:00:00Z").unwrap();
    TestApp::sqlite_with(Setup { clock: Arc::new(TestClock::at(now.into())), ..Setup::default() }).await
}

fn expected() -> Value {
    json!([
        "2026-03-29T01:30:00+00:00",
        "2026-03-30T00:30:00+00:00",
        "2026-03-31T00:30:00+00:00",
        "2026-04-01T00:30:00+00:00",
        "2026-04-02T00:30:00+00:00"
    ])
}

#[tokio::test]
async fn a_schedule_is_previewed_in_its_time_zone() {
    let app = app().await;
    let berlin =
        app.user.post(PREVIEW, json!({"frequency": " 30 2 * * * ", "time_zone": "Europe/Berlin"})).await;
    assert_eq!((berlin.status, berlin.data()), (200, json!({"next_runs": expected()})));
    let utc = app.user.post(PREVIEW, json!({"frequency": "15 30 6 1 4 * 2026-2027"})).await;
    assert_eq!(utc.data()["next_runs"], json!(["2026-04-01T06:30:15+00:00", "2027-04-01T06:30:15+00:00"]));
    let old = app.user.post(PREVIEW, json!({"frequency": "6-hours", "time_zone": null})).await;
    assert_eq!(old.data()["next_runs"][0], "2026-03-28T18:00:00+00:00");
}

#[tokio::test]
async fn what_is_no_schedule_is_a_400_that_says_why() {
    let app = app().await;
    for (body, words) in [
        (
            json!({"frequency": "hourly"}),
            "Bad request: frequency: 'hourly' has 1 fields; a frequency is cron text",
        ),
        (json!({"frequency": "0 0 30 2 *"}), "Bad request: frequency: '0 0 30 2 *' never comes"),
        (
            json!({"frequency": "* * * * *", "time_zone": "Mars"}),
            "Bad request: time_zone: 'Mars' is no IANA time zone",
        ),
        (json!({}), "Bad request: frequency: it is missing"),
    ] {
        let refused = app.user.post(PREVIEW, body).await;
        assert_eq!(refused.status, 400);
        assert!(refused.error().starts_with(words), "{}", refused.error());
    }
    let elsewhere =
        app.user.post("/api/v1/project/nowhere/schedule/preview", json!({"frequency": "* * * * *"})).await;
    assert_eq!(elsewhere.status, 404);
}

#[tokio::test]
async fn a_job_shows_its_next_runs_until_it_is_paused() {
    let app = app().await;
    let side = |connector_type: &str| json!({"name": "n", "type": connector_type, "version": "v0.9.4", "config": {}});
    let body = json!({
        "name": "nightly", "source": side("files"), "destination": side("parquet"), "streams_config": {},
        "frequency": "30 2 * * *", "advanced_settings": {"time_zone": "Europe/Berlin"},
    });
    let one = format!("{JOBS}/{}", app.user.post(JOBS, body).await.data()["id"]);
    let job = app.user.get(&one).await.data();
    assert_eq!((&job["next_runs"], &job["next_run_at"]), (&expected(), &expected()[0]));
    assert_eq!(app.user.get(JOBS).await.data()[0].get("next_runs"), None, "lists are polled");
    app.user.post(&format!("{one}/activate"), json!({"activate": false})).await;
    assert_eq!(app.user.get(&one).await.data()["next_runs"], json!([]));
    // A schedule that an older version took and that cannot be read any more does not hide the job.
    app.user.post(&format!("{one}/activate"), json!({"activate": true})).await;
    app.execute("UPDATE jobs SET frequency = 'full moon'").await;
    let job = app.user.get(&one).await;
    assert_eq!((job.status, &job.data()["next_runs"]), (200, &json!([])));
}
