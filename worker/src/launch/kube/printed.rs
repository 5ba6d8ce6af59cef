//! What an agent printed since it could not tell it, as an end.

use super::drive::Left;
use crate::{
    agent::{
        follow::{Ending, FollowError, Progress},
        sidecar::frames,
    },
    connector::{
        output::{Level, LogLine},
        result::Findings,
    },
};

/// What an agent's log holds of the end; none when it holds nothing of it.
pub fn read(text: &str) -> Option<Left> {
    let frames = frames::parse(text)?;
    let is_whole = frames.record.is_some();
    let lines: Vec<LogLine> = frames.lines.into_iter().map(line).collect();
    let mut ending = match frames.record {
        Some(record) => record.into_ending(),
        None => Ending {
            progress: Progress::default(),
            streams: None,
            difference: None,
            console_tail: Vec::new(),
            findings: Some(Findings::of(&lines)),
        },
    };
    if !lines.is_empty() {
        ending.progress.first_line = frames.first_line;
        ending.progress.log = lines;
    }
    ending.progress.errors.extend(frames.gaps.into_iter().map(FollowError::Told));
    Some(Left { ending, is_whole })
}

fn line(line: olake_shared::store::logs::LogLine) -> LogLine {
    let level = [Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];
    LogLine {
        level: level.into_iter().find(|level| level.as_str() == line.level).unwrap_or(Level::Info),
        time: line.time,
        message: line.message,
        json: None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::agent::{record::FinalRecord, sidecar::frames::LogFrames};

    #[test]
    fn what_was_printed_is_an_end_with_the_lines_that_were_not_stored() {
        let mut log = LogFrames::new(5);
        let line = |number: u64| olake_shared::store::logs::LogLine {
            level: "error".to_owned(),
            time: DateTime::UNIX_EPOCH,
            message: format!("line {number}"),
        };
        (5..8).for_each(|number| log.add(number, &line(number)).unwrap());
        let record = FinalRecord {
            state: Some(r#"{"type":"STREAM"}"#.to_owned()),
            lines: 8,
            ..FinalRecord::default()
        };
        let mut out = Vec::new();
        frames::print(&mut out, &record, log).unwrap();
        let left = read(std::str::from_utf8(&out).unwrap()).unwrap();
        assert!(left.is_whole);
        let progress = left.ending.progress;
        assert_eq!((progress.first_line, progress.log.len()), (5, 3));
        assert_eq!((progress.log[0].level, progress.log[2].message.as_str()), (Level::Error, "line 7"));
        assert!(progress.state.is_some());
        assert!(read("the agent said something else").is_none());
    }
}
