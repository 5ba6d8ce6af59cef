//! All of an output folder, read at once by somebody who has not followed it: for printing what is left when there is more
//! of it than is held in memory.

use std::{io, path::Path};

use chrono::DateTime;
use olake_shared::store::logs::LogLine;

use super::frames::LogFrames;
use crate::{
    agent::follow::{FolderFollower, Progress},
    connector::result::Findings,
    reconcile::redact::Redactor,
};

/// One step reads at most so many bytes of log.
const STEP_BYTES: u64 = 256 * 1024;

/// What was read.
pub struct Leftover {
    pub state: Option<String>,
    pub streams: Option<String>,
    pub difference: Option<String>,
    pub findings: Findings,
    /// The lines that are not known.
    pub log: LogFrames,
    /// How many lines there are, known ones included.
    pub lines: u64,
    pub gaps: Vec<String>,
}

/// Reads a folder; lines below number `known` are left out.
///
/// # Errors
/// Never in practice: what cannot be read is told as a gap.
pub fn read(folder: &Path, known: u64, redactor: &Redactor) -> io::Result<Leftover> {
    let mut follower = FolderFollower::new(folder, DateTime::UNIX_EPOCH);
    let mut left = Leftover {
        state: None,
        streams: None,
        difference: None,
        findings: Findings::default(),
        log: LogFrames::new(known),
        lines: 0,
        gaps: Vec::new(),
    };
    loop {
        let progress = follower.poll_at_most(STEP_BYTES);
        let more = progress.more;
        left.take(progress, known, redactor)?;
        if !more {
            break;
        }
    }
    let ending = follower.finish();
    left.take(ending.progress, known, redactor)?;
    (left.streams, left.difference) = (ending.streams, ending.difference);
    left.lines = follower.lines();
    Ok(left)
}

impl Leftover {
    fn take(&mut self, progress: Progress, known: u64, redactor: &Redactor) -> io::Result<()> {
        if let Some(state) = progress.state {
            self.state = Some(state.into_string());
        }
        for error in progress.errors {
            let gap = error.to_string();
            if !self.gaps.contains(&gap) {
                self.gaps.push(gap);
            }
        }
        for (number, line) in (progress.first_line..).zip(&progress.log) {
            self.findings.observe(line);
            if number >= known {
                let message = redactor.clean(&line.message).into_owned();
                let level = line.level.as_str().to_owned();
                self.log.add(number, &LogLine { level, time: line.time, message })?;
            }
        }
        Ok(())
    }
}
