//! Processes and their groups, as `/proc` tells of them.
//!
//! A process is named by its id and its start time together: ids come back, the pair does not before the next
//! boot. A number is never used as that of a group while it could be somebody else's: groups 0 and 1 and
//! negative numbers are refused.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{self, Pid, Signal, WaitOptions},
};

/// Between two looks at processes that were told to end.
const PAUSE: Duration = Duration::from_millis(5);

/// What is needed of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The parent's id.
    pub parent: i32,
    /// The number of its process group.
    pub group: i32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

/// Reads a process. None when there is none.
pub fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name, in brackets, may itself hold blanks and brackets. Behind it: the state (field 3), and so on.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// All processes there are.
fn all() -> impl Iterator<Item = (i32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, stat(pid)?))
    })
}

/// Sends a signal to a group. A group that is gone is no error.
pub fn signal_group(group: i32, signal: Signal) {
    if let Some(pid) = group_id(group) {
        let _ = process::kill_process_group(pid, signal);
    }
}

/// Whether a group has members (zombies among them).
pub fn group_exists(group: i32) -> bool {
    group_id(group).is_some_and(|pid| process::test_kill_process_group(pid) != Err(Errno::SRCH))
}

fn group_id(group: i32) -> Option<Pid> {
    if group > 1 { Pid::from_raw(group) } else { None }
}

/// Whether the group has a member that started at `start_time` or later and has `file` open.
pub fn group_holds(group: i32, start_time: u64, file: &Path) -> bool {
    let Ok(file) = fs::metadata(file) else { return false };
    let inode = (file.dev(), file.ino());
    all().any(|(pid, stat)| stat.group == group && stat.start_time >= start_time && has_open(pid, inode))
}

/// The leader of a group whose `TMPDIR` is `folder` and which has `file` open: a connector, told from everything else.
pub fn leader_with(folder: &Path, file: &Path) -> Option<i32> {
    let file = fs::metadata(file).ok()?;
    let variable = [b"TMPDIR=", folder.as_os_str().as_encoded_bytes()].concat();
    let has_variable = |pid: i32| {
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|found| found == variable)
    };
    let mut leaders = all().filter(|(pid, stat)| stat.group == *pid).map(|(pid, _)| pid);
    leaders.find(|pid| has_variable(*pid) && has_open(*pid, (file.dev(), file.ino())))
}

fn has_open(pid: i32, inode: (u64, u64)) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    // Through the link, which works for removed files too.
    descriptors
        .filter_map(|entry| fs::metadata(entry.path()).ok())
        .any(|file| (file.dev(), file.ino()) == inode)
}

/// Ends what is left of a group whose leader is gone: SIGTERM was sent, after `patience` comes SIGKILL. Returns
/// when the group is empty. Members whose parents ended are children of this process, and are reaped here.
pub fn end_rest_of_group(group: i32, patience: Duration) {
    let kill_at = Instant::now() + patience;
    loop {
        reap();
        if !group_exists(group) {
            return;
        }
        if Instant::now() >= kill_at {
            signal_group(group, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Kills the children of this process: what left the connector's group and lost its parent. For at most
/// `patience`, as a process in the kernel's hands cannot be killed.
pub fn end_strays(patience: Duration) {
    let give_up_at = Instant::now() + patience;
    while reap() && Instant::now() < give_up_at {
        let own = process::getpid().as_raw_nonzero().get();
        for (pid, _) in all().filter(|(_, stat)| stat.parent == own) {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = process::kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Reaps every child that has ended. False when there is no child left.
fn reap() -> bool {
    loop {
        match process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn a_stat_is_read_whatever_the_name_of_the_program() {
        let text = "4242 (a) (b c) S 17 4200 4200 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1";
        assert_eq!(parse_stat(text), Some(Stat { parent: 17, group: 4200, start_time: 987_654 }));
        assert_eq!(parse_stat("4242 (a) S 17"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_is_found_with_its_parent_and_group() {
        let own = process::getpid().as_raw_nonzero().get();
        let found = stat(own).unwrap();
        assert_eq!(Some(found.parent), process::getppid().map(|pid| pid.as_raw_nonzero().get()));
        assert!(found.start_time > 0);
        assert!(group_exists(found.group));
        assert!(all().any(|(pid, _)| pid == own));
    }

    #[test]
    fn an_open_file_is_found_by_its_holder_s_group() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let own = stat(process::getpid().as_raw_nonzero().get()).unwrap();
        assert!(group_holds(own.group, own.start_time, file.path()));
        assert!(!group_holds(own.group, u64::MAX, file.path()));
        let (_, path) = file.keep().unwrap();
        assert!(!group_holds(own.group, own.start_time, &path));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_connector_is_found_by_its_folder_and_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("job-1.lock");
        let file = fs::File::create(&lock).unwrap();
        let start = |variable: &Path| {
            let mut command = std::process::Command::new("/bin/sleep");
            command.arg("1000").env("TMPDIR", variable).process_group(0).stdin(file.try_clone().unwrap());
            command.spawn().unwrap()
        };
        let (mut other, mut ours) = (start(Path::new("/elsewhere")), start(folder.path()));
        let pid = i32::try_from(ours.id()).unwrap();
        // The child has its own program and variables only once it has come to be one.
        let give_up_at = Instant::now() + Duration::from_secs(20);
        while leader_with(folder.path(), &lock).is_none() && Instant::now() < give_up_at {
            std::thread::sleep(PAUSE);
        }
        assert_eq!(leader_with(folder.path(), &lock), Some(pid));
        assert_eq!(leader_with(Path::new("/nowhere"), &lock), None);
        for child in [&mut other, &mut ours] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn no_signal_goes_to_a_number_that_means_something_else() {
        for group in [-1, 0, 1] {
            assert_eq!(group_id(group), None);
            assert!(!group_exists(group));
        }
    }
}
