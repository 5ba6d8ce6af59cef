//! A supervisor that waits for the next run's order, so that a run does not wait for the start of its supervisor: loading
//! the worker's program costs more than all the rest of a start.
//!
//! Invariants:
//! - one spare waits at most, and it knows nothing: no order, no environment, no secret;
//! - its stdin is the life line of every supervisor: it ends when the launcher is dropped or the worker dies;
//! - it is a shortcut only: without it, or when it is dead, a supervisor is started as it is needed.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use olake_shared::step;

use crate::agent::supervisor::protocol::Order;

/// Starts supervisors, one of them ahead of its order.
pub struct Supervisors {
    /// The program and its arguments.
    command: Vec<OsString>,
    spare: Mutex<Option<Waiting>>,
}

/// A supervisor that has no order yet. Dropped, it ends.
struct Waiting {
    child: Child,
    orders: ChildStdin,
}

impl Supervisors {
    pub fn new(command: Vec<OsString>) -> Self {
        Self { command, spare: Mutex::new(None) }
    }

    /// Starts the spare one, if there is none. That it cannot be started is told by the next run's start.
    pub fn prepare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            *spare = self.start().ok();
        }
    }

    /// A supervisor that has its order.
    pub fn give(&self, order: &Order) -> io::Result<(Child, ChildStdin)> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that died meanwhile has closed its end.
        if let Some(begun) = spare.and_then(|spare| spare.say(&line).ok()) {
            return Ok(begun);
        }
        self.start()?.say(&line)
    }

    fn start(&self) -> io::Result<Waiting> {
        let (program, args) = self.command.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut child = Command::new(program)
            .args(args)
            // The worker's variables hold its secrets.
            .env_clear()
            .envs(step::variables())
            .current_dir("/")
            // A key pressed in the worker's terminal is for the worker alone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        match child.stdin.take() {
            Some(orders) => Ok(Waiting { child, orders }),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Supervisors {
    fn drop(&mut self) {
        let spare = self.spare.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Waiting { mut child, .. }) = spare {
            // Killed, since one that is paused would not see that its orders have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Waiting {
    /// Gives the order. On an error nothing was started by it: it has not heard the end of its order.
    fn say(mut self, line: &[u8]) -> io::Result<(Child, ChildStdin)> {
        match self.orders.write_all(line) {
            Ok(()) => Ok((self.child, self.orders)),
            Err(error) => {
                let _ = self.child.kill();
                let _ = self.child.wait();
                Err(error)
            }
        }
    }
}
