//! The start guard: one run of a job at a time, whoever starts it.
//!
//! The guard is a locked file whose descriptor the connector inherits, so that it is held for as long as
//! anything that the connector started lives, whatever happens to the worker or the supervisor. Beside it a
//! record says which process group that is. Whoever finds the lock held ends the recorded group, and waits.
//!
//! Invariants:
//! - a record is written and removed only by the holder of the lock;
//! - a group is ended only if it is the recorded one beyond doubt: same boot, same namespace of processes, and
//!   its leader has the recorded start time, or (when the leader is gone) a later member holds the lock's file;
//! - an attempt never ends a later attempt of its own task;
//! - a run that was given up (its task was taken over while its worker was paused, say) never starts and ends nothing
//!   any more: whoever takes over marks it as over, holding the lock, and it looks for the mark when it has the lock;
//! - a lock file is removed only by its holder, so a lock counts only if its file is still the one of that name.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use olake_shared::step::is_fence_broken;
use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, FdFlags, fcntl_setfd},
    process::Signal,
};
use serde::{Deserialize, Serialize};

use super::{
    processes,
    protocol::{GuardFiles, RunName},
};

/// Between two tries for a lock that is held.
const PAUSE: Duration = Duration::from_millis(20);

/// After SIGKILL, until it is sent again: a member may have been born meanwhile.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// Which process group runs under a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The run.
    pub run: RunName,
    group: i32,
    start_time: u64,
    boot: String,
    namespace: String,
}

impl Record {
    /// The record of the group that `pid` leads.
    pub fn of(run: RunName, pid: i32) -> io::Result<Self> {
        let stat = processes::stat(pid).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Self { run, group: pid, start_time: stat.start_time, boot: boot()?, namespace: namespace()? })
    }

    /// Writes it as a whole. The caller holds the lock.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }

    /// Reads a record. None when there is none, or none that makes sense.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Whether something of its group lives. `lock` is the file that the group holds.
    pub fn lives(&self, lock: &Path) -> bool {
        if boot().ok().as_ref() != Some(&self.boot) || namespace().ok().as_ref() != Some(&self.namespace) {
            return false;
        }
        match processes::stat(self.group) {
            Some(leader) => leader.start_time == self.start_time && leader.group == self.group,
            None => {
                processes::group_exists(self.group)
                    && processes::group_holds(self.group, self.start_time, lock)
            }
        }
    }

    fn signal(&self, signal: Signal) {
        processes::signal_group(self.group, signal);
    }
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn namespace() -> io::Result<String> {
    Ok(fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned())
}

/// Takes a lock if nobody holds it. It is held until the file, and each copy of its descriptor, is closed.
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // The holder before may have removed the file between our opening it and its letting go.
        let own = file.metadata()?;
        match fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (own.dev(), own.ino()) => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lets the processes that this one starts inherit the lock.
pub fn pass_on(lock: &File) -> io::Result<()> {
    Ok(fcntl_setfd(lock, FdFlags::empty())?)
}

/// Removes what says that a run has the guard: its record, and a lock that nobody will ask for again. To be called by
/// the lock's holder.
pub fn forget(files: &GuardFiles) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(fs::remove_file(&files.record))?;
    if files.once { gone(fs::remove_file(&files.lock)) } else { Ok(()) }
}

/// Marks a run as over: it never starts any more. To be called by the lock's holder.
pub fn mark_over(files: &GuardFiles) -> io::Result<()> {
    fs::write(&files.over, "")
}

/// Who wants a lock, and what it may do for it.
pub struct Claim<'a> {
    /// The lock.
    pub lock: &'a Path,
    /// The record of its holder; none if the holder is only waited for.
    pub record: Option<&'a Path>,
    /// The mark that says that this run is over: then nothing is taken or ended for it. None for whoever gives it up.
    pub over: Option<&'a Path>,
    /// The run's folder for temporary files, to find a connector by whose supervisor died before it wrote its record.
    pub output: Option<&'a Path>,
    /// The run that the lock is for.
    pub run: &'a RunName,
    /// Between the holder's SIGTERM and its SIGKILL.
    pub grace: Duration,
    /// Whether only this very run is ended, where otherwise every run but a later attempt of the task is.
    pub only_own: bool,
}

