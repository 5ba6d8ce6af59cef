//! What agents and workers send each other, as JSON. Both ends read it here. Agents and workers of two releases meet: add
//! fields with a default only.

use std::borrow::Cow;

use olake_shared::store::logs::LogLine;
use serde::{Deserialize, Serialize};

use crate::connector::state::Stats;

/// An agent has started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Register {
    /// The uid of its pod.
    pub pod_uid: String,
    pub pod_name: String,
    #[serde(default)]
    pub node: Option<String>,
    /// Whether an earlier start of it has laid the inputs out, and so let the connector start.
    #[serde(default)]
    pub started: bool,
}

/// It may go on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registered {
    /// The number of this start of the agent.
    pub incarnation: i64,
    /// How many lines of the attempt are stored: the number of the first one to send.
    pub first_line: i64,
    /// The inputs without secrets; none when it has started before.
    #[serde(default)]
    pub inputs: Vec<Input>,
}

/// A file that the connector is given.
#[derive(Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub content: String,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({}, {} bytes)", self.name, self.content.len())
    }
}

/// What a connector has written.
#[derive(Serialize, Deserialize)]
pub struct Push<'a> {
    pub incarnation: i64,
    /// Grows with each try.
    pub sequence: i64,
    /// The state, to the byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats>,
    /// The number of the first of `lines` in the attempt.
    #[serde(default)]
    pub first_line: i64,
    #[serde(default)]
    pub lines: Cow<'a, [LogLine]>,
    /// What could not be read, in words, each once.
    #[serde(default)]
    pub gaps: Cow<'a, [String]>,
}

/// It is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// How many lines of the attempt are stored.
    pub lines: i64,
}

/// Why an agent need not wait any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The connector has ended: what it left is to be told.
    Ended,
    /// The attempt is over: nothing of it counts any more.
    Over,
}

/// The answer to a wait.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Waited {
    pub end: End,
}

/// Which start of the agent asks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OfIncarnation {
    pub incarnation: i64,
}

/// A refusal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Refused {
    /// Why, for a person.
    #[serde(default)]
    pub message: String,
    /// Whether nothing that this agent tells will count any more.
    #[serde(default)]
    pub over: bool,
    /// Whether what the connector is to be given cannot be read, which the message explains.
    #[serde(default)]
    pub unreadable: bool,
}
