//! What the launcher is told by the configuration.

use std::{path::PathBuf, time::Duration};

use olake_shared::{
    config::{KubernetesConfig, KubernetesType, Resources},
    domain::{quantity, task::FailureClass, version::ConnectorVersion},
};

use super::{super::Placement, ShapeError};

/// How long Kubernetes may forbid what it allows later: while it starts, or a namespace is new.
const FORBIDDEN: Duration = Duration::from_secs(10);

/// How the launcher works.
#[derive(Clone, Debug)]
pub struct KubeSettings {
    pub image_template: String,
    pub registry: Option<String>,
    pub pull_policy: String,
    pub pull_secrets: Vec<String>,
    pub agent_image: String,
    /// Where agents reach the workers.
    pub internal_url: String,
    /// The Secret whose `ca.crt` agents trust.
    pub internal_tls_secret: Option<String>,
    pub types: Vec<KubernetesType>,
    pub resources: Resources,
    /// In bytes.
    pub memory_cap: u64,
    /// How long a pod may wait for a node, for its images, and for its start otherwise.
    pub schedule: Duration,
    pub pull: Duration,
    pub start: Duration,
    /// How long a pod that is forbidden is asked for again.
    pub forbidden: Duration,
    pub profiles: Option<PathBuf>,
    /// What is left over is looked for this often.
    pub sweep_every: Duration,
    /// From SIGTERM to SIGKILL when a connector is told to stop.
    pub stop_grace: Duration,
}

impl KubeSettings {
    /// The settings of a configuration that was checked ([`olake_shared::config::Config::check_kubernetes`]).
    pub fn new(config: &KubernetesConfig, stop_grace: Duration) -> Self {
        Self {
            image_template: config.image_template.clone(),
            registry: config.registry.clone(),
            pull_policy: config.pull_policy.clone(),
            pull_secrets: config.pull_secrets.clone(),
            agent_image: config.agent_image.clone().unwrap_or_default(),
            internal_url: config.internal_url.clone().unwrap_or_default(),
            internal_tls_secret: config.internal_tls_secret.clone(),
            types: config.types.clone(),
            resources: config.resources.clone(),
            memory_cap: config.memory_cap,
            schedule: config.schedule,
            pull: config.pull,
            start: config.start,
            forbidden: FORBIDDEN,
            profiles: config.profiles.clone(),
            sweep_every: Duration::from_secs(60),
            stop_grace,
        }
    }

    /// The image of a connector.
    ///
    /// # Errors
    /// [`ShapeError`] when the configuration makes no image name of it.
    pub fn image(&self, connector_type: &str, version: ConnectorVersion) -> Result<String, ShapeError> {
        let name =
            self.image_template.replace("{type}", connector_type).replace("{version}", &version.to_string());
        let name = match &self.registry {
            Some(registry) => format!("{}/{name}", registry.trim_end_matches('/')),
            None => name,
        };
        let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
            && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if fits { Ok(name) } else { Err(ShapeError::Image(name)) }
    }

    /// What a connector gets: the defaults, its type's, its profile's, its job's, and more after each end for want of memory.
    ///
    /// # Errors
    /// [`ShapeError`] for an amount of the job that does not parse, or is more than it may ask for.
    pub fn resources(
        &self,
        connector_type: &str,
        profile: &Resources,
        placement: &Placement,
    ) -> Result<Resources, ShapeError> {
        let own = self.types.iter().find(|known| known.name == connector_type);
        let of_type = own.map(|own| own.resources.clone()).unwrap_or_default();
        let mut resources = self.resources.or_those_of(&of_type).or_those_of(profile);
        if let Some(asked) = placement.max_memory.as_deref().filter(|text| !text.is_empty()) {
            let bytes = quantity::bytes(asked)
                .map_err(|error| ShapeError::Settings(format!("advanced_settings.max_memory: {error}")))?;
            if bytes > self.memory_cap {
                return Err(ShapeError::Settings(format!(
                    "advanced_settings.max_memory: {asked} is more than the {} that a job may ask for",
                    quantity::shown(self.memory_cap)
                )));
            }
            resources.memory = Some(bytes);
        }
        if let Some(memory) = resources.memory {
            let most = self.memory_cap.max(memory);
            let grown = memory.saturating_mul(1 << placement.memory_doublings.min(16)).min(most);
            resources.memory = Some(grown);
            resources.memory_request = resources
                .memory_request
                .map(|asked| asked.saturating_mul(1 << placement.memory_doublings.min(16)).min(grown));
        }
        if let (Some(disk), Some(asked)) = (resources.disk, resources.disk_request) {
            resources.disk_request = Some(asked.min(disk));
        }
        if let (Some(limit), Some(asked)) = (resources.cpu_limit, resources.cpu) {
            resources.cpu = Some(asked.min(limit));
        }
        Ok(resources)
    }

