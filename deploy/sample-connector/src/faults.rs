//! Misbehaviour on demand: the object `faults` of a config, for tests of whatever runs this connector.
//!
//! Each key is described in `spec/source.json`. To add one: a field here and in `KEYS`, a line in
//! `from_config`, its description there, a test in `tests/faults.rs`. A key that is not known is refused: a
//! typing error must not make a test pass.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::config::{text, whole_number};
use crate::output::Output;
use crate::signals::Stop;
use crate::witness::Place;

const KEYS: &[&str] = &[
    "expected_password",
    "fail_after_rows",
    "exit_code",
    "hang",
    "ignore_sigterm",
    "log_lines",
    "log_lines_per_second",
    "take_seconds",
    "rubbish",
    "crash",
    "panic",
    "fail_once",
    "half_state",
    "eat_memory_mb",
    "child_eats_memory_mb",
    "witness",
];

/// What to do wrong. `Default`: nothing.
#[derive(Default)]
pub struct Faults {
    pub expected_password: Option<String>,
    pub fail_after_rows: Option<u64>,
    pub exit_code: Option<u8>,
    pub hang: bool,
    pub ignore_sigterm: bool,
    pub log_lines: u64,
    /// 0: as fast as it can.
    pub log_lines_per_second: f64,
    pub take_time: Duration,
    pub rubbish: bool,
    pub crash: bool,
    pub panic: Option<String>,
    pub fail_once: Option<PathBuf>,
    pub half_state: bool,
    pub eat_memory_mb: u64,
    pub child_eats_memory_mb: u64,
    pub witness: Option<Place>,
}

/// The word of the command line that makes the program a child that eats so many megabytes.
pub const EATER: &str = "eat-memory";

/// Takes memory, and keeps it for life.
pub fn eat_memory(megabytes: u64) -> Result<()> {
    let bytes = usize::try_from(megabytes)?.checked_mul(1 << 20).context("that is too much memory")?;
    let mut eaten: Vec<u8> = Vec::new();
    eaten.try_reserve_exact(bytes).context("cannot allocate memory")?;
    // Written to, or the system gives no page.
    eaten.resize(bytes, 0xA5);
    std::mem::forget(eaten);
    Ok(())
}

