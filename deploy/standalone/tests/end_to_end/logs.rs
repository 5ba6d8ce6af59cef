//! The log of a task, while it is written and afterwards.

use serde_json::json;

use crate::support::{job::NewJob, system::System};

#[test]
fn every_line_of_a_flood_is_kept_once_and_in_order() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "flood", json!({"log_lines": 20_000})).create(&system);
    let task = job.start();
    let ended = task.succeeded();
    let lines = task.lines();
    assert_eq!(ended["log_lines"], lines.len());
    let numbered: Vec<String> = lines.into_iter().filter(|line| line.starts_with("line ")).collect();
    let expected: Vec<String> = (1..=20_000).map(|number| format!("line {number}")).collect();
    assert!(numbered == expected, "{} numbered lines", numbered.len());
}

#[test]
fn pages_lead_from_the_end_of_a_log_back_to_its_beginning() {
    let system = System::standalone(&[]);
    system.place.write_numbers(10);
    let job = NewJob::with_faults(&system, "pages", json!({"log_lines": 100})).create(&system);
    let task = job.start();
    task.succeeded();
    let all = task.lines();
    let mut found = Vec::new();
    let mut cursor = json!(-1);
    loop {
        let path = format!("/jobs/{}/task/{}/logs?limit=7&cursor={cursor}", job.id, task.id);
        let page = system.client.get(&path).data();
        let lines = page["task_logs"].as_array().unwrap().iter();
        let mut lines: Vec<String> = lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect();
        lines.append(&mut found);
        found = lines;
        cursor = page["older_cursor"].clone();
        if page["has_more_older"] == false {
            break;
        }
    }
    assert_eq!(found, all);
}

#[test]
fn lines_and_progress_are_seen_while_the_sync_runs() {
    let system = System::standalone(&[]);
    system.place.write_numbers(1000);
    let job = NewJob::with_faults(&system, "slow", json!({"take_seconds": 30})).create(&system);
    let task = job.start();
    task.wait_for_line("finished chunk 2 of 20");
    let shown = task.wait_until("progress", |task| task["records_read"].as_i64().unwrap_or(0) > 0);
    assert_eq!((&shown["status"], &shown["phase"]), (&json!("running"), &json!("running")), "{shown:#}");
    assert!(shown["records_read"].as_i64().unwrap() < 1000 && shown["stats"].is_object(), "{shown:#}");
    assert_eq!(job.shown()["last_run_state"], "running");
    let refused = system.client.post_nothing(&format!("/jobs/{}/sync", job.id)).error(409);
    assert!(refused.contains(&task.id), "{refused}");
    job.cancel();
    task.ended();
}
