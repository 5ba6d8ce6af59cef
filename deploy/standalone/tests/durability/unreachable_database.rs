//! PostgreSQL is away for a minute, many leases long: the API says so at once and comes back by itself, connectors run on, what
//! was held back is written, and nobody is robbed.

use std::{
    io::Read,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    cluster::{Cluster, Deployment},
    proxy::Proxy,
    support::{
        client::{Client, PROJECT},
        waiting::{wait_for, wait_until},
    },
};

const OUTAGE: Duration = Duration::from_secs(60);

/// How soon the API says that it cannot answer, and how soon it can again.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// The whole answer to a GET, headers and all, and how long it took.
fn answer(client: &Client) -> (String, Duration) {
    let begin = Instant::now();
    let mut stream = client.ask("GET", &format!("{PROJECT}/jobs"), None).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    (String::from_utf8_lossy(&bytes).into_owned(), begin.elapsed())
}

fn survives(go_away: impl Fn(&Proxy)) {
    let proxy = Proxy::default();
    let settings = [("OLAKE_WORKER_LEASE_SECONDS", "3"), ("OLAKE_WORKER_RECONCILE_SECONDS", "1")];
    let mut cluster = Cluster::start(Deployment::Services, &settings, |url| proxy.before(url));
    // Longer than the outage, so that it ends after it.
    let job = cluster.create_job(&json!({"take_seconds": 70, "log_lines": 350, "log_lines_per_second": 5}));
    assert!(cluster.ask_for_sync(&job));
    job.wait_for_batches(1);

    go_away(&proxy);
    let begin = Instant::now();
    let before = job.story().batches();
    let mut longest = Duration::ZERO;
    while begin.elapsed() < OUTAGE {
        let (text, took) = answer(&cluster.client);
        assert!(text.starts_with("HTTP/1.0 503") || text.starts_with("HTTP/1.1 503"), "{text}");
        assert!(text.to_ascii_lowercase().contains("\r\nretry-after: "), "{text}");
        assert!(took < REFUSED_WITHIN, "it took {took:?}");
        longest = longest.max(took);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(job.story().batches() > before, "the connector runs on");
    assert_eq!(job.story().runs.len(), 1, "and no other");

    proxy.restore();
    let begin = Instant::now();
    wait_until("the API to be back", || answer(&cluster.client).0.contains(" 200 OK"));
    let back = begin.elapsed();
    println!("refused within {} ms, back within {} ms", longest.as_millis(), back.as_millis());
    assert!(back < BACK_WITHIN, "it took {back:?}");
    let ended = wait_for("the end of the sync", || {
        let task = cluster.tasks(&job)?.first()?.clone();
        (task["status"] != "running").then_some(task)
    });
    assert_eq!((&ended["status"], &ended["attempt"]), (&json!("succeeded"), &json!(1)), "{ended:#}");
    assert_eq!(cluster.faults(&job), Vec::<String>::new());
    assert!(!cluster.something_died());
}

#[test]
fn nothing_is_lost_while_postgresql_refuses_connections() {
    survives(Proxy::break_down);
}

#[test]
fn nothing_is_lost_while_the_network_swallows_everything() {
    survives(Proxy::stall);
}

#[test]
fn no_line_is_doubled_and_no_task_forgotten_when_answers_are_lost() {
    let proxy = Proxy::default();
    let settings = [("OLAKE_WORKER_LEASE_SECONDS", "3"), ("OLAKE_WORKER_RECONCILE_SECONDS", "1")];
    let cluster = Cluster::start(Deployment::Services, &settings, |url| proxy.before(url));
    let faults = json!({"take_seconds": 5, "log_lines": 250, "log_lines_per_second": 50});
    let jobs: Vec<_> = (0..6).map(|_| cluster.create_job(&faults)).collect();
    for job in &jobs {
        wait_until("a sync to be acknowledged", || cluster.ask_for_sync(job));
        proxy.cut();
    }
    // At moments of every kind: in the middle of claims, of writes, of ends.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(7) {
        proxy.cut();
        thread::sleep(Duration::from_millis(130));
    }
    for job in &jobs {
        wait_until("the sync to succeed", || {
            cluster
                .tasks(job)
                .is_some_and(|tasks| tasks.first().is_some_and(|task| task["status"] == "succeeded"))
        });
        assert_eq!(cluster.faults(job), Vec::<String>::new());
    }
}
