//! Reads what is elsewhere: the tags of images from a registry, and news of releases from a feed.
//!
//! One worker at a time has the turn, by a row in the database. Requests of people never wait for any of it: they are answered
//! from what was read last.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use olake_shared::{
    config::{RegistryConfig, ReleasesConfig},
    crypto::random_bytes,
    domain::connectors::SOURCES,
    store::StoreError,
};

use super::Worker;
use crate::{registry::Registry, releases};

/// Between two looks for whose turn it is.
const EVERY: Duration = Duration::from_secs(30);

/// How long a turn lasts: longer than it takes to read everything.
const LEASE: Duration = Duration::from_secs(600);

/// How soon it is tried again after a failure; doubled with each, up to the usual wait.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// What is read from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// The registry of images, if tags are read.
    pub registry: Option<RegistryConfig>,
    /// The feed of releases, if news are read.
    pub releases: Option<ReleasesConfig>,
}

pub(super) async fn run(worker: Arc<Worker>) {
    let elsewhere = &worker.settings.elsewhere;
    if elsewhere.registry.is_none() && elsewhere.releases.is_none() {
        return;
    }
    loop {
        let looked = async {
            if let Some(config) = &elsewhere.registry {
                tags(&worker, config).await;
            }
            if let Some(config) = &elsewhere.releases {
                news(&worker, config).await;
            }
        };
        // Nobody waits for what is half read.
        if worker.stop.run_until_cancelled(looked).await.is_none()
            || worker.stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none()
        {
            return;
        }
    }
}

async fn tags(worker: &Worker, config: &RegistryConfig) {
    let Some(registry) = Registry::of(config) else { return };
    // Another registry is another thing to be read, at once.
    let url = config.url.as_ref().map(ToString::to_string).unwrap_or_default();
    let name = format!("image tags of {url} {}", config.repository);
    turn(worker, &name, config.refresh, async {
        let (mut found, mut failed) = (BTreeMap::new(), None);
        for connector_type in SOURCES {
            match registry.versions(connector_type).await {
                Ok(versions) => {
                    found.insert(connector_type.to_owned(), versions);
                }
                Err(error) => {
                    tracing::warn!(connector.kind = connector_type, %error, "the tags of an image were not read");
                    failed = Some(error.to_string());
                }
            }
        }
        // What could be read is of use, whatever could not.
        worker.queue.set_image_tags(&found).await.map_err(|error| error.to_string())?;
        failed.map_or(Ok(()), Err)
    })
    .await;
}

async fn news(worker: &Worker, config: &ReleasesConfig) {
    let Some(url) = &config.feed_url else { return };
    let name = format!("releases of {url}");
    turn(worker, &name, config.refresh, async {
        let news = releases::read(url).await.map_err(|error| error.to_string())?;
        worker.queue.set_releases(&news).await.map_err(|error| error.to_string())
    })
    .await;
}

/// Reads something if it is this worker's turn.
async fn turn(
    worker: &Worker,
    name: &str,
    usual: Duration,
    reading: impl Future<Output = Result<(), String>>,
) {
    match worker.queue.claim_refresh(name, LEASE).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::warn!(%error, "whose turn it is to read what is elsewhere was not looked up");
            return;
        }
    }
    let settled: Result<(), StoreError> = match reading.await {
        Ok(()) => worker.queue.settle_refresh(name, jittered(usual)).await,
        Err(reason) => {
            tracing::warn!(reason, "what is elsewhere was not read; what was read last holds");
            worker.queue.postpone_refresh(name, FIRST_WAIT, usual).await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(%error, "when it is to be read again was not stored");
    }
}

/// Up to a tenth less, so that installations which were started together do not ask together.
fn jittered(usual: Duration) -> Duration {
    let [random] = random_bytes::<1>();
    usual - usual / 10 * u32::from(random) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_at_most_a_tenth_shorter() {
        let usual = Duration::from_secs(3_600);
        for _ in 0..1_000 {
            let wait = jittered(usual);
            assert!((Duration::from_secs(3_240)..=usual).contains(&wait), "{wait:?}");
        }
    }
}
