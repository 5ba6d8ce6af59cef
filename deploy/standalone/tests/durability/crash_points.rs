//! Every step of a task's life, killed before and after, in both deployments. What is started again or still lives
//! finishes the work, and the witnesses tell whether anything was lost, doubled, or left behind.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use olake_shared::step::Step;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    cluster::{Cluster, Deployment, WitnessedJob},
    support::{client::PROJECT, waiting::wait_for, waiting::wait_until},
};

/// Systems that work through the cases side by side, for each deployment.
const LANES: usize = 3;

/// A lease of three seconds, and a look each second: a death is noticed within a test's time.
pub const TIMERS: &[(&str, &str)] = &[
    ("OLAKE_WORKER_LEASE_SECONDS", "3"),
    ("OLAKE_WORKER_RECONCILE_SECONDS", "1"),
    ("OLAKE_WORKER_KILL_GRACE_SECONDS", "5"),
];

/// How a step is come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A sync runs to its end.
    Sync,
    /// The worker of a sync is killed, and another one takes over.
    TakeOver,
    /// A person cancels a running sync.
    Cancel,
    /// The worker of a sync is told to end.
    Terminate,
}

fn way_to(step: Step) -> Way {
    match step {
        Step::Recovered | Step::TakenBack => Way::TakeOver,
        Step::StopTold => Way::Cancel,
        Step::Unregistered => Way::Terminate,
        _ => Way::Sync,
    }
}

#[test]
fn nothing_is_lost_doubled_or_left_whatever_step_one_process_dies_at() {
    dies_at_each_step(Deployment::Standalone);
}

#[test]
fn nothing_is_lost_doubled_or_left_whatever_step_one_of_the_services_dies_at() {
    dies_at_each_step(Deployment::Services);
}

fn dies_at_each_step(deployment: Deployment) {
    let mut points: Vec<(Step, String)> = Vec::new();
    for step in Step::ALL {
        for moment in ["before", "after"] {
            points.push((step, format!("{}:{moment}", step.as_str())));
            if matches!(step, Step::StateStored | Step::LogStored) {
                points.push((step, format!("{}:{moment}:2", step.as_str())));
            }
        }
    }
    in_lanes(deployment, points, die_at);
}

/// Works through cases side by side, each on a system that has gone through the ones before. Fails with everything that
/// any of them found wrong.
pub fn in_lanes(
    deployment: Deployment,
    mut points: Vec<(Step, String)>,
    case: impl Fn(&mut Cluster, Step, &str) -> Vec<String> + Sync,
) {
    // By hand: some points alone, as OLAKE_TEST_POINT=state_stored:after.
    let wanted = std::env::var("OLAKE_TEST_POINT").ok();
    points.retain(|(_, point)| wanted.as_ref().is_none_or(|wanted| point.starts_with(wanted.as_str())));
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<String>> = Mutex::default();
    let lane = || {
        let mut cluster = Cluster::start(deployment, TIMERS, str::to_owned);
        while let Some((step, point)) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
            let begin = Instant::now();
            let faults = catch_unwind(AssertUnwindSafe(|| case(&mut cluster, *step, point)));
            let faults = faults.unwrap_or_else(|panic| {
                println!("{deployment:?} {point} panicked");
                // The others go on, on a system that is whole.
                cluster = Cluster::start(deployment, TIMERS, str::to_owned);
                vec![words_of(panic.as_ref())]
            });
            println!("{deployment:?} {point}: {:.1} s", begin.elapsed().as_secs_f64());
            failures.lock().unwrap().extend(faults.into_iter().map(|fault| format!("{point}: {fault}")));
        }
        cluster.restart(&[]);
        wait_until("the files of all attempts to be gone", || cluster.place.files_of_attempts().is_empty());
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES.min(points.len())).map(|_| scope.spawn(lane)).collect();
        for lane in lanes {
            lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{deployment:?}:\n{}", failures.join("\n"));
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// One case. What is wrong after it.
fn die_at(cluster: &mut Cluster, step: Step, point: &str) -> Vec<String> {
    let job = cluster.create_job(&json!({"take_seconds": 1, "log_lines": 25, "log_lines_per_second": 25}));
    let mark = cluster.place.path().join(format!("died at {point}"));
    let variables = [("OLAKE_TEST_CRASH", point), ("OLAKE_TEST_CRASH_MARK", mark.to_str().unwrap())];
    cluster.restart(&variables);
    let way = way_to(step);
    cluster.ask_for_sync(&job);
    if way != Way::Sync {
        job.wait_for_batches(2);
        interfere(cluster, &job, way);
    }
    wait_until(&format!("a process to die at {point}; has this step its two calls of reach?"), || {
        if way == Way::TakeOver && !mark.exists() {
            cluster.revive(&variables);
        }
        mark.exists()
    });
    let status = finish(cluster, &job, &variables);
    let mut faults = Vec::new();
    if way == Way::Cancel && status != "cancelled" {
        faults.push(format!("the wish to cancel was lost: {status}"));
    }
    faults.extend(cluster.faults(&job));
    faults
}

fn interfere(cluster: &mut Cluster, job: &WitnessedJob, way: Way) {
    if way == Way::Cancel {
        // No answer, if that kills it: the wish is a row by then.
        let _ = cluster.client.send("POST", &format!("{PROJECT}/jobs/{}/cancel", job.id), None);
        return;
    }
    let signal = if way == Way::TakeOver { Signal::KILL } else { Signal::TERM };
    match cluster.deployment {
        Deployment::Standalone => {
            cluster.api.signal(signal);
            cluster.api.ended();
        }
        Deployment::Services => {
            let task = cluster.tasks(job).unwrap()[0]["id"].as_str().unwrap().to_owned();
            let worker = cluster.worker_of(&task);
            cluster.workers[worker].signal(signal);
            cluster.workers[worker].ended();
        }
    }
}

/// Waits for the end of the sync, and has another one if it was none that succeeded. Answers the first one's status.
pub fn finish(cluster: &mut Cluster, job: &WitnessedJob, variables: &[(&str, &str)]) -> String {
    let mut first: Option<String> = None;
    wait_for("the job's last sync to succeed", || {
        cluster.revive(variables);
        let tasks = cluster.tasks(job)?;
        let Some(newest) = tasks.first() else {
            // The wish for it was not acknowledged.
            cluster.ask_for_sync(job);
            return None;
        };
        match newest["status"].as_str().unwrap() {
            "running" => {}
            "queued" => {
                if newest["attempt"] != 0 {
                    // It may wait before its next attempt: not here.
                    cluster.ask_for_sync(job);
                }
            }
            "succeeded" => return Some(first.clone().unwrap_or_else(|| "succeeded".to_owned())),
            end => {
                first.get_or_insert(end.to_owned());
                cluster.ask_for_sync(job);
            }
        }
        None
    })
}
