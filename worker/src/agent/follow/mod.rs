//! Following the output folder of one attempt (the connector's `TMPDIR`) while the connector writes it.
//!
//! [`FolderFollower::poll`] is called on a tick and looks at what changed; [`FolderFollower::finish`] is
//! called once, when the connector has ended, and reads the rest. Both do small synchronous reads: call them
//! where blocking is allowed.
//!
//! Invariants:
//! - a state is given out only when it parses as a whole and differs from the one given out before;
//! - each line is given out once, in order, over any rotation of the log file; its number is its place in
//!   the attempt;
//! - lines come from the log file. Until that exists they come from the console, and what the console said
//!   is not given out again when the log file turns out to hold it;
//! - a poll reads at most [`POLL_BYTES`] of log, and an idle one reads nothing (it looks at sizes and times);
//! - an error of one file stops nothing else: it is reported beside what could be read.
//!
//! To follow another file: hold a [`watched::WatchedFile`] for it and give its content a place in
//! [`Progress`] or [`Ending`].

mod console;
mod log_file;
#[cfg(test)]
mod tests;
mod watched;

use std::{
    io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

pub use self::console::tail_of;
use self::{console::Console, log_file::LogFile, watched::WatchedFile};
use crate::connector::{
    output::LogLine,
    result::{Findings, parse_catalog},
    state::{StateText, Stats, parse_state, parse_stats},
};

/// The most that one poll reads of the log file, in bytes.
pub const POLL_BYTES: u64 = 4 << 20;

/// A file that could not be followed. It is tried again at the next poll.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The system refused.
    #[error("cannot read {} of the connector's output", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is read as a whole is too big for that.
    #[error("{} of the connector's output has {bytes} bytes, more than the {limit} that are taken", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// What the agent of a pod could not read, in its words.
    #[error("{0}")]
    Told(String),
    /// Log was compressed before it was read, and cannot be unpacked: lines are missing.
    #[error("{} cannot be unpacked: its lines are missing from the log", path.display())]
    Missed {
        /// Which file.
        path: PathBuf,
    },
}

impl FollowError {
    fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}

/// What is new since the poll before.
#[derive(Debug, Default)]
pub struct Progress {
    /// The state, if it changed and is whole.
    pub state: Option<StateText>,
    /// The statistics, if they changed and are whole.
    pub stats: Option<Stats>,
    /// The number of the first line of `log` in this attempt, from 0.
    pub first_line: u64,
    /// New lines.
    pub log: Vec<LogLine>,
    /// Whether there was more log than one poll reads: poll again at once.
    pub more: bool,
    /// What could not be read.
    pub errors: Vec<FollowError>,
}

/// What an attempt left when it ended.
#[derive(Debug)]
pub struct Ending {
    /// What was new since the last poll, to the last line and the last state.
    pub progress: Progress,
    /// The catalog that discover wrote (`streams.json`), if it is whole.
    pub streams: Option<String>,
    /// The result of a difference run (`difference_streams.json`), if it is whole.
    pub difference: Option<String>,
    /// The last lines of the console, for when no reason is in the log.
    pub console_tail: Vec<String>,
    /// What all lines of the attempt said, when whoever read them has told it: they are stored already then, and
    /// `progress.first_line` is their number.
    pub findings: Option<Findings>,
}

/// Follows one attempt's output folder.
pub struct FolderFollower {
    state: WatchedFile,
    stats: WatchedFile,
    streams: WatchedFile,
    difference: WatchedFile,
    log: LogFile,
    console: Console,
    last_stats: Option<Stats>,
    lines: u64,
}

impl FolderFollower {
    /// A follower of `folder`, which may still be empty. `started` is the time that lines without one get.
    pub fn new(folder: &Path, started: DateTime<Utc>) -> Self {
        Self {
            state: WatchedFile::new(folder.join("state.json")),
            stats: WatchedFile::new(folder.join("stats.json")),
            streams: WatchedFile::new(folder.join("streams.json")),
            difference: WatchedFile::new(folder.join("difference_streams.json")),
            log: LogFile::new(folder.join("logs"), started),
            console: Console::new(started),
            last_stats: None,
            lines: 0,
        }
    }

    /// Takes what the connector printed. Lines of it are given out by [`Self::poll`] as long as there is no
    /// log file. True when enough waits that a poll should come before the next chunk.
    pub fn feed_console(&mut self, bytes: &[u8]) -> bool {
        self.console.feed(bytes, !self.log.is_found())
    }

    /// The number of lines given out so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines that the connector printed, at most 20.
    pub fn console_tail(&self) -> Vec<String> {
        self.console.tail()
    }

    /// What is new. Cheap when nothing is.
    pub fn poll(&mut self) -> Progress {
        self.poll_at_most(POLL_BYTES)
    }

    /// As [`Self::poll`], reading at most so many bytes of log. With 0 it sees new log files all the same, so that none
    /// is rotated away unseen.
    pub fn poll_at_most(&mut self, bytes: u64) -> Progress {
        let mut progress = Progress::default();
        self.read_files(&mut progress, false);
        let mut lines = Vec::new();
        progress.more = self.log.poll(bytes, &mut lines, &mut progress.errors);
        self.number(&mut progress, lines, false);
        progress
    }

    /// The rest, once the connector has ended. Poll until there is no `more` first: what is left of the log
    /// is read in one go.
    pub fn finish(&mut self) -> Ending {
        let mut progress = Progress::default();
        let mut lines = Vec::new();
        self.log.finish(&mut lines, &mut progress.errors);
        self.number(&mut progress, lines, true);
        self.read_files(&mut progress, true);
        let streams = final_text(&mut self.streams, &mut progress.errors);
        let difference = final_text(&mut self.difference, &mut progress.errors);
        Ending { progress, streams, difference, console_tail: self.console.tail(), findings: None }
    }

    fn read_files(&mut self, progress: &mut Progress, last: bool) {
        match self.state.changed(last, parse_state) {
            Ok(state) => progress.state = state,
            Err(error) => progress.errors.push(error),
        }
        match self.stats.changed(last, parse_stats) {
            Ok(stats) => {
                progress.stats = stats.filter(|stats| self.last_stats.as_ref() != Some(stats));
                if progress.stats.is_some() {
                    self.last_stats.clone_from(&progress.stats);
                }
            }
            Err(error) => progress.errors.push(error),
        }
    }

    /// Puts the console's lines and the log file's together and numbers them.
    fn number(&mut self, progress: &mut Progress, from_file: Vec<LogLine>, last: bool) {
        progress.first_line = self.lines;
        progress.log = self.console.take(last, self.log.is_found());
        progress.log.extend(from_file.into_iter().filter(|line| !self.console.already_gave(line)));
        self.lines += progress.log.len() as u64;
    }
}

fn final_text(file: &mut WatchedFile, errors: &mut Vec<FollowError>) -> Option<String> {
    match file.changed(true, parse_catalog) {
        Ok(text) => text,
        Err(error) => {
            errors.push(error);
            None
        }
    }
}
