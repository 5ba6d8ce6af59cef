//! How a process is told to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that was told twice.
const TOLD_TWICE: i32 = 130;

/// A token that the first SIGTERM or SIGINT cancels. A second one ends the process at once: connectors are then ended by
/// their supervisors, and their tasks are taken back by their leases.
///
/// # Errors
/// When signals cannot be received.
pub fn on_signals() -> io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if told.is_cancelled() {
                tracing::warn!("told to stop twice: stopping at once");
                std::process::exit(TOLD_TWICE);
            }
            tracing::info!("stopping; connectors are told to end and their tasks go back to the queue");
            told.cancel();
        }
    });
    Ok(shutdown)
}
