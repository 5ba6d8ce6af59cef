//! `olake-api serve`.

use std::sync::Arc;

use clap::Args;
use olake_shared::{bell::Bell, clock::SystemClock, config::Config, events::Events, store::Store, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CommandError, migrate, open_database};
use crate::{
    context::{Context, Settings},
    first_admin, server,
};

/// How to serve.
#[derive(Debug, Args)]
pub struct Options {
    /// Where to listen: localhost:8080, or an IP address and port such as 0.0.0.0:8080 (also: OLAKE_LISTEN)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Options {
    pub(super) fn flags(&self) -> Vec<(&'static str, String)> {
        self.listen.iter().map(|listen| ("server.listen", listen.clone())).collect()
    }
}

pub(super) async fn run(config: Config) -> Result<(), CommandError> {
    telemetry::init(&config.log)?;
    let shutdown = on_signals()?;
    // Bound first: a port that is taken is told before anything else is done.
    let bound = server::bind(config.server.listen).await?;
    let db = open_database(&config).await?;
    let missing = migrate::missing(&db).await?;
    if !missing.is_empty() {
        return Err(CommandError::Schema(missing.join(", ")));
    }
    let store = Store::new(db, Arc::new(config.key_ring()?), SystemClock::shared());
    if let (Some(username), Some(password)) = (&config.admin.username, &config.admin.password) {
        first_admin::ensure(&store, username, password.clone()).await?;
    }
    let client = redis_client(&config)?;
    let bell =
        Bell::redis(client.clone(), &shutdown).map_err(|error| CommandError::Redis(error.to_string()))?;
    let events = Events::redis(client, &shutdown);
    bound.serve(Context::new(store, bell, events, Settings::of(&config), shutdown)).await?;
    tracing::info!("the API has stopped");
    Ok(())
}

fn redis_client(config: &Config) -> Result<redis::Client, CommandError> {
    // The configuration of services is refused without an address.
    let url = config.redis.url.as_ref().map_or("", |url| url.expose());
    redis::Client::open(url).map_err(|error| CommandError::Redis(error.to_string()))
}

/// A token that SIGTERM and SIGINT cancel.
fn on_signals() -> Result<CancellationToken, CommandError> {
    let shutdown = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)
            .map_err(|source| CommandError::Io { what: "signals cannot be received".into(), source })?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            signals.recv().await;
            shutdown.cancel();
        });
    }
    Ok(shutdown)
}
