//! The files that a connector rewrites while it runs.
//!
//! Both are rewritten in place, so a reader meets empty and half files: what does not parse as a whole is
//! no state. A state is kept as text, to the byte: its numbers and the order of its keys matter to the
//! connector alone.

use std::fmt;

use olake_shared::{domain::state, json::parse_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::quantity;

/// A whole `state.json`, to the byte. Its content never appears in a `Debug` text.
#[derive(Clone, PartialEq, Eq)]
pub struct StateText(String);

impl StateText {
    /// The text as the connector wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as the connector wrote it.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for StateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateText({} bytes)", self.0.len())
    }
}

/// Reads the bytes of `state.json`. None when they are no state ([`state::check`]): empty, half written, no JSON
/// object, or an object without a member.
pub fn parse_state(bytes: &[u8]) -> Option<StateText> {
    let text = std::str::from_utf8(bytes).ok()?;
    state::check(text).ok()?;
    Some(StateText(text.to_owned()))
}

/// What `stats.json` says, written every two seconds. Every value may be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Records read so far.
    pub synced_records: Option<u64>,
    /// Records per second.
    pub speed: Option<f64>,
    /// Seconds until the end, as the connector estimates; none while it cannot tell.
    pub remaining: Option<f64>,
    /// Seconds since the start.
    pub seconds: Option<f64>,
    /// Bytes read so far.
    pub bytes: Option<u64>,
    /// Bytes of memory in use, of the whole host.
    pub memory: Option<u64>,
    /// Percent of the processor in use, of the whole host.
    pub cpu: Option<f64>,
    /// Threads that write.
    pub threads: Option<u64>,
}

/// Reads the bytes of `stats.json`. None when they are no JSON object (a half file); unknown keys are
/// passed over, and a value that makes no sense counts as missing.
pub fn parse_stats(bytes: &[u8]) -> Option<Stats> {
    let Value::Object(stats) = parse_json(bytes).ok()? else { return None };
    let count = |key: &str| stats.get(key).and_then(quantity::count);
    let number = |key: &str| stats.get(key).and_then(quantity::number);
    let bytes = |key: &str| match stats.get(key)? {
        Value::String(text) => quantity::bytes(text),
        value => quantity::count(value),
    };
    Some(Stats {
        synced_records: count("Synced Records"),
        speed: number("Speed"),
        remaining: number("Estimated Remaining Time"),
        seconds: number("Seconds Elapsed"),
        bytes: bytes("Bytes Read"),
        memory: bytes("Memory Usage Bytes").or_else(|| bytes("Memory")),
        cpu: number("CPU Utilization"),
        threads: count("Writer Threads"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = r#"{"type":"STREAM","version":7,"streams":[{"stream":"a","state":{"id":1e400}}]}"#;

    #[test]
    fn no_beginning_of_a_state_is_a_state() {
        for end in 0..STATE.len() {
            assert_eq!(parse_state(&STATE.as_bytes()[..end]), None, "{end} bytes");
        }
        assert_eq!(parse_state(STATE.as_bytes()).unwrap().as_str(), STATE);
    }

    #[test]
    fn a_state_is_kept_to_the_byte() {
        let text = " {\"b\": 12345678901234567890123, \"a\": 1.0}\n";
        assert_eq!(parse_state(text.as_bytes()).unwrap().into_string(), text);
    }

    #[test]
    fn what_is_no_object_with_members_is_no_state() {
        for text in ["", " ", "null", "{}", "{ }\n", "[]", "[1]", "\"{\"", "{}x", "{\"a\":1}}", "\0\0\0\0"] {
            assert_eq!(parse_state(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_state(b"{\"a\":\"\xff\"}"), None);
    }

    #[test]
    fn a_debug_text_shows_no_content() {
        assert_eq!(format!("{:?}", parse_state(b"{\"secret\":1}").unwrap()), "StateText(12 bytes)");
    }

    #[test]
    fn stats_are_read_in_both_forms() {
        let new = parse_stats(
            br#"{"Bytes Read":2837518,"CPU Utilization":1.5,"Estimated Remaining Time":"0.01 s",
                "Memory Usage Bytes":2644369408,"Seconds Elapsed":"2.34","Speed":"12761.62 rps",
                "Synced Records":29889,"Writer Threads":2}"#,
        );
        let expected = Stats {
            synced_records: Some(29889),
            speed: Some(12761.62),
            remaining: Some(0.01),
            seconds: Some(2.34),
            bytes: Some(2_837_518),
            memory: Some(2_644_369_408),
            cpu: Some(1.5),
            threads: Some(2),
        };
        assert_eq!(new, Some(expected));
        let old = parse_stats(br#"{"Estimated Remaining Time":"Not Determined","Memory":"12 mb"}"#).unwrap();
        assert_eq!(old, Stats { memory: Some(12 << 20), ..Stats::default() });
    }

    #[test]
    fn stats_pass_over_nonsense_and_refuse_half_files() {
        assert_eq!(parse_stats(br#"{"Synced Records":[],"Speed":null,"x":1}"#), Some(Stats::default()));
        assert_eq!(parse_stats(br#"{"Synced Records":1"#), None);
        assert_eq!(parse_stats(b""), None);
    }
}
