//! The connector's log, `logs/sync_<time>/olake.log`, over its rotations.
//!
//! At a rotation the writer renames `olake.log` to `olake-<time>.log`, opens a new `olake.log`, and later
//! compresses the old one. So files are followed by their open handles, which neither a rename nor a removal
//! takes away: each is opened as soon as it is seen, read to its end, and closed when a newer one has been
//! seen (then nothing is written to it any more).
//!
//! A file that was compressed before it was seen (a follower may start late) is unpacked as it is read.
//!
//! Invariants: files are read in the order in which they were written, each byte once; the newest file that
//! was seen stays open, so that its inode cannot come back as that of another file.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;

use super::FollowError;
use crate::connector::output::{LogLine, OutputParser};

const LOG_NAME: &str = "olake.log";
const CHUNK_BYTES: usize = 64 * 1024;

struct OpenFile {
    path: PathBuf,
    content: Content,
    inode: u64,
    /// Whether its name after the rotation is known.
    renamed: bool,
}

enum Content {
    Plain {
        file: File,
        offset: u64,
    },
    /// Nothing is written to it any more.
    Packed(MultiGzDecoder<File>),
}

impl Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain { file, offset } => {
                let count = file.read_at(buffer, *offset)?;
                *offset += count as u64;
                Ok(count)
            }
            Self::Packed(packed) => packed.read(buffer),
        }
    }
}

/// The log of one attempt, as one stream of lines.
pub struct LogFile {
    /// The folder of the `sync_*` folders.
    root: PathBuf,
    /// When `root` changed last, as far as its folders were looked through.
    root_seen: Option<SystemTime>,
    /// The `sync_*` folder that is followed.
    folder: Option<PathBuf>,
    /// Files to read, oldest first. The last one is the newest that was seen.
    open: VecDeque<OpenFile>,
    /// Names (as before compression) of the renamed files of `folder` that were opened.
    known: BTreeSet<String>,
    parser: OutputParser,
    buffer: Vec<u8>,
}

impl LogFile {
    /// The log below `root`, which need not exist yet.
    pub fn new(root: PathBuf, started: DateTime<Utc>) -> Self {
        Self {
            root,
            root_seen: None,
            folder: None,
            open: VecDeque::new(),
            known: BTreeSet::new(),
            parser: OutputParser::json_lines(started),
            buffer: Vec::new(),
        }
    }

    /// Whether a log file has been seen.
    pub fn is_found(&self) -> bool {
        self.folder.is_some()
    }

    /// Appends the lines that are new, reading at most `limit` bytes. True when the limit ended it.
    pub fn poll(&mut self, limit: u64, out: &mut Vec<LogLine>, errors: &mut Vec<FollowError>) -> bool {
        self.look_for_files(errors);
        self.read(limit, out, errors)
    }

    /// Appends all that is left, once nothing is written any more.
    pub fn finish(&mut self, out: &mut Vec<LogLine>, errors: &mut Vec<FollowError>) {
        self.root_seen = None;
        self.look_for_files(errors);
        self.read(u64::MAX, out, errors);
        self.parser.finish(out);
    }

