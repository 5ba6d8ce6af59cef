//! The program `olake-api`.

use std::process::ExitCode;

use clap::Parser;
use olake_api::command::{Arguments, run};

fn main() -> ExitCode {
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
    eprintln!("olake-api: {error:#}");
    ExitCode::FAILURE
}
