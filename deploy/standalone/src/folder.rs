//! The data folder, locked against a second process: the lock proves that whatever an earlier one left is dead.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

/// The lock. It holds as long as this lives.
pub struct DataFolder(#[expect(dead_code, reason = "held, not read")] File);

/// Makes the folder (mode 0700) if there is none, and locks it.
///
/// # Errors
/// When another process has it, or it cannot be made.
pub fn lock(folder: &Path) -> anyhow::Result<DataFolder> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("the data folder {} cannot be made", folder.display()))?;
    let path = folder.join("olake.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!(
            "another olake uses the data folder {}: stop it, or give this one a folder of its own (--data-dir)",
            folder.display()
        );
    }
    Ok(DataFolder(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/data");
        let first = lock(&path).unwrap();
        let error = lock(&path).err().unwrap().to_string();
        assert!(error.contains("--data-dir"), "{error}");
        drop(first);
        lock(&path).unwrap();
    }
}
