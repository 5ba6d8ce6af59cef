//! `GET /telemetry-id`.

use poem_openapi::Object;

use super::VERSION;
use crate::envelope::{Answer, ok};

/// What a browser's analytics would use.
#[derive(Clone, Debug, Object)]
pub struct Telemetry {
    /// Always empty: the browser then sends nothing.
    pub user_id: String,
    /// The version of this installation.
    pub version: String,
}

pub(super) fn telemetry() -> Answer<Telemetry> {
    ok("no telemetry", Telemetry { user_id: String::new(), version: VERSION.to_owned() })
}
