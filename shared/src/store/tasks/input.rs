//! What one-shot tasks are given and what they answer. Both are kept sealed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::{
        settings::AdvancedSettings,
        task::{TaskId, TaskKind},
    },
    json::parse_json_as,
    store::{Store, StoreError, connections::Side},
};

/// The input of a one-shot task. Configs hold tokens in place of secrets, as they are shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OneShot {
    /// The form of the source, or of a destination.
    Spec {
        /// Lower case; none for the source's own.
        destination_type: Option<String>,
    },
    /// Tests a config.
    Check { side: Side, config: Value },
    /// Lists the streams of a source.
    Discover {
        config: Value,
        max_discover_threads: Option<u32>,
        /// A catalog whose selections the connector merges into its own, as JSON text.
        #[serde(default)]
        catalog: Option<String>,
        /// The job's name, from which names of destination databases are made.
        #[serde(default)]
        destination_database_prefix: Option<String>,
    },
    /// Tells which streams of two catalogs (JSON texts) differ.
    Difference { old: String, new: String },
    /// Asks whether a job with these settings would be taken where it is to run.
    Validate { settings: AdvancedSettings },
}

impl OneShot {
    /// The kind of task that takes this input.
    pub const fn kind(&self) -> TaskKind {
        match self {
            Self::Spec { .. } => TaskKind::Spec,
            Self::Check { .. } => TaskKind::Check,
            Self::Discover { .. } => TaskKind::Discover,
            Self::Difference { .. } => TaskKind::Difference,
            Self::Validate { .. } => TaskKind::Validate,
        }
    }
}

/// What a one-shot task found out. A validate finds out nothing beyond its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OneShotResult {
    /// The spec, as JSON text: `{"jsonschema": object, "uischema": text}`.
    Spec { spec: String },
    /// Whether the test passed, and the connector's words.
    Check { succeeded: bool, message: String },
    /// The catalog, as JSON text.
    Discover { catalog: String },
    /// The catalog of the streams that differ, as JSON text.
    Difference { catalog: String },
}

impl Serialize for Side {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Side {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "source" => Ok(Self::Source),
            "destination" => Ok(Self::Destination),
            other => Err(serde::de::Error::custom(format!("'{other}' is no side"))),
        }
    }
}

impl Store {
    pub(super) fn seal_document<T: Serialize>(
        &self,
        task: TaskId,
        column: &str,
        value: &T,
    ) -> Result<String, StoreError> {
        Ok(self.keys.seal_text(&format!("tasks|{task}|{column}"), &serde_json::to_string(value)?))
    }

    pub(super) fn open_document<T: serde::de::DeserializeOwned>(
        &self,
        task: TaskId,
        column: &str,
        sealed: &str,
    ) -> Result<T, StoreError> {
        let text = self.keys.open_text(&format!("tasks|{task}|{column}"), sealed)?;
        Ok(parse_json_as(text)?)
    }
}
