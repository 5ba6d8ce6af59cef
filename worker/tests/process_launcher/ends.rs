//! How runs end, and that nothing of them is left.

use std::time::Duration;

use olake_shared::domain::task::FailureClass;
use olake_worker::{
    connector::result::Exit,
    launch::{Launcher, Seen, known::Known},
};
use rustix::process::{Signal, getpgrp};

use crate::support::{
    DEADLINE, RUNS_UNTIL_TOLD, Stage, eventually, launcher, number_in, process, send, spec, started, told,
};

#[tokio::test]
async fn the_exit_code_is_told() {
    let told = Stage::with("exit 3").run_spec().await;
    assert!(told.pid.is_some());
    assert_eq!(told.ended.seen, Seen::Exit(Exit::Code(3)));
}

#[tokio::test]
async fn the_signal_that_ended_it_is_told() {
    let told = Stage::with("kill -9 $$").run_spec().await;
    assert_eq!(told.ended.seen, Seen::Exit(Exit::Signal(9)));
}

#[tokio::test]
async fn a_stop_lets_the_connector_write_its_last_state() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let (_, running) = stage.launch_ready(1).await;
    running.stop();
    let told = told(running).await;
    assert_eq!(told.ended.seen, Seen::Exit(Exit::Code(1)));
    assert_eq!(told.state.as_deref(), Some("{\"type\":\"STREAM\",\"streams\":[]}\n"));
}

const IGNORES_SIGTERM: &str = r#"
    trap '' TERM
    sh -c 'echo $$ > "$TMPDIR/child"; : > "$TMPDIR/ready"; while :; do sleep 0.02; done' &
    while :; do sleep 0.02; done
"#;

#[tokio::test]
async fn who_ignores_sigterm_is_killed_with_its_whole_group_after_the_grace() {
    let stage = Stage::with_grace(IGNORES_SIGTERM, Duration::from_millis(200));
    let (task, running) = stage.launch_ready(1).await;
    let child = number_in(&stage.output(task).join("child")).unwrap();
    running.stop();
    assert_eq!(told(running).await.ended.seen, Seen::Exit(Exit::Signal(9)));
    assert_eq!(process(child), None);
}

#[tokio::test]
async fn a_kill_does_not_wait_for_the_grace() {
    let stage = Stage::with(IGNORES_SIGTERM);
    let (_, running) = stage.launch_ready(1).await;
    running.stop();
    running.kill();
    assert_eq!(told(running).await.ended.seen, Seen::Exit(Exit::Signal(9)));
}

#[tokio::test]
async fn children_that_stay_behind_are_ended_before_the_end_is_told() {
    let script = r#"
        sh -c 'trap "" TERM; echo $$ > "$TMPDIR/child"; while :; do sleep 0.02; done' &
        setsid sh -c 'echo $$ > "$TMPDIR/stray"; while :; do sleep 0.02; done' &
        until [ -s "$TMPDIR/child" ] && [ -s "$TMPDIR/stray" ]; do sleep 0.02; done
    "#;
    let stage = Stage::with(script);
    let launch = spec();
    let output = stage.output(launch.task);
    let told = told(stage.launcher.launch(launch).await.unwrap()).await;
    assert_eq!(told.ended.seen, Seen::Exit(Exit::Code(0)));
    for name in ["child", "stray"] {
        assert_eq!(process(number_in(&output.join(name)).unwrap()), None, "{name}");
    }
}

#[tokio::test]
async fn a_dropped_run_is_ended_and_its_last_state_can_be_recovered() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let launch = crate::support::sync(1);
    let attempt = launch.reference();
    let output = stage.output(launch.task);
    let mut running = stage.launcher.launch(launch).await.unwrap();
    let pid = started(&mut running).await;
    eventually("the connector is ready", || output.join("ready").exists()).await;
    drop(running);
    let ending = stage.launcher.recover(attempt, Known::nothing()).await.unwrap().unwrap();
    assert_eq!(process(pid), None);
    assert!(ending.progress.state.is_some());
    stage.launcher.discard(attempt.task, 1).await.unwrap();
    assert!(!output.exists());
    assert!(stage.launcher.recover(attempt, Known::nothing()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_run_whose_supervisor_is_killed_vanishes_and_leaves_nothing() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let (_, mut running) = stage.launch_ready(1).await;
    let pid = started(&mut running).await;
    let (supervisor, _) = process(pid).unwrap();
    send(supervisor, Signal::KILL);
    let told = told(running).await;
    assert_eq!(told.ended.seen, Seen::Vanished);
    assert_eq!(process(pid), None);
    assert!(told.state.is_some());
    // And the job's guard is free.
    let (_, next) = stage.launch_ready(1).await;
    next.stop();
    assert_eq!(crate::support::told(next).await.waited_for, [""; 0]);
}

#[tokio::test]
async fn a_shutdown_that_signals_every_process_still_tells_the_end() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let (_, mut running) = stage.launch_ready(1).await;
    let (supervisor, _) = process(started(&mut running).await).unwrap();
    send(supervisor, Signal::TERM);
    assert_eq!(told(running).await.ended.seen, Seen::Exit(Exit::Code(1)));
}

#[tokio::test]
async fn a_key_in_the_worker_s_terminal_reaches_neither_supervisor_nor_connector() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let (_, mut running) = stage.launch_ready(1).await;
    let pid = started(&mut running).await;
    let (supervisor, group) = process(pid).unwrap();
    assert_eq!(group, pid);
    assert_eq!(process(supervisor).unwrap().1, supervisor);
    assert_ne!(supervisor, getpgrp().as_raw_nonzero().get());
    running.stop();
    told(running).await;
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_told_at_once_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let refused = async |command: &str| {
        let launcher = launcher(folder.path(), command, DEADLINE).unwrap();
        let error = launcher.launch(spec()).await.err().unwrap();
        assert_eq!(error.class(), FailureClass::Image);
        error.to_string()
    };
    let words = refused("[\"/nowhere/connector\"]").await;
    assert!(words.contains("/nowhere/connector was not found"), "{words}");
    std::fs::write(folder.path().join("connector"), "").unwrap();
    let words = refused("[\"connector\"]").await;
    assert!(words.contains("/connector is not executable"), "{words}");
    let launcher = launcher(folder.path(), "[\"/bin/sh\"]", DEADLINE).unwrap();
    let mut unknown = spec();
    unknown.version = "v0.1.0".to_owned();
    let words = launcher.launch(unknown).await.err().unwrap().to_string();
    assert!(words.contains("no connector for files v0.1.0"), "{words}");
    assert_eq!(std::fs::read_dir(folder.path().join("data/attempts")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_is_no_program_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("connector");
    std::fs::write(&path, "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let launcher = launcher(folder.path(), "[\"connector\"]", DEADLINE).unwrap();
    let told = told(launcher.launch(spec()).await.unwrap()).await;
    let Seen::NotStarted(FailureClass::Image, words) = told.ended.seen else {
        panic!("{:?}", told.ended.seen);
    };
    assert!(words.contains(&path.display().to_string()) && words.contains("not found"), "{words}");
}
