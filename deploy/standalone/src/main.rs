//! The program `olake`: the API, a worker and SQLite in one process, with nothing else to install.

mod demo;
mod folder;
mod http;
mod standalone;

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use olake_api::command::{import, user};
use olake_shared::config::{Config, Deployment, Sources};
use olake_worker::agent::supervisor;

/// The OLake control plane on one machine.
///
/// It moves data from databases and files into lakes: people define sources, destinations and jobs, and it runs the
/// connectors as processes of this machine. Everything it keeps is in the data folder.
#[derive(Debug, Parser)]
#[command(name = "olake", version, after_long_help = EXAMPLES)]
struct Arguments {
    /// A file with settings; it holds only what differs from the defaults (also: OLAKE_CONFIG)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for everything that is kept (also: OLAKE_DATA_DIR)
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Settings come from the defaults, a file, OLAKE_… variables and flags, the later ones winning. None is required.

Examples:
  olake standalone                          serve on http://localhost:8080 with the data in ./data
  olake standalone --data-dir /var/lib/olake --listen localhost:9000
  OLAKE_CONNECTORS=connectors.toml olake standalone
                                            run other connectors than the sample
  olake user password admin                 set a lost password
  olake user add ann --data-dir /var/lib/olake
                                            make an account where the data is not in ./data
  olake config                              show what is in force, and where it came from";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and work, until Ctrl-C or SIGTERM
    Standalone(Options),
    /// Print the settings in force as TOML, secrets masked, with where each came from
    Config(Options),
    /// Make accounts and set passwords, also while it runs
    #[command(subcommand)]
    User(user::Command),
    #[command(name = "import")]
    Import(import::Options),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Where to listen: localhost:8080, or an IP address and port (also: OLAKE_LISTEN)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Set up and run a sync of the files in this folder by the sample connector, and show it
    #[arg(long, value_name = "FOLDER")]
    demo: Option<PathBuf>,
}

impl Arguments {
    fn flags(&self) -> Vec<(&'static str, String)> {
        let listen = match &self.command {
            Command::Standalone(options) | Command::Config(options) => options.listen.as_ref(),
            Command::User(_) | Command::Import(_) => None,
        };
        let flags = [("server.listen", listen), ("data_dir", self.data_dir.as_ref())];
        flags.into_iter().filter_map(|(key, value)| Some((key, value?.clone()))).collect()
    }
}

fn main() -> ExitCode {
    // First of all: a supervisor must start fast, and needs nothing of what follows.
    if std::env::args_os().nth(1).is_some_and(|word| word == supervisor::COMMAND) {
        return supervisor::run();
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a program says on stderr why it ends")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("olake: {error:#}");
    ExitCode::FAILURE
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let flags = arguments.flags();
    let config = Config::load(Deployment::Standalone, Sources::of_process(arguments.config, flags))?;
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the runtime cannot be started")
    };
    match arguments.command {
        Command::Standalone(options) => runtime()?.block_on(standalone::run(&config, options.demo)),
        Command::Config(_) => Ok(std::io::stdout().write_all(config.masked_toml().as_bytes())?),
        Command::User(command) => Ok(runtime()?.block_on(user::run(&config, command))?),
        Command::Import(options) => {
            // One writer at a time: it would hold up a control plane that runs.
            let _folder = folder::lock(&config.data_dir)?;
            Ok(runtime()?.block_on(import::run(&config, options))?)
        }
    }
}
