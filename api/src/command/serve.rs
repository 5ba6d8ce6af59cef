//! `olake-api serve`.

use std::sync::Arc;

use clap::Args;
use olake_shared::{
    bell::{Bell, open_client},
    clock::SystemClock,
    config::{Config, Secret},
    events::Events,
    shutdown,
    store::Store,
    telemetry,
};

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
    let shutdown = shutdown::on_signals()
        .map_err(|source| CommandError::Io { what: "signals cannot be received".into(), source })?;
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
    // The configuration of services is refused without an address.
    let client = open_client(&config.redis.url.clone().unwrap_or_else(|| Secret::new("")))?;
    let bell = Bell::redis(client.clone(), &shutdown)?;
    let events = Events::redis(client, &shutdown);
    bound.serve(Context::new(store, bell, events, Settings::of(&config), shutdown)).await;
    tracing::info!("the API has stopped");
    Ok(())
}
