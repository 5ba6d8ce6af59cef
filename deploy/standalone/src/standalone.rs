//! Everything in one process: the same store, worker and API as the services, with SQLite, in-process bell and events.

use std::{
    fs::{self, OpenOptions},
    io::{IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use olake_api::{
    context::{Context, Settings},
    first_admin, server,
};
use olake_shared::{
    bell::Bell,
    clock::SystemClock,
    config::{Config, Secret},
    crypto::token::new_token,
    events::Events,
    shutdown,
    store::{Store, open_sqlite},
    telemetry,
};
use olake_worker::{
    command::{process_launcher, settings},
    reconcile::Worker,
};

use crate::{demo, folder, http::Api};

/// The name of the administrator that is made when none is configured.
const ADMIN: &str = "admin";

/// The file in the data folder for a generated password that nobody is shown.
const PASSWORD_FILE: &str = "admin-password";

/// Serves until a signal. With `demo`, a sync of that folder is set up, run and shown.
pub async fn run(config: &Config, demo: Option<PathBuf>) -> anyhow::Result<()> {
    telemetry::init(&config.log)?;
    let stop = shutdown::on_signals().context("signals cannot be received")?;
    let _folder = folder::lock(&config.data_dir)?;
    // Bound first: a port that is taken is told before anything else is done.
    let bound = server::bind(config.server.listen).await?;
    let url = bound.url();
    let db = open_sqlite(&config.sqlite_file()).await?;
    let store = Store::new(db, Arc::new(config.key_ring()?), SystemClock::shared());
    let made = first_account(config, &store).await?;

    let (bell, events) = (Bell::in_process(), Events::in_process());
    let launcher = process_launcher(config)?;
    let worker =
        Worker::new(&store, bell.clone(), events.clone(), launcher, settings(config, true), stop.clone());
    let working = tokio::spawn({
        let (worker, stop) = (worker.clone(), stop.clone());
        async move {
            let ended = worker.run().await;
            // Without its worker the process is of no use.
            stop.cancel();
            ended
        }
    });
    let context = Context::new(store.clone(), bell, events, Settings::of(config), stop.clone());
    let serving = tokio::spawn(bound.serve(context.clone()));
    // Whoever looks on is told; a service manager keeps what is printed, and a password must not stay in its log.
    let is_seen = demo.is_some() || std::io::stdout().is_terminal();
    if let Some(made) = made.as_ref().filter(|_| !is_seen) {
        keep_password(&config.data_dir, made)?;
    }
    say(&welcome(&url, made.as_ref().filter(|_| is_seen)));
    if let Some(folder) = demo {
        let shown =
            stop.run_until_cancelled(demo::run(&Api::new(context), &store, config, &folder, &url)).await;
        match shown {
            Some(Err(error)) => tracing::error!("the demonstration failed: {error:#}"),
            _ => say(&login_words(&url, made.as_ref())),
        }
    }
    let served = serving.await.context("the API broke off");
    stop.cancel();
    working.await.context("the worker broke off")??;
    served?;
    Ok(())
}

/// An account that was made just now, and its generated password.
struct Made {
    username: String,
    password: Option<Secret>,
}

/// Makes the first administrator if there is no account: the configured one, or one with a generated password.
async fn first_account(config: &Config, store: &Store) -> anyhow::Result<Option<Made>> {
    let configured = config.admin.username.as_ref().zip(config.admin.password.as_ref());
    let (username, password, generated) = match configured {
        Some((username, password)) => (username.clone(), password.clone(), false),
        None => {
            let username = config.admin.username.clone().unwrap_or_else(|| ADMIN.to_owned());
            (
                username,
                Secret::new(
                    new_token().chars().filter(char::is_ascii_alphanumeric).take(16).collect::<String>(),
                ),
                true,
            )
        }
    };
    let made = first_admin::ensure(store, &username, password.clone()).await?;
    Ok(made.then_some(Made { username, password: generated.then_some(password) }))
}

/// Puts a generated password into a file that its owner alone can read.
fn keep_password(data_dir: &Path, made: &Made) -> anyhow::Result<()> {
    let Some(password) = &made.password else { return Ok(()) };
    let path = data_dir.join(PASSWORD_FILE);
    let write = || {
        // One of an earlier database: it opens nothing here, and may have another mode.
        if path.exists() {
            fs::remove_file(&path)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{}", password.expose())?;
        file.sync_all()
    };
    write().with_context(|| format!("the first password cannot be kept in {}", path.display()))?;
    let (username, file) = (&made.username, path.display());
    tracing::info!(username, "the first account is made; its password is in {file}");
    Ok(())
}

fn welcome(url: &str, made: Option<&Made>) -> String {
    let password = match made {
        Some(Made { username, password: Some(password) }) => format!(
            "\n  The first account:  {username}\n  Its password:       {}   (shown only now)\n",
            password.expose()
        ),
        _ => String::new(),
    };
    format!("\nOLake runs on {url}\n{password}\n  The API's page:     {url}/docs\n  Stop it with Ctrl-C.\n\n")
}

fn login_words(url: &str, made: Option<&Made>) -> String {
    let (username, password) = match made {
        Some(Made { username, password: Some(password) }) => (username.as_str(), password.expose()),
        Some(Made { username, password: None }) => (username.as_str(), "<its password>"),
        None => (ADMIN, "<its password>"),
    };
    format!(
        "\n  Run it again with curl:\n\n\
         \x20   TOKEN=$(curl -s {url}/login -H 'Content-Type: application/json' \\\n\
         \x20     -d '{{\"username\":\"{username}\",\"password\":\"{password}\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')\n\
         \x20   curl -s {url}/api/v1/project/123/jobs -H \"Authorization: Bearer $TOKEN\"\n\
         \x20   curl -s -X POST {url}/api/v1/project/123/jobs/1/sync -H \"Authorization: Bearer $TOKEN\"\n\
         \x20   curl -s {url}/api/v1/project/123/jobs/1/tasks -H \"Authorization: Bearer $TOKEN\"\n\n\
         \x20 Sign up for an account of your own with POST {url}/signup. Stop with Ctrl-C.\n\n"
    )
}

/// Says something to the person at the terminal.
#[expect(clippy::print_stdout, reason = "what this program shows to a person")]
pub fn say(text: &str) {
    print!("{text}");
    // A terminal that is gone is no reason to stop.
    let _ = std::io::stdout().flush();
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_password_that_nobody_is_shown_is_kept_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let made = |password: &str| Made { username: ADMIN.into(), password: Some(Secret::new(password)) };
        let file = folder.path().join(PASSWORD_FILE);
        for password in ["first", "of another database"] {
            keep_password(folder.path(), &made(password)).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), format!("{password}\n"));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let configured = Made { username: ADMIN.into(), password: None };
        keep_password(&folder.path().join("nowhere"), &configured).unwrap();
    }
}
