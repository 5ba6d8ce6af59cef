//! From a launch to the pod and the Secret that stand for it.

use std::{path::Path, time::Duration};

use k8s_openapi::api::core::v1::{Pod, Secret};
use olake_shared::domain::version::ConnectorVersion;

use super::{
    super::{Launch, LaunchError},
    profiles::Profiles,
    settings::KubeSettings,
    shape::{self, INPUTS, Parts},
};
use crate::connector::command::{self, Request, command_line};

/// What is to be made for an attempt.
pub struct Plan {
    pub secret: Secret,
    pub pod: Pod,
    /// The limit of the connector's memory, in bytes.
    pub memory: Option<u64>,
}

impl Plan {
    /// The plan of a launch.
    ///
    /// # Errors
    /// [`LaunchError`] in words for a person, when there is no such pod.
    pub fn of(
        launch: &Launch,
        token: String,
        settings: &KubeSettings,
        profiles: &Profiles,
    ) -> Result<Self, LaunchError> {
        let key = (launch.task, launch.attempt);
        let not_configured = || LaunchError::NotConfigured {
            connector_type: launch.connector_type.clone(),
            version: launch.version.clone(),
        };
        let version: ConnectorVersion = launch.version.parse().map_err(|_| not_configured())?;
        if !settings.types.iter().any(|known| known.name == launch.connector_type) {
            return Err(not_configured());
        }
        let command = command_line(&launch.request, version, Path::new(INPUTS))?;
        let profile = profiles.get(launch.placement.profile.as_deref())?;
        let (connector_type, placement) = (&launch.connector_type, &launch.placement);
        let resources = settings.resources(connector_type, &profile.resources, placement)?;
        let secret = shape::secret(key, token, &launch.mask, &command.inputs)?;
        let env = command::environment(version, Path::new("/tmp"));
        let env = env.into_iter().map(|(name, value)| (name, value.to_string_lossy().into_owned()));
        let waits = settings.schedule + settings.pull + settings.start;
        // Ours come long before.
        let active = launch.deadline + waits + 2 * settings.stop_grace + Duration::from_secs(3_600);
        let memory = resources.memory;
        let pod = shape::pod(Parts {
            settings,
            profile: &profile,
            key,
            image: settings.image(&launch.connector_type, version)?,
            args: command.args,
            env: env.collect(),
            resources,
            active_deadline: i64::try_from(active.as_secs()).unwrap_or(i64::MAX).min(i64::from(i32::MAX)),
            kind: kind(&launch.request),
        });
        Ok(Self { secret, pod, memory })
    }
}

fn kind(request: &Request) -> &'static str {
    match request {
        Request::Spec { .. } => "spec",
        Request::CheckSource { .. } | Request::CheckDestination { .. } => "check",
        Request::Discover { .. } => "discover",
        Request::Sync { .. } => "sync",
        Request::Clear { .. } => "clear",
        Request::Difference { .. } => "difference",
    }
}
