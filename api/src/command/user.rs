//! `olake-api user`: accounts, from the command line. A password is read from the terminal, from standard input or from
//! a file, never from an argument, which other users of the machine could see.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::{Args, Subcommand};
use olake_shared::{
    clock::SystemClock,
    config::{Config, Secret},
    crypto::password,
    store::{Store, accounts::NewUser},
};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::{CommandError, open_database, print};
use crate::routes::accounts::signup::check;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an account
    Add(Add),
    /// Set the password of an account, and end its sessions
    Password(SetPassword),
}

/// An account to be made.
#[derive(Debug, Args)]
pub struct Add {
    /// The name to sign in with
    username: String,
    /// The mail address; <username>@localhost if it is not given
    #[arg(long)]
    email: Option<String>,
    /// The account may manage other accounts
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    source: PasswordSource,
}

/// A password to be set.
#[derive(Debug, Args)]
pub struct SetPassword {
    /// The name of the account
    username: String,
    #[command(flatten)]
    source: PasswordSource,
}

/// Where the password comes from.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// A file whose first line is the password; without it, it is asked for (or read from standard input)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub async fn run(config: &Config, command: Command) -> Result<(), CommandError> {
    let store = Store::new(open_database(config).await?, Arc::new(config.key_ring()?), SystemClock::shared());
    match command {
        Command::Add(add) => {
            let email = add.email.unwrap_or_else(|| format!("{}@localhost", add.username));
            let password = add.source.read()?;
            accept(&add.username, &email, &password)?;
            let password_hash = password::hash_async(password).await?;
            let new = NewUser { username: add.username, email, password_hash, is_admin: add.admin };
            let user = store.create_user(new).await?;
            let role = if user.is_admin { "administrator" } else { "account" };
            print(&format!("The {role} {} <{}> is made.\n", user.username, user.email))
        }
        Command::Password(set) => {
            let password = set.source.read()?;
            accept(&set.username, "nobody@localhost", &password)?;
            store.set_password(&set.username, password::hash_async(password).await?).await?;
            print(&format!("The password of {} is set, and its sessions have ended.\n", set.username))
        }
    }
}

fn accept(username: &str, email: &str, password: &Secret) -> Result<(), CommandError> {
    check(username, email, password.expose()).map_err(|(field, reason)| CommandError::Refused(field, reason))
}

impl PasswordSource {
    fn read(&self) -> Result<Secret, CommandError> {
        let text = match &self.password_file {
            Some(file) => std::fs::read_to_string(file).map_err(|source| CommandError::Io {
                what: format!("{} cannot be read", file.display()),
                source,
            })?,
            None => from_stdin()
                .map_err(|source| CommandError::Io { what: "no password could be read".into(), source })?,
        };
        Ok(Secret::new(text.lines().next().unwrap_or_default()))
    }
}

fn from_stdin() -> io::Result<String> {
    let stdin = io::stdin();
    let mut line = String::new();
    if !stdin.is_terminal() {
        stdin.lock().read_line(&mut line)?;
        return Ok(line);
    }
    let mut terminal = io::stderr();
    write!(terminal, "Password: ")?;
    terminal.flush()?;
    let shown = tcgetattr(&stdin)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Now, &hidden)?;
    let result = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Now, &shown)?;
    writeln!(terminal)?;
    result.map(|_| line)
}
