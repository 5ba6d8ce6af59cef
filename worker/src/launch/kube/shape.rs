//! The pod of an attempt, and its Secret.
//!
//! - The connector's container: image, entrypoint and working directory untouched, with the protocol's arguments. Inputs are
//!   read-only for it, output goes to `/tmp`.
//! - The agent: a native sidecar, whose `postStart` hook lets the connector start once the inputs are laid out.
//! - Everything that the pod security standard `restricted` asks for, no token of a service account, one user for both.
//!
//! Secret inputs are in the Secret alone; what is large and holds no secret comes to the agent by the internal port.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{
        Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction, KeyToPath,
        Lifecycle, LifecycleHandler, LocalObjectReference, ObjectFieldSelector, Pod, PodSecurityContext,
        PodSpec, ResourceRequirements, SeccompProfile, Secret, SecretVolumeSource, SecurityContext, Volume,
        VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use olake_shared::{config::Resources, domain::quantity};

use super::{
    ShapeError,
    names::{FINALIZER, Key, labels, name},
    profiles::Profile,
    settings::KubeSettings,
};
use crate::connector::command::InputFile;

/// The container of the connector, and the one of the agent.
pub const CONNECTOR: &str = "connector";
pub const AGENT: &str = "agent";

/// Where the connector finds its inputs.
pub const INPUTS: &str = "/mnt/config";
/// Where it writes.
const OUTPUT: &str = "/tmp";
/// Where the agent finds the Secret, and the authority that it trusts.
const SECRET: &str = "/in";
const TRUST: &str = "/trust";
/// The agent's program in its image.
const AGENT_PROGRAM: &str = "/olake-worker";

/// The files of the Secret beside the inputs.
pub const TOKEN_FILE: &str = "token";
pub const MASK_FILE: &str = "mask.json";

/// User and group of both containers, unless a profile says otherwise.
const USER: i64 = 65_532;

/// How long a pod that ends by itself has, so that what it left is told although no worker is up.
pub const GRACE: i64 = 3_600;

/// The most that a Secret holds: what Kubernetes takes, less its own share.
const SECRET_BYTES: usize = 900 << 10;

/// All that a pod is made of.
pub struct Parts<'a> {
    pub settings: &'a KubeSettings,
    pub profile: &'a Profile,
    pub key: Key,
    pub image: String,
    pub args: Vec<String>,
    pub env: Vec<(&'static str, String)>,
    pub resources: Resources,
    /// The last net: the pod is ended after so many seconds, whoever watches it.
    pub active_deadline: i64,
    /// The kind of work, for whoever looks at the pod.
    pub kind: &'static str,
}

/// The pod of an attempt.
pub fn pod(parts: Parts<'_>) -> Pod {
    let Parts { settings, profile, key, .. } = parts;
    let annotations = profile.annotations.clone().into_iter();
    let own = [("olake.io/kind", parts.kind), ("kubectl.kubernetes.io/default-container", CONNECTOR)];
    let annotations = annotations.chain(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let user = profile.user_id.unwrap_or(USER);
    let pull_secrets = settings.pull_secrets.iter().chain(&profile.pull_secrets);
    let pull_secrets: Vec<_> = pull_secrets.map(|name| LocalObjectReference { name: name.clone() }).collect();
    Pod {
        metadata: ObjectMeta {
            name: Some(name(key)),
            labels: Some(labels(key)),
            annotations: Some(annotations.collect()),
            finalizers: Some(vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            restart_policy: Some("Never".to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(GRACE),
            active_deadline_seconds: Some(parts.active_deadline),
            service_account_name: profile.service_account.clone(),
            priority_class_name: profile.priority_class.clone(),
            runtime_class_name: profile.runtime_class.clone(),
            node_selector: some(profile.node_selector.clone()),
            tolerations: some(profile.tolerations.clone()),
            affinity: profile.affinity.clone(),
            image_pull_secrets: some(pull_secrets),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(user),
                run_as_group: Some(user),
                fs_group: Some(user),
                fs_group_change_policy: Some("OnRootMismatch".to_owned()),
                seccomp_profile: Some(runtime_default()),
                ..PodSecurityContext::default()
            }),
            volumes: Some(volumes(settings, key)),
            init_containers: Some(vec![agent(settings, key)]),
            containers: vec![connector(parts)],
            ..PodSpec::default()
        }),
        status: None,
    }
}

fn connector(parts: Parts<'_>) -> Container {
    let own = parts.env.into_iter().map(|(name, value)| (name.to_owned(), value));
    let given = parts.profile.env.clone().into_iter();
    Container {
        name: CONNECTOR.to_owned(),
        image: Some(parts.image),
        image_pull_policy: Some(parts.settings.pull_policy.clone()),
        args: Some(parts.args),
        env: Some(given.chain(own).map(|(name, value)| variable(&name, value)).collect()),
        resources: Some(requirements(&parts.resources)),
        security_context: Some(security()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![mount("config", INPUTS, true), mount("tmp", OUTPUT, false)]),
        ..Container::default()
    }
}