    fn read(&mut self, limit: u64, out: &mut Vec<LogLine>, errors: &mut Vec<FollowError>) -> bool {
        self.buffer.resize(CHUNK_BYTES, 0);
        let mut left = limit;
        while left > 0 {
            let has_successor = self.open.len() > 1;
            let Some(current) = self.open.front_mut() else { return false };
            let size = CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES));
            let is_packed = matches!(current.content, Content::Packed(_));
            match current.content.read(&mut self.buffer[..size]) {
                Ok(0) if has_successor || is_packed => {
                    self.parser.finish(out);
                    self.open.pop_front();
                }
                Ok(0) => return false,
                Ok(count) => {
                    left -= count as u64;
                    self.parser.feed(&self.buffer[..count], out);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if is_packed => {
                    errors.push(FollowError::Missed { path: current.path.clone() });
                    self.parser.finish(out);
                    self.open.pop_front();
                }
                Err(error) => {
                    errors.push(FollowError::read(&current.path, error));
                    return false;
                }
            }
        }
        true
    }

    fn look_for_files(&mut self, errors: &mut Vec<FollowError>) {
        let result = self.look_in_folder().and_then(|()| self.look_for_folder());
        if let Err(error) = result {
            errors.push(error);
        }
    }

    /// Looks for a rotation in the folder that is followed.
    fn look_in_folder(&mut self) -> Result<(), FollowError> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let path = folder.join(LOG_NAME);
        let inode = unless_missing(fs::metadata(&path), &path)?.map(|metadata| metadata.ino());
        if inode.is_some() && inode == self.open.back().map(|newest| newest.inode) {
            return Ok(());
        }
        self.open_new_files(&folder)
    }

    /// Looks for a folder that is newer than the one that is followed, and has a log.
    fn look_for_folder(&mut self) -> Result<(), FollowError> {
        let Some(metadata) = unless_missing(fs::metadata(&self.root), &self.root)? else { return Ok(()) };
        let changed = metadata.modified().ok();
        if self.folder.is_some() && changed == self.root_seen {
            return Ok(());
        }
        let folders = names(&self.root)?.into_iter().filter(|name| name.starts_with("sync_"));
        let Some(newest) = folders.map(|name| self.root.join(name)).max() else { return Ok(()) };
        if !newest.join(LOG_NAME).exists() {
            // It is new: its log file is about to come, which the time of `root` does not tell.
            self.root_seen = None;
            return Ok(());
        }
        if self.folder.as_ref().is_none_or(|folder| newest > *folder) {
            self.known.clear();
            self.folder = Some(newest.clone());
            self.open_new_files(&newest)?;
        }
        self.root_seen = changed;
        Ok(())
    }

    /// Opens the files of a folder that were not opened yet, in the order in which they were written.
    ///
    /// `olake.log` is opened before the names are listed: whatever is older was renamed before it was made,
    /// so the list holds it. If the file is itself renamed meanwhile, the list shows its place.
    fn open_new_files(&mut self, folder: &Path) -> Result<(), FollowError> {
        let mut newest = open(folder.join(LOG_NAME))?;
        let renamed = renamed_files(folder)?;
        self.known.retain(|name| renamed.contains_key(name));
        for (name, is_plain) in renamed {
            if self.known.contains(&name) {
                continue;
            }
            if !is_plain {
                if !self.name_a_removed_file() {
                    self.open.extend(open_packed(folder.join(format!("{name}.gz")))?);
                }
                self.known.insert(name);
                continue;
            }
            // Gone since it was listed: the next look finds it compressed.
            let Some(mut file) = open(folder.join(&name))? else { continue };
            file.renamed = true;
            self.known.insert(name);
            if let Some(held) = self.open.iter_mut().find(|held| held.inode == file.inode) {
                held.renamed = true;
                continue;
            }
            if newest.as_ref().is_some_and(|newest| newest.inode == file.inode) {
                newest = None;
            }
            self.open.push_back(file);
        }
        if let Some(newest) = newest
            && !self.open.iter().any(|held| held.inode == newest.inode)
        {
            self.open.push_back(newest);
        }
        Ok(())
    }

    /// A compressed file of an unknown name: true if it is one that is held open and was removed when it
    /// was compressed, so that nothing is missed.
    fn name_a_removed_file(&mut self) -> bool {
        let removed = |held: &&mut OpenFile| {
            let Content::Plain { file, .. } = &held.content else { return false };
            !held.renamed && file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
        };
        match self.open.iter_mut().find(removed) {
            Some(held) => {
                held.renamed = true;
                true
            }
            None => false,
        }
    }
}

fn open(path: PathBuf) -> Result<Option<OpenFile>, FollowError> {
    let opened = File::open(&path).and_then(|file| file.metadata().map(|metadata| (file, metadata.ino())));
    let Some((file, inode)) = unless_missing(opened, &path)? else { return Ok(None) };
    Ok(Some(OpenFile { path, content: Content::Plain { file, offset: 0 }, inode, renamed: false }))
}

/// A compressed file, whose name is known.
fn open_packed(path: PathBuf) -> Result<Option<OpenFile>, FollowError> {
    let Some(OpenFile { path, content, inode, .. }) = open(path)? else { return Ok(None) };
    let content = match content {
        Content::Plain { file, .. } => Content::Packed(MultiGzDecoder::new(file)),
        packed => packed,
    };
    Ok(Some(OpenFile { path, content, inode, renamed: true }))
}

/// The renamed files of a folder, oldest first: the name before compression, and whether the file is still
/// there in plain.
fn renamed_files(folder: &Path) -> Result<BTreeMap<String, bool>, FollowError> {
    let mut files = BTreeMap::new();
    for name in names(folder)? {
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        if plain.starts_with("olake-") && plain.ends_with(".log") {
            *files.entry(plain.to_owned()).or_insert(false) |= plain == name;
        }
    }
    Ok(files)
}

/// The names in a folder that are UTF-8; none if there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>, FollowError> {
    let Some(entries) = unless_missing(fs::read_dir(folder), folder)? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| FollowError::read(folder, error))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

fn unless_missing<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, FollowError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FollowError::read(path, error)),
    }
}
