//! A program that runs beside the test.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::waiting::wait_for;

/// A running program. It is killed when this is dropped; its output is printed then if the test fails.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What a program printed, and how it ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts a program. What it prints goes to the end of the file `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(&what, || self.child.try_wait().unwrap())
    }

    /// Waits until it has printed something that `read` finds in its output. It must not end before.
    #[track_caller]
    pub fn printed<T>(&mut self, what: &str, read: impl Fn(&str) -> Option<T>) -> T {
        let what = format!("{} to print {what}", self.name);
        wait_for(&what, || {
            let has_ended = self.has_ended();
            let found = read(&self.log());
            assert!(found.is_some() || !has_ended, "{} has ended:\n{}", self.name, self.log());
            found
        })
    }
}

impl Drop for Process {
    #[expect(clippy::print_stdout, reason = "the test's own output, which is shown when it fails")]
    fn drop(&mut self) {
        // An error says that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("---- {} ({}):\n{}", self.name, self.log.display(), self.log());
        }
    }
}

/// One of our programs, with an environment of its own.
pub fn program(name: &str) -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_olake")).with_file_name(name);
    assert!(path.exists(), "{} is not built: run the tests of the whole workspace", path.display());
    let mut command = Command::new(path);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a program to its end.
pub fn run(mut command: Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
