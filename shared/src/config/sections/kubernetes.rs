//! `[kubernetes]`: how connectors run as pods.

use std::{path::PathBuf, time::Duration};

use crate::{
    config::{error::ConfigError, values::Values},
    domain::quantity,
};

/// Amounts that a pod asks for and is limited to; what is none is as without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Processors asked for, in thousandths.
    pub cpu: Option<u64>,
    /// Processors at most, in thousandths.
    pub cpu_limit: Option<u64>,
    /// Memory at most, in bytes.
    pub memory: Option<u64>,
    /// Memory asked for, in bytes.
    pub memory_request: Option<u64>,
    /// Disk at most, in bytes.
    pub disk: Option<u64>,
    /// Disk asked for, in bytes.
    pub disk_request: Option<u64>,
}

impl Resources {
    /// Reads `cpu=250m memory=2Gi …`.
    ///
    /// # Errors
    /// Words that name the part which does not do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut resources = Self::default();
        for word in text.split_whitespace() {
            let (name, amount) =
                word.split_once('=').ok_or_else(|| format!("'{word}' is not name=amount"))?;
            let millicores = || quantity::millicores(amount).map(Some).map_err(|e| format!("{name}: {e}"));
            let bytes = || quantity::bytes(amount).map(Some).map_err(|e| format!("{name}: {e}"));
            match name {
                "cpu" => resources.cpu = millicores()?,
                "cpu_limit" => resources.cpu_limit = millicores()?,
                "memory" => resources.memory = bytes()?,
                "memory_request" => resources.memory_request = bytes()?,
                "disk" => resources.disk = bytes()?,
                "disk_request" => resources.disk_request = bytes()?,
                _ => {
                    return Err(format!(
                        "'{name}' is none of cpu, cpu_limit, memory, memory_request, disk, disk_request"
                    ));
                }
            }
        }
        Ok(resources)
    }

    /// These, with those of `other` where it has some.
    #[must_use]
    pub fn or_those_of(&self, other: &Self) -> Self {
        Self {
            cpu: other.cpu.or(self.cpu),
            cpu_limit: other.cpu_limit.or(self.cpu_limit),
            memory: other.memory.or(self.memory),
            memory_request: other.memory_request.or(self.memory_request),
            disk: other.disk.or(self.disk),
            disk_request: other.disk_request.or(self.disk_request),
        }
    }
}

/// A source type whose connectors are images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesType {
    /// As `postgres`.
    pub name: String,
    /// The destination types that it writes, lower case.
    pub destinations: Vec<String>,
    /// What its pods get, where it differs from the others.
    pub resources: Resources,
}

/// How connectors run as pods.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// The namespace of the pods; none: that of the worker's account.
    pub namespace: Option<String>,
    /// The name of a connector's image, with `{type}` and `{version}`.
    pub image_template: String,
    /// What stands before it; none: nothing.
    pub registry: Option<String>,
    /// When images are fetched: `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
    /// Secrets with which images are fetched.
    pub pull_secrets: Vec<String>,
    /// The image of the agent.
    pub agent_image: Option<String>,
    /// Where agents reach the workers.
    pub internal_url: Option<String>,
    /// The Secret in the pods' namespace whose `ca.crt` agents trust.
    pub internal_tls_secret: Option<String>,
    /// What can be run, in this order.
    pub types: Vec<KubernetesType>,
    /// What every pod gets.
    pub resources: Resources,
    /// The most memory that a job may ask for, and that a retry for want of memory gets, in bytes.
    pub memory_cap: u64,
    /// How long a pod may wait for a node.
    pub schedule: Duration,
    /// How long its images may take.
    pub pull: Duration,
    /// How long its connector may take to start otherwise.
    pub start: Duration,
    /// Calls of the Kubernetes API per second, on the average.
    pub qps: u32,
    /// Calls that may be made at once.
    pub burst: u32,
    /// The file of placement profiles.
    pub profiles: Option<PathBuf>,
}

