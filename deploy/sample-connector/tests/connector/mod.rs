//! Runs the connector in folders of its own, and reads what it leaves.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "this is test code, written to be read at the call"
)]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a source (`data/`), a destination (`lake/`), configs (`config/`), and a working directory
/// (`home/`).
pub struct Place {
    folder: TempDir,
    version: Option<&'static str>,
}

/// A run that has ended.
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    /// With the stream `numbers` of so many rows: `id`, `at` (ten rows have the same), `half`, `even`,
    /// `word`.
    pub fn with_rows(rows: u64) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), version: None };
        for folder in ["data", "config", "home", "tmp"] {
            std::fs::create_dir(place.path(folder)).unwrap();
        }
        place.write_numbers(1, rows);
        place.source(json!({}));
        place.write(
            "config/destination.json",
            &json!({"type": "PARQUET", "writer": {"local_path": place.path("lake")}}),
        );
        place
    }

    /// Playing another version.
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn write(&self, file: &str, content: &Value) {
        std::fs::write(self.path(file), content.to_string()).unwrap();
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    pub fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.read(file)).unwrap()
    }

    /// Rewrites the stream `numbers` with the rows `from` to `to`.
    pub fn write_numbers(&self, from: u64, to: u64) {
        let mut text = "id,at,half,even,word\n".to_owned();
        for id in from..=to {
            let word = if id % 3 == 0 { String::new() } else { format!("w{id}") };
            let (hour, minute) = (id / 10 / 60 % 24, id / 10 % 60);
            let day = id / 10 / 60 / 24 + 1;
            text +=
                &format!("{id},2024-01-{day:02}T{hour:02}:{minute:02}:00Z,{}.5,{},{word}\n", id, id % 2 == 0);
        }
        std::fs::write(self.path("data/numbers.csv"), text).unwrap();
    }

    /// Writes the source's config: batches of 100 rows, and the keys of `more`.
    pub fn source(&self, more: Value) {
        let mut config = json!({"path": self.path("data"), "batch_size": 100});
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        self.write("config/source.json", &config);
    }

    pub fn faults(&self, faults: Value) {
        self.source(json!({ "faults": faults }));
    }

    /// Discovers, and sets each stream's sync mode and cursor.
    pub fn catalog(&self, mode: &str, cursor: &str) {
        self.run("discover --config source.json").succeeded();
        let mut catalog = self.json("config/streams.json");
        for entry in catalog["streams"].as_array_mut().unwrap() {
            entry["stream"]["sync_mode"] = json!(mode);
            entry["stream"]["cursor_field"] = json!(cursor);
        }
        self.write("config/streams.json", &catalog);
    }

    /// Starts the connector with an empty environment. Words that end with `.json` are files of `config/`.
    pub fn start(&self, line: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sample-connector"));
        command.env_clear().env("TMPDIR", self.path("tmp")).current_dir(self.path("home"));
        if let Some(version) = self.version {
            command.env("DRIVER_VERSION", version);
        }
        for word in line.split_whitespace() {
            if word.ends_with(".json") {
                command.arg(self.path("config").join(word));
            } else {
                command.arg(word);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn run(&self, line: &str) -> Ran {
        Ran::of(self.start(line))
    }

    pub fn start_sync(&self) -> Child {
        self.start(self.sync_line())
    }

    /// A sync, with the state if there is one.
    pub fn sync(&self) -> Ran {
        self.run(self.sync_line())
    }

    fn sync_line(&self) -> &'static str {
        if self.path("config/state.json").exists() {
            "sync --config source.json --destination destination.json --catalog streams.json --state state.json"
        } else {
            "sync --config source.json --destination destination.json --catalog streams.json"
        }
    }

    /// The lines of the only log below `folder`.
    pub fn log(&self, folder: &str) -> Vec<Value> {
        let file = self.log_file(folder);
        std::fs::read_to_string(file)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub fn log_file(&self, folder: &str) -> PathBuf {
        let logs: Vec<PathBuf> = list(&self.path(folder).join("logs"));
        assert_eq!(logs.len(), 1, "{logs:?}");
        logs[0].join("olake.log")
    }

    /// The ids in the destination's table `numbers`, sorted.
    pub fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self
            .rows("lake/files_data/numbers")
            .iter()
            .map(|row| match value(row, "id") {
                Field::Long(id) => *id,
                other => panic!("an id that is no int64: {other:?}"),
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    /// All rows of the Parquet files of a folder.
    pub fn rows(&self, folder: &str) -> Vec<Vec<(String, Field)>> {
        let mut rows = Vec::new();
        for file in
            list(&self.path(folder)).into_iter().filter(|file| file.extension() == Some("parquet".as_ref()))
        {
            let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
            for row in reader.get_row_iter(None).unwrap() {
                rows.push(row.unwrap().into_columns());
            }
        }
        rows
    }

    /// Waits until the stored state says that rows were written.
    pub fn wait_for_state(&self) {
        wait_for("a state", || {
            let text = std::fs::read_to_string(self.path("config/state.json")).unwrap_or_default();
            serde_json::from_str::<Value>(&text).is_ok()
        });
    }
}

/// A row's value in a column.
pub fn value<'a>(row: &'a [(String, Field)], column: &str) -> &'a Field {
    &row.iter().find(|(name, _)| name == column).unwrap().1
}

/// The numbers from 1 to `last`.
pub fn one_to(last: i64) -> Vec<i64> {
    (1..=last).collect()
}

pub fn list(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

pub fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

impl Ran {
    pub fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    pub fn succeeded(self) -> Self {
        assert_eq!(self.code(), Some(0), "{}", self.stdout);
        self
    }

    /// The messages with their levels. Each line must have the console's form.
    pub fn messages(&self) -> Vec<(&str, &str)> {
        assert_eq!(self.stderr, "");
        self.stdout.lines().map(message).collect()
    }

    /// The messages that are JSON objects.
    pub fn results(&self) -> Vec<Value> {
        let messages = self.messages().into_iter();
        messages.filter_map(|(_, text)| serde_json::from_str(text).ok()).filter(Value::is_object).collect()
    }

    /// The last FATAL message; empty if there is none.
    pub fn fatal(&self) -> &str {
        self.messages().iter().rev().find(|(level, _)| *level == "FATAL").map_or("", |(_, text)| text)
    }
}

fn message(line: &str) -> (&str, &str) {
    let (time, rest) =
        line.strip_prefix("\x1b[90m").and_then(|line| line.split_once("\x1b[0m \x1b[")).expect(line);
    assert_eq!((time.len(), time.as_bytes()[10], time.as_bytes()[19]), (20, b'T', b'Z'), "{line}");
    let (level, text) = rest.split_once("\x1b[0m ").expect(line);
    let (colour, level) = level.split_once('m').expect(line);
    let expected = match level {
        "DEBUG" => "36",
        "INFO" => "32",
        "WARN" => "33",
        "FATAL" => "31",
        other => panic!("level {other}"),
    };
    assert_eq!(colour, expected, "{line}");
    (level, text)
}
