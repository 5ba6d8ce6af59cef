//! What a connector prints, as lines with a level and a time.
//!
//! There are two forms of the same lines: the coloured console text (stdout) and the JSON lines of
//! `olake.log`. [`OutputParser`] reads either, in chunks of any size.
//!
//! Invariants: no line is lost: text that follows no rule becomes a line as it is, at level info; a message
//! of several text lines is one [`LogLine`]; memory is bounded by [`LINE_LIMIT`] a line.
//!
//! To add a form: add a variant to `Form` and its reading to [`OutputParser::feed`].

use chrono::{DateTime, Utc};
use olake_shared::json::parse_json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use super::line_buffer::{CUT_MARK, LINE_LIMIT};
use super::line_buffer::{LineBuffer, RawLine};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the connector's authors; left out of a person's pages.
    Debug,
    /// Progress.
    Info,
    /// Something to look at.
    Warn,
    /// Something failed, and the connector goes on.
    Error,
    /// The connector ends because of it.
    Fatal,
}

impl Level {
    /// The text form, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    fn from_console(word: &str) -> Option<Self> {
        Some(match word {
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARN" => Self::Warn,
            "ERROR" => Self::Error,
            "FATAL" => Self::Fatal,
            _ => return None,
        })
    }

    fn from_log(word: &str) -> Self {
        match word {
            "debug" | "trace" => Self::Debug,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            "fatal" | "panic" => Self::Fatal,
            _ => Self::Info,
        }
    }
}

/// One message of a connector.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// How much it matters; info for text that has no level.
    pub level: Level,
    /// When it was written, to the second; the time of the line before for text that has none.
    pub time: DateTime<Utc>,
    /// The text, without colours and without line breaks at its end. A message that the log file holds as
    /// an object is compact JSON with its keys in order.
    pub message: String,
    /// The message as JSON, when it is an object.
    pub json: Option<Value>,
}

impl LogLine {
    /// Whether two lines are the same message, be it that one comes from the console and the other from the
    /// log file (which write the keys of an object in different orders).
    pub fn is_same_message(&self, other: &Self) -> bool {
        let same_text = match (&self.json, &other.json) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (None, None) => self.message == other.message,
            _ => false,
        };
        same_text && self.level == other.level && self.time == other.time
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Console,
    JsonLines,
}

/// Reads chunks of one output into lines.
pub struct OutputParser {
    form: Form,
    buffer: LineBuffer,
    lines: LineReader,
}

impl OutputParser {
    /// A parser of console text. `started` is the time of text that comes before the first message.
    pub fn console(started: DateTime<Utc>) -> Self {
        Self::new(Form::Console, started)
    }

    /// A parser of the log file. `started` is the time of text that comes before the first message.
    pub fn json_lines(started: DateTime<Utc>) -> Self {
        Self::new(Form::JsonLines, started)
    }

    fn new(form: Form, started: DateTime<Utc>) -> Self {
        Self {
            form,
            buffer: LineBuffer::default(),
            lines: LineReader { waiting: None, last: (Level::Info, started) },
        }
    }

    /// Takes a chunk and appends the lines that it completes. A console message is complete when the next
    /// one begins, since more of its text may follow; [`Self::settle`] does not wait for that.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<LogLine>) {
        let Self { form, buffer, lines } = self;
        buffer.feed(chunk, |raw| lines.read(*form, raw, out));
    }

    /// Appends the message that waits for its continuation, if there is one. For a quiet moment: a
    /// continuation that comes later becomes a line of its own, with the level and time of the one before.
    pub fn settle(&mut self, out: &mut Vec<LogLine>) {
        self.lines.release(out);
    }

    /// The end of the output, or of one file of it: appends what is left, also a last line without a line
    /// break.
    pub fn finish(&mut self, out: &mut Vec<LogLine>) {
        if let Some(raw) = self.buffer.flush() {
            self.lines.read(self.form, raw, out);
        }
        self.lines.release(out);
    }
}

/// A console message whose continuation may follow.
struct Waiting {
    level: Level,
    time: DateTime<Utc>,
    message: String,
}

struct LineReader {
    waiting: Option<Waiting>,
    /// Level and time of the message before: what a line without its own gets.
    last: (Level, DateTime<Utc>),
}

impl LineReader {
    fn read(&mut self, form: Form, raw: RawLine, out: &mut Vec<LogLine>) {
        match form {
            Form::Console => self.read_console(raw, out),
            Form::JsonLines => self.read_json(raw, out),
        }
    }

