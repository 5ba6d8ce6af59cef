//! The folder in memory for the inputs of running connectors.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{fs::statfs, process::geteuid};

use super::folders::files;
use crate::launch::LaunchError;

/// What marks a tmpfs in an answer of statfs.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Room that is left to others on the memory file system, in bytes.
const SPARE_ROOM: u64 = 1 << 20;

/// The folder for inputs in memory. Its name tells data folders apart, by what stays the same however their
/// path is written.
pub struct MemoryPlace {
    root: PathBuf,
    /// Its path; to be used only when [`Self::prepare`] allowed it just before.
    pub path: PathBuf,
}

impl MemoryPlace {
    /// The place of this data folder below `root`, a memory file system. Nothing is made yet.
    pub fn of(data: &Path, root: &Path) -> Result<Self, LaunchError> {
        let found = data.metadata().map_err(files(data, "read"))?;
        let name = format!("olake-{}-{:x}-{:x}", geteuid().as_raw(), found.dev(), found.ino());
        Ok(Self { root: root.to_owned(), path: root.join(name) })
    }

    /// Makes it if it is missing (a system may clean up such places when a user logs out), and says why it
    /// cannot take `bytes`.
    pub fn prepare(&self, bytes: u64) -> Result<(), String> {
        let because = |error: io::Error| format!("{}: {error}", self.root.display());
        let system = statfs(&self.root).map_err(|error| because(error.into()))?;
        if system.f_type != TMPFS_MAGIC {
            return Err(format!("{} is no memory file system", self.root.display()));
        }
        let room = system.f_bavail.saturating_mul(u64::try_from(system.f_bsize).unwrap_or(0));
        if room < bytes.saturating_add(SPARE_ROOM) {
            return Err(format!("{} has no room", self.root.display()));
        }
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(because(error)),
            _ => {}
        }
        // Not following a link: the folder itself must be ours.
        let found = self.path.symlink_metadata().map_err(because)?;
        if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o777 != 0o700 {
            return Err(format!("{} exists and is not a folder of this user alone", self.path.display()));
        }
        Ok(())
    }
}

/// Whether a folder is in memory.
#[cfg(test)]
pub fn is_memory(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|system| system.f_type == TMPFS_MAGIC)
}
