//! What could not be told is printed, and read back from the agent's output: the record first, then lines.
//!
//! Each piece (the record; some lines) is packed and cut into parts, one a line of text:
//! `@olake1 record <part>/<parts> <base64>`, `@olake1 log <first line> <part>/<parts> <base64>`, and at the end
//! `@olake1 done <lines left out>`. Whatever else was printed is passed over. A piece with a part missing, or a part that
//! was changed, is left out as a whole, and what is missing is told.
//!
//! What is printed later takes the place of what was printed before.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Read, Write},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use olake_shared::store::logs::LogLine;

use crate::{agent::record::FinalRecord, internal::CONTENT_LIMIT};

const HEAD: &str = "@olake1 ";

/// Of base64 in one line of text: container runtimes cut lines of 16 KiB.
const PART_BYTES: usize = 8_000;

/// Lines are packed in pieces of about so many bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// At most so many bytes of packed lines are printed; the record comes on top of that.
const LOG_BYTES: usize = 6 << 20;

/// Lines on their way to be printed.
#[derive(Default)]
pub struct LogFrames {
    text: String,
    /// The number of the first line of `piece`.
    first: u64,
    piece: Vec<u8>,
    left_out: u64,
}

impl LogFrames {
    /// Lines to be printed, the first of which has this number in the attempt.
    pub fn new(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// Never in practice.
    pub fn add(&mut self, number: u64, line: &LogLine) -> io::Result<()> {
        if self.text.len() >= LOG_BYTES {
            self.left_out += 1;
            return Ok(());
        }
        if self.piece.is_empty() {
            self.first = number;
        }
        serde_json::to_writer(&mut self.piece, line)?;
        self.piece.push(b'\n');
        if self.piece.len() >= PIECE_BYTES { self.close_piece() } else { Ok(()) }
    }

    fn close_piece(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if !piece.is_empty() {
            write_parts(&mut self.text, &format!("log {}", self.first), &piece)?;
        }
        Ok(())
    }
}

/// Prints a record and the lines that were not stored.
///
/// # Errors
/// The output's own.
pub fn print(out: &mut impl Write, record: &FinalRecord, mut log: LogFrames) -> io::Result<()> {
    let mut text = String::new();
    write_parts(&mut text, "record", record.to_text()?.as_bytes())?;
    out.write_all(text.as_bytes())?;
    log.close_piece()?;
    out.write_all(log.text.as_bytes())?;
    writeln!(out, "{HEAD}done {}", log.left_out)?;
    out.flush()
}

fn write_parts(text: &mut String, name: &str, content: &[u8]) -> io::Result<()> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content)?;
    let packed = STANDARD_NO_PAD.encode(encoder.finish()?);
    let parts = packed.len().div_ceil(PART_BYTES);
    for (at, part) in packed.as_bytes().chunks(PART_BYTES).enumerate() {
        let part = std::str::from_utf8(part).map_err(io::Error::other)?;
        writeln!(text, "{HEAD}{name} {at}/{parts} {part}").map_err(io::Error::other)?;
    }
    Ok(())
}

/// What an agent has printed.
#[derive(Debug, Default, PartialEq)]
pub struct Frames {
    /// What it would have told at the end; none when that did not come whole.
    pub record: Option<FinalRecord>,
    /// The number of the first of `lines` in the attempt.
    pub first_line: u64,
    /// The lines. Where some are missing, a line says so.
    pub lines: Vec<LogLine>,
    /// What is missing, in words.
    pub gaps: Vec<String>,
}

/// Reads an agent's output. None: it holds no frames.
pub fn parse(text: &str) -> Option<Frames> {
    let mut pieces = Pieces::default();
    text.lines().filter_map(|line| line.trim_start().strip_prefix(HEAD)).for_each(|frame| pieces.take(frame));
    pieces.finish()
}

#[derive(Default)]
struct Pieces {
    is_any: bool,
    /// The piece whose parts are coming: its name, the part that is next, how many there are, and what came.
    open: Option<(String, usize, usize, String)>,
    record: Option<FinalRecord>,
    log: BTreeMap<u64, Vec<LogLine>>,
    /// Whether the end was printed, and how many lines were left out by then.
    left_out: Option<u64>,
    broken: bool,
}

impl Pieces {
    fn take(&mut self, frame: &str) {
        self.is_any = true;
        if let Some(left_out) = frame.strip_prefix("done ") {
            self.close_broken();
            self.left_out = left_out.trim().parse().ok();
            return;
        }
        let Some((name, part, parts, content)) = split(frame) else {
            self.broken = true;
            return;
        };
        if part == 0 {
            self.close_broken();
            self.open = Some((name.to_owned(), 0, parts, String::new()));
        }
        match &mut self.open {
            Some((open, next, all, text)) if open == name && *next == part && *all == parts => {
                text.push_str(content);
                *next += 1;
                if *next == parts {
                    self.close();
                }
            }
            _ => self.close_broken(),
        }
    }

    fn close_broken(&mut self) {
        self.broken |= self.open.take().is_some();
    }

    fn close(&mut self) {
        let Some((name, _, _, text)) = self.open.take() else { return };
        let Some(content) = unpack(&text) else {
            self.broken = true;
            return;
        };
        match name.strip_prefix("log ") {
            None => match FinalRecord::parse(&content) {
                Ok(record) => self.record = Some(record),
                Err(_) => self.broken = true,
            },
            Some(first) => {
                let lines = content.lines().map(serde_json::from_str).collect::<Result<Vec<LogLine>, _>>();
                match (first.parse(), lines) {
                    (Ok(first), Ok(lines)) => {
                        self.log.insert(first, lines);
                    }
                    _ => self.broken = true,
                }
            }
        }
    }

