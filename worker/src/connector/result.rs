//! What a run's lines say: a spec, the outcome of a check, the totals of a sync, and why it failed.
//!
//! [`Findings`] looks at each line once and remembers what matters, so that a run of millions of lines needs
//! no more memory than a short one. The result of discover is a file, see [`parse_catalog`].
//!
//! Invariants: what the connector reports counts before its exit code; a run that should have reported
//! something and did not is a failure, never a success; the last message of a kind wins.
//!
//! To add a result: give [`Findings`] a field, fill it in [`Findings::observe`], and answer it with a method
//! that says in words what is missing.

use std::{collections::VecDeque, fmt};

use olake_shared::{domain::task::FailureClass, json::parse_json};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    output::{Level, LogLine},
    quantity,
};

/// The form of a source or a destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpecResult {
    /// A JSON schema, keys in the connector's order.
    pub jsonschema: Value,
    /// Hints for a web form: JSON inside a string. Empty when the connector gave none.
    pub uischema: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// The connection works.
    Succeeded,
    /// It does not; the message says why.
    Failed,
}

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// How it ended.
    pub status: CheckStatus,
    /// The connector's words; usually none when it succeeded.
    pub message: Option<String>,
}

/// What a sync moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Records read.
    pub records: u64,
    /// Bytes read. The connector prints them with two decimals of a unit: exact to about one percent.
    pub bytes: Option<u64>,
}

/// How the connector's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl Exit {
    /// The number of the signal that ended it. A shell or a container runtime tells it as 128 + n.
    fn signal(self) -> Option<i32> {
        match self {
            Self::Signal(signal) => Some(signal),
            Self::Code(code @ 129..=192) => Some(code - 128),
            Self::Code(_) => None,
        }
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the end looks like from the lines and the exit alone. Who knows more (a signal of our own, an
    /// out-of-memory kill that the system reported, a deadline) decides otherwise.
    pub class: FailureClass,
    /// Words that a person can act on.
    pub message: String,
    /// Whether only "reset state and reload" helps.
    pub needs_state_reset: bool,
}

/// The end of the output that is kept for when there is no better word, in lines and in bytes a line.
const TAIL_LINES: usize = 20;
const TAIL_LINE_BYTES: usize = 2000;

/// What was seen so far in the lines of one run.
#[derive(Default)]
pub struct Findings {
    pub(crate) spec: Option<SpecResult>,
    pub(crate) check: Option<CheckResult>,
    pub(crate) totals: Option<Totals>,
    pub(crate) fatal: Option<String>,
    pub(crate) tail: VecDeque<String>,
}

/// Without a content: lines may hold secrets.
impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings").field("lines", &self.tail.len()).finish_non_exhaustive()
    }
}

impl Findings {
    /// What all these lines say together.
    pub fn of(lines: &[LogLine]) -> Self {
        let mut findings = Self::default();
        lines.iter().for_each(|line| findings.observe(line));
        findings
    }

