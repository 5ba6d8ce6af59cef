//! Being told when a file was written, where the system tells; a tick stands behind it in any case.

use std::{os::fd::OwnedFd, path::Path, time::Duration};

use rustix::{
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::{Errno, read},
};
use tokio::io::unix::AsyncFd;

/// How often to look by oneself: for the log, and for what was not told.
const TICK: Duration = Duration::from_millis(500);

/// How often when nothing is told.
const TICK_ALONE: Duration = Duration::from_millis(50);

/// Watches one folder, not those in it.
pub struct Watcher {
    told: Option<AsyncFd<OwnedFd>>,
}

impl Watcher {
    /// Watches `folder` if the system lets it: its number of watches is bounded.
    pub fn new(folder: &Path) -> Self {
        let watch = || {
            let told = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            inotify::add_watch(&told, folder, WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO)?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe; an OwnedFd keeps what that asks to be promised"
            )]
            AsyncFd::new(told)
        };
        Self { told: watch().ok() }
    }

    /// How long to wait at most between two looks.
    pub fn tick(&self) -> Duration {
        if self.told.is_some() { TICK } else { TICK_ALONE }
    }

    /// Waits until a file was written.
    pub async fn changed(&self) {
        let Some(told) = &self.told else { return std::future::pending().await };
        let Ok(mut ready) = told.readable().await else { return std::future::pending().await };
        let mut events = [0_u8; 4096];
        while let Ok(1..) | Err(Errno::INTR) = read(told.get_ref(), &mut events) {}
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_written_file_is_told_and_a_quiet_folder_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::new(folder.path());
        std::fs::write(folder.path().join("state.json"), "{}").unwrap();
        tokio::time::timeout(Duration::from_secs(20), watcher.changed()).await.unwrap();
        let again = tokio::time::timeout(Duration::from_millis(50), watcher.changed()).await;
        assert!(again.is_err(), "it was told once already");
    }
}
