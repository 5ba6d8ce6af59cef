//! What the connector printed: the lines until there is a log file, and the last of it for when the log
//! gives no reason.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::connector::output::{LogLine, OutputParser};

/// The lines of the tail, and how much of each is kept, in bytes.
const TAIL_LINES: usize = 20;
const TAIL_LINE_BYTES: usize = 4096;

/// When this much waits to be given out, the feeder is asked to let a poll come first. In bytes.
const ENOUGH: usize = 4 << 20;

/// How much of what was given is remembered until the log file is found to hold it too, in bytes: as much as can
/// wait before the first look for that file. The log file appears with the first line, so no more is ever doubled.
const REMEMBERED_BYTES: usize = ENOUGH;

/// What a line takes beside its message, in bytes.
const LINE_BYTES: usize = 128;

/// Both outputs hold the same lines in the same order, but for a few: a line of the log file is looked for among so
/// many of the given ones, and after so many lines in vain no more are looked for.
const LOOK_AHEAD: usize = 1000;
const MISSES: usize = 2 * LOOK_AHEAD;

/// The console of one attempt.
pub struct Console {
    parser: OutputParser,
    /// Lines that were not given out yet.
    waiting: Vec<LogLine>,
    waiting_bytes: usize,
    /// Lines that were given out and were not met in the log file yet.
    given: VecDeque<LogLine>,
    given_bytes: usize,
    /// How many lines of the log file may still be looked for in `given` in vain.
    misses_left: usize,
    tail: VecDeque<String>,
    fed_since_take: bool,
}

impl Console {
    pub fn new(started: DateTime<Utc>) -> Self {
        Self {
            parser: OutputParser::console(started),
            waiting: Vec::new(),
            waiting_bytes: 0,
            given: VecDeque::new(),
            given_bytes: 0,
            misses_left: MISSES,
            tail: VecDeque::new(),
            fed_since_take: false,
        }
    }

    /// Takes a chunk. Its lines are given out later if `give`; the tail keeps them in any case.
    pub fn feed(&mut self, bytes: &[u8], give: bool) -> bool {
        let mut lines = Vec::new();
        self.parser.feed(bytes, &mut lines);
        self.fed_since_take = true;
        self.keep(lines, give);
        self.waiting_bytes >= ENOUGH
    }

    /// The lines to give out now. A message that may be continued is held until nothing was printed for a
    /// whole tick, or until the end.
    pub fn take(&mut self, last: bool, log_is_found: bool) -> Vec<LogLine> {
        let mut lines = Vec::new();
        if last {
            self.parser.finish(&mut lines);
        } else if !self.fed_since_take {
            self.parser.settle(&mut lines);
        }
        self.fed_since_take = false;
        self.keep(lines, !log_is_found);
        self.waiting_bytes = 0;
        let taken = std::mem::take(&mut self.waiting);
        for line in &taken {
            self.given_bytes += cost(line);
            self.given.push_back(line.clone());
        }
        while self.given_bytes > REMEMBERED_BYTES {
            self.given_bytes -= self.given.pop_front().map_or(0, |line| cost(&line));
        }
        taken
    }

    /// Whether this line of the log file was already given out as a line of the console. True once for each
    /// line that was given out.
    pub fn already_gave(&mut self, line: &LogLine) -> bool {
        if self.given.is_empty() {
            return false;
        }
        let Some(at) = self.given.iter().take(LOOK_AHEAD).position(|given| given.is_same_message(line))
        else {
            self.misses_left = self.misses_left.saturating_sub(1);
            if self.misses_left == 0 {
                self.given.clear();
                self.given_bytes = 0;
            }
            return false;
        };
        self.given_bytes -= self.given.remove(at).map_or(0, |line| cost(&line));
        true
    }

    /// The last lines, oldest first.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    fn keep(&mut self, lines: Vec<LogLine>, give: bool) {
        for line in lines {
            for text in line.message.lines().rev().take(TAIL_LINES).collect::<Vec<_>>().into_iter().rev() {
                if self.tail.len() == TAIL_LINES {
                    self.tail.pop_front();
                }
                self.tail.push_back(text[..text.floor_char_boundary(TAIL_LINE_BYTES)].to_owned());
            }
            if give {
                self.waiting_bytes += cost(&line);
                self.waiting.push(line);
            }
        }
    }
}

/// The last lines of what was printed, oldest first. `is_cut`: more was printed before it, so that its first line may be
/// the end of one.
pub fn tail_of(text: &str, is_cut: bool, now: DateTime<Utc>) -> Vec<String> {
    let whole = match text.split_once('\n') {
        Some((_, whole)) if is_cut => whole,
        _ => text,
    };
    let mut console = Console::new(now);
    console.feed(whole.as_bytes(), false);
    console.take(true, true);
    console.tail()
}

fn cost(line: &LogLine) -> usize {
    LINE_BYTES + line.message.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_is_its_last_whole_lines() {
        let text = "half a line\npanic: it broke\n\ngoroutine 1 [running]:\n";
        let tail = |is_cut| tail_of(text, is_cut, DateTime::UNIX_EPOCH);
        assert_eq!(tail(true).first().map(String::as_str), Some("panic: it broke"));
        assert_eq!(tail(false).first().map(String::as_str), Some("half a line"));
        assert_eq!(tail(false).last().map(String::as_str), Some("goroutine 1 [running]:"));
        let long = (0..100).map(|number| format!("line {number}\n")).collect::<String>();
        let tail = tail_of(&long, false, DateTime::UNIX_EPOCH);
        assert_eq!((tail.len(), tail[0].as_str()), (TAIL_LINES, "line 80"));
    }
}
