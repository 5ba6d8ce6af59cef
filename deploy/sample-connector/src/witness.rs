//! The fault `witness`: what this program did, written to a file outside of whatever runs it, so that a test can
//! tell what happened from what is said to have happened.
//!
//! In a folder, for each key (a job's, say):
//! - `<key>.lock` is locked for the life of the process, whichever way it ends. Whoever finds it locked lives beside
//!   another run of the same key, appends `overlap`, and fails;
//! - `<key>.witness` gets one JSON object a line, each by one write: `{"n", "run", "at", "event", …}`. `n` counts the
//!   file's lines from 1, `run` the starts, `at` is in milliseconds since 1970. Events: `start` (`state`, the text it
//!   began with or null; `pid`), `batch` (`batch`, counted in the run; `first` and `last` cursor value; `state`, the
//!   text that is in the state file by then), `line` (`line`: a log line of that number is about to be said), `end`
//!   (`code`), `overlap` (`pid`).
//!
//! Log lines are numbered over all runs of the key. A line is announced before it is said: the last one of a run that
//! has no `end` may have been said or not, all others were. A batch is told after its state is written.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::config::text;
use crate::output::Output;

/// Where to.
pub struct Place {
    folder: PathBuf,
    key: String,
}

impl Place {
    /// The value of the fault.
    ///
    /// # Errors
    /// A key that is missing, or is no name of a file.
    pub fn from_config(value: Option<&Value>) -> Result<Option<Self>> {
        let map = match value {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Object(map)) => map,
            Some(_) => bail!("witness must be an object"),
        };
        let folder = text(map, "folder")?.context("witness needs a folder")?.into();
        let key = text(map, "key")?.context("witness needs a key")?;
        if key.is_empty() || key.contains(['/', '\0']) {
            bail!("the key of witness must be a name");
        }
        Ok(Some(Self { folder, key }))
    }
}

/// A run that is witnessed.
pub struct Witness {
    book: Mutex<Book>,
}

struct Book {
    file: File,
    path: PathBuf,
    lines: u64,
    run: u64,
    batches: u64,
    /// The number of the last log line of all runs.
    said: u64,
}

impl Witness {
    /// Takes the lock, and tells of the start.
    ///
    /// # Errors
    /// Another run that lives, or a file that cannot be written.
    pub fn begin(place: &Place, state: Option<&str>) -> Result<Self> {
        create_dir_all(&place.folder).with_context(|| failed(&place.folder))?;
        let lock = place.folder.join(format!("{}.lock", place.key));
        let held = OpenOptions::new().create(true).append(true).open(&lock).with_context(|| failed(&lock))?;
        let alone = flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok();
        // For life: only the end of the process lets go of it.
        std::mem::forget(held);
        let mut book = Book::open(place.folder.join(format!("{}.witness", place.key)))?;
        let pid = std::process::id();
        if !alone {
            book.tell("overlap", &json!({ "pid": pid }))?;
            bail!("OVERLAP: another run of {} lives", place.key);
        }
        book.run += 1;
        book.tell("start", &json!({"pid": pid, "state": state}))?;
        Ok(Self { book: Mutex::new(book) })
    }

    /// A batch is in the destination, and `state` in its file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn batch(&self, first: &Value, last: &Value, state: &str) -> Result<()> {
        let mut book = self.book();
        book.batches += 1;
        let details = json!({"batch": book.batches, "first": first, "last": last, "state": state});
        book.tell("batch", &details)
    }

    /// Says the next numbered line.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn say_line(&self, output: &Output) -> Result<()> {
        let mut book = self.book();
        book.said += 1;
        let number = book.said;
        book.tell("line", &json!({ "line": number }))?;
        output.info(&format!("line {number}"));
        Ok(())
    }

    /// The run ends with this exit code.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn end(&self, code: u8) -> Result<()> {
        self.book().tell("end", &json!({ "code": code }))
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Reads on where earlier runs have ended. Half a line cannot be there: each is one write.
    fn open(path: PathBuf) -> Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(&path)
            .with_context(|| failed(&path))?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text).with_context(|| failed(&path))?;
        let mut book = Self { file, path, lines: 0, run: 0, batches: 0, said: 0 };
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).with_context(|| failed(&book.path))?;
            book.lines += 1;
            let number = |key: &str| entry.get(key).and_then(Value::as_u64);
            book.run = number("run").unwrap_or(book.run);
            book.said = number("line").unwrap_or(book.said);
        }
        Ok(book)
    }

    fn tell(&mut self, event: &str, details: &Value) -> Result<()> {
        self.lines += 1;
        let at = clock::now().timestamp_millis();
        let mut entry: Map<String, Value> = Map::new();
        entry.extend([
            ("n".to_owned(), json!(self.lines)),
            ("run".to_owned(), json!(self.run)),
            ("at".to_owned(), json!(at)),
            ("event".to_owned(), json!(event)),
        ]);
        entry.extend(details.as_object().cloned().unwrap_or_default());
        let mut line = Value::Object(entry).to_string();
        line.push('\n');
        self.file.write_all(line.as_bytes()).with_context(|| failed(&self.path))
    }
}

fn failed(path: &Path) -> String {
    format!("failed to witness in {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join("job-1.witness")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_place_needs_a_folder_and_a_name() {
        for value in [json!({}), json!({"folder": "/tmp"}), json!({"folder": "/tmp", "key": "a/b"}), json!(1)]
        {
            assert!(Place::from_config(Some(&value)).is_err(), "{value}");
        }
        assert!(Place::from_config(None).unwrap().is_none());
    }

    #[test]
    fn a_run_beside_another_one_is_told_and_fails() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().to_owned(), key: "job-1".to_owned() };
        let first = Witness::begin(&place, None).unwrap();
        first.batch(&json!(1), &json!(20), "{}").unwrap();
        let Err(error) = Witness::begin(&place, None) else { panic!("two runs at once") };
        assert!(error.to_string().contains("OVERLAP"), "{error}");
        let entries = entries(folder.path());
        let events: Vec<&Value> = entries.iter().map(|entry| &entry["event"]).collect();
        assert_eq!(events, ["start", "batch", "overlap"]);
        assert_eq!((&entries[1]["batch"], &entries[1]["last"]), (&json!(1), &json!(20)));
    }
}
