//! The connector protocol against what real connectors printed and wrote, one folder of `captures/` a run.
//! Every folder has a row in [`RUNS`]; a folder without one fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in the functions it is made of")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use olake_shared::domain::task::FailureClass;
use olake_worker::{
    agent::follow::FolderFollower,
    connector::{
        output::{Level, LogLine, OutputParser},
        result::{CheckStatus, Exit, Findings, parse_catalog},
        state::{parse_state, parse_stats},
    },
};

/// Where the log of the run is, among those that stand in the folder.
#[derive(Clone, Copy)]
enum Log {
    /// It was not captured.
    None,
    /// `logs/sync_2026-11-24_<this>`, which holds the same lines.
    Same(&'static str),
    /// The same, behind the lines of a run of the same second.
    After(&'static str),
}

/// What the run must be found to say.
#[derive(Clone, Copy)]
enum Outcome {
    /// No output at all: words that explain it.
    Silent(&'static str),
    /// A spec with this property in its schema.
    Spec(&'static str),
    /// A check that succeeded.
    Passed,
    /// A check that failed, with a message that begins so.
    Refused(&'static str),
    /// A catalog in `streams.json` with so many streams.
    Catalog(usize),
    /// The difference of two catalogs, with so many streams.
    Difference(usize),
    /// A sync with these records and bytes.
    Totals(u64, u64),
    /// It ended well and has no result to read.
    Done,
    /// It failed with a FATAL message that holds this.
    Fatal(&'static str),
    /// It was killed and had no time to say so.
    Killed,
}

/// What can be said of `state.json` afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Whole,
    Unusable,
    Missing,
}

struct Run {
    folder: &'static str,
    exit: i32,
    lines: usize,
    log: Log,
    outcome: Outcome,
    state: State,
}

const fn run(folder: &'static str, exit: i32, lines: usize, log: Log, outcome: Outcome, state: State) -> Run {
    Run { folder, exit, lines, log, outcome, state }
}

const PING: &str = "failed to ping database: failed to connect to `user=postgres database=shop`:";
const CANCELLED: &str = "context canceled";

#[rustfmt::skip]
const RUNS: &[Run] = &[
    run("00-badflag", 1, 0, Log::None, Outcome::Silent("a flag it does not know"), State::Missing),
    run("01-spec", 0, 1, Log::None, Outcome::Spec("jdbc_url_params"), State::Missing),
    run("01-spec-dest-iceberg", 0, 1, Log::None, Outcome::Spec("writer"), State::Missing),
    run("01-spec-dest-parquet", 0, 1, Log::None, Outcome::Spec("writer"), State::Missing),
    run("02-check-badpw", 1, 2, Log::Same("07-06-48"), Outcome::Refused(PING), State::Missing),
    run("02-check-hang", 1, 2, Log::Same("07-08-45"), Outcome::Refused(PING), State::Missing),
    run("02-check-malformed", 1, 1, Log::Same("07-06-48"), Outcome::Refused("failed to unmarshal file"), State::Missing),
    run("02-check-missing", 1, 2, Log::Same("07-06-48"), Outcome::Refused("failed to validate config: empty host name"), State::Missing),
    run("02-check-nohost", 1, 2, Log::Same("07-06-48"), Outcome::Refused(PING), State::Missing),
    run("02-check-ok", 0, 2, Log::Same("07-06-47"), Outcome::Passed, State::Missing),
    run("02-check-refused", 1, 2, Log::Same("07-06-48"), Outcome::Refused(PING), State::Missing),
    run("03-checkdest-bad", 1, 3, Log::Same("07-07-17"), Outcome::Refused("failed to test destination: failed to create path"), State::Missing),
    run("03-checkdest-ok", 0, 2, Log::Same("07-07-17"), Outcome::Passed, State::Missing),
    run("03-checkdest-s3down", 1, 2, Log::Same("07-07-18"), Outcome::Refused("failed to test destination: failed to write test file to S3: RequestError: send request failed\ncaused by: Put"), State::Missing),
    run("04-discover", 0, 6, Log::Same("07-07-19"), Outcome::Catalog(3), State::Missing),
    run("04-discover-badpw", 1, 2, Log::Same("07-07-20"), Outcome::Fatal(PING), State::Missing),
    run("04-discover-prefix", 0, 8, Log::Same("07-07-20"), Outcome::Catalog(3), State::Missing),
    run("05-sync-full", 0, 42, Log::Same("07-07-41"), Outcome::Totals(30_000, 2_852_127), State::Missing),
    run("06-sync-inc", 0, 38, Log::Same("07-08-14"), Outcome::Totals(30_000, 2_852_127), State::Whole),
    run("06-sync-inc-second", 0, 24, Log::Same("07-08-21"), Outcome::Totals(35, 3072), State::Whole),
    run("06-sync-inc-third", 0, 16, Log::Same("07-08-22"), Outcome::Totals(0, 0), State::Whole),
    run("07-sync-cdc", 0, 42, Log::Same("07-08-45"), Outcome::Totals(30_010, 2_852_127), State::Whole),
    run("07-sync-cdc-second", 0, 26, Log::Same("07-09-06"), Outcome::Totals(10, 651), State::Whole),
    run("07-sync-cdc-stale-state", 1, 13, Log::Same("07-09-10"), Outcome::Fatal("lsn mismatch, please proceed with clear destination"), State::Whole),
    run("09-term-inc", 1, 126, Log::None, Outcome::Fatal(CANCELLED), State::Whole),
    run("09-term-inc-resume", 0, 278, Log::Same("07-11-11"), Outcome::Totals(440_000, 124_434_514), State::Whole),
    run("10-kill-inc", 137, 125, Log::None, Outcome::Killed, State::Whole),
    run("12-term-cdc-backfill", 1, 71, Log::None, Outcome::Fatal(CANCELLED), State::Whole),
    run("15-catalog-unknown", 1, 8, Log::Same("07-14-41"), Outcome::Fatal("relation \"public.ordersx\" does not exist"), State::Missing),
    run("15-state-zero-bytes", 1, 1, Log::Same("07-14-37"), Outcome::Fatal("failed to unmarshal file[/mnt/config/state.json]"), State::Unusable),
    run("16-clear", 0, 7, Log::Same("07-15-10"), Outcome::Done, State::Whole),
    run("16-clear-nosel", 1, 4, Log::After("07-15-12"), Outcome::Fatal("no valid streams found in catalog"), State::Missing),
    run("17-enospc", 1, 127, Log::Same("07-16-23"), Outcome::Fatal("no space left on device"), State::Whole),
    run("17-srckill", 0, 378, Log::Same("07-15-13"), Outcome::Totals(600_000, 169_680_568), State::Whole),
    run("22-tele-sync", 0, 43, Log::Same("07-25-25"), Outcome::Totals(30_013, 2_852_127), State::Whole),
    run("23-diff", 0, 2, Log::None, Outcome::Difference(1), State::Missing),
    run("23-merge", 0, 6, Log::Same("07-25-58"), Outcome::Catalog(4), State::Missing),
];

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

fn started() -> DateTime<Utc> {
    "2026-11-24T07:00:00Z".parse().unwrap()
}

impl Run {
    fn path(&self, name: &str) -> PathBuf {
        captures().join(self.folder).join(name)
    }

    fn console(&self) -> Vec<LogLine> {
        parse(OutputParser::console(started()), &fs::read(self.path("stdout.txt")).unwrap(), usize::MAX)
    }

    fn log_path(&self, time: &str) -> PathBuf {
        self.path(&format!("files/logs/sync_2026-11-24_{time}/olake.log"))
    }

    /// The lines of the log file of this run, if it was captured.
    fn logged(&self) -> Option<Vec<LogLine>> {
        let (Log::Same(time) | Log::After(time)) = self.log else { return None };
        let bytes = fs::read(self.log_path(time)).unwrap();
        let mut lines = parse(OutputParser::json_lines(started()), &bytes, usize::MAX);
        if matches!(self.log, Log::After(_)) {
            lines.drain(..lines.len() - self.lines);
        }
        Some(lines)
    }

    fn exit(&self) -> Exit {
        Exit::Code(self.exit)
    }
}

fn parse(mut parser: OutputParser, bytes: &[u8], chunk: usize) -> Vec<LogLine> {
    let mut lines = Vec::new();
    bytes.chunks(chunk.min(bytes.len().max(1))).for_each(|chunk| parser.feed(chunk, &mut lines));
    parser.finish(&mut lines);
    lines
}

fn streams(text: &str) -> usize {
    let catalog: serde_json::Value = serde_json::from_str(text).unwrap();
    catalog["streams"].as_array().unwrap().len()
}

#[test]
fn every_folder_has_an_expectation() {
    let folders: BTreeSet<String> = fs::read_dir(captures())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> = RUNS.iter().map(|run| run.folder.to_owned()).collect();
    assert_eq!(folders, expected);
}

#[test]
fn every_console_line_is_read_with_its_level_and_time() {
    for run in RUNS {
        let lines = run.console();
        assert_eq!(lines.len(), run.lines, "{}", run.folder);
        for line in &lines {
            assert!(line.time > started(), "{}: no time in {line:?}", run.folder);
            assert!(!line.message.contains('\u{1b}'), "{}: colours in {line:?}", run.folder);
        }
        assert_eq!(fs::read(run.path("stderr.txt")).unwrap(), b"", "{}", run.folder);
    }
}

#[test]
fn chunks_of_any_size_give_the_same_lines() {
    for run in RUNS {
        let bytes = fs::read(run.path("stdout.txt")).unwrap();
        for chunk in [1, 7, 4096] {
            let lines = parse(OutputParser::console(started()), &bytes, chunk);
            assert_eq!(lines, run.console(), "{} in chunks of {chunk}", run.folder);
        }
    }
}

/// Threads write to the console and to the file one after the other, so that neighbours may have changed
/// places between the two.
#[test]
fn console_and_log_file_agree_line_by_line() {
    let mut compared = 0;
    for run in RUNS {
        let Some(mut logged) = run.logged() else { continue };
        let printed = run.console();
        assert_eq!(logged.len(), printed.len(), "{}", run.folder);
        for line in &printed {
            let at = logged.iter().take(3).position(|other| other.is_same_message(line));
            let Some(at) = at else { panic!("{}: not in the log: {line:?}", run.folder) };
            logged.remove(at);
        }
        compared += 1;
    }
    assert_eq!(compared, RUNS.iter().filter(|run| !matches!(run.log, Log::None)).count());
}

#[test]
fn the_exit_code_is_the_one_of_the_run() {
    for run in RUNS {
        let command = fs::read_to_string(run.path("cmd.txt")).unwrap();
        let line = command.lines().find(|line| line.starts_with("exit")).unwrap();
        let code = line.split_once(": ").unwrap().1.split(' ').next().unwrap();
        assert_eq!(code, run.exit.to_string(), "{}", run.folder);
    }
}

#[test]
fn the_result_is_found_in_the_console_and_in_the_log_file() {
    for run in RUNS {
        assert_outcome(run, &run.console());
        if let Some(logged) = run.logged() {
            assert_outcome(run, &logged);
        }
    }
}

fn assert_outcome(run: &Run, lines: &[LogLine]) {
    let name = run.folder;
    let found = Findings::of(lines);
    match run.outcome {
        Outcome::Silent(words) => {
            let failure = found.explain(run.exit());
            assert!(failure.message.contains(words), "{name}: {}", failure.message);
            assert_eq!(failure.class, FailureClass::Connector, "{name}");
            assert!(found.check(run.exit()).is_err(), "{name}");
        }
        Outcome::Spec(property) => {
            let spec = found.spec(run.exit()).unwrap();
            assert!(spec.jsonschema["properties"][property].is_object(), "{name}");
            let hints: serde_json::Value = serde_json::from_str(&spec.uischema).unwrap();
            assert!(hints.is_object(), "{name}");
        }
        Outcome::Passed => {
            let check = found.check(run.exit()).unwrap();
            assert_eq!((check.status, check.message), (CheckStatus::Succeeded, None), "{name}");
        }
        Outcome::Refused(begin) => {
            let check = found.check(run.exit()).unwrap();
            assert_eq!(check.status, CheckStatus::Failed, "{name}");
            let message = check.message.unwrap();
            assert!(message.starts_with(begin), "{name}: {message}");
            assert_eq!(found.last_fatal(), Some(message.as_str()), "{name}");
        }
        Outcome::Catalog(count) => {
            let text = fs::read_to_string(run.path("files/streams.json")).unwrap();
            let catalog = found.catalog(run.exit(), Some(&text)).unwrap();
            assert_eq!(catalog, text, "{name}: the text changed");
            assert_eq!(streams(&catalog), count, "{name}");
        }
        Outcome::Difference(count) => {
            let bytes = fs::read(run.path("files/difference_streams.json")).unwrap();
            assert_eq!(streams(&parse_catalog(&bytes).unwrap()), count, "{name}");
        }
        Outcome::Totals(records, bytes) => {
            let totals = found.totals().unwrap();
            assert_eq!((totals.records, totals.bytes), (records, Some(bytes)), "{name}");
            assert_eq!(found.last_fatal(), None, "{name}");
        }
        Outcome::Done => assert!(found.totals().is_none() && found.last_fatal().is_none(), "{name}"),
        Outcome::Fatal(part) => {
            let failure = found.explain(run.exit());
            assert!(failure.message.contains(part), "{name}: {}", failure.message);
            assert_eq!(failure.class, FailureClass::Connector, "{name}");
            let cure = failure.message.contains("reset state and reload");
            assert_eq!(cure, name == "07-sync-cdc-stale-state", "{name}");
            assert_eq!(failure.needs_state_reset, cure, "{name}");
        }
        Outcome::Killed => {
            let failure = found.explain(run.exit());
            assert_eq!(failure.class, FailureClass::Infrastructure, "{name}");
            assert!(failure.message.starts_with("The connector was killed"), "{name}: {}", failure.message);
        }
    }
    let fatal = lines.iter().filter(|line| line.level == Level::Fatal).count();
    assert_eq!(fatal, usize::from(found.last_fatal().is_some()), "{name}");
}

#[test]
fn a_state_is_taken_when_it_is_whole() {
    for run in RUNS {
        let mut seen = State::Missing;
        for file in ["files/state.json", "state-at-signal.json", "state-after.json"] {
            let Ok(bytes) = fs::read(run.path(file)) else { continue };
            seen = match parse_state(&bytes) {
                Some(state) => {
                    assert_eq!(state.as_str().as_bytes(), bytes, "{} {file}", run.folder);
                    State::Whole
                }
                None => State::Unusable,
            };
            let half = &bytes[..bytes.len() / 2];
            assert_eq!(parse_state(half), None, "{} half of {file}", run.folder);
        }
        assert_eq!(seen, run.state, "{}", run.folder);
    }
}

#[test]
fn all_statistics_are_understood() {
    let mut count = 0;
    for run in RUNS {
        for file in ["files/stats.json", "stats.json"] {
            let Ok(bytes) = fs::read(run.path(file)) else { continue };
            let stats = parse_stats(&bytes).unwrap();
            assert!(stats.synced_records.is_some(), "{}: {stats:?}", run.folder);
            assert!(stats.speed.is_some() && stats.seconds.is_some(), "{}: {stats:?}", run.folder);
            assert!(stats.bytes.is_some() && stats.memory.is_some(), "{}: {stats:?}", run.folder);
            assert!(stats.cpu.is_some() && stats.threads.is_some(), "{}: {stats:?}", run.folder);
            count += 1;
        }
    }
    assert!(count > 10);
}

/// The folder as an agent meets it: one log, the console beside it, and what the connector left.
#[test]
fn a_follower_brings_home_all_that_a_run_left() {
    for run in RUNS {
        let folder = tempfile::tempdir().unwrap();
        let mut follower = FolderFollower::new(folder.path(), started());
        let printed = fs::read(run.path("stdout.txt")).unwrap();
        let (first, second) = printed.split_at(printed.len() / 3);
        follower.feed_console(first);
        let mut lines = follower.poll().log;

        for file in ["state.json", "stats.json", "streams.json", "difference_streams.json"] {
            if let Ok(bytes) = fs::read(run.path("files").join(file)) {
                fs::write(folder.path().join(file), bytes).unwrap();
            }
        }
        if let Log::Same(time) = run.log {
            let logs = folder.path().join("logs").join(format!("sync_2026-11-24_{time}"));
            fs::create_dir_all(&logs).unwrap();
            fs::copy(run.log_path(time), logs.join("olake.log")).unwrap();
        }
        let progress = follower.poll();
        assert!(progress.errors.is_empty(), "{}: {:?}", run.folder, progress.errors);
        lines.extend(progress.log);
        follower.feed_console(second);
        let ending = follower.finish();
        lines.extend(ending.progress.log);

        assert_eq!(lines.len(), run.lines, "{}: lost or doubled", run.folder);
        assert_eq!(follower.lines(), run.lines as u64, "{}", run.folder);
        assert_outcome(run, &lines);
        let state = fs::read(run.path("files/state.json")).ok().as_deref().and_then(parse_state);
        assert_eq!(progress.state, state, "{}", run.folder);
        let streams = fs::read_to_string(run.path("files/streams.json")).ok();
        assert_eq!(ending.streams, streams, "{}", run.folder);
        assert_eq!(ending.console_tail.is_empty(), run.lines == 0, "{}", run.folder);
    }
}