impl KubernetesConfig {
    pub(in crate::config) fn read(values: &Values) -> Result<Self, ConfigError> {
        let seconds =
            |key| values.number(key, 1, 86_400).map(|seconds| Duration::from_secs(u64::from(seconds)));
        let given = |key| Some(values.text(key)).filter(|text| !text.is_empty());
        for key in ["kubernetes.agent_image", "kubernetes.internal_url", "kubernetes.registry"] {
            if values.text(key).contains(char::is_whitespace) {
                return Err(values.invalid(key, "has no white space"));
            }
        }
        let image_template = values.text("kubernetes.image_template");
        if !image_template.contains("{version}") || image_template.contains(char::is_whitespace) {
            let reason = "must hold {version}, should hold {type}, and has no white space";
            return Err(values.invalid("kubernetes.image_template", reason));
        }
        let pull_policy = values.text("kubernetes.pull_policy");
        if !["Always", "IfNotPresent", "Never"].contains(&pull_policy.as_str()) {
            let reason = format!("must be Always, IfNotPresent or Never, not '{pull_policy}'");
            return Err(values.invalid("kubernetes.pull_policy", reason));
        }
        let resources = Resources::parse(&values.text("kubernetes.resources"))
            .map_err(|reason| values.invalid("kubernetes.resources", reason))?;
        let memory_cap = quantity::bytes(&values.text("kubernetes.memory_cap"))
            .map_err(|error| values.invalid("kubernetes.memory_cap", error.to_string()))?;
        Ok(Self {
            namespace: given("kubernetes.namespace"),
            image_template,
            registry: given("kubernetes.registry"),
            pull_policy,
            pull_secrets: values.list("kubernetes.pull_secrets"),
            agent_image: given("kubernetes.agent_image"),
            internal_url: given("kubernetes.internal_url"),
            internal_tls_secret: given("kubernetes.internal_tls_secret"),
            types: types(values)?,
            resources,
            memory_cap,
            schedule: seconds("kubernetes.schedule_seconds")?,
            pull: seconds("kubernetes.pull_seconds")?,
            start: seconds("kubernetes.start_seconds")?,
            qps: values.number("kubernetes.qps", 1, 10_000)?,
            burst: values.number("kubernetes.burst", 1, 10_000)?,
            profiles: given("kubernetes.profiles").map(PathBuf::from),
        })
    }

    pub(in crate::config) fn validate(&self) -> Result<(), ConfigError> {
        for (key, variable, value) in [
            ("kubernetes.agent_image", "OLAKE_AGENT_IMAGE", &self.agent_image),
            ("kubernetes.internal_url", "OLAKE_INTERNAL_URL", &self.internal_url),
        ] {
            if value.is_none() {
                let why = "The launcher \"kubernetes\" cannot do without it";
                return Err(ConfigError::Missing { key, variable, has_file_twin: false, why });
            }
        }
        Ok(())
    }
}

/// What connectors write, if nothing else is said.
const EVERY_DESTINATION: &str = "parquet+iceberg";

fn types(values: &Values) -> Result<Vec<KubernetesType>, ConfigError> {
    let mut types: Vec<KubernetesType> = Vec::new();
    for entry in values.list("kubernetes.types") {
        let refused = |reason: &str| values.invalid("kubernetes.types", format!("'{entry}' {reason}"));
        let (name, destinations) = entry.split_once('=').unwrap_or((&entry, EVERY_DESTINATION));
        let is_word = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        };
        let destinations: Vec<String> =
            destinations.split('+').map(|word| word.trim().to_lowercase()).collect();
        let name = name.trim().to_owned();
        if !is_word(&name) || !destinations.iter().all(|word| is_word(word)) {
            return Err(refused("must be of lower-case letters, digits, '-' and '_'"));
        }
        if types.iter().any(|known| known.name == name) {
            return Err(refused("is listed twice"));
        }
        types.push(KubernetesType { name, destinations, resources: Resources::default() });
    }
    for entry in values.list("kubernetes.type_resources") {
        let refused =
            |reason: String| values.invalid("kubernetes.type_resources", format!("'{entry}': {reason}"));
        let (name, resources) =
            entry.split_once(':').ok_or_else(|| refused("is not type: name=amount …".to_owned()))?;
        let own = types
            .iter_mut()
            .find(|known| known.name == name.trim())
            .ok_or_else(|| refused("is no type of kubernetes.types".to_owned()))?;
        own.resources = Resources::parse(resources).map_err(refused)?;
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_of_a_type_go_before_those_of_every_pod() {
        let every = Resources::parse("cpu=250m memory=2Gi disk=10Gi").unwrap();
        let own = Resources::parse("memory=8Gi").unwrap();
        let both = every.or_those_of(&own);
        assert_eq!((both.cpu, both.memory, both.disk), (Some(250), Some(8 << 30), Some(10 << 30)));
        assert_eq!(Resources::parse("").unwrap(), Resources::default());
    }

    #[test]
    fn a_resource_that_does_not_parse_is_named() {
        for (text, named) in [("memory=lots", "memory: 'lots'"), ("ram=2Gi", "'ram'"), ("2Gi", "'2Gi'")] {
            assert!(Resources::parse(text).unwrap_err().contains(named), "{text}");
        }
    }
}
