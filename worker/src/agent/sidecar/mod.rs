//! The agent of a pod: a small process beside a connector that lays its inputs out, opens its gate, follows what it
//! writes, and tells the workers. It is a mode of the worker's program ([`run`]); [`run_gate`] is the gate, which
//! Kubernetes runs in the agent's container and waits for before it starts the connector.
//!
//! - [`settings`]: what the environment says;
//! - [`inputs`]: what the connector is given, and the gate;
//! - [`session`]: following and telling; [`outbox`]: what waits to be told; [`watch`]: being told of writes;
//! - [`calls`], [`client`]: talking to the workers (their side: [`crate::internal`]);
//! - [`frames`], [`leftover`]: printing what could not be told, and reading that.
//!
//! Invariants:
//! - the gate opens only with a permit in hand, and after every input is laid out;
//! - what the connector wrote is given up only when a worker has said that it is stored, or that the attempt is over;
//! - secrets leave the pod in no line and in no result;
//! - memory is bounded: of the log no more is read than can be told, of everything else one copy or two are held.

mod calls;
mod client;
pub mod frames;
mod inputs;
mod leftover;
mod outbox;
mod session;
pub mod settings;
mod watch;

use std::{process::ExitCode, sync::Arc};

use olake_shared::clock::{Clock, SystemClock};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    calls::BackOff,
    client::{CallError, Client, Target},
    session::{Session, Told},
    settings::Settings,
    watch::Watcher,
};
use crate::{internal::wire::Registered, reconcile::redact::Redactor};

/// The words of the command line that make the worker's program an agent, and its gate.
pub const COMMAND: &str = "agent";
pub const GATE_COMMAND: &str = "agent-gate";

/// The exit code of an agent that was told that its connector's inputs cannot be read. Its last line says why; whoever
/// owns the task sees both in the pod's status, and ends the attempt.
pub const UNREADABLE: u8 = 78;

/// What each line of an agent's own log begins with.
pub const SPEAKER: &str = "olake agent: ";

/// So often inputs are asked for that cannot be read: another worker may have got a new key already.
const UNREADABLE_AT_MOST: u32 = 5;

/// Why an agent ends before its connector has started.
struct GivenUp {
    words: String,
    code: ExitCode,
}

impl From<String> for GivenUp {
    fn from(words: String) -> Self {
        Self { words, code: ExitCode::FAILURE }
    }
}

/// Runs the agent to its end. Exit code 0: everything is told, or nothing of it counts any more.
pub fn run() -> ExitCode {
    let runtime =
        match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build() {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error.to_string()),
        };
    match runtime.block_on(follow()) {
        Ok(Told::All) => {
            say("everything is told");
            ExitCode::SUCCESS
        }
        Ok(Told::Over) => ExitCode::SUCCESS,
        Ok(Told::Printed) => failed("what is left was printed: no worker took it in time"),
        Err(GivenUp { words, code }) => {
            say(&words);
            code
        }
    }
}

/// Waits until the connector may start.
pub fn run_gate() -> ExitCode {
    inputs::wait_at_gate(&settings::inputs_folder());
    ExitCode::SUCCESS
}

async fn follow() -> Result<Told, GivenUp> {
    // First: as the first process of a container it is ended by no signal that it does not receive.
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let settings = Settings::of_environment().map_err(|error| error.to_string())?;
    let unreadable = |error: std::io::Error| format!("the Secret cannot be used: {error}");
    let target = Target::new(&settings).map_err(unreadable)?;
    let redactor = Redactor::of_forms(settings.words_to_mask().map_err(unreadable)?);
    // The log's lines have times of their own; this is for text before the first of them.
    let started = SystemClock.now();
    let registered = match inputs::are_laid_out(&settings.inputs) {
        true => None,
        false => {
            let registered = register(&settings, &target, &mut terminate).await?;
            inputs::lay_out(&settings.inputs, &settings.secret, &registered.inputs)
                .map_err(|error| format!("the inputs were not laid out: {error}"))?;
            say("the connector may start");
            Some(Registered { inputs: Vec::new(), ..registered })
        }
    };
    let watcher = Watcher::new(&settings.output);
    Ok(Session::new(settings, target, redactor, registered, started).run(watcher, &mut terminate).await)
}

/// Asks for the permit until there is an answer.
async fn register(
    settings: &Settings,
    target: &Arc<Target>,
    terminate: &mut Signal,
) -> Result<Registered, GivenUp> {
    let told_to_end = || GivenUp::from("told to end before the connector was permitted to start".to_owned());
    let mut client = Client::new(target.clone());
    let mut back_off = BackOff::default();
    let mut last = String::new();
    let mut unreadable = 0;
    loop {
        let asked = tokio::select! {
            asked = calls::register(&mut client, settings, false) => asked,
            _ = terminate.recv() => return Err(told_to_end()),
        };
        match asked {
            Ok(registered) => return Ok(registered),
            Err(error) if error.unreadable().is_some() => {
                unreadable += 1;
                if unreadable >= UNREADABLE_AT_MOST {
                    let words = error.unreadable().unwrap_or_default().to_owned();
                    return Err(GivenUp { words, code: ExitCode::from(UNREADABLE) });
                }
                client = Client::new(target.clone());
            }
            Err(error) if !error.is_for_now() => {
                return Err(format!("the connector is not permitted to start: {error}").into());
            }
            Err(error) => {
                let words = CallError::to_string(&error);
                if words != last {
                    say(&format!("no permit yet: {words}"));
                    last = words;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(back_off.next()) => {}
            _ = terminate.recv() => return Err(told_to_end()),
        }
    }
}

/// Says something in the log of the agent's container. Never a content of what it follows.
#[expect(clippy::print_stderr, reason = "an agent's log is its stderr")]
fn say(words: &str) {
    eprintln!("{SPEAKER}{words}");
}

fn failed(words: &str) -> ExitCode {
    say(words);
    ExitCode::FAILURE
}
