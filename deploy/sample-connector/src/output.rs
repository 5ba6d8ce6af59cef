//! What the program says: coloured lines on stdout and the same as JSON lines in `logs/sync_<UTC
//! time>/olake.log`.
//!
//! A result is a log message too, one that is a JSON object: on stdout with its keys sorted, in the file in
//! its own order. stderr stays empty. A log file that cannot be written does not end the work: the console
//! goes on alone. Safe to use from several threads; lines are never mixed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use crate::clock;

/// A full log file is put aside and a new one begun.
const LOG_FILE_BYTES: u64 = 100 * 1024 * 1024;

#[derive(Clone, Copy)]
enum Level {
    Debug,
    Info,
    Warn,
    Fatal,
}

impl Level {
    /// Colour and name on the console, name in the file.
    fn names(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Debug => (36, "DEBUG", "debug"),
            Self::Info => (32, "INFO", "info"),
            Self::Warn => (33, "WARN", "warn"),
            Self::Fatal => (31, "FATAL", "fatal"),
        }
    }
}

struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// The size at which the file is put aside.
    limit: u64,
}

/// Console and log file.
pub struct Output {
    log: Mutex<Option<LogFile>>,
}

impl Output {
    /// Begins the log of this run in `folder`/logs.
    pub fn new(folder: &Path) -> Self {
        let folder = folder.join("logs").join(format!("sync_{}", clock::for_name(clock::now())));
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&folder);
        Self {
            log: Mutex::new(made.and_then(|()| LogFile::open(folder.join("olake.log"), LOG_FILE_BYTES)).ok()),
        }
    }

    pub fn debug(&self, message: &str) {
        self.text(Level::Debug, message);
    }

    pub fn info(&self, message: &str) {
        self.text(Level::Info, message);
    }

    pub fn warn(&self, message: &str) {
        self.text(Level::Warn, message);
    }

    pub fn fatal(&self, message: &str) {
        self.text(Level::Fatal, message);
    }

    /// Says a result: a message that is a JSON object.
    pub fn result(&self, message: &Value) {
        let time = clock::for_log(clock::now());
        let entry = json!({"level": "info", "message": message, "time": time});
        self.line(Level::Info, &time, &sorted(message).to_string(), &entry);
    }

    /// Says words in the place of a result, when told to.
    pub fn rubbish(&self) {
        self.info(RUBBISH);
    }

    fn text(&self, level: Level, message: &str) {
        let time = clock::for_log(clock::now());
        let entry = json!({"level": level.names().2, "time": time, "message": message});
        self.line(level, &time, message, &entry);
    }

    fn line(&self, level: Level, time: &str, message: &str, entry: &Value) {
        let (colour, name, _) = level.names();
        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A reader that has gone away is no reason to stop the work.
        let _ = writeln!(std::io::stdout(), "\x1b[90m{time}\x1b[0m \x1b[{colour}m{name}\x1b[0m {message}");
        if log.as_mut().is_some_and(|log| log.write(entry).is_err()) {
            *log = None;
        }
    }
}

/// What the fault `rubbish` prints and writes.
pub const RUBBISH: &str = "{\"type\": <<< this is no JSON >>>";

impl LogFile {
    fn open(path: PathBuf, limit: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, limit })
    }

    fn write(&mut self, entry: &Value) -> std::io::Result<()> {
        let mut line = entry.to_string();
        line.push('\n');
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.limit {
            let aside = format!("olake-{}.log", clock::now().format("%Y-%m-%dT%H-%M-%S%.3f"));
            std::fs::rename(&self.path, self.path.with_file_name(aside))?;
            *self = Self::open(std::mem::take(&mut self.path), self.limit)?;
        }
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// The value with the keys of all its objects in alphabetical order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            Value::Object(
                entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value = json!({"b": [{"z": 1, "a": 2}], "a": null});
        assert_eq!(sorted(&value).to_string(), r#"{"a":null,"b":[{"a":2,"z":1}]}"#);
    }

    #[test]
    fn a_full_log_file_is_put_aside_and_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(folder.path().join("olake.log"), 15).unwrap();
        for number in 1..=2 {
            log.write(&json!({ "line": number })).unwrap();
        }
        let mut files: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let contents: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert_eq!(contents, ["{\"line\":1}\n", "{\"line\":2}\n"]);
    }
}
