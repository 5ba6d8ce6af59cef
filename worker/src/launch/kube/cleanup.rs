//! What the chart's uninstallation does first, as `olake-worker cleanup`: connectors are stopped while workers are still
//! there to store their last states, then the workers are, and then nothing of ours is left behind, above all no finalizer
//! that would hold pods and their namespace for ever.
//!
//! It reads no configuration and no database, and may be done again. Its rights: in the connectors' namespace pods list,
//! patch, delete and secrets list, delete; `deployments/scale` get and patch of the workers.

use std::time::Duration;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    KubeError,
    budget::Budget,
    cluster::{CallError, Cluster},
    sweep::attempt_of,
};

/// How often it looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How much longer than their grace the ends of connectors are waited for: the agent tells the rest, a worker stores it.
const SLACK: Duration = Duration::from_secs(10);
/// How long the end of the workers, and of what is left, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing of ours must have been there at the end.
const QUIET: Duration = Duration::from_secs(5);
/// How often a call is tried that Kubernetes does not answer.
const TRIES: u32 = 5;
/// The grace of what is left when no worker is there any more.
const LAST_GRACE: u32 = 5;

/// What is to be cleaned up.
#[derive(Clone, Debug)]
pub struct Cleanup {
    /// The namespace of the connectors.
    pub namespace: String,
    /// The Deployment of the workers: its namespace and its name.
    pub workers: Option<(String, String)>,
    /// How long connectors may take to stop.
    pub grace: Duration,
}

/// Why something may be left.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// How Kubernetes is reached.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// Kubernetes said no, or nothing.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It took too long.
    #[error("{0} after {1} s")]
    Late(&'static str, u64),
}

impl Cleanup {
    /// Cleans up, with the service account of the pod that this runs in, or a kubeconfig.
    ///
    /// # Errors
    /// [`CleanupError`]; then it can be done again.
    pub async fn run(&self) -> Result<(), CleanupError> {
        let config = kube::Config::infer().await.map_err(|error| KubeError::Config(error.to_string()))?;
        let client = Client::try_from(config).map_err(KubeError::from)?;
        self.run_with(client).await
    }

    /// As [`Self::run`], with a client of one's own.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_with(&self, client: Client) -> Result<(), CleanupError> {
        let is_installed = match &self.workers {
            Some((namespace, name)) => has_workers(&deployments(&client, namespace), name).await?,
            None => true,
        };
        match self.clean(client).await {
            // As after an installation that failed: neither the namespace nor our rights in it are there.
            Err(CleanupError::Call(error)) if !is_installed && matches!(error.code(), Some(403 | 404)) => {
                tracing::info!(namespace = self.namespace, %error, "there are no workers, and so nothing is left");
                Ok(())
            }
            cleaned => cleaned,
        }
    }

    async fn clean(&self, client: Client) -> Result<(), CleanupError> {
        let cluster = Cluster::new(client.clone(), &self.namespace, Budget::new(50, 100));
        self.stop_connectors(&cluster).await?;
        if let Some((namespace, name)) = &self.workers {
            stop_workers(&deployments(&client, namespace), name).await?;
        }
        let began = Instant::now();
        let mut empty_since = None;
        // What workers started meanwhile, and what none of them has let go. One that is just ending may still make a pod.
        loop {
            let now = Instant::now();
            if remove_rest(&cluster).await? > 0 {
                empty_since = None;
                if began.elapsed() > PATIENCE {
                    return Err(CleanupError::Late("there are still pods or Secrets", PATIENCE.as_secs()));
                }
            } else if now.duration_since(*empty_since.get_or_insert(now)) >= QUIET {
                break;
            }
            sleep(PAUSE).await;
        }
        tracing::info!(namespace = self.namespace, "nothing is left");
        Ok(())
    }

    /// Stops connectors until none runs, or their grace is over: then they have been killed. Workers try again what is stopped
    /// here, so what they make meanwhile is stopped, too.
    async fn stop_connectors(&self, cluster: &Cluster) -> Result<(), CleanupError> {
        let grace = u32::try_from(self.grace.as_secs()).unwrap_or(u32::MAX);
        let until = Instant::now() + self.grace + SLACK;
        while Instant::now() < until {
            let pods = again(|| cluster.list_whole_pods()).await?;
            let living: Vec<_> = pods.iter().filter(|pod| lives(pod)).collect();
            if living.is_empty() {
                return Ok(());
            }
            for pod in
                living.into_iter().map(|pod| &pod.metadata).filter(|pod| pod.deletion_timestamp.is_none())
            {
                let name = pod.name.as_deref().unwrap_or_default();
                tracing::info!(pod = name, "a connector is told to stop");
                again(|| cluster.delete_pod(name, pod.uid.as_deref(), grace)).await?;
            }
            sleep(PAUSE).await;
        }
        tracing::warn!("some connectors had to be killed");
        Ok(())
    }
}

fn deployments(client: &Client, namespace: &str) -> Api<Deployment> {
    Api::namespaced(client.clone(), namespace)
}

/// Whether there is a Deployment of workers.
async fn has_workers(deployments: &Api<Deployment>, name: &str) -> Result<bool, CallError> {
    let asked = again(|| async { Ok::<_, CallError>(deployments.get_scale(name).await?) }).await;
    match asked {
        Err(error) if error.code() == Some(404) => Ok(false),
        asked => asked.map(|_| true),
    }
}

/// Whether a pod of ours may still run something, or waits for a worker to store its end.
fn lives(pod: &Pod) -> bool {
    let is_ours =
        pod.metadata.name.as_deref().is_some_and(|name| super::names::attempt_of_name(name).is_some());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    is_ours && !matches!(phase, Some("Succeeded" | "Failed"))
}

async fn stop_workers(deployments: &Api<Deployment>, name: &str) -> Result<(), CleanupError> {
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    let scaled = again(|| async {
        Ok::<_, CallError>(deployments.patch_scale(name, &PatchParams::default(), &none).await?)
    });
    match scaled.await {
        // Somebody was faster.
        Err(error) if error.code() == Some(404) => return Ok(()),
        scaled => scaled?,
    };
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let scale = again(|| async { Ok::<_, CallError>(deployments.get_scale(name).await?) }).await?;
        if scale.status.is_none_or(|status| status.replicas == 0) {
            tracing::info!(name, "the workers have ended");
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    Err(CleanupError::Late("the workers have not ended", PATIENCE.as_secs()))
}

/// Removes what there is. Says how much that was.
async fn remove_rest(cluster: &Cluster) -> Result<usize, CleanupError> {
    let mut number = 0;
    for pod in again(|| cluster.list_pods()).await?.iter().filter(|pod| attempt_of(pod).is_some()) {
        again(|| cluster.delete_pod(&pod.name, pod.uid(), LAST_GRACE)).await?;
        again(|| cluster.release_pod(&pod.name, pod.uid())).await?;
        number += 1;
    }
    for secret in again(|| cluster.list_secrets()).await?.iter().filter(|secret| attempt_of(secret).is_some())
    {
        again(|| cluster.delete_secret(&secret.name, secret.uid())).await?;
        number += 1;
    }
    Ok(number)
}

/// Tries a call until Kubernetes answers.
async fn again<T, F>(call: impl Fn() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    for _ in 1..TRIES {
        match call().await {
            Err(CallError::Unreachable(why)) => {
                tracing::warn!(why, "tried again");
                sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
    call().await
}
