//! The supervisor that is started ahead of the next run.

use std::{fs, path::PathBuf};

use olake_worker::launch::{Launcher, Seen};
use rustix::process::Signal;

use crate::support::{
    DEADLINE, RUNS_UNTIL_TOLD, SUPERVISOR, Stage, eventually, folder, launcher_with, process, send, started,
    told,
};

/// A launcher whose supervisors write down their numbers, in the order of their starts.
struct Noted {
    stage: Stage,
    notes: PathBuf,
}

impl Noted {
    fn new() -> Self {
        let folder = folder();
        let (script, notes) = (folder.path().join("connector.sh"), folder.path().join("supervisors"));
        fs::write(&script, RUNS_UNTIL_TOLD).unwrap();
        let connector = format!("[\"/bin/sh\", \"{}\"]", script.display());
        let noting = format!("echo $$ >> {}; exec {SUPERVISOR} supervise", notes.display());
        let command = vec!["/bin/sh".into(), "-c".into(), noting.into()];
        let launcher = launcher_with(folder.path(), &connector, DEADLINE, command).unwrap();
        Self { stage: Stage { folder, launcher }, notes }
    }

    fn supervisors(&self) -> Vec<i32> {
        let notes = fs::read_to_string(&self.notes).unwrap_or_default();
        notes.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    /// Waits until so many were started.
    async fn until(&self, count: usize) -> Vec<i32> {
        eventually("the supervisors are started", || self.supervisors().len() >= count).await;
        self.supervisors()
    }
}

#[tokio::test]
async fn a_run_takes_the_supervisor_that_waits_and_the_next_one_is_started_meanwhile() {
    let noted = Noted::new();
    let waiting = noted.until(1).await[0];
    let (_, mut running) = noted.stage.launch_ready(1).await;
    let (supervisor, _) = process(started(&mut running).await).unwrap();
    assert_eq!(supervisor, waiting);
    let next = noted.until(2).await[1];
    let (_, mut beside) = noted.stage.launch_ready(2).await;
    assert_eq!(process(started(&mut beside).await).unwrap().0, next);
    for running in [running, beside] {
        running.stop();
        told(running).await;
    }
}

#[tokio::test]
async fn a_run_whose_waiting_supervisor_was_killed_gets_another() {
    let noted = Noted::new();
    let waiting = noted.until(1).await[0];
    send(waiting, Signal::KILL);
    eventually("it is dead", || process(waiting).is_none()).await;
    let (_, mut running) = noted.stage.launch_ready(1).await;
    assert_ne!(process(started(&mut running).await).unwrap().0, waiting);
    running.stop();
    assert!(matches!(told(running).await.ended.seen, Seen::Exit(_)));
}

#[tokio::test]
async fn a_launcher_that_ends_leaves_no_supervisor_behind() {
    let noted = Noted::new();
    let waiting = noted.until(1).await[0];
    drop(noted.stage.launcher);
    assert_eq!(process(waiting), None);
}

#[tokio::test]
async fn a_run_that_cannot_be_begun_leaves_the_waiting_supervisor_to_the_next() {
    let noted = Noted::new();
    let waiting = noted.until(1).await[0];
    let unknown = olake_worker::launch::Launch { version: "v9.9.9".to_owned(), ..crate::support::sync(1) };
    assert!(noted.stage.launcher.launch(unknown).await.is_err());
    let (_, mut running) = noted.stage.launch_ready(1).await;
    assert_eq!(process(started(&mut running).await).unwrap().0, waiting);
    running.stop();
    told(running).await;
}