impl Faults {
    /// The faults of a config.
    ///
    /// # Errors
    /// A key that is unknown or has a value of the wrong kind.
    pub fn from_config(config: &Map<String, Value>) -> Result<Self> {
        let map = match config.get("faults") {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(map)) => map,
            Some(_) => bail!("faults must be an object"),
        };
        if let Some(unknown) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            bail!("faults has no key {unknown}");
        }
        let exit_code = whole_number(map, "exit_code")?.map(u8::try_from).transpose();
        Ok(Self {
            expected_password: text(map, "expected_password")?,
            fail_after_rows: whole_number(map, "fail_after_rows")?,
            exit_code: exit_code.context("exit_code must be from 0 to 255")?,
            hang: switch(map, "hang")?,
            ignore_sigterm: switch(map, "ignore_sigterm")?,
            log_lines: whole_number(map, "log_lines")?.unwrap_or(0),
            log_lines_per_second: number(map, "log_lines_per_second")?,
            take_time: Duration::try_from_secs_f64(number(map, "take_seconds")?)
                .context("take_seconds is too big")?,
            rubbish: switch(map, "rubbish")?,
            crash: switch(map, "crash")?,
            panic: text(map, "panic")?,
            fail_once: text(map, "fail_once")?.map(PathBuf::from),
            half_state: switch(map, "half_state")?,
            eat_memory_mb: whole_number(map, "eat_memory_mb")?.unwrap_or(0),
            child_eats_memory_mb: whole_number(map, "child_eats_memory_mb")?.unwrap_or(0),
            witness: Place::from_config(map.get("witness"))?,
        })
    }

    /// What goes wrong right after the start. The exit code to end with, if that is the fault.
    ///
    /// # Errors
    /// SIGTERM, while it hangs.
    pub fn at_start(&self, output: &Output, stop: &Stop) -> Result<Option<u8>> {
        if self.ignore_sigterm {
            stop.ignore().context("failed to ignore SIGTERM")?;
        }
        eat_memory(self.eat_memory_mb)?;
        if self.child_eats_memory_mb > 0 {
            let program = std::env::current_exe().context("failed to find the program")?;
            let child = Process::new(program).arg(EATER).arg(self.child_eats_memory_mb.to_string()).status();
            output.info(&format!("A child has eaten memory: {}", child.context("failed to start a child")?));
        }
        if self.hang {
            output.info("Hanging until killed");
            return Err(stop.wait().into());
        }
        if let Some(words) = &self.panic {
            // As a Go program does: nothing of it is in the log file.
            let text = format!("panic: {words}\n\ngoroutine 1 [running]:\nmain.main()\n");
            std::io::stderr().write_all(text.as_bytes()).context("failed to panic")?;
            return Ok(Some(2));
        }
        Ok(self.exit_code)
    }

    /// Settles `fail_once` at the start of a sync: the first run makes the mark and fails (by another failing
    /// fault if there is one, else at once); the runs after it fail no more.
    ///
    /// # Errors
    /// The failure, or a mark that cannot be made.
    pub fn settle_once(&mut self) -> Result<()> {
        let Some(mark) = &self.fail_once else { return Ok(()) };
        match OpenOptions::new().write(true).create_new(true).open(mark) {
            Ok(_) if self.fail_after_rows.is_some() || self.exit_code.is_some() || self.crash => Ok(()),
            Ok(_) => bail!("failed once, as told"),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.fail_after_rows = None;
                self.exit_code = None;
                self.crash = false;
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("failed to make the mark {}", mark.display())),
        }
    }

    /// Fails if a batch of `rows` rows, after the `read` ones before it, holds the row of the failure. That
    /// batch is lost.
    pub fn before_batch(&self, read: u64, rows: u64) -> Result<()> {
        match self.fail_after_rows {
            Some(limit) if read + rows > limit => {
                bail!("error occurred while reading records: failed after {limit} rows")
            }
            _ => Ok(()),
        }
    }

    /// Dies like a process that ran out of memory, if told to.
    pub fn after_batch(&self) -> Result<()> {
        if self.crash {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                .context("failed to crash")?;
        }
        Ok(())
    }

    /// Says the numbered lines, at their rate, until all are out, `done` says so, or SIGTERM comes.
    ///
    /// # Errors
    /// That of `say`.
    pub fn write_lines(
        &self,
        stop: &Stop,
        done: &dyn Fn() -> bool,
        say: &dyn Fn(u64) -> Result<()>,
    ) -> Result<()> {
        let begin = Instant::now();
        for number in 1..=self.log_lines {
            if self.log_lines_per_second > 0.0 {
                #[expect(clippy::cast_precision_loss, reason = "a line's moment needs no more than 53 bits")]
                let offset = Duration::try_from_secs_f64((number - 1) as f64 / self.log_lines_per_second);
                let due = begin + offset.unwrap_or(Duration::ZERO);
                while Instant::now() < due && !done() {
                    let step = due.min(Instant::now() + Duration::from_millis(50));
                    if stop.wait_until(step).is_err() {
                        return Ok(());
                    }
                }
            }
            if done() || stop.check().is_err() {
                return Ok(());
            }
            say(number)?;
        }
        Ok(())
    }
}

fn switch(map: &Map<String, Value>, key: &str) -> Result<bool> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().with_context(|| format!("{key} must be true or false")),
    }
}

fn number(map: &Map<String, Value>, key: &str) -> Result<f64> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(0.0),
        Some(value) => {
            let number = value.as_f64().filter(|number| *number >= 0.0 && number.is_finite());
            number.with_context(|| format!("{key} must be a number, 0 or more"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(value: Value) -> Result<Faults> {
        Faults::from_config(json!({ "faults": value }).as_object().unwrap())
    }

    #[test]
    fn a_config_without_faults_does_nothing_wrong() {
        let none = Faults::from_config(&Map::new()).unwrap();
        assert!(!none.hang && !none.crash && none.exit_code.is_none() && none.before_batch(10, 10).is_ok());
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused_by_name() {
        for (value, word) in [
            (json!({"hangs": true}), "hangs"),
            (json!({"hang": "yes"}), "hang"),
            (json!({"exit_code": 256}), "exit_code"),
            (json!({"take_seconds": -1}), "take_seconds"),
            (json!({"witness": {"folder": "/tmp"}}), "witness"),
            (json!(7), "faults"),
        ] {
            let message = format!("{:#}", faults(value).err().unwrap());
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_batch_past_the_failing_row_is_not_read() {
        let faults = faults(json!({"fail_after_rows": 1500})).unwrap();
        assert!(faults.before_batch(0, 1000).is_ok());
        assert!(faults.before_batch(500, 1000).is_ok());
        assert!(faults.before_batch(1000, 1000).is_err());
    }
}
