//! What the agent of a pod tells when the connector has ended: all that is needed to end the attempt beside the exit code
//! and the lines, which are stored by then. As JSON text.
//!
//! Invariants: a state and a catalog are kept to the byte; words of the connector are without its secrets. To add
//! something: a field with `#[serde(default)]`, since agents and workers of two releases meet.

use std::fmt;

use olake_shared::json::{JsonError, parse_json_as};
use serde::{Deserialize, Serialize};

use super::follow::{Ending, FollowError, Progress};
use crate::connector::{
    result::{CheckResult, Findings, SpecResult, Totals},
    state::{Stats, parse_state},
};

/// What an attempt in a pod left.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FinalRecord {
    /// The last state, to the byte.
    pub state: Option<String>,
    /// The last statistics.
    pub stats: Option<Stats>,
    /// The catalog that discover wrote, to the byte.
    pub streams: Option<String>,
    /// The result of a difference run, to the byte.
    pub difference: Option<String>,
    /// What all lines said.
    pub findings: FindingsRecord,
    /// The last lines of the console, if the agent could see it.
    pub console_tail: Vec<String>,
    /// How many lines the attempt has.
    pub lines: u64,
    /// What could not be read or told, in words, as far as no push has told it.
    pub gaps: Vec<String>,
}

/// [`Findings`] as they are sent.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingsRecord {
    /// The form that spec printed.
    pub spec: Option<SpecResult>,
    /// The outcome of a check.
    pub check: Option<CheckResult>,
    /// What a sync moved.
    pub totals: Option<Totals>,
    /// The last FATAL message.
    pub fatal: Option<String>,
    /// The beginnings of the last messages.
    pub tail: Vec<String>,
}

impl FinalRecord {
    /// The record as JSON text.
    ///
    /// # Errors
    /// Never in practice: everything in it can be written.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads the text of a record.
    ///
    /// # Errors
    /// [`JsonError`] when it is none.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        parse_json_as(text)
    }

    /// The end of an attempt of which this was told: the lines are stored, the rest is here.
    pub fn into_ending(self) -> Ending {
        let state = self.state.as_deref().and_then(|text| parse_state(text.as_bytes()));
        Ending {
            progress: Progress {
                state,
                stats: self.stats,
                first_line: self.lines,
                log: Vec::new(),
                more: false,
                errors: self.gaps.into_iter().map(FollowError::Told).collect(),
            },
            streams: self.streams,
            difference: self.difference,
            console_tail: self.console_tail,
            findings: Some(self.findings.into()),
        }
    }
}

/// Without a content: lines and results may hold what is not for a log.
impl fmt::Debug for FinalRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinalRecord")
            .field("state_bytes", &self.state.as_ref().map(String::len))
            .field("streams_bytes", &self.streams.as_ref().map(String::len))
            .field("difference_bytes", &self.difference.as_ref().map(String::len))
            .field("lines", &self.lines)
            .field("gaps", &self.gaps)
            .finish_non_exhaustive()
    }
}

impl FindingsRecord {
    /// The findings as they are sent. `clean` takes secrets out of what the connector said.
    pub fn of(findings: &Findings, clean: impl Fn(&str) -> String) -> Self {
        let check = findings
            .check
            .as_ref()
            .map(|check| CheckResult { status: check.status, message: check.message.as_deref().map(&clean) });
        Self {
            spec: findings.spec.clone(),
            check,
            totals: findings.totals,
            fatal: findings.fatal.as_deref().map(&clean),
            tail: findings.tail.iter().map(|text| clean(text)).collect(),
        }
    }
}

impl From<FindingsRecord> for Findings {
    fn from(record: FindingsRecord) -> Self {
        Self {
            spec: record.spec,
            check: record.check,
            totals: record.totals,
            fatal: record.fatal,
            tail: record.tail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::connector::{
        output::{Level, LogLine},
        result::{CheckStatus, Exit},
    };

    fn line(level: Level, message: &str) -> LogLine {
        let json = serde_json::from_str(message).ok();
        LogLine { level, time: DateTime::UNIX_EPOCH, message: message.to_owned(), json }
    }

    #[test]
    fn findings_come_back_as_they_were_without_secrets() {
        let lines = [
            line(Level::Info, r#"{"jsonschema":{"z":12345678901234567890123},"uischema":"u"}"#),
            line(
                Level::Info,
                r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"FAILED","message":"no hunter22"}}"#,
            ),
            line(Level::Info, "Total records read: 5 | Total bytes read: 10"),
            line(Level::Fatal, "bad password hunter22"),
        ];
        let record = FindingsRecord::of(&Findings::of(&lines), |text| text.replace("hunter22", "********"));
        let text = FinalRecord { findings: record, ..FinalRecord::default() }.to_text().unwrap();
        assert!(!text.contains("hunter22"));
        let findings = FinalRecord::parse(&text).unwrap().into_ending().findings.unwrap();
        let exit = Exit::Code(1);
        assert_eq!(findings.spec(exit).unwrap().jsonschema, {
            olake_shared::json::parse_json(r#"{"z":12345678901234567890123}"#).unwrap()
        });
        let check = findings.check(exit).unwrap();
        assert_eq!((check.status, check.message.as_deref()), (CheckStatus::Failed, Some("no ********")));
        assert_eq!(findings.totals(), Some(Totals { records: 5, bytes: Some(10) }));
        assert_eq!(findings.last_fatal(), Some("bad password ********"));
        assert_eq!(findings.explain(exit).message, "bad password ********");
    }

    #[test]
    fn texts_are_kept_to_the_byte_and_unknown_fields_are_passed_over() {
        let state = " {\"b\": 12345678901234567890123, \"a\": 1e400}\n";
        let record = FinalRecord {
            state: Some(state.to_owned()),
            streams: Some("{\"streams\": [ ]}\n".to_owned()),
            lines: 7,
            gaps: vec!["a file was too large".to_owned()],
            ..FinalRecord::default()
        };
        let ending = FinalRecord::parse(&record.to_text().unwrap()).unwrap().into_ending();
        assert_eq!(ending.progress.state.unwrap().as_str(), state);
        assert_eq!(ending.streams.as_deref(), Some("{\"streams\": [ ]}\n"));
        assert_eq!(ending.progress.first_line, 7);
        assert_eq!(ending.progress.errors[0].to_string(), "a file was too large");
        let newer = json!({"lines": 3, "something": {"new": true}}).to_string();
        assert_eq!(FinalRecord::parse(&newer).unwrap().lines, 3);
        assert!(FinalRecord::parse("{\"lines\": 3").is_err());
    }

    #[test]
    fn a_debug_text_shows_no_content() {
        let record = FinalRecord { state: Some("{\"secret\":1}".to_owned()), ..FinalRecord::default() };
        assert!(!format!("{record:?}").contains("secret\""), "{record:?}");
    }
}
