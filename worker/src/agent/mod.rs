//! What stands beside a running connector and brings home what it writes.
//!
//! - [`follow`]: reads the output folder of one attempt while it is written.
//! - [`record`]: what the agent of a pod tells when the connector has ended;
//! - [`sidecar`]: the agent of a pod;
//! - [`supervisor`]: a process of its own that guards a connector's start and ends its process group.

pub mod follow;
pub mod record;
pub mod sidecar;
pub mod supervisor;
