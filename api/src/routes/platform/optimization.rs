//! `GET /api/v1/platform/opt/status`.

use poem_openapi::Object;

use crate::envelope::{Answer, ok};

/// Whether table maintenance is there.
#[derive(Clone, Debug, Object)]
pub struct OptimizationStatus {
    /// Always false: the web UI then hides that module.
    pub enabled: bool,
}

pub(super) fn optimization() -> Answer<OptimizationStatus> {
    ok("table maintenance is not part of this installation", OptimizationStatus { enabled: false })
}
