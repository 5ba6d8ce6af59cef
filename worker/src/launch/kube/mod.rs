//! The Kubernetes launcher: connectors are pods, each with an agent of ours beside the connector.
//!
//! - [`settings`], [`profiles`]: what the configuration says; [`plan`], [`shape`]: the pod and Secret of an attempt;
//! - [`cluster`]: the calls that are made, within a [`budget`]; [`names`]: by which names;
//! - [`watch`]: the one watch over all our pods; [`view`]: what matters of a pod;
//! - [`classify`]: what its status means; [`drive`]: one attempt, to its end;
//! - [`dry_run`]: what a refusal says of a pod that is only asked for;
//! - [`ledger`]: what is asked of the database; [`printed`]: what an agent could not tell otherwise;
//! - [`sweep`]: what is left over; [`cleanup`]: nothing is left when all of it goes.
//!
//! A pod outlives its worker. Whoever takes its task over finds it by its name and goes on. Starts are guarded by the
//! permit that the agent asks for (`worker/src/internal`): a pod alone starts nothing.

pub mod budget;
mod classify;
pub mod cleanup;
mod cluster;
mod drive;
mod dry_run;
pub mod ledger;
mod names;
mod plan;
mod printed;
mod profiles;
pub mod settings;
mod shape;
mod sweep;
#[cfg(test)]
mod tests;
mod view;
mod watch;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ::kube::Client;
use async_trait::async_trait;
use olake_shared::{
    clock::SharedClock,
    domain::task::{FailureClass, TaskId},
    store::{
        tasks::Fence,
        workers::{ImageType, Runs},
    },
};
use tokio::{
    sync::{mpsc, watch as channel},
    task::JoinHandle,
    time::Instant,
};

pub use self::cluster::CallError;
use self::{
    budget::Budget,
    cluster::Cluster,
    drive::{Begin, Drive, Orders},
    ledger::Ledger,
    plan::Plan,
    profiles::Profiles,
    settings::KubeSettings,
    watch::Pods,
};
use super::{AttemptRef, Control, Launch, LaunchError, Launcher, Running, SharedPlace, Update, known::Known};
use crate::{agent::follow::Ending, internal::Ends};

/// Updates that may wait to be taken: phases are few.
const UPDATES: usize = 16;

/// How much longer than its grace an end is waited for.
const END_SLACK: Duration = Duration::from_secs(30);

/// Why there is no pod for what is asked.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// The configuration makes no image name.
    #[error(
        "'{0}' is no name of an image: it must be of letters, digits and ._-/:@ (kubernetes.image_template, \
         kubernetes.registry)"
    )]
    Image(String),
    /// A setting of the job does not do.
    #[error("{0}")]
    Settings(String),
    /// There is no such profile.
    #[error("there is no placement profile '{name}' (advanced_settings.profile); known are: {known}")]
    Profile {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The file of profiles does not do.
    #[error("kubernetes.profiles: {0}")]
    Profiles(String),
    /// The secret inputs do not fit.
    #[error(
        "the configs, and what is masked of them in logs, have {kibibytes} KiB together, more than the {most} KiB that a \
         Kubernetes Secret can carry: \
         certificates and keys in them can be shortened, or left out"
    )]
    Inputs {
        /// What there is.
        kibibytes: usize,
        /// What fits.
        most: usize,
    },
}