impl Claim<'_> {
    /// Takes the lock; where it is held, ends the recorded holder and waits. `waits` is called once if it has to;
    /// `pause` waits for the given time, and answers true to give up. None when it gave up, or the run is over.
    pub fn take(
        &self,
        mut waits: impl FnMut(),
        mut pause: impl FnMut(Duration) -> bool,
    ) -> io::Result<Option<File>> {
        let mut told = false;
        let mut ending: Option<(Record, Instant)> = None;
        loop {
            let lock = try_lock(self.lock)?;
            // Looked for with the lock in hand: it is only made by who has it.
            if self.over.is_some_and(Path::exists) {
                return Ok(None);
            }
            if lock.is_some() {
                return Ok(lock);
            }
            if is_fence_broken() {
                return File::open(self.lock).map(Some);
            }
            if !told {
                waits();
                told = true;
            }
            ending = self.end_holder(ending);
            if pause(PAUSE) {
                return Ok(None);
            }
        }
    }

    /// One step of the holder's end: who is being ended, and when SIGKILL is due.
    fn end_holder(&self, ending: Option<(Record, Instant)>) -> Option<(Record, Instant)> {
        let now = Instant::now();
        match ending.filter(|(record, _)| record.lives(self.lock)) {
            None => {
                let record = Record::read(self.record?).filter(|record| self.may_end(&record.run));
                let record = record.or_else(|| self.unrecorded()).filter(|record| record.lives(self.lock))?;
                record.signal(Signal::TERM);
                Some((record, now + self.grace))
            }
            Some((record, kill_at)) if now >= kill_at => {
                record.signal(Signal::KILL);
                Some((record, now + KILL_AGAIN))
            }
            waiting => waiting,
        }
    }

    /// The record that this very run's supervisor did not come to write.
    fn unrecorded(&self) -> Option<Record> {
        Record::of(self.run.clone(), processes::leader_with(self.output?, self.lock)?).ok()
    }

    fn may_end(&self, holder: &RunName) -> bool {
        if self.only_own {
            holder == self.run
        } else {
            // Ids of tasks sort by the time they were made: a late attempt of an older task ends no newer one.
            (holder.task.as_str(), holder.attempt) <= (self.run.task.as_str(), self.run.attempt)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(task: &str, attempt: i32) -> RunName {
        RunName { task: task.to_owned(), attempt }
    }

    fn claim_of<'a>(lock: &'a Path, run: &'a RunName) -> Claim<'a> {
        Claim { lock, record: None, over: None, output: None, run, grace: Duration::ZERO, only_own: false }
    }

    #[test]
    fn a_run_that_is_over_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, over) = (folder.path().join("job-1.lock"), folder.path().join("a-1.over"));
        let own = run("a", 1);
        let claim = Claim { over: Some(&over), ..claim_of(&lock, &own) };
        assert!(claim.take(|| (), |_| true).unwrap().is_some());
        fs::write(&over, "").unwrap();
        assert!(claim.take(|| (), |_| true).unwrap().is_none());
        assert!(try_lock(&lock).unwrap().is_some(), "and keeps nothing");
    }

    fn own_record() -> Record {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        Record::of(run("a", 1), own).unwrap()
    }

    #[test]
    fn a_lock_has_one_holder_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job-1.lock");
        let held = try_lock(&path).unwrap().unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        let copy = held.try_clone().unwrap();
        drop(held);
        assert!(try_lock(&path).unwrap().is_none());
        drop(copy);
        assert!(try_lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_whose_file_was_removed_is_taken_on_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task-1.lock");
        let held = try_lock(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let second = try_lock(&path).unwrap().unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        drop((held, second));
    }

    #[test]
    fn a_record_reads_back_and_rubbish_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job-1.json");
        assert_eq!(Record::read(&path), None);
        let record = own_record();
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path), Some(record));
        fs::write(&path, "{\"run\":").unwrap();
        assert_eq!(Record::read(&path), None);
    }

    #[test]
    fn a_record_of_another_start_boot_or_namespace_is_of_nothing_that_lives() {
        let lock = Path::new("/nowhere.lock");
        let record = own_record();
        // The test's process leads no group when a runner started it; a leader is made of it for the comparison.
        let leads = processes::stat(record.group).is_some_and(|stat| stat.group == record.group);
        assert_eq!(record.lives(lock), leads);
        assert!(!Record { start_time: record.start_time + 1, ..record.clone() }.lives(lock));
        assert!(!Record { boot: "another".to_owned(), ..record.clone() }.lives(lock));
        assert!(!Record { namespace: "another".to_owned(), ..record }.lives(lock));
    }

    #[test]
    fn an_attempt_ends_earlier_ones_and_older_tasks_but_no_later_one() {
        let own = run("b", 2);
        let lock = Path::new("/nowhere.lock");
        let claim = |only_own| Claim { only_own, ..claim_of(lock, &own) };
        assert!(claim(false).may_end(&run("b", 1)));
        assert!(claim(false).may_end(&run("a", 9)));
        assert!(!claim(false).may_end(&run("b", 3)));
        assert!(!claim(false).may_end(&run("c", 1)));
        assert!(claim(true).may_end(&run("b", 2)));
        assert!(!claim(true).may_end(&run("b", 1)));
    }

    #[test]
    fn a_claim_gives_up_when_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("job-1.lock");
        let _held = try_lock(&lock).unwrap().unwrap();
        let own = run("a", 1);
        let claim = claim_of(&lock, &own);
        let (mut told, mut pauses) = (0, 0);
        let taken = claim.take(
            || told += 1,
            |_| {
                pauses += 1;
                pauses == 3
            },
        );
        assert!(taken.unwrap().is_none());
        assert_eq!((told, pauses), (1, 3));
    }
}
