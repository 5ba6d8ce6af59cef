//! The start guard: one run of a job at a time.

use std::{
    fs,
    io::BufRead,
    process::{Command, Stdio},
};

use olake_worker::{
    agent::supervisor::protocol::{GuardFiles, Order, RunName},
    connector::result::Exit,
    launch::{LaunchError, Launcher, Seen, known::Known},
};

use crate::support::{RUNS_UNTIL_TOLD, Stage, eventually, number_in, process, spec, started, sync, told};

#[tokio::test]
async fn a_second_run_of_a_job_ends_the_first_and_waits_for_its_end() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let (_, mut first) = stage.launch_ready(7).await;
    let old = started(&mut first).await;
    let mut second = stage.launcher.launch(sync(7)).await.unwrap();
    let new = started(&mut second).await;
    assert_eq!(process(old), None);
    assert!(process(new).is_some());
    assert_eq!(told(first).await.ended.seen, Seen::Exit(Exit::Code(1)));
    second.stop();
    told(second).await;
}

#[tokio::test]
async fn a_run_that_waits_says_so_and_can_be_stopped() {
    // Ends only when it is allowed to, so that the second has to wait.
    let script = "trap '' TERM; : > \"$TMPDIR/ready\"; until [ -e \"$TMPDIR/end\" ]; do sleep 0.02; done";
    let stage = Stage::with(script);
    let (task, first) = stage.launch_ready(7).await;
    let mut second = stage.launcher.launch(sync(7)).await.unwrap();
    let update = second.updates.recv().await.unwrap();
    assert!(format!("{update:?}").contains("waiting for the previous run to end"), "{update:?}");
    second.stop();
    let second = told(second).await;
    assert!(matches!(second.ended.seen, Seen::NotStarted(..)), "{:?}", second.ended.seen);
    assert_eq!(second.pid, None);
    fs::write(stage.output(task).join("end"), "").unwrap();
    assert_eq!(told(first).await.ended.seen, Seen::Exit(Exit::Code(0)));
}

#[tokio::test]
async fn runs_of_other_jobs_and_one_shot_kinds_do_not_wait() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let (_, first) = stage.launch_ready(1).await;
    let (_, second) = stage.launch_ready(2).await;
    let mut third = stage.launcher.launch(spec()).await.unwrap();
    started(&mut third).await;
    for running in [first, second, third] {
        running.stop();
        assert_eq!(told(running).await.waited_for, [""; 0]);
    }
    // One-shot kinds leave no guard behind, jobs only theirs.
    let mut left: Vec<_> = fs::read_dir(stage.folder.path().join("data/locks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["job-1.lock", "job-2.lock"]);
}

#[tokio::test]
async fn a_run_that_was_given_up_never_starts_and_ends_nothing() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let late = sync(7);
    // Its worker is paused before it starts anything; another one takes the task over, and runs the next one.
    assert!(stage.launcher.recover(late.reference(), Known::nothing()).await.unwrap().is_none());
    let (_, mut next) = stage.launch_ready(7).await;
    let runs = started(&mut next).await;
    // The pause is over.
    let late = told(stage.launcher.launch(late).await.unwrap()).await;
    assert!(matches!(late.ended.seen, Seen::NotStarted(..)), "{:?}", late.ended.seen);
    assert_eq!(late.pid, None);
    assert!(process(runs).is_some(), "the next run is left alone");
    next.stop();
    told(next).await;
}

#[tokio::test]
async fn one_attempt_is_not_launched_twice() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let launch = sync(1);
    let running = stage.launcher.launch(launch.clone()).await.unwrap();
    assert!(matches!(stage.launcher.launch(launch).await, Err(LaunchError::Running { attempt: 1 })));
    running.stop();
    told(running).await;
}

#[tokio::test]
async fn a_sweep_leaves_what_runs_and_removes_the_rest() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let (ended_task, ended) = stage.launch_ready(1).await;
    let (running_task, running) = stage.launch_ready(2).await;
    ended.stop();
    told(ended).await;
    assert!(stage.output(ended_task).exists());
    assert_eq!(
        stage.launcher.sweep(Vec::new(), &[]).await.unwrap(),
        0,
        "it was not there when it was looked"
    );
    let found = stage.launcher.found().await.unwrap();
    assert_eq!(stage.launcher.sweep(found.clone(), &[(ended_task, 1)]).await.unwrap(), 0);
    assert_eq!(stage.launcher.sweep(found, &[]).await.unwrap(), 1);
    assert!(!stage.output(ended_task).exists());
    assert!(stage.output(running_task).exists());
    running.stop();
    assert_eq!(told(running).await.ended.seen, Seen::Exit(Exit::Code(1)));
}

/// The supervisor's stdin ends when the process that holds it is killed, as a worker would be.
#[tokio::test]
async fn a_dead_worker_s_connector_ends_with_its_last_state_written() {
    let folder = tempfile::tempdir().unwrap();
    // It prints to a console which nobody reads any more, and that must not kill it.
    let script = r#"
        trap 'echo ending; echo "{}" > state.json; exit 1' TERM
        echo $$ > pid
        while :; do sleep 0.02; done
    "#;
    let path = |name: &str| folder.path().join(name);
    let order = Order {
        run: RunName { task: "t".to_owned(), attempt: 1 },
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        cwd: folder.path().to_owned(),
        inputs: "/nowhere".into(),
        guard: GuardFiles { lock: path("t.lock"), record: path("t.json"), over: path("t.over"), once: true },
        single: None,
        grace_millis: 60_000,
    };
    fs::write(path("order"), serde_json::to_string(&order).unwrap() + "\n").unwrap();
    let mut worker = Command::new("/bin/sh")
        .args(["-c", "cat order; exec sleep 1000"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_olake-worker"))
        .arg("supervise")
        .stdin(worker.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the connector runs", || number_in(&path("pid")).is_some()).await;
    let connector = number_in(&path("pid")).unwrap();
    // The worker's ends of the pipes go with it.
    drop(supervisor.stderr.take());
    worker.kill().unwrap();
    worker.wait().unwrap();
    eventually("the connector is gone", || process(connector).is_none()).await;
    assert_eq!(fs::read_to_string(path("state.json")).unwrap(), "{}\n");
    let reports: Vec<String> =
        std::io::BufReader::new(supervisor.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_eq!(reports.last().map(String::as_str), Some("{\"exited\":{\"code\":1}}"));
    supervisor.wait().unwrap();
    assert!(!path("t.lock").exists() && !path("t.json").exists());
}
