//! The program `olake-worker`.

use std::process::ExitCode;

use clap::Parser;
use olake_worker::{
    agent::{sidecar, supervisor},
    command::{Arguments, run},
};

fn main() -> ExitCode {
    // First of all: a supervisor must start fast, and needs nothing of what follows.
    // The same goes for the agent of a pod.
    match std::env::args_os().nth(1) {
        Some(word) if word == supervisor::COMMAND => return supervisor::run(),
        Some(word) if word == sidecar::COMMAND => return sidecar::run(),
        Some(word) if word == sidecar::GATE_COMMAND => return sidecar::run_gate(),
        _ => {}
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("the runtime cannot be started")),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.into()),
    }
}

#[expect(clippy::print_stderr, reason = "a program says on stderr why it ends")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("olake-worker: {error:#}");
    ExitCode::FAILURE
}
