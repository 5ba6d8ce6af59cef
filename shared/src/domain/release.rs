//! News of releases.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What releases are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// The control plane.
    OlakeUiWorker,
    /// Its Helm chart.
    OlakeHelm,
    /// The connectors.
    Olake,
    /// What is new in all of them.
    Features,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OlakeUiWorker, Self::OlakeHelm, Self::Olake, Self::Features];

    /// `olake_ui_worker`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OlakeUiWorker => "olake_ui_worker",
            Self::OlakeHelm => "olake_helm",
            Self::Olake => "olake",
            Self::Features => "features",
        }
    }
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub title: String,
    pub version: String,
    /// What it brings, as Markdown.
    pub description: String,
    /// Where to read more: an http(s) address, or empty.
    pub link: String,
    pub published_at: DateTime<Utc>,
}
