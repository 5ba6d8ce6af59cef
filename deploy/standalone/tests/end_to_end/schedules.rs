//! Schedules.

use serde_json::{Value, json};

use crate::support::{
    job::{Job, NewJob},
    system::System,
    waiting::wait_until,
};

/// The syncs of a job that its schedule has started.
fn scheduled(job: &Job) -> usize {
    let started = |task: &Value| task["trigger"] == "schedule" && task["status"] != "skipped";
    job.tasks().iter().filter(|task| started(task)).count()
}

#[test]
fn a_job_runs_by_its_schedule_until_it_is_paused() {
    let system = System::standalone(&[("OLAKE_WORKER_RECONCILE_SECONDS", "1")]);
    system.place.write_numbers(10);
    let every_second = |name: &str| {
        let mut job = NewJob::with_faults(&system, name, Value::Null);
        job.frequency = "* * * * * * *";
        job.create(&system)
    };
    let (paused, goes_on) = (every_second("paused"), every_second("goes on"));
    wait_until("two runs", || scheduled(&paused) >= 2);
    let slots = paused.tasks();
    assert!(slots.iter().all(|task| task["scheduled_for"].is_string()), "{slots:#?}");

    let answer = system.client.post(&format!("/jobs/{}/activate", paused.id), &json!({"activate": false}));
    assert_eq!(answer.data(), json!({"activate": false}));
    let refused = system.client.post_nothing(&format!("/jobs/{}/sync", paused.id)).error(409);
    assert!(refused.contains("job 'paused' is paused"), "{refused}");
    // The other job is the clock: its schedule is the same.
    let (before, clock) = (paused.tasks().len(), scheduled(&goes_on));
    wait_until("three more runs of the other job", || scheduled(&goes_on) >= clock + 3);
    assert_eq!(paused.tasks().len(), before);

    system.client.post(&format!("/jobs/{}/activate", paused.id), &json!({"activate": true})).data();
    wait_until("a run after the pause", || paused.tasks().len() > before);
}
