//! SIGTERM, as a wish that the work asks about at its own good moments.
//!
//! A version that handles SIGTERM finishes its batch and ends with 1. An older one lets the signal kill it;
//! as process 1 of a container, where the kernel would spare it, it exits with 2, as a Go program does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::SIGTERM;

use crate::version::Version;

/// How long a wait may go on after the signal.
const POLL: Duration = Duration::from_millis(10);

/// The wish to stop.
pub struct Stop {
    wished: Arc<AtomicBool>,
    ignored: AtomicBool,
}

/// The error that ends the work after SIGTERM.
#[derive(Debug)]
pub struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("context canceled")
    }
}

impl std::error::Error for Cancelled {}

impl Stop {
    /// Installs what `version` does at SIGTERM.
    pub fn install(version: Version) -> std::io::Result<Self> {
        let stop = Self { wished: Arc::new(AtomicBool::new(false)), ignored: AtomicBool::new(false) };
        if version.handles_sigterm() {
            signal_hook::flag::register(SIGTERM, Arc::clone(&stop.wished))?;
        } else if rustix::process::getpid().as_raw_nonzero().get() == 1 {
            signal_hook::flag::register_conditional_shutdown(SIGTERM, 2, Arc::new(AtomicBool::new(true)))?;
        }
        Ok(stop)
    }

    /// From now on SIGTERM does nothing.
    pub fn ignore(&self) -> std::io::Result<()> {
        self.ignored.store(true, Ordering::SeqCst);
        signal_hook::flag::register(SIGTERM, Arc::clone(&self.wished))?;
        Ok(())
    }

    /// Fails after SIGTERM.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.wished.load(Ordering::SeqCst) && !self.ignored.load(Ordering::SeqCst) {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }

    /// Waits until `end`; fails at once after SIGTERM.
    pub fn wait_until(&self, end: Instant) -> Result<(), Cancelled> {
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(POLL));
        }
    }

    /// Waits for SIGTERM, however long it takes.
    pub fn wait(&self) -> Cancelled {
        loop {
            if let Err(cancelled) = self.check() {
                return cancelled;
            }
            std::thread::sleep(POLL);
        }
    }
}