    /// Looks at the next line.
    pub fn observe(&mut self, line: &LogLine) {
        match &line.json {
            Some(json) => self.observe_object(json),
            // An object that was printed without the head of a message follows the message before it.
            None if line.message.contains("\n{") => line
                .message
                .lines()
                .filter(|text| text.starts_with('{'))
                .filter_map(|text| parse_json(text).ok())
                .for_each(|json| self.observe_object(&json)),
            None => {}
        }
        if let Some(totals) = parse_totals(&line.message) {
            self.totals = Some(totals);
        }
        if line.level == Level::Fatal {
            self.fatal = Some(line.message.clone());
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(shortened(&line.message));
    }

    fn observe_object(&mut self, json: &Value) {
        if let Some(spec) = parse_spec(json) {
            self.spec = Some(spec);
        }
        if let Some(check) = parse_check(json) {
            self.check = Some(check);
        }
    }

    /// The totals of a sync, once it has printed them.
    pub fn totals(&self) -> Option<Totals> {
        self.totals
    }

    /// The last FATAL message: the connector's own word for why it failed.
    pub fn last_fatal(&self) -> Option<&str> {
        self.fatal.as_deref()
    }

    /// The result of a spec run.
    pub fn spec(&self, exit: Exit) -> Result<SpecResult, Failure> {
        self.spec.clone().ok_or_else(|| self.missing(exit, "a spec"))
    }

    /// The result of a check. The status line decides, whatever the exit code; without one, a FATAL message
    /// is the outcome (so a connector refuses a config that it cannot read).
    pub fn check(&self, exit: Exit) -> Result<CheckResult, Failure> {
        match (&self.check, &self.fatal) {
            (Some(check), _) => Ok(check.clone()),
            (None, Some(fatal)) => {
                Ok(CheckResult { status: CheckStatus::Failed, message: Some(fatal.clone()) })
            }
            (None, None) => Err(self.missing(exit, "whether the connection works")),
        }
    }

    /// The result of a discover run: its streams.json, to the byte.
    pub fn catalog(&self, exit: Exit, streams: Option<&str>) -> Result<String, Failure> {
        match streams.filter(|_| exit == Exit::Code(0)).and_then(|text| parse_catalog(text.as_bytes())) {
            Some(catalog) => Ok(catalog),
            None => Err(self.missing(exit, "a catalog")),
        }
    }

    /// The result of a difference run: its difference_streams.json, to the byte.
    pub fn difference(&self, exit: Exit, streams: Option<&str>) -> Result<String, Failure> {
        match streams.filter(|_| exit == Exit::Code(0)).and_then(|text| parse_catalog(text.as_bytes())) {
            Some(catalog) => Ok(catalog),
            None => Err(self.missing(exit, "which streams differ")),
        }
    }

    fn missing(&self, exit: Exit, what: &str) -> Failure {
        if exit != Exit::Code(0) || self.fatal.is_some() {
            return self.explain(exit);
        }
        let message = format!(
            "The connector ended normally and did not say {what}. Check that its type and version are the \
             right ones.{}",
            self.last_words()
        );
        Failure { class: FailureClass::Connector, message, needs_state_reset: false }
    }

    /// Why the run failed, from its last FATAL message, or else from how it ended.
    pub fn explain(&self, exit: Exit) -> Failure {
        if let Some(fatal) = &self.fatal {
            return explain_fatal(fatal);
        }
        let (class, message) = match exit {
            Exit::Code(126 | 127) => (
                FailureClass::Image,
                "The connector's program cannot be started: it is missing, not executable, or made for \
                 another machine. Check the command or the image that is configured for this type and version."
                    .to_owned(),
            ),
            _ => match exit.signal() {
                Some(signal) => explain_signal(signal),
                None => (FailureClass::Connector, self.explain_code(exit)),
            },
        };
        Failure { class, message: message + &self.last_words(), needs_state_reset: false }
    }

    fn explain_code(&self, exit: Exit) -> String {
        let code = match exit {
            Exit::Code(code) | Exit::Signal(code) => code,
        };
        if let Some(panic) = self.tail.iter().rev().find_map(|text| crash_line(text)) {
            return format!("The connector crashed: {panic}. This is a defect of the connector's version.");
        }
        if self.tail.is_empty() {
            return format!(
                "The connector ended with exit code {code} without a word. That is how it answers a flag it does \
                 not know: check that the configured version is the one that really runs. It may also have been \
                 killed, for example for want of memory."
            );
        }
        format!(
            "The connector ended with exit code {code} and gave no reason. It may have been killed, for example \
             for want of memory, or have met a flag it does not know."
        )
    }

    /// The last lines that are kept, for a failure that the connector knows nothing of.
    pub fn last_lines(&self) -> String {
        if self.tail.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        format!("\nIts last lines:\n{}", lines.join("\n"))
    }

    fn last_words(&self) -> String {
        self.tail.back().map(|text| format!(" Its last line: {text}")).unwrap_or_default()
    }
}

fn explain_fatal(fatal: &str) -> Failure {
    let needs_state_reset = fatal.contains("lsn mismatch");
    let message = if needs_state_reset {
        format!(
            "The job's saved state is not at the position that the source's replication slot has acknowledged, so no \
             sync can go on from it. Clearing the destination does not mend this; the only cure is \"reset state \
             and reload\" (POST …/jobs/{{id}}/reset-state, then a sync), which reads everything again. \
             The connector said: {fatal}"
        )
    } else {
        fatal.to_owned()
    };
    Failure { class: FailureClass::Connector, message, needs_state_reset }
}

fn explain_signal(signal: i32) -> (FailureClass, String) {
    const ABORT: i32 = 6;
    const KILL: i32 = 9;
    const SEGMENT: i32 = 11;
    const TERMINATE: i32 = 15;
    match signal {
        KILL => (
            FailureClass::Infrastructure,
            "The connector was killed (SIGKILL) before it could say why: most often the machine or its memory limit \
             ran out of memory, or someone ended it. Give it more memory, or fewer threads, if this comes back."
                .to_owned(),
        ),
        TERMINATE => (
            FailureClass::Infrastructure,
            "The connector was told to stop (SIGTERM) by something outside, such as a shutdown of its machine."
                .to_owned(),
        ),
        ABORT | SEGMENT => (
            FailureClass::Connector,
            format!("The connector crashed (signal {signal}). This is a defect of the connector's version."),
        ),
        _ => (FailureClass::Infrastructure, format!("The connector was ended by signal {signal}.")),
    }
}

/// The line that tells of a crash of a Go or a Java program.
fn crash_line(text: &str) -> Option<&str> {
    text.lines().find(|line| {
        ["panic: ", "fatal error: ", "java.lang.OutOfMemoryError"].iter().any(|head| line.starts_with(head))
    })
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(TAIL_LINE_BYTES);
    text[..end].to_owned()
}

/// `{"jsonschema": {…}, "uischema": "…"}`.
fn parse_spec(json: &Value) -> Option<SpecResult> {
    let jsonschema = json.get("jsonschema").filter(|schema| schema.is_object())?.clone();
    let uischema = match json.get("uischema") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    Some(SpecResult { jsonschema, uischema })
}

/// `{"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"|"FAILED", "message"?}}`.
fn parse_check(json: &Value) -> Option<CheckResult> {
    let outcome = json.get("connectionStatus")?;
    let status = match outcome.get("status")?.as_str()? {
        "SUCCEEDED" => CheckStatus::Succeeded,
        "FAILED" => CheckStatus::Failed,
        _ => return None,
    };
    let message = outcome.get("message").and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(CheckResult { status, message: message.map(str::to_owned) })
}

/// `Total records read: N | Total bytes read: X`, where X has a unit or is a plain number of bytes.
fn parse_totals(message: &str) -> Option<Totals> {
    let rest = message.strip_prefix("Total records read:")?;
    let (records, bytes) = match rest.split_once('|') {
        Some((records, rest)) => {
            (records, rest.trim().strip_prefix("Total bytes read:").and_then(quantity::bytes))
        }
        None => (rest, None),
    };
    Some(Totals { records: records.trim().parse().ok()?, bytes })
}

/// Reads a streams.json: its text to the byte, if it is a whole catalog. None for a half file or for
/// anything that is no `{"streams": […], …}`.
pub fn parse_catalog(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Catalog {
        // Read by a function, so that a missing member is an error; null is the empty list of a Go program.
        #[serde(rename = "streams", deserialize_with = "Option::deserialize")]
        _streams: Option<Vec<IgnoredAny>>,
    }
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<Catalog>(text).ok()?;
    Some(text.to_owned())
}

#[cfg(test)]
#[path = "result_tests.rs"]
mod tests;
