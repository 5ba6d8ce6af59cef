//! The master key of a one-machine installation: a file in its data folder which is made at the first start.
//!
//! Invariants: the file is readable by its owner only; it appears whole or not at all, also when two processes make
//! it at once or the power fails; a key that exists is never replaced.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::random_bytes;
use crate::config::Secret;

/// The name of the key's file in the data folder.
pub const FILE_NAME: &str = "master.key";

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file or its folder cannot be made or read.
    #[error("the master key {path} cannot be {action}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// `made` or `read`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there, and holds nothing.
    #[error(
        "the master key {path} is empty: restore it from a copy, or the secrets in the database stay closed"
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The key in `file`; without one, makes a key of 32 random bytes (as base64), and its folder (0700) if need be.
///
/// # Errors
/// [`KeyFileError`].
pub fn load_or_create(file: &Path) -> Result<Secret, KeyFileError> {
    if let Some(key) = load(file)? {
        return Ok(key);
    }
    create(file).map_err(|source| KeyFileError::Io { path: file.to_owned(), action: "made", source })?;
    // Read it back: another process may have been first, and then its key is the key.
    load(file)?.ok_or_else(|| KeyFileError::Io {
        path: file.to_owned(),
        action: "read",
        source: ErrorKind::NotFound.into(),
    })
}

/// The key in `file`, or none if there is no such file.
///
/// # Errors
/// [`KeyFileError`].
pub fn load(file: &Path) -> Result<Option<Secret>, KeyFileError> {
    let failed = |source| KeyFileError::Io { path: file.to_owned(), action: "read", source };
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    close_to_others(file).map_err(failed)?;
    match text.trim() {
        "" => Err(KeyFileError::Empty { path: file.to_owned() }),
        key => Ok(Some(Secret::new(key))),
    }
}

/// Takes rights away which others have on the file, for instance after it was restored from a copy.
fn close_to_others(file: &Path) -> io::Result<()> {
    if fs::metadata(file)?.mode() & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(file = %file.display(), "the master key could be read by other users of this machine: closed to them");
    // A file system without rights (or a read-only one) is the operator's choice: they have been told.
    let _ = fs::set_permissions(file, Permissions::from_mode(0o600));
    Ok(())
}

fn create(file: &Path) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;

    let unfinished = folder.join(format!(".{FILE_NAME}.{}", super::hex(&random_bytes::<8>())));
    let mut writer = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    let written = writeln!(writer, "{}", STANDARD.encode(random_bytes::<32>()))
        .and_then(|()| writer.sync_all())
        // A link, unlike a rename, never replaces a key that another process made meanwhile.
        .and_then(|()| match fs::hard_link(&unfinished, file) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome,
        });
    let removed = fs::remove_file(&unfinished);
    written?;
    removed?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::KeyRing;

    #[test]
    fn the_first_start_makes_a_key_and_the_second_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data").join(FILE_NAME);
        let made = load_or_create(&file).unwrap();
        assert_eq!(load_or_create(&file).unwrap(), made);
        assert!(KeyRing::new(&made, &[]).is_ok());
        assert_eq!(STANDARD.decode(made.expose()).unwrap().len(), 32);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn many_starts_at_once_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        let keys: Vec<Secret> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_create(&file).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_key_that_others_can_read_is_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        let made = load_or_create(&file).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(load_or_create(&file).unwrap(), made);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_empty_file_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        fs::write(&file, "\n").unwrap();
        assert!(matches!(load_or_create(&file), Err(KeyFileError::Empty { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"\n");
    }
}
