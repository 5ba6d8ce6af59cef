//! Whether the process is alive.

use poem_openapi::Object;

use crate::json::Json;

/// The process is alive.
#[derive(Clone, Debug, Object)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
}

pub(super) fn health() -> Json<Health> {
    Json(Health { status: "ok".into() })
}
