//! The folders of process attempts.
//!
//! - `<data>/attempts/<task>-<attempt>/`: the connector's output and its `TMPDIR`, until all of it is stored;
//! - `<memory>/olake-<user>-<data folder>/<task>-<attempt>/`: its inputs, with secrets, while it runs. On a
//!   memory file system; in `<data>/inputs/` where there is none, or no room on it;
//! - `<data>/locks/`: the start guards.
//!
//! Invariants: each folder is of this user alone (0700, files 0600). In a place that everybody may write to, a
//! folder which somebody else has made under our name is not used. The output folder of a run is locked by its
//! worker while it is followed, so that a sweep (of another worker of this machine too) leaves it alone.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use super::memory::MemoryPlace;
use crate::{
    agent::supervisor::{guard, protocol::GuardFiles},
    connector::command::InputFile,
    launch::{AttemptRef, LaunchError},
};

/// The ending of marks of runs that must not start any more, and how long they are kept: longer than any worker is
/// paused.
const OVER: &str = "over";
const OVER_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The folders of all attempts.
pub struct Folders {
    attempts: PathBuf,
    locks: PathBuf,
    /// Inputs on disk.
    disk_inputs: PathBuf,
    /// Inputs in memory.
    memory: MemoryPlace,
    warned: AtomicBool,
}

/// The output folder of one run, locked until this is dropped.
pub struct Output {
    /// Its path.
    pub path: PathBuf,
    _lock: File,
}

impl Folders {
    /// A text that is equal for launchers with the same folders on one machine.
    pub fn identity(&self) -> String {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(&self.locks)
            .map(|folder| format!("{:x}-{:x}", folder.dev(), folder.ino()))
            .unwrap_or_default()
    }

    /// The folders below `data` and `memory` (`/dev/shm`), made where they are missing.
    pub fn open(data: &Path, memory: &Path) -> Result<Self, LaunchError> {
        make_all(data)?;
        let data = data.canonicalize().map_err(files(data, "read"))?;
        if data.to_str().is_none() {
            return Err(LaunchError::PathIsNoText { path: data });
        }
        let memory = MemoryPlace::of(&data, memory)?;
        let folders = Self {
            attempts: data.join("attempts"),
            locks: data.join("locks"),
            disk_inputs: data.join("inputs"),
            memory,
            warned: AtomicBool::new(false),
        };
        if let Err(reason) = folders.memory.prepare(0) {
            folders.warn(&reason);
        }
        for folder in [&folders.attempts, &folders.locks, &folders.disk_inputs] {
            make_all(folder)?;
        }
        Ok(folders)
    }

    /// The files that guard the start of an attempt.
    pub fn guard(&self, attempt: &AttemptRef) -> GuardFiles {
        let name = match attempt.job {
            Some(job) => format!("job-{job}"),
            None => format!("task-{}", attempt.task),
        };
        GuardFiles {
            lock: self.locks.join(format!("{name}.lock")),
            record: self.locks.join(format!("{name}.json")),
            over: self.locks.join(format!("{}-{}.{OVER}", attempt.task, attempt.attempt)),
            once: attempt.job.is_none(),
        }
    }

    /// The lock of something that this machine has one of.
    pub fn single(&self, name: &str) -> PathBuf {
        self.locks.join(format!("single-{name}.lock"))
    }

    /// The path of an attempt's output folder.
    pub fn output_path(&self, name: &str) -> PathBuf {
        self.attempts.join(name)
    }

