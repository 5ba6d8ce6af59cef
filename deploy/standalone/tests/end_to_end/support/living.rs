//! The processes of this machine that have to do with a test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, Signal, kill_process};

/// A process that lives.
#[derive(Debug)]
pub struct Living {
    pub pid: u32,
    pub parent: u32,
    /// Its program and arguments, with spaces between them.
    pub command: String,
    /// Its variables, as `NAME=value`.
    pub environment: Vec<String>,
}

impl Living {
    /// Whether it is a connector, and no service or supervisor.
    pub fn is_connector(&self) -> bool {
        self.command.split(' ').next().is_some_and(|program| program.ends_with("/sample-connector"))
    }

    pub fn kill(&self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // An error says that it has ended.
        let _ = kill_process(pid.unwrap(), Signal::KILL);
    }
}

/// The processes that have `folder` in an argument, in a variable, or a file of it open. Not this one.
pub fn of_folder(folder: &Path) -> Vec<Living> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id()).filter_map(|pid| look_at(pid, folder)).collect()
}

/// The connectors among them.
pub fn connectors(folder: &Path) -> Vec<Living> {
    of_folder(folder).into_iter().filter(Living::is_connector).collect()
}

fn look_at(pid: u32, folder: &Path) -> Option<Living> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let words = |file: &str| -> Option<Vec<String>> {
        let text = String::from_utf8_lossy(&fs::read(proc.join(file)).ok()?).into_owned();
        Some(text.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    };
    let (command, environment) = (words("cmdline")?.join(" "), words("environ")?);
    let text = folder.to_str().unwrap();
    let has_to_do = command.contains(text)
        || environment.iter().any(|variable| variable.contains(text))
        || open_files(&proc).iter().any(|file| file.starts_with(folder));
    let stat = fs::read_to_string(proc.join("stat")).ok()?;
    // After the name in parentheses come the status, which is Z for one that has ended, and the parent.
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    let has_ended = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    (has_to_do && !has_ended).then_some(Living { pid, parent, command, environment })
}

fn open_files(proc: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(proc.join("fd")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}