    fn finish(mut self) -> Option<Frames> {
        if !self.is_any {
            return None;
        }
        self.close_broken();
        let mut frames = Frames {
            record: self.record,
            first_line: self.log.first_key_value().map_or(0, |(first, _)| *first),
            ..Frames::default()
        };
        let mut next = frames.first_line;
        for (first, lines) in self.log {
            if first > next {
                frames.lines.extend(lines.first().map(|line| LogLine {
                    level: "warn".to_owned(),
                    time: line.time,
                    message: format!("{} lines of the connector's log are missing here", first - next),
                }));
            }
            let known = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
            next = next.max(first + lines.len() as u64);
            frames.lines.extend(lines.into_iter().skip(known));
        }
        if self.broken || self.left_out.is_none() {
            frames.gaps.push("what the pod's agent has printed at the end did not come whole".to_owned());
        }
        if let Some(left_out @ 1..) = self.left_out {
            frames.gaps.push(format!("the last {left_out} lines of the connector's log were not kept"));
        }
        Some(frames)
    }
}

/// `<name> <part>/<parts> <content>`.
fn split(frame: &str) -> Option<(&str, usize, usize, &str)> {
    let (head, content) = frame.trim_end().rsplit_once(' ')?;
    let (name, place) = head.rsplit_once(' ')?;
    let (part, parts) = place.split_once('/')?;
    Some((name, part.parse().ok()?, parts.parse().ok()?, content))
}

fn unpack(text: &str) -> Option<String> {
    let packed = STANDARD_NO_PAD.decode(text).ok()?;
    let mut content = String::new();
    GzDecoder::new(packed.as_slice()).take(CONTENT_LIMIT).read_to_string(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn line(number: u64) -> LogLine {
        // Not to be packed to nothing.
        let noise: String = (1..20)
            .map(|round: u64| ((number + 1) * round).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_string())
            .collect();
        LogLine {
            level: "info".to_owned(),
            time: DateTime::UNIX_EPOCH,
            message: format!("line {number}\n{noise}"),
        }
    }

    fn record(state: &str) -> FinalRecord {
        FinalRecord { state: Some(state.to_owned()), lines: 7, ..FinalRecord::default() }
    }

    fn printed(record: &FinalRecord, numbers: std::ops::Range<u64>) -> String {
        let mut log = LogFrames::new(numbers.start);
        numbers.for_each(|number| log.add(number, &line(number)).unwrap());
        let mut out = Vec::new();
        print(&mut out, record, log).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn assert_lines(frames: &Frames, numbers: std::ops::Range<u64>) {
        assert_eq!(frames.first_line, numbers.start);
        assert!(frames.lines.iter().eq(numbers.map(line).collect::<Vec<_>>().iter()));
    }

    #[test]
    fn what_was_printed_is_read_among_other_output() {
        let state = format!(r#"{{"id":12345678901234567890,"x":"{}"}}"#, "y".repeat(100_000));
        let text = printed(&record(&state), 5..9_000);
        assert!(text.lines().all(|line| line.len() < 16_000));
        let text = text.replace('\n', "\nsomething else\n");
        let frames = parse(&format!("the agent starts\n{text}it ends")).unwrap();
        assert_eq!(frames.record, Some(record(&state)));
        assert_lines(&frames, 5..9_000);
        assert_eq!(frames.gaps, [""; 0]);
        assert_eq!(parse("the agent starts\n@olake is no frame"), None);
    }

    #[test]
    fn a_part_that_is_missing_or_changed_is_told_and_the_rest_is_read() {
        let text = printed(&record(r#"{"at":1}"#), 0..9_000);
        let frames: Vec<_> = text.lines().collect();
        let gone = frames.len() / 2;
        let without = [&frames[..gone], &frames[gone + 1..]].concat().join("\n");
        let read = parse(&without).unwrap();
        assert_eq!(read.record, Some(record(r#"{"at":1}"#)));
        assert_eq!(read.gaps.len(), 1);
        let missing: Vec<_> = read.lines.iter().filter(|line| line.level == "warn").collect();
        assert!(missing[0].message.ends_with("lines of the connector's log are missing here"));
        assert_eq!(*read.lines.last().unwrap(), line(8_999));
        let (head, end) = frames[0].split_at(frames[0].len() - 20);
        let other = if end.starts_with('A') { "B" } else { "A" };
        let changed = format!("{head}{other}{}", &end[1..]);
        let read = parse(&format!("{changed}\n{}", frames[1..].join("\n"))).unwrap();
        assert_eq!((read.record, read.gaps.len()), (None, 1));
        let read = parse(&frames[..1].join("\n")).unwrap();
        assert_eq!((read.record.is_some(), read.gaps.len()), (true, 1), "the end is missing");
    }

    #[test]
    fn what_is_printed_later_takes_the_place_of_what_was_printed_before() {
        let text = printed(&record(r#"{"at":1}"#), 3..10) + &printed(&record(r#"{"at":2}"#), 3..12);
        let frames = parse(&text).unwrap();
        assert_eq!(frames.record, Some(record(r#"{"at":2}"#)));
        assert_lines(&frames, 3..12);
        assert_eq!(frames.gaps, [""; 0]);
    }

    #[test]
    fn no_more_is_printed_than_is_kept_and_what_is_left_out_is_counted() {
        let text = printed(&record(r#"{"at":1}"#), 0..60_000);
        assert!(text.len() < 8 << 20, "{}", text.len());
        let frames = parse(&text).unwrap();
        let kept = frames.lines.len();
        assert!(kept > 1_000 && kept < 60_000);
        assert_eq!(
            frames.gaps,
            [format!("the last {} lines of the connector's log were not kept", 60_000 - kept)]
        );
    }
}
