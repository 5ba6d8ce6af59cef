//! A Redis server of a test's own, to be stopped, started again and emptied.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;

use super::{
    process::Process,
    waiting::{PATIENCE, wait_for},
};

pub struct Redis {
    port: u16,
    folder: PathBuf,
    process: Process,
}

impl Redis {
    /// Starts one on a free port. Its log goes into `folder`.
    pub fn start(folder: PathBuf) -> Self {
        wait_for("a port for Redis", || {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = spawn(port, &folder)?;
            Some(Self { port, folder: folder.clone(), process })
        })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        self.process.ended();
    }

    /// Starts it on its port again, empty.
    pub fn start_again(&mut self) {
        self.process = wait_for("Redis to start again", || spawn(self.port, &self.folder));
    }

    /// Loses everything.
    pub fn flush(&self) {
        assert_eq!(say(self.port, "FLUSHALL").unwrap(), "+OK");
    }
}

/// None when the port is taken.
fn spawn(port: u16, folder: &Path) -> Option<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.current_dir(folder);
    let has_redis = Command::new("redis-server").arg("--version").output().is_ok();
    assert!(has_redis, "redis-server is needed: run the tests by `make test`, which installs it");
    let mut process = Process::start("redis-server", command, &folder.join("redis.log"));
    wait_for("Redis to answer or to end", || {
        if process.has_ended() {
            return Some(false);
        }
        say(port, "PING").is_ok_and(|answer| answer == "+PONG").then_some(true)
    })
    .then_some(process)
}

/// Says a command, and reads the line of its answer.
fn say(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).trim_end().to_owned())
}
