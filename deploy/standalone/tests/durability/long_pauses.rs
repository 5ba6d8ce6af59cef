//! A worker that stops for a minute in the middle of each step, with the lease that everybody has (15 s): another one takes
//! its task over, ends it, and runs the next one of the job, and the first one touches nothing when it comes back.
//!
//! All steps at once, each with a worker and a job of its own: what takes the time is the minute.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Deployment, WitnessedJob, end},
    pauses::{STEPS, is_stopped, wake},
    support::{
        process::Process,
        waiting::{wait_for, wait_until},
    },
};

const PAUSE: Duration = Duration::from_secs(60);

/// How long before its end the next syncs are asked for, so that they run when it ends.
const BEFORE_THE_END: Duration = Duration::from_secs(6);

/// No lease is set: it is the default, 15 s. Few connections, since there are many workers.
const SETTINGS: &[(&str, &str)] = &[("OLAKE_DATABASE_MAX_CONNECTIONS", "3")];

/// A worker that stops at one point.
struct Case {
    point: String,
    worker: Process,
}

fn has_ended(cluster: &Cluster, job: &WitnessedJob, number: usize) -> Option<Value> {
    let tasks = cluster.tasks(job)?;
    let newest = tasks.first().filter(|task| tasks.len() == number && task["end_time"].is_string())?;
    Some(newest.clone())
}

#[test]
fn a_minute_in_the_middle_of_any_step_disturbs_nothing() {
    let mut cluster = Cluster::start(Deployment::Services, SETTINGS, str::to_owned);
    // The two that work on. Until the others have taken their tasks, there is nobody else.
    for mut worker in std::mem::take(&mut cluster.workers) {
        end(&mut worker);
    }
    let points = STEPS.into_iter().flat_map(|step| ["before", "after"].map(|moment| (step, moment)));
    let points: Vec<String> = points.map(|(step, moment)| format!("{}:{moment}", step.as_str())).collect();
    let faults = json!({"take_seconds": 8, "log_lines": 40, "log_lines_per_second": 5});
    let jobs: Vec<WitnessedJob> = points.iter().map(|_| cluster.create_job(&faults)).collect();
    let cases: Vec<Case> = points
        .into_iter()
        .map(|point| {
            let mark = cluster.place.path().join(format!("paused at {point}"));
            let worker = cluster.spawn_worker(&[
                ("OLAKE_WORKER_PLACES_SYNC", "1"),
                ("OLAKE_TEST_CRASH", &point),
                ("OLAKE_TEST_CRASH_MARK", mark.to_str().unwrap()),
                ("OLAKE_TEST_CRASH_BY", "pause"),
            ]);
            Case { point, worker }
        })
        .collect();
    for job in &jobs {
        assert!(cluster.ask_for_sync(job));
    }
    // Whoever stops before its claim takes none, and leaves the task to another one, whose place is taken: as many tasks
    // as there are such wait for the two.
    for case in &cases {
        wait_until(&format!("a worker to stop at {}", case.point), || is_stopped(case.worker.pid()));
    }
    let paused = Instant::now();
    cluster.workers = vec![cluster.spawn_worker(&[]), cluster.spawn_worker(&[])];
    let first: Vec<Value> = jobs
        .iter()
        .map(|job| wait_for("the other workers to finish the sync", || has_ended(&cluster, job, 1)))
        .collect();
    assert!(paused.elapsed() < PAUSE, "they needed {:?}: no lease", paused.elapsed());
    println!("all were taken over and finished {:.0} s after the last stop", paused.elapsed().as_secs_f64());
    wait_until("the minute to be nearly over", || paused.elapsed() > PAUSE - BEFORE_THE_END);
    let runs: Vec<usize> = jobs.iter().map(|job| job.story().runs.len()).collect();
    for job in &jobs {
        assert!(cluster.ask_for_sync(job));
    }
    wait_until("the minute to be over", || paused.elapsed() > PAUSE);

    for case in &cases {
        wake(case.worker.pid());
    }
    let mut faults = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let second = wait_for("the next sync to end", || has_ended(&cluster, job, 2));
        if (&second["status"], &second["attempt"]) != (&json!("succeeded"), &json!(1)) {
            faults.push(format!("the next sync was disturbed: {second}"));
        }
        let first_now = cluster.tasks(job).unwrap()[1].clone();
        if first_now["status"] != "succeeded" || first_now != first[at] {
            faults.push(format!("the ended task was changed: {} is now {first_now}", first[at]));
        }
        if job.story().runs.len() != runs[at] + 1 {
            faults.push("a connector was started too many".to_owned());
        }
        faults.extend(cluster.faults(job));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // They have come back: they work, know that they own nothing, and end when they are told to.
    for mut case in cases {
        end(&mut case.worker);
    }
    assert!(cluster.connectors_and_supervisors().is_empty());
}
