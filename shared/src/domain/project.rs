//! Projects: the tenant that every query is scoped by.

use std::fmt;

/// The id of a project: a short text such as `olake` or `123`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(String);

/// The projects that exist from the start.
pub const INITIAL_PROJECTS: [&str; 2] = ["olake", "123"];

impl ProjectId {
    /// Takes any text: whether such a project exists is for the store to say.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as it stands in paths and rows.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
