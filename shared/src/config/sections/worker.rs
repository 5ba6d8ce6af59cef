//! `[worker]`: what a worker runs, and how.

use std::{path::PathBuf, time::Duration};

use crate::config::{Deployment, error::ConfigError, listen::Listen, values::Values};

/// How connectors are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// As processes on the worker's host.
    Process,
    /// As pods.
    Kubernetes,
}

impl Launcher {
    /// The word of the configuration, and of the worker's row.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// A worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// How connectors are started.
    pub launcher: Launcher,
    /// The file with the table of connectors, if one is set.
    pub connectors: Option<PathBuf>,
    /// How many syncs and clears run at a time.
    pub places_sync: u32,
    /// How many one-shot calls run at a time, beside these.
    pub places_interactive: u32,
    /// How long a silent worker keeps its tasks.
    pub lease: Duration,
    /// How often the reconcilers look without being woken.
    pub reconcile: Duration,
    /// How long a connector may take to stop before it is killed.
    pub kill_grace: Duration,
    /// Where the worker answers `/health` and `/ready`.
    pub listen: Listen,
    /// Where it answers the agents of pods.
    pub internal_listen: Listen,
    /// The files of its certificate and key for that; none: without TLS.
    pub internal_tls: Option<TlsFiles>,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with its chain.
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl WorkerConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let seconds = |key, least, most| {
            values.number(key, least, most).map(|seconds| Duration::from_secs(u64::from(seconds)))
        };
        let launcher = match values.text("worker.launcher").as_str() {
            "process" => Launcher::Process,
            "kubernetes" => Launcher::Kubernetes,
            other => {
                let reason =
                    format!("'{other}' is no launcher of this version; accepted are: process, kubernetes");
                return Err(values.invalid("worker.launcher", reason));
            }
        };
        let listen =
            |key| values.text(key).parse().map_err(|reason: &'static str| values.invalid(key, reason));
        Ok(Self {
            launcher,
            connectors: Some(values.text("worker.connectors"))
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            places_sync: values.number("worker.places_sync", 1, 10_000)?,
            places_interactive: values.number("worker.places_interactive", 1, 10_000)?,
            lease: seconds("worker.lease_seconds", 3, 3_600)?,
            reconcile: seconds("worker.reconcile_seconds", 1, 3_600)?,
            kill_grace: seconds("worker.kill_grace_seconds", 1, 86_400)?,
            listen: listen("worker.listen")?,
            internal_listen: listen("worker.internal_listen")?,
            internal_tls: tls_files(values)?,
        })
    }

    pub(in crate::config) fn validate(
        &self,
        deployment: Deployment,
        values: &Values,
    ) -> Result<(), ConfigError> {
        if self.launcher == Launcher::Kubernetes && deployment == Deployment::Standalone {
            let reason = "one machine runs connectors as processes; pods are for olake-worker";
            return Err(values.invalid("worker.launcher", reason));
        }
        // The reconciler renews nothing, but it takes over: one that looks less often than leases run out is no net.
        if self.reconcile > self.lease {
            return Err(
                values.invalid("worker.reconcile_seconds", "must not be longer than worker.lease_seconds")
            );
        }
        Ok(())
    }
}

fn tls_files(values: &Values) -> Result<Option<TlsFiles>, ConfigError> {
    let [cert, key] = ["worker.internal_tls_cert", "worker.internal_tls_key"].map(|key| values.text(key));
    match (cert.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(TlsFiles { cert: cert.into(), key: key.into() })),
        _ => {
            Err(values
                .invalid("worker.internal_tls_cert", "goes with worker.internal_tls_key: set both or none"))
        }
    }
}