/// Why the launcher cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// Neither a service account nor a kubeconfig.
    #[error("how to reach Kubernetes is unknown: {0}")]
    Config(String),
    /// The client cannot be made.
    #[error("the Kubernetes client cannot be made: {0}")]
    Client(#[from] ::kube::Error),
    /// The profiles.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// Runs connectors as pods.
pub struct KubeLauncher {
    inner: Arc<Inner>,
    watching: JoinHandle<()>,
}

struct Inner {
    cluster: Cluster,
    namespace: String,
    ledger: Arc<dyn Ledger>,
    pods: Pods,
    settings: KubeSettings,
    profiles: Profiles,
    clock: SharedClock,
    /// When what is left over was looked for.
    swept: Mutex<Option<Instant>>,
}

/// The pods of a worker, as its watch sees them.
#[derive(Clone)]
pub struct Sights(Pods);

#[async_trait]
impl Ends for Sights {
    async fn ended(&self, task: TaskId, attempt: i32, within: Duration) -> bool {
        self.0.has_ended((task, attempt), within).await
    }
}

impl KubeLauncher {
    /// A launcher that reaches Kubernetes as its service account, or as the kubeconfig says. `namespace`: that of the
    /// pods, if it is not the account's.
    ///
    /// # Errors
    /// [`KubeError`]. Kubernetes need not be up.
    pub async fn connect(
        namespace: Option<&str>,
        settings: KubeSettings,
        budget: Budget,
        ledger: Arc<dyn Ledger>,
        clock: SharedClock,
    ) -> Result<Self, KubeError> {
        let mut config =
            ::kube::Config::infer().await.map_err(|error| KubeError::Config(error.to_string()))?;
        config.connect_timeout = Some(Duration::from_secs(10));
        // Whoever calls decides what is tried again, and can be stopped meanwhile.
        config.default_retry = false;
        if let Some(namespace) = namespace {
            config.default_namespace = namespace.to_owned();
        }
        let namespace = config.default_namespace.clone();
        Self::new(Client::try_from(config)?, &namespace, settings, budget, ledger, clock)
    }

    /// A launcher with a client of one's own; it watches at once. To be called within a runtime.
    ///
    /// # Errors
    /// [`KubeError::Shape`] when the profiles do not do.
    pub fn new(
        client: Client,
        namespace: &str,
        settings: KubeSettings,
        budget: Budget,
        ledger: Arc<dyn Ledger>,
        clock: SharedClock,
    ) -> Result<Self, KubeError> {
        let inner = Arc::new(Inner {
            cluster: Cluster::new(client, namespace, budget),
            namespace: namespace.to_owned(),
            ledger,
            pods: Pods::default(),
            profiles: Profiles::open(settings.profiles.clone())?,
            settings,
            clock,
            swept: Mutex::new(None),
        });
        let watching = tokio::spawn(inner.pods.clone().watch(inner.cluster.pods()));
        Ok(Self { inner, watching })
    }

    /// What the watch sees of the pods.
    pub fn sights(&self) -> Sights {
        Sights(self.inner.pods.clone())
    }

    fn drive(&self, fence: Fence, begin: Begin) -> Running {
        let (updates, receiver) = mpsc::channel(UPDATES);
        let (orders, ordered) = channel::channel(Orders::default());
        let drive = Drive::new(self.inner.clone(), fence, updates, ordered);
        tokio::spawn(drive.run(begin));
        Running::new(receiver, Box::new(PodControl(orders)))
    }
}

impl Drop for KubeLauncher {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Inner {
    fn plan(&self, launch: &Launch) -> Result<Plan, LaunchError> {
        let token = self.ledger.token((launch.task, launch.attempt));
        Plan::of(launch, token, &self.settings, &self.profiles)
    }
}

/// Orders to a drive. Dropped, it orders nothing: the pod runs on.
struct PodControl(channel::Sender<Orders>);

impl Control for PodControl {
    fn stop(&self) {
        self.0.send_modify(|orders| orders.stop = true);
    }

    fn stop_for(&self, class: FailureClass) {
        self.0.send_modify(|orders| {
            orders.stop = true;
            orders.stop_for = orders.stop_for.or(Some(class));
        });
    }

    fn kill(&self) {
        self.0.send_modify(|orders| {
            orders.stop = true;
            orders.kill = true;
        });
    }
}

#[async_trait]
impl Launcher for KubeLauncher {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn runs(&self) -> Runs {
        let images = self.inner.settings.types.iter().map(|known| ImageType {
            connector_type: known.name.clone(),
            destinations: known.destinations.clone(),
        });
        Runs {
            connectors: Vec::new(),
            images: images.collect(),
            profiles: self.inner.profiles.names(),
            memory: Some(self.inner.settings.memory_cap),
        }
    }

    fn place(&self) -> Option<SharedPlace> {
        Some(SharedPlace {
            key: self.inner.namespace.clone(),
            shared: "one namespace of the connectors (OLAKE_KUBERNETES_NAMESPACE)",
        })
    }

    fn metrics(&self) -> String {
        format!(
            "# HELP olake_kubernetes_calls_held_back_seconds_total How long calls of the Kubernetes API have waited \
             for their turn (kubernetes.qps, kubernetes.burst), all together.\n\
             # TYPE olake_kubernetes_calls_held_back_seconds_total counter\n\
             olake_kubernetes_calls_held_back_seconds_total {}\n",
            self.inner.cluster.budget.waited().as_secs_f64()
        )
    }

    fn outlives_worker(&self) -> bool {
        true
    }

    async fn validate(&self, launch: &Launch) -> Result<(), LaunchError> {
        let plan = self.inner.plan(launch).map_err(|error| match error {
            // The API has found it with a worker: this one has not read the new file yet.
            LaunchError::Shape(error @ ShapeError::Profile { .. }) => {
                LaunchError::from(CallError::Unreachable(error.to_string()))
            }
            other => other,
        })?;
        Ok(self.inner.cluster.try_pod(&plan.pod).await.map_err(dry_run::judged)?)
    }

    async fn launch(&self, launch: Launch) -> Result<Running, LaunchError> {
        let plan = self.inner.plan(&launch)?;
        let fence = Fence { task: launch.task, attempt: launch.attempt, epoch: launch.epoch };
        Ok(self.drive(fence, Begin::Make(Box::new(plan))))
    }

    async fn adopt(&self, attempt: AttemptRef, launch: Option<Launch>) -> Result<Running, LaunchError> {
        let fence = Fence { task: attempt.task, attempt: attempt.attempt, epoch: attempt.epoch };
        Ok(self.drive(fence, Begin::Find(launch.map(Box::new))))
    }

    async fn recover(&self, attempt: AttemptRef, mut known: Known) -> Result<Option<Ending>, LaunchError> {
        let mut running = self.adopt(attempt, None).await?;
        running.stop();
        let ended = async {
            while let Some(update) = running.updates.recv().await {
                if let Update::Ended(ended) = update {
                    return Some(ended.rest);
                }
            }
            None
        };
        let patience = self.inner.settings.stop_grace + END_SLACK;
        match tokio::time::timeout(patience, ended).await {
            Ok(Some(mut rest)) => {
                let now = self.inner.clock.now();
                rest.progress.log.retain(|line| !known.has(line, now));
                Ok(Some(rest))
            }
            _ => Err(LaunchError::NotEnded { attempt: attempt.attempt }),
        }
    }

    async fn discard(&self, task: TaskId, attempt: i32) -> Result<(), LaunchError> {
        self.inner.remove(&names::name((task, attempt)), 0).await
    }

    async fn found(&self) -> Result<Vec<String>, LaunchError> {
        self.inner.found().await
    }

    async fn sweep(&self, found: Vec<String>, alive: &[(TaskId, i32)]) -> Result<u64, LaunchError> {
        self.inner.sweep(found, alive).await
    }
}
