//! A worker that stops in the middle of a step for longer than its lease (SIGSTOP; a frozen machine), and comes back when
//! another one has finished its task and runs the next one of the job: it touches nothing.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use olake_shared::step::Step;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    cluster::{Cluster, Deployment},
    crash_points::{TIMERS, finish, in_lanes},
    support::waiting::{wait_for, wait_until},
};

/// As in [`TIMERS`].
const LEASE: Duration = Duration::from_secs(3);

/// The steps that a worker takes while it owns a task; those of the supervisor's process are not among them.
pub const STEPS: [Step; 14] = [
    Step::Claimed,
    Step::Described,
    Step::OutputMade,
    Step::InputsWritten,
    Step::SupervisorStarted,
    Step::PhaseStored,
    Step::StateStored,
    Step::LogStored,
    Step::LogCommitted,
    Step::StatsStored,
    Step::InputsRemoved,
    Step::EndStored,
    Step::EndPublished,
    Step::OutputDiscarded,
];

#[test]
fn a_worker_that_comes_back_from_a_pause_in_any_step_touches_nothing() {
    let points = STEPS
        .into_iter()
        .flat_map(|step| ["before", "after"].map(|moment| (step, format!("{}:{moment}", step.as_str()))));
    in_lanes(Deployment::Services, points.collect(), |cluster, _, point| pause_at(cluster, point));
}

#[test]
fn one_machine_that_sleeps_longer_than_its_lease_goes_on_with_its_own_syncs() {
    let cluster = Cluster::start(Deployment::Standalone, TIMERS, str::to_owned);
    let faults = json!({"take_seconds": 9, "log_lines": 90, "log_lines_per_second": 10});
    let jobs: Vec<_> = (0..3).map(|_| cluster.create_job(&faults)).collect();
    for job in &jobs {
        assert!(cluster.ask_for_sync(job));
    }
    jobs.iter().for_each(|job| job.wait_for_batches(1));
    cluster.api.signal(Signal::STOP);
    let asleep = Instant::now();
    wait_until("two leases to have run out", || asleep.elapsed() > 2 * LEASE);
    wake(cluster.api.pid());
    for job in &jobs {
        let ended = wait_for("the sync to end", || {
            let task = cluster.tasks(job)?[0].clone();
            (task["status"] != "running").then_some(task)
        });
        assert_eq!((&ended["status"], &ended["attempt"]), (&json!("succeeded"), &json!(1)), "{ended:#}");
        assert_eq!(job.story().runs.len(), 1);
        assert_eq!(cluster.faults(job), Vec::<String>::new());
    }
}

/// One case. What is wrong after it.
fn pause_at(cluster: &mut Cluster, point: &str) -> Vec<String> {
    let job = cluster.create_job(&json!({"take_seconds": 1.5, "log_lines": 30, "log_lines_per_second": 25}));
    let mark = cluster.place.path().join(format!("paused at {point}"));
    let variables = [
        ("OLAKE_TEST_CRASH", point),
        ("OLAKE_TEST_CRASH_MARK", mark.to_str().unwrap()),
        ("OLAKE_TEST_CRASH_BY", "pause"),
    ];
    cluster.restart(&variables);
    assert!(cluster.ask_for_sync(&job));
    let paused = wait_for(&format!("a worker to stop at {point}"), || {
        cluster.workers.iter().map(crate::support::process::Process::pid).find(|pid| is_stopped(*pid))
    });
    let mut faults = Vec::new();
    let status = finish(cluster, &job, &variables);
    if status != "succeeded" {
        faults.push(format!("the sync was not finished by the other worker: {status}"));
    }
    let first = cluster.tasks(&job).unwrap()[0].clone();
    let runs = job.story().runs.len();
    assert!(cluster.ask_for_sync(&job));
    wait_until("the next sync to run", || job.story().runs.len() > runs);

    wake(paused);
    wait_until("the worker to go on", || !is_stopped(paused));
    let second = wait_for("the next sync to end", || {
        let task = cluster.tasks(&job)?[0].clone();
        (task["status"] != "running" && task["status"] != "queued").then_some(task)
    });
    if (&second["status"], &second["attempt"]) != (&json!("succeeded"), &json!(1)) {
        faults.push(format!("the next sync was disturbed: {second}"));
    }
    let first_now = cluster.tasks(&job).unwrap()[1].clone();
    if first_now != first {
        faults.push(format!("the ended task was changed: {first} is now {first_now}"));
    }
    // It has come back: it works, and knows that it owns nothing.
    wait_until("the woken worker to have nothing to do", || cluster.connectors_and_supervisors().is_empty());
    if job.story().runs.len() != runs + 1 {
        faults.push("a connector was started too many".to_owned());
    }
    faults.extend(cluster.faults(&job));
    faults
}

/// Whether a process is stopped by SIGSTOP.
pub fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

/// Lets a stopped process go on.
pub fn wake(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::CONT).unwrap();
}