    /// Whether a connector with this limit of memory would get more after an end for want of it.
    pub fn can_grow(&self, memory: Option<u64>) -> bool {
        memory.is_some_and(|memory| memory < self.memory_cap)
    }
}

impl ShapeError {
    /// What it means for the task.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Image(_) => FailureClass::Image,
            Self::Settings(_) | Self::Profile { .. } | Self::Profiles(_) | Self::Inputs { .. } => {
                FailureClass::Unschedulable
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn settings() -> KubeSettings {
        let types = vec![KubernetesType {
            name: "postgres".to_owned(),
            destinations: vec!["parquet".to_owned(), "iceberg".to_owned()],
            resources: Resources::parse("memory=4Gi").unwrap(),
        }];
        KubeSettings {
            image_template: "olakego/source-{type}:{version}".to_owned(),
            registry: None,
            pull_policy: "IfNotPresent".to_owned(),
            pull_secrets: Vec::new(),
            agent_image: "olakego/olake-worker:test".to_owned(),
            internal_url: "http://workers.olake.svc:8082".to_owned(),
            internal_tls_secret: None,
            types,
            resources: Resources::parse(
                "cpu=250m memory=2Gi memory_request=512Mi disk=10Gi disk_request=1Gi",
            )
            .unwrap(),
            memory_cap: 16 << 30,
            schedule: Duration::from_secs(600),
            pull: Duration::from_secs(900),
            start: Duration::from_secs(300),
            forbidden: Duration::from_millis(100),
            profiles: None,
            sweep_every: Duration::ZERO,
            stop_grace: Duration::from_secs(120),
        }
    }

    fn version() -> ConnectorVersion {
        ConnectorVersion::new(0, 9, 4)
    }

    #[test]
    fn an_image_has_the_name_of_the_template_behind_the_registry() {
        let mut settings = settings();
        assert_eq!(settings.image("postgres", version()).unwrap(), "olakego/source-postgres:v0.9.4");
        settings.registry = Some("registry.example.org:5000/mirror/".to_owned());
        assert_eq!(
            settings.image("mysql", version()).unwrap(),
            "registry.example.org:5000/mirror/olakego/source-mysql:v0.9.4"
        );
    }

    #[test]
    fn an_image_name_with_a_space_is_refused() {
        let error = settings().image("post gres", version()).unwrap_err();
        assert!(error.to_string().contains("'olakego/source-post gres:v0.9.4'"), "{error}");
        assert_eq!(error.class(), FailureClass::Image);
        let settings = KubeSettings { image_template: " {version}".to_owned(), ..settings() };
        assert!(settings.image("postgres", version()).is_err());
    }

    #[test]
    fn a_job_goes_before_its_type_and_a_type_before_the_defaults() {
        let settings = settings();
        let memory = |connector: &str, asked: Option<&str>, doublings: u32| {
            let placement = Placement {
                max_memory: asked.map(str::to_owned),
                memory_doublings: doublings,
                ..Placement::default()
            };
            settings
                .resources(connector, &Resources::default(), &placement)
                .map(|resources| resources.memory.map(quantity::shown))
        };
        assert_eq!(memory("mysql", None, 0).unwrap().unwrap(), "2Gi");
        assert_eq!(memory("postgres", None, 0).unwrap().unwrap(), "4Gi");
        assert_eq!(memory("postgres", Some("512Mi"), 0).unwrap().unwrap(), "512Mi");
        assert_eq!(memory("postgres", Some("512Mi"), 1).unwrap().unwrap(), "1Gi");
        assert_eq!(memory("postgres", Some("12Gi"), 1).unwrap().unwrap(), "16Gi", "up to the cap");
        for asked in ["17Gi", "much", "512"] {
            let error = memory("postgres", Some(asked), 0).unwrap_err();
            assert!(error.to_string().contains("advanced_settings.max_memory"), "{error}");
        }
        assert!(settings.can_grow(Some(8 << 30)) && !settings.can_grow(Some(16 << 30)));
    }

    #[test]
    fn no_more_is_asked_for_than_the_limit_allows() {
        let placement = Placement { max_memory: Some("64Mi".to_owned()), ..Placement::default() };
        let resources = settings().resources("mysql", &Resources::default(), &placement).unwrap();
        assert_eq!(resources.memory_request, Some(64 << 20));
    }
}
