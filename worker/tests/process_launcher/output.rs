//! What a connector writes comes through, however much it is.

use olake_worker::{
    connector::result::Exit,
    launch::{Launcher, Seen, known::Known},
};

use crate::support::{RUNS_UNTIL_TOLD, Stage, eventually, spec, sync, told};

/// `log` writes a line as connectors do: to the log file and to the console.
const WITH_LOG: &str = r#"
    logs="$TMPDIR/logs/sync_2026-01-01_00-00-00"
    mkdir -p "$logs"
    log() {
        echo "{\"level\":\"info\",\"time\":\"2026-01-01T00:00:00Z\",\"message\":\"$1\"}" >> "$logs/olake.log"
        echo "2026-01-01T00:00:00Z INFO $1"
    }
"#;

/// 50 MB in lines of 99 letters.
const FLOOD: &str = "head -c 52428800 /dev/zero | tr '\\0' x | fold -w 99; echo\n";

#[tokio::test]
async fn lines_state_and_result_files_are_told_to_the_last() {
    let script = format!(
        r#"{WITH_LOG}
        log one; log two
        echo '{{"type":"STREAM","version":1}}' > "$TMPDIR/state.json"
        echo '{{"streams":[]}}' > "$TMPDIR/streams.json"
        printf '{{"level":"fatal","time":"2026-01-01T00:00:00Z","message":"no line end"}}' >> "$logs/olake.log"
        exit 1"#
    );
    let told = Stage::with(&script).run_spec().await;
    assert_eq!(told.ended.seen, Seen::Exit(Exit::Code(1)));
    assert_eq!(told.messages(), ["one", "two", "no line end"]);
    assert_eq!(told.state.as_deref(), Some("{\"type\":\"STREAM\",\"version\":1}\n"));
    assert_eq!(told.ended.rest.streams.as_deref(), Some("{\"streams\":[]}\n"));
    assert_eq!(told.ended.rest.console_tail, ["one", "two"]);
}

#[tokio::test]
async fn a_flood_on_the_console_comes_through_in_small_steps() {
    let stage = Stage::with(FLOOD);
    let told = stage.run_spec().await;
    assert_eq!(told.ended.seen, Seen::Exit(Exit::Code(0)));
    let letters: usize =
        told.lines.iter().map(|line| line.message.chars().filter(|c| *c == 'x').count()).sum();
    assert_eq!(letters, 52_428_800);
    assert!(told.largest_step < 8 << 20, "{} bytes in one step", told.largest_step);
}

#[tokio::test]
async fn a_flood_on_the_console_does_not_block_while_nobody_takes_updates() {
    let stage = Stage::with(&format!("{WITH_LOG}\nlog begin\n{FLOOD}\nlog end\n: > \"$TMPDIR/done\""));
    let launch = sync(1);
    let output = stage.output(launch.task);
    let running = stage.launcher.launch(launch).await.unwrap();
    eventually("the connector is done", || output.join("done").exists()).await;
    let told = told(running).await;
    let of_the_log = told.lines.iter().filter(|line| ["begin", "end"].contains(&&*line.message)).count();
    assert_eq!(of_the_log, 2);
    assert!(told.lines.len() < 300_000, "the console is not given out where there is a log file");
    assert_eq!(told.ended.rest.console_tail.last().map(String::as_str), Some("end"));
}

#[tokio::test]
async fn a_stop_ends_a_connector_whose_flood_nobody_takes() {
    // No log file: the console waits in the pipe until it is taken.
    let stage = Stage::with(&format!(": > \"$TMPDIR/ready\"\nwhile :; do {FLOOD} done"));
    let (_, running) = stage.launch_ready(1).await;
    running.stop();
    assert_eq!(told(running).await.ended.seen, Seen::Exit(Exit::Signal(15)));
}

#[tokio::test]
async fn the_sample_connector_tells_its_form() {
    let sample = std::path::Path::new(env!("CARGO_BIN_EXE_olake-worker")).with_file_name("sample-connector");
    if !sample.exists() {
        return; // Built only with the whole workspace, which is how the tests are run.
    }
    let folder = tempfile::tempdir().unwrap();
    let command = format!("[\"{}\"]", sample.display());
    let launcher = crate::support::launcher(folder.path(), &command, crate::support::DEADLINE).unwrap();
    let told = told(launcher.launch(spec()).await.unwrap()).await;
    assert_eq!(told.ended.seen, Seen::Exit(Exit::Code(0)));
    let findings = {
        let mut findings = olake_worker::connector::result::Findings::default();
        told.lines.iter().for_each(|line| findings.observe(line));
        findings
    };
    assert!(findings.spec(Exit::Code(0)).unwrap().jsonschema.is_object());
}

/// The worker that follows an attempt has seen the console, and parts of the log before they were damaged. Whoever takes
/// the attempt over after its death sees neither.
#[tokio::test]
async fn what_is_stored_and_cannot_be_found_again_hides_nothing_of_what_is_not_stored() {
    let stage = Stage::with(RUNS_UNTIL_TOLD);
    let attempt = sync(1).reference();
    let logs = stage.output(attempt.task).join("logs/sync_2026-01-01_00-00-00");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("olake-2026-01-01T00-00-01.000.log.gz"), "damaged").unwrap();
    let time = "2026-01-01T00:00:02Z";
    let record = |text: &str| format!("{{\"level\":\"info\",\"time\":\"{time}\",\"message\":\"{text}\"}}\n");
    let said = ["beat", "stored", "beat", "not stored", "beat", "nor this"];
    std::fs::write(logs.join("olake.log"), said.map(record).concat()).unwrap();

    let mut known = Known::nothing();
    let before = "2026-01-01T00:00:01Z";
    for (time, stored) in [
        (before, "only on the console"),
        (before, "beat"),
        (before, "damaged since"),
        (time, "beat"),
        (time, "stored"),
        (time, "beat"),
    ] {
        known.note("info", time.parse().unwrap(), stored);
    }
    let ending = stage.launcher.recover(attempt, known).await.unwrap().unwrap();
    let left: Vec<_> = ending.progress.log.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(left, ["not stored", "beat", "nor this"]);
}