fn agent(settings: &KubeSettings, key: Key) -> Container {
    let mut env = vec![
        variable("OLAKE_INTERNAL_URL", settings.internal_url.clone()),
        variable("OLAKE_AGENT_TASK", key.0.to_string()),
        variable("OLAKE_AGENT_ATTEMPT", key.1.to_string()),
        field("OLAKE_AGENT_POD_UID", "metadata.uid"),
        field("OLAKE_AGENT_POD_NAME", "metadata.name"),
        field("OLAKE_AGENT_NODE", "spec.nodeName"),
    ];
    let mut mounts =
        vec![mount("config", INPUTS, false), mount("tmp", OUTPUT, false), mount("in", SECRET, true)];
    if settings.internal_tls_secret.is_some() {
        env.push(variable("OLAKE_INTERNAL_CA", format!("{TRUST}/ca.crt")));
        mounts.push(mount("trust", TRUST, true));
    }
    let gate = ExecAction { command: Some(vec![AGENT_PROGRAM.to_owned(), "agent-gate".to_owned()]) };
    Container {
        name: AGENT.to_owned(),
        image: Some(settings.agent_image.clone()),
        image_pull_policy: Some(settings.pull_policy.clone()),
        command: Some(vec![AGENT_PROGRAM.to_owned()]),
        args: Some(vec!["agent".to_owned()]),
        restart_policy: Some("Always".to_owned()),
        env: Some(env),
        lifecycle: Some(Lifecycle {
            post_start: Some(LifecycleHandler { exec: Some(gate), ..LifecycleHandler::default() }),
            ..Lifecycle::default()
        }),
        resources: Some(ResourceRequirements {
            requests: Some(amounts([("cpu", "10m"), ("memory", "16Mi"), ("ephemeral-storage", "16Mi")])),
            // The inputs, which it lays out in memory, count as its own.
            limits: Some(amounts([("memory", "256Mi"), ("ephemeral-storage", "256Mi")])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(security()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn volumes(settings: &KubeSettings, key: Key) -> Vec<Volume> {
    let memory = EmptyDirVolumeSource {
        medium: Some("Memory".to_owned()),
        size_limit: Some(Quantity("64Mi".to_owned())),
    };
    let secret = |name: String, items: Option<Vec<KeyToPath>>| SecretVolumeSource {
        secret_name: Some(name),
        default_mode: Some(0o440),
        items,
        ..SecretVolumeSource::default()
    };
    let volume = |name: &str| Volume { name: name.to_owned(), ..Volume::default() };
    let mut volumes = vec![
        Volume { empty_dir: Some(memory), ..volume("config") },
        Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..volume("tmp") },
        Volume { secret: Some(secret(name(key), None)), ..volume("in") },
    ];
    if let Some(trusted) = &settings.internal_tls_secret {
        let file = "ca.crt".to_owned();
        let item = KeyToPath { key: file.clone(), path: file, mode: None };
        volumes.push(Volume { secret: Some(secret(trusted.clone(), Some(vec![item]))), ..volume("trust") });
    }
    volumes
}

/// What `restricted` asks of a container.
fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}

fn requirements(resources: &Resources) -> ResourceRequirements {
    let milli = |amount: Option<u64>| amount.map(|milli| format!("{milli}m"));
    let bytes = |amount: Option<u64>| amount.map(quantity::shown);
    let of = |list: [(&str, Option<String>); 3]| {
        some(
            list.into_iter()
                .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount?))))
                .collect(),
        )
    };
    ResourceRequirements {
        requests: of([
            ("cpu", milli(resources.cpu)),
            ("memory", bytes(resources.memory_request.or(resources.memory))),
            ("ephemeral-storage", bytes(resources.disk_request)),
        ]),
        limits: of([
            ("cpu", milli(resources.cpu_limit)),
            ("memory", bytes(resources.memory)),
            ("ephemeral-storage", bytes(resources.disk)),
        ]),
        ..ResourceRequirements::default()
    }
}

fn amounts<const N: usize>(list: [(&str, &str); N]) -> BTreeMap<String, Quantity> {
    list.into_iter().map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).collect()
}

fn variable(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

fn field(name: &str, path: &str) -> EnvVar {
    let selector = ObjectFieldSelector { field_path: path.to_owned(), api_version: None };
    let source = EnvVarSource { field_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// An empty list or map is left out.
fn some<T: IntoIterator + Clone>(list: T) -> Option<T> {
    let is_empty = list.clone().into_iter().next().is_none();
    (!is_empty).then_some(list)
}

/// The Secret of an attempt: its token, what the agent masks in lines, and the inputs that hold secrets.
///
/// # Errors
/// [`ShapeError::Inputs`] when that is more than a Secret holds.
pub fn secret(key: Key, token: String, mask: &[String], inputs: &[InputFile]) -> Result<Secret, ShapeError> {
    let mask = serde_json::Value::from(mask).to_string();
    let mut data = BTreeMap::from([
        (TOKEN_FILE.to_owned(), ByteString(token.into_bytes())),
        (MASK_FILE.to_owned(), ByteString(mask.into_bytes())),
    ]);
    for file in inputs.iter().filter(|file| file.secret) {
        data.insert(file.name.to_owned(), ByteString(file.content.clone().into_bytes()));
    }
    let bytes: usize = data.values().map(|content| content.0.len()).sum();
    if bytes > SECRET_BYTES {
        return Err(ShapeError::Inputs { kibibytes: bytes >> 10, most: SECRET_BYTES >> 10 });
    }
    Ok(Secret {
        metadata: ObjectMeta { name: Some(name(key)), labels: Some(labels(key)), ..ObjectMeta::default() },
        immutable: Some(true),
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        string_data: None,
    })
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