    fn read_console(&mut self, raw: RawLine, out: &mut Vec<LogLine>) {
        let text = marked(strip_colours(raw.text), raw.cut);
        if let Some((time, level, message)) = message_head(&text) {
            self.release(out);
            self.last = (level, time);
            self.waiting = Some(Waiting { level, time, message: message.to_owned() });
            return;
        }
        match &mut self.waiting {
            Some(waiting) if waiting.message.len() + text.len() < LINE_LIMIT => {
                waiting.message.push('\n');
                waiting.message.push_str(&text);
            }
            _ => {
                self.release(out);
                if !text.trim().is_empty() {
                    let (level, time) = self.last;
                    out.push(line(level, time, text));
                }
            }
        }
    }

    fn read_json(&mut self, raw: RawLine, out: &mut Vec<LogLine>) {
        if raw.cut {
            let (level, time, text) = cut_record(&raw.text);
            self.last = (level.unwrap_or(Level::Info), time.unwrap_or(self.last.1));
            let message = marked(strip_colours(text.to_owned()), true);
            out.push(LogLine { level: self.last.0, time: self.last.1, message, json: None });
            return;
        }
        match parse_json(&raw.text) {
            Ok(Value::Object(record)) => {
                let read = record_line(record, self.last.1);
                self.last = (read.level, read.time);
                out.push(read);
            }
            Err(_) if raw.text.trim().is_empty() => {}
            Ok(_) | Err(_) => out.push(line(Level::Info, self.last.1, strip_colours(raw.text))),
        }
    }

    fn release(&mut self, out: &mut Vec<LogLine>) {
        if let Some(Waiting { level, time, message }) = self.waiting.take() {
            out.push(line(level, time, message));
        }
    }
}

fn line(level: Level, time: DateTime<Utc>, mut message: String) -> LogLine {
    message.truncate(message.trim_end_matches(['\n', '\r']).len());
    let json = message.trim_start().starts_with('{').then(|| parse_json(&message).ok()).flatten();
    LogLine { level, time, message, json }
}

fn marked(mut text: String, cut: bool) -> String {
    if cut {
        text.push_str(CUT_MARK);
    }
    text
}

/// `<time ending in Z> <LEVEL> <message>`: the head of a console message.
fn message_head(text: &str) -> Option<(DateTime<Utc>, Level, &str)> {
    let (time, rest) = text.split_once(' ')?;
    let (level, message) = rest.split_once(' ').unwrap_or((rest, ""));
    let level = Level::from_console(level)?;
    Some((parse_time(time)?, level, message))
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if !text.ends_with('Z') {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// Takes every `ESC[…m` out.
fn strip_colours(text: String) -> String {
    if !text.contains('\u{1b}') {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(start);
        plain.push_str(before);
        let inside = &sequence[2..];
        let digits = inside.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(inside.len());
        rest = match inside[digits..].strip_prefix('m') {
            Some(after) => after,
            None => {
                plain.push_str("\u{1b}[");
                inside
            }
        };
    }
    plain.push_str(rest);
    plain
}

/// A line of the log file: `level`, `time`, `message`; whatever else it holds is the message when that is
/// missing.
fn record_line(mut record: Map<String, Value>, before: DateTime<Utc>) -> LogLine {
    let level = record.shift_remove("level");
    let level = level.as_ref().and_then(Value::as_str).map_or(Level::Info, Level::from_log);
    let time = record.shift_remove("time");
    let time = time.as_ref().and_then(Value::as_str).and_then(parse_time).unwrap_or(before);
    match record.shift_remove("message") {
        Some(Value::String(text)) => line(level, time, strip_colours(text)),
        Some(Value::Null) | None if record.is_empty() => line(level, time, String::new()),
        Some(Value::Null) | None => object_line(level, time, Value::Object(record)),
        Some(Value::Object(object)) => object_line(level, time, Value::Object(object)),
        Some(other) => line(level, time, other.to_string()),
    }
}

fn object_line(level: Level, time: DateTime<Utc>, object: Value) -> LogLine {
    LogLine { level, time, message: object.to_string(), json: Some(object) }
}

/// What can still be read from the beginning of a log record that was cut and so is no JSON any more.
fn cut_record(text: &str) -> (Option<Level>, Option<DateTime<Utc>>, &str) {
    const MESSAGE: &str = "\"message\":";
    let at = text.find(MESSAGE);
    let head = &text[..at.unwrap_or(0)];
    let field = |name: &str| {
        let (_, value) = head.split_once(name)?;
        value.split_once('"').map(|(value, _)| value)
    };
    let level = field("\"level\":\"").map(Level::from_log);
    let time = field("\"time\":\"").and_then(parse_time);
    let message = at.map_or(text, |at| &text[at + MESSAGE.len()..]);
    (level, time, message.strip_prefix('"').unwrap_or(message))
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
