//! A small file that its writer rewrites in place.
//!
//! It is read when its size, time or inode changed, and once more at the look after that: two writes
//! within one tick of the file system's clock look alike from outside.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use super::FollowError;

/// The most that is read of a file, in bytes: far above any state that a connector can work with.
const LIMIT: u64 = 64 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
}

/// One file, which need not exist yet.
pub struct WatchedFile {
    path: PathBuf,
    seen: Option<Stamp>,
    look_again: bool,
    /// The bytes that were given out last.
    given: Vec<u8>,
}

impl WatchedFile {
    /// A file that was not looked at yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, seen: None, look_again: false, given: Vec::new() }
    }

    /// What `parse` makes of the content, if that changed since it was last given out and parses. With
    /// `always` the file is read whatever its size and time say.
    pub fn changed<T>(
        &mut self,
        always: bool,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, FollowError> {
        let Some(bytes) = self.read_if_changed(always)? else { return Ok(None) };
        if bytes == self.given {
            return Ok(None);
        }
        let parsed = parse(&bytes);
        if parsed.is_some() {
            self.given = bytes;
        }
        Ok(parsed)
    }

    fn read_if_changed(&mut self, always: bool) -> Result<Option<Vec<u8>>, FollowError> {
        let stamp = match std::fs::metadata(&self.path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) => return self.unless_missing(error),
        };
        let is_new = self.seen != Some(stamp);
        if !always && !is_new && !self.look_again {
            return Ok(None);
        }
        if stamp.bytes > LIMIT {
            self.seen = Some(stamp);
            self.look_again = false;
            return Err(FollowError::TooLarge { path: self.path.clone(), bytes: stamp.bytes, limit: LIMIT });
        }
        let mut bytes = Vec::with_capacity(stamp.bytes as usize);
        match File::open(&self.path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes)) {
            Ok(_) => {
                self.seen = Some(stamp);
                self.look_again = is_new;
                Ok(Some(bytes))
            }
            Err(error) => self.unless_missing(error),
        }
    }

    fn unless_missing<T>(&self, error: io::Error) -> Result<Option<T>, FollowError> {
        match error.kind() {
            io::ErrorKind::NotFound => Ok(None),
            _ => Err(FollowError::read(&self.path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(bytes).ok()?;
        text.ends_with('}').then(|| text.to_owned())
    }

    fn watched() -> (tempfile::TempDir, PathBuf, WatchedFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let file = WatchedFile::new(path.clone());
        (folder, path, file)
    }

    fn given(file: &mut WatchedFile) -> Option<String> {
        file.changed(false, text).unwrap()
    }

    #[test]
    fn a_missing_file_is_nothing_and_a_new_one_is_given_out_once() {
        let (_folder, path, mut file) = watched();
        assert_eq!(given(&mut file), None);
        std::fs::write(&path, "{1}").unwrap();
        assert_eq!(given(&mut file).as_deref(), Some("{1}"));
        assert_eq!(given(&mut file), None);
        assert_eq!(given(&mut file), None);
        assert!(!file.look_again);
    }

    #[test]
    fn a_half_file_is_passed_over_and_the_whole_one_is_given_out() {
        let (_folder, path, mut file) = watched();
        std::fs::write(&path, "{1}").unwrap();
        assert!(given(&mut file).is_some());
        std::fs::write(&path, "").unwrap();
        assert_eq!(given(&mut file), None);
        std::fs::write(&path, "{2").unwrap();
        assert_eq!(given(&mut file), None);
        std::fs::write(&path, "{2}").unwrap();
        assert_eq!(given(&mut file).as_deref(), Some("{2}"));
    }

    #[test]
    fn a_second_write_with_the_same_size_and_time_is_seen_at_the_next_look() {
        let (_folder, path, mut file) = watched();
        let write = |content: &str| {
            std::fs::write(&path, content).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        };
        write("{1}");
        assert_eq!(given(&mut file).as_deref(), Some("{1}"));
        write("{2}");
        assert_eq!(given(&mut file).as_deref(), Some("{2}"));
    }

    #[test]
    fn a_rewrite_with_the_same_content_is_nothing_new() {
        let (_folder, path, mut file) = watched();
        std::fs::write(&path, "{1}").unwrap();
        assert!(given(&mut file).is_some());
        std::fs::write(&path, "{1}").unwrap();
        assert_eq!(file.changed(true, text).unwrap(), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let (_folder, path, mut file) = watched();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(file.changed(false, text), Err(FollowError::Read { .. })));
    }

    #[test]
    fn a_file_beyond_the_limit_is_an_error_once_and_not_read() {
        let (_folder, path, mut file) = watched();
        File::create(&path).unwrap().set_len(LIMIT + 1).unwrap();
        assert!(matches!(file.changed(false, text), Err(FollowError::TooLarge { .. })));
        assert_eq!(given(&mut file), None);
    }
}
