//! The log lines of an attempt that are stored, for whoever reads its output again after its worker died.
//!
//! They are known by what they say, not by their number: what the connector only printed on its console, and what stood in
//! a part of the log that is gone or damaged since, is stored and not found again, so that a count would be too high.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use chrono::{DateTime, Utc};
use olake_shared::json::parse_json;
use serde_json::Value;

use crate::connector::output::LogLine;

/// Makes of a line's text what is stored of it.
type Clean = Box<dyn Fn(&str) -> String + Send>;

/// Stored lines, each as often as it is stored.
pub struct Known {
    lines: HashMap<u64, u32>,
    /// The time of the first one: what lines without a time of their own have, if they come first.
    began: Option<DateTime<Utc>>,
    /// What is stored of a line's text; none when that cannot be told.
    clean: Option<Clean>,
}

impl Known {
    /// Nothing is stored.
    pub fn nothing() -> Self {
        Self::as_cleaned_by(str::to_owned)
    }

    /// To be told by [`Self::note`] what is stored. `clean` makes of a line's text what is stored of it.
    pub fn as_cleaned_by(clean: impl Fn(&str) -> String + Send + 'static) -> Self {
        Self { lines: HashMap::new(), began: None, clean: Some(Box::new(clean)) }
    }

    /// As [`Self::as_cleaned_by`], for lines of which it is not known what was stored of them: those of one level and
    /// moment are taken for each other.
    pub fn by_time() -> Self {
        Self { lines: HashMap::new(), began: None, clean: None }
    }

    /// A line is stored.
    pub fn note(&mut self, level: &str, time: DateTime<Utc>, message: &str) {
        self.began.get_or_insert(time);
        let message = if self.clean.is_some() { message } else { "" };
        *self.lines.entry(hash(level, time, message)).or_default() += 1;
    }

    /// Whether a line is stored: as often as it was noted, and no more. `started` is the time that the reader gave to lines
    /// without one.
    pub fn has(&mut self, line: &LogLine, started: DateTime<Utc>) -> bool {
        let time = self.began.filter(|_| line.time == started).unwrap_or(line.time);
        let message = self.clean.as_ref().map(|clean| clean(&line.message)).unwrap_or_default();
        match self.lines.get_mut(&hash(line.level.as_str(), time, &message)) {
            Some(times @ 1..) => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }
}

fn hash(level: &str, time: DateTime<Utc>, message: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (level, time.timestamp_micros()).hash(&mut hasher);
    // Console and log file write the keys of an object in different orders.
    match message.starts_with('{').then(|| parse_json(message).ok()).flatten() {
        Some(object) => hash_json(&object, &mut hasher),
        None => message.hash(&mut hasher),
    }
    hasher.finish()
}

fn hash_json(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            for (key, value) in fields {
                key.hash(hasher);
                hash_json(value, hasher);
            }
        }
        other => other.to_string().hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::output::Level;

    fn at(second: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(second.into())
    }

    fn line(second: u32, message: &str) -> LogLine {
        LogLine { level: Level::Info, time: at(second), message: message.to_owned(), json: None }
    }

    #[test]
    fn a_line_is_known_as_often_as_it_is_stored_and_only_at_its_time() {
        let mut known = Known::nothing();
        for second in [1, 1, 2] {
            known.note("info", at(second), "beat");
        }
        let started = at(99);
        assert!(known.has(&line(1, "beat"), started));
        assert!(known.has(&line(1, "beat"), started));
        assert!(!known.has(&line(1, "beat"), started), "a third one is new");
        assert!(!known.has(&line(3, "beat"), started), "and so is a later one");
        assert!(known.has(&line(2, "beat"), started));
        assert!(!known.has(&line(2, "other"), started));
    }

    #[test]
    fn a_line_is_known_by_what_is_stored_of_it() {
        let mut known = Known::as_cleaned_by(|text| text.replace("hunter22", "********"));
        known.note("info", at(1), "password ********");
        known.note("info", at(2), r#"{"b":1,"a":{"d":2,"c":3}}"#);
        assert!(known.has(&line(1, "password hunter22"), at(99)));
        assert!(known.has(&line(2, r#"{"a":{"c":3,"d":2},"b":1}"#), at(99)), "in another order");
    }

    #[test]
    fn a_line_whose_stored_text_is_not_known_is_known_by_its_time() {
        let mut known = Known::by_time();
        known.note("info", at(1), "password ********");
        assert!(!known.has(&line(2, "password old-secret"), at(99)));
        assert!(known.has(&line(1, "password old-secret"), at(99)));
        assert!(!known.has(&line(1, "another"), at(99)), "once only");
    }

    #[test]
    fn lines_without_a_time_have_that_of_their_reader() {
        let mut known = Known::nothing();
        known.note("info", at(5), "no time");
        assert!(known.has(&line(77, "no time"), at(77)));
    }
}