    /// Makes an empty output folder. None when a run has it.
    pub fn make_output(&self, name: &str) -> Result<Option<Output>, LaunchError> {
        let path = self.output_path(name);
        // A sweep of another worker may come between making and locking; it does not come twice.
        for _ in 0..3 {
            if path.symlink_metadata().is_ok() {
                match self.lock_output(name)? {
                    Some(_leftover) => remove(&path)?,
                    None => return Ok(None),
                }
            }
            make(&path)?;
            if let Some(output) = self.lock_output(name)?.filter(|output| output.path.exists()) {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }

    /// Locks an output folder. None when there is none, or when a run has it.
    pub fn lock_output(&self, name: &str) -> Result<Option<Output>, LaunchError> {
        let path = self.output_path(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(files(&path, "opened")(error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Output { path, _lock: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(files(&path, "locked")(error.into())),
        }
    }

    /// Where inputs of `bytes` go: the path of a folder that does not exist yet.
    pub fn inputs_path(&self, name: &str, bytes: u64) -> PathBuf {
        match self.memory.prepare(bytes) {
            Ok(()) => self.memory.path.join(name),
            Err(reason) => {
                self.warn(&reason);
                self.disk_inputs.join(name)
            }
        }
    }

    /// Says once that inputs are not in memory.
    fn warn(&self, reason: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                reason,
                "configs of running connectors, with their secrets, are kept on disk while they run"
            );
        }
    }

    /// The folders that inputs may be in. The one in memory only if it is ours.
    fn input_places(&self) -> impl Iterator<Item = &Path> {
        let memory = self.memory.prepare(0).is_ok().then_some(self.memory.path.as_path());
        memory.into_iter().chain([self.disk_inputs.as_path()])
    }

    /// Writes the inputs into the new folder `path`. What is left of an earlier try is removed first.
    pub fn write_inputs(&self, path: &Path, inputs: &[InputFile]) -> Result<(), LaunchError> {
        remove(path)?;
        make(path)?;
        for input in inputs {
            let file = path.join(input.name);
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file)
                .and_then(|mut open| open.write_all(input.content.as_bytes()))
                .map_err(files(&file, "written"))?;
        }
        Ok(())
    }

    /// Removes an attempt's inputs, wherever they are.
    pub fn remove_inputs(&self, name: &str) -> Result<(), LaunchError> {
        self.input_places().try_for_each(|place| remove(&place.join(name)))
    }

    /// Removes an attempt's output.
    pub fn remove_output(&self, name: &str) -> Result<(), LaunchError> {
        remove(&self.output_path(name))
    }

    /// The names of all attempts that have a folder.
    pub fn found(&self) -> Vec<String> {
        self.input_places().chain([self.attempts.as_path()]).flat_map(names).collect()
    }

    /// Removes the folders of the attempts `over` that no run has, and guards that nobody holds. Says how many
    /// folders there were.
    pub fn sweep(&self, over: &HashSet<String>) -> Result<u64, LaunchError> {
        let mut removed = 0;
        let mut first_error = None;
        let mut note = |result: Result<u64, LaunchError>| match result {
            Ok(count) => removed += count,
            Err(error) => {
                first_error.get_or_insert(error);
            }
        };
        // Inputs first: once the output is gone, nothing says that a run still has them.
        for place in self.input_places() {
            for name in names(place).into_iter().filter(|name| over.contains(name)) {
                note(self.sweep_inputs(&place.join(&name), &name));
            }
        }
        for name in names(&self.attempts).into_iter().filter(|name| over.contains(name)) {
            note(match self.lock_output(&name) {
                Ok(Some(output)) => remove(&output.path).map(|()| 1),
                Ok(None) => Ok(0),
                Err(error) => Err(error),
            });
        }
        for name in names(&self.locks) {
            note(self.sweep_guard(&name).map(|()| 0));
        }
        first_error.map_or(Ok(removed), Err)
    }

    fn sweep_inputs(&self, path: &Path, name: &str) -> Result<u64, LaunchError> {
        if self.output_path(name).exists() && self.lock_output(name)?.is_none() {
            return Ok(0);
        }
        remove(path).map(|()| 1)
    }

    fn sweep_guard(&self, name: &str) -> Result<(), LaunchError> {
        let path = self.locks.join(name);
        if name.ends_with(OVER) && is_older(&path, OVER_KEPT) {
            return remove_file(&path);
        }
        let Some(stem) = name.strip_suffix(".lock") else { return Ok(()) };
        let Some(_held) = guard::try_lock(&path).map_err(files(&path, "locked"))? else { return Ok(()) };
        remove_file(&self.locks.join(format!("{stem}.json")))?;
        remove_file(&path)
    }
}

/// An error about a path.
pub fn files(path: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    let path = path.to_owned();
    move |source| LaunchError::Files { path, verb, source }
}

fn is_older(path: &Path, age: Duration) -> bool {
    let changed = fs::metadata(path).and_then(|file| file.modified()).ok();
    changed.and_then(|at| at.elapsed().ok()).is_some_and(|elapsed| elapsed > age)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn make(path: &Path) -> Result<(), LaunchError> {
    DirBuilder::new().mode(0o700).create(path).map_err(files(path, "made"))
}

fn make_all(path: &Path) -> Result<(), LaunchError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(files(path, "made"))
}

fn remove(path: &Path) -> Result<(), LaunchError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files(path, "removed")(error)),
        _ => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<(), LaunchError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files(path, "removed")(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{super::memory::is_memory, *};

    fn folders() -> (tempfile::TempDir, Folders) {
        let data = tempfile::tempdir().unwrap();
        // Not a memory file system in every test environment; either way the same rules hold.
        let folders = Folders::open(data.path(), data.path()).unwrap();
        (data, folders)
    }

    fn input(name: &'static str, content: &str) -> InputFile {
        InputFile { name, content: content.to_owned(), secret: true }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn sweep(folders: &Folders, alive: &[&str]) -> u64 {
        let over = |name: &String| !alive.contains(&name.as_str());
        folders.sweep(&folders.found().into_iter().filter(over).collect()).unwrap()
    }

    #[test]
    fn inputs_are_for_their_owner_alone() {
        let (_data, folders) = folders();
        let path = folders.inputs_path("a-1", 10);
        folders.write_inputs(&path, &[input("source.json", "{}")]).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("source.json")), 0o600);
        folders.write_inputs(&path, &[input("config.json", "{}")]).unwrap();
        assert_eq!(names(&path), ["config.json"]);
        folders.remove_inputs("a-1").unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn an_output_folder_has_one_run_and_a_new_run_finds_it_empty() {
        let (_data, folders) = folders();
        let output = folders.make_output("a-1").unwrap().unwrap();
        assert_eq!(mode(&output.path), 0o700);
        fs::write(output.path.join("state.json"), "{}").unwrap();
        assert!(folders.make_output("a-1").unwrap().is_none());
        drop(output);
        let again = folders.make_output("a-1").unwrap().unwrap();
        assert!(names(&again.path).is_empty());
    }

    #[test]
    fn a_sweep_removes_what_is_not_alive_and_leaves_what_runs() {
        let (_data, folders) = folders();
        for name in ["dead-1", "alive-1", "runs-1"] {
            folders.make_output(name).unwrap();
            folders.write_inputs(&folders.inputs_path(name, 1), &[input("source.json", "{}")]).unwrap();
        }
        let _runs = folders.lock_output("runs-1").unwrap().unwrap();
        assert_eq!(sweep(&folders, &["alive-1"]), 2);
        for (name, left) in [("dead-1", false), ("alive-1", true), ("runs-1", true)] {
            assert_eq!(folders.output_path(name).exists(), left, "{name}");
            assert_eq!(folders.inputs_path(name, 1).exists(), left, "{name}");
        }
        assert_eq!(sweep(&folders, &["alive-1"]), 0);
    }

    #[test]
    fn a_sweep_removes_guards_that_nobody_holds() {
        let (_data, folders) = folders();
        let attempt = |job| AttemptRef { task: uuid::Uuid::nil(), attempt: 1, epoch: 1, job: Some(job) };
        let (free, held) = (folders.guard(&attempt(1)), folders.guard(&attempt(2)));
        for guard in [&free, &held] {
            fs::write(&guard.lock, "").unwrap();
            fs::write(&guard.record, "{}").unwrap();
        }
        let _held = guard::try_lock(&held.lock).unwrap().unwrap();
        sweep(&folders, &[]);
        assert!(!free.lock.exists() && !free.record.exists());
        assert!(held.lock.exists() && held.record.exists());
    }

    #[test]
    fn a_folder_in_memory_that_is_not_ours_alone_is_not_used() {
        let shm = Path::new("/dev/shm");
        if !is_memory(shm) {
            return; // Nothing to be tried on this machine.
        }
        let data = tempfile::tempdir().unwrap();
        let memory = tempfile::tempdir_in(shm).unwrap();
        let folders = Folders::open(data.path(), memory.path()).unwrap();
        let place = folders.memory.path.clone();
        let in_memory = || folders.inputs_path("a-1", 1) == place.join("a-1");
        assert!(in_memory());
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!in_memory());
        fs::remove_dir(&place).unwrap();
        assert!(in_memory(), "it is made again when it was cleaned up");
        fs::remove_dir(&place).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(elsewhere.path().join("a-1")).unwrap();
        symlink(elsewhere.path(), &place).unwrap();
        assert!(!in_memory());
        folders.sweep(&HashSet::from(["a-1".to_owned()])).unwrap();
        assert!(elsewhere.path().join("a-1").exists());
    }

    #[test]
    fn without_room_in_memory_inputs_go_to_the_disk() {
        let (_data, folders) = folders();
        assert_eq!(folders.inputs_path("a-1", u64::MAX / 2), folders.disk_inputs.join("a-1"));
    }
}
