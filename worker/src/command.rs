//! The command line of `olake-worker`.

use std::{io::Write, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Parser, Subcommand};
use olake_shared::{
    bell::{Bell, BellError, open_client},
    clock::SystemClock,
    config::{self, Config, ConfigError, Deployment, LogConfig, LogFormat, Secret, Sources},
    crypto::KeyRing,
    events::Events,
    shutdown,
    store::{ConnectError, Store, open_postgres, retention::Retention, tasks::limits::Limits},
    telemetry,
};
use tokio_util::sync::CancellationToken;

use crate::{
    health,
    internal::{self, Internal, InternalError},
    launch::{
        LaunchError, Launcher,
        kube::{
            KubeError, KubeLauncher,
            budget::Budget,
            cleanup::{Cleanup, CleanupError},
            ledger::DatabaseLedger,
            settings::KubeSettings,
        },
        process::{ProcessLauncher, ProcessSettings},
    },
    reconcile::{Deadlines, Elsewhere, Settings, StartError, Worker},
    webhook::Policy,
};

/// A worker of the OLake control plane.
///
/// It claims tasks from PostgreSQL, runs their connectors, and writes status, state and logs back. Start as many as there
/// is work for: they share it.
#[derive(Debug, Parser)]
#[command(name = "olake-worker", version, after_long_help = EXAMPLES)]
pub struct Arguments {
    /// A file with settings; it holds only what differs from the defaults (also: OLAKE_CONFIG)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Settings come from the defaults, a file and OLAKE_… variables, the later ones winning. Required are OLAKE_DATABASE_URL,
OLAKE_REDIS_URL, OLAKE_MASTER_KEY (or the same with _FILE and the name of a file) and OLAKE_CONNECTORS, a file such as:

  [[connector]]
  type = \"postgres\"
  versions = [\"v0.9.4\"]
  command = [\"/opt/olake/postgres/olake\"]
  destinations = [\"parquet\", \"iceberg\"]

Workers with the process launcher share one host and one data folder (OLAKE_DATA_DIR). With OLAKE_LAUNCHER=kubernetes there
is no such table: connectors are images, and OLAKE_AGENT_IMAGE and OLAKE_INTERNAL_URL are required.

Examples:
  olake-worker run        work until SIGTERM or SIGINT
  olake-worker config     show what is in force, and where it came from";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Claim tasks and run connectors until SIGTERM or SIGINT
    Run,
    /// Print the settings in force as TOML, secrets masked, with where each came from
    Config,
    /// Stop all connectors on Kubernetes, then the workers, and leave nothing behind: what the chart's uninstallation does
    ///
    /// It reads no settings, and uses the service account of its pod, or a kubeconfig. It may be done again.
    Cleanup(CleanupArguments),
}

/// What is cleaned up.
#[derive(Debug, Args)]
pub struct CleanupArguments {
    /// The namespace of the connectors
    #[arg(long, value_name = "NAME")]
    namespace: String,
    /// The Deployment of the workers, which is scaled to none once their connectors have ended
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = deployment)]
    workers: Option<(String, String)>,
    /// How long connectors may take to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    grace_seconds: u32,
}

fn deployment(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("it is given as NAMESPACE/NAME".to_owned()),
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    /// The database cannot be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The bell cannot be used.
    #[error(transparent)]
    Bell(#[from] BellError),
    /// The launcher cannot be used.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The internal port cannot be used.
    #[error(transparent)]
    Internal(#[from] InternalError),
    /// Kubernetes cannot be used.
    #[error(transparent)]
    Kubernetes(#[from] KubeError),
    /// Not everything was cleaned up.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
    /// The worker does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The health port cannot be used.
    #[error(transparent)]
    Health(#[from] health::HealthError),
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io { what: &'static str, source: std::io::Error },
}

/// Runs a command to its end.
///
/// # Errors
/// [`CommandError`], in words for the person at the terminal.
pub async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let config = || Config::load(Deployment::Services, Sources::of_process(arguments.config, Vec::new()));
    match arguments.command {
        Command::Run => work(&config()?).await,
        Command::Config => std::io::stdout()
            .write_all(config()?.masked_toml().as_bytes())
            .map_err(|source| CommandError::Io { what: "the settings cannot be printed", source }),
        Command::Cleanup(CleanupArguments { namespace, workers, grace_seconds }) => {
            telemetry::init(&LogConfig { format: LogFormat::Auto, filter: "info".to_owned() })?;
            let grace = Duration::from_secs(grace_seconds.into());
            Ok(Cleanup { namespace, workers, grace }.run().await?)
        }
    }
}

async fn work(config: &Config) -> Result<(), CommandError> {
    telemetry::init(&config.log)?;
    let stop = shutdown::on_signals()
        .map_err(|source| CommandError::Io { what: "signals cannot be received", source })?;
    let empty = Secret::new("");
    let database = config.database.url.as_ref().unwrap_or(&empty);
    let db =
        open_postgres(database, config.database.max_connections, config.database.acquire_timeout).await?;
    let store = Store::new(db, Arc::new(config.key_ring()?), SystemClock::shared());
    let client = open_client(config.redis.url.as_ref().unwrap_or(&empty))?;
    // They outlive the worker's loops: what is handed over at the end must be told, and a wish to cancel still be heard.
    let gone = CancellationToken::new();
    let bell = Bell::redis(client.clone(), &gone)?;
    let events = Events::redis(client, &gone);
    let launcher: Arc<dyn Launcher> = match config.worker.launcher {
        config::Launcher::Process => process_launcher(config)?,
        config::Launcher::Kubernetes => {
            let keys = Arc::new(config.key_ring()?);
            let launcher = kube_launcher(config, &store, events.clone(), keys.clone()).await?;
            let bound =
                internal::bind(config.worker.internal_listen, config.worker.internal_tls.as_ref()).await?;
            let ends = Arc::new(launcher.sights());
            let internal = Internal::new(&store, keys, events.clone(), ends, gone.clone());
            tokio::spawn(bound.serve(internal));
            launcher
        }
    };
    let worker =
        Worker::new(&store, bell.clone(), events, launcher.clone(), settings(config, false), stop.clone());
    let health = health::bind(config.worker.listen).await?;
    let serving = tokio::spawn(health.serve(store, bell, launcher, stop.clone()));
    worker.run().await?;
    gone.cancel();
    let _ = serving.await;
    Ok(())
}

/// The launcher of connectors that are processes.
///
/// # Errors
/// [`CommandError`] when its folders or its table of connectors cannot be used.
pub fn process_launcher(config: &Config) -> Result<Arc<dyn Launcher>, CommandError> {
    let program = std::env::current_exe()
        .map_err(|source| CommandError::Io { what: "this program's own path is unknown", source })?;
    let table = config.connector_table(program.parent().unwrap_or(&program))?;
    let settings = ProcessSettings::new(config.worker.kill_grace);
    Ok(Arc::new(ProcessLauncher::new(&config.data_dir, table, settings, SystemClock::shared())?))
}

/// The launcher of connectors that are pods.
async fn kube_launcher(
    config: &Config,
    store: &Store,
    events: Events,
    keys: Arc<KeyRing>,
) -> Result<Arc<KubeLauncher>, CommandError> {
    config.check_kubernetes()?;
    let ledger = DatabaseLedger::new(store, events, keys);
    let settings = KubeSettings::new(&config.kubernetes, config.worker.kill_grace);
    let budget = Budget::new(config.kubernetes.qps, config.kubernetes.burst);
    let namespace = config.kubernetes.namespace.as_deref();
    let clock = SystemClock::shared();
    Ok(Arc::new(KubeLauncher::connect(namespace, settings, budget, Arc::new(ledger), clock).await?))
}

/// The worker's settings of a configuration. `alone`: see [`Settings::alone`].
pub fn settings(config: &Config, alone: bool) -> Settings {
    let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Settings {
        places_sync: number(config.worker.places_sync),
        places_interactive: number(config.worker.places_interactive),
        lease: config.worker.lease,
        reconcile: config.worker.reconcile,
        deadlines: Deadlines {
            spec: config.deadlines.spec,
            check: config.deadlines.check,
            discover: config.deadlines.discover,
            difference: config.deadlines.difference,
            validate: config.deadlines.validate,
            sync: config.deadlines.sync,
        },
        limits: Limits {
            syncs_per_project: config.limits.syncs_per_project,
            syncs_per_source: config.limits.syncs_per_source,
        },
        webhooks: Policy {
            allow_private: config.notifications.allow_private,
            public_url: config.notifications.public_url.clone(),
            ..Policy::default()
        },
        retention: Retention {
            tasks: config.retention.tasks,
            tasks_per_job: config.retention.tasks_per_job,
            logs: config.retention.logs,
            deleted: config.retention.deleted,
        },
        elsewhere: Elsewhere {
            registry: Some(config.registry.clone()).filter(|registry| registry.url.is_some()),
            releases: Some(config.releases.clone()).filter(|releases| releases.feed_url.is_some()),
        },
        alone,
    }
}
