//! Placement profiles: where pods run and as what, under names that jobs choose (`advanced_settings.profile`).
//!
//! ```toml
//! [profile.large]
//! node_selector = { pool = "large" }
//! tolerations = [{ key = "dedicated", operator = "Equal", value = "olake", effect = "NoSchedule" }]
//! affinity = { nodeAffinity = {} }                  # as in a pod
//! priority_class = "batch"
//! runtime_class = "gvisor"
//! pull_secrets = ["registry"]                       # beside those of every pod
//! service_account = "lake-writer"                   # its token is not mounted; for identities that a webhook gives
//! env = { HTTPS_PROXY = "http://proxy:3128" }       # only names of ALLOWED_ENV
//! annotations = { "example.org/team" = "data" }
//! user_id = 65532                                   # for connector and agent, user and group; never 0
//! resources = "cpu=1 memory=8Gi"                    # before those of the type, behind the job's
//! ```
//!
//! The file is read again when it has changed. One that does not do is told in the log, and the profiles before it stay.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use olake_shared::config::Resources;
use serde::Deserialize;

use super::ShapeError;

/// The variables that a profile may set. None of them is the protocol's own, or makes a connector print its secrets.
pub const ALLOWED_ENV: &[&str] = &[
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "JAVA_TOOL_OPTIONS",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Where a pod runs, and as what.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    pub node_selector: BTreeMap<String, String>,
    pub tolerations: Vec<Toleration>,
    pub affinity: Option<Affinity>,
    pub priority_class: Option<String>,
    pub runtime_class: Option<String>,
    pub pull_secrets: Vec<String>,
    pub service_account: Option<String>,
    pub env: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub user_id: Option<i64>,
    #[serde(deserialize_with = "resources")]
    pub resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

fn resources<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Resources, D::Error> {
    let text = String::deserialize(deserializer)?;
    Resources::parse(&text).map_err(|reason| serde::de::Error::custom(format!("resources: {reason}")))
}

/// The profiles of a worker.
pub struct Profiles {
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the file looked like when it was read last.
    seen: Option<(SystemTime, u64)>,
    profiles: Arc<BTreeMap<String, Profile>>,
}

impl Profiles {
    /// Those of a file; none without one.
    ///
    /// # Errors
    /// [`ShapeError::Profiles`] when it cannot be read or does not do.
    pub fn open(file: Option<PathBuf>) -> Result<Self, ShapeError> {
        let mut state = State::default();
        if let Some(file) = &file {
            state.seen = looks(file);
            state.profiles = Arc::new(load(file)?);
        }
        Ok(Self { file, state: Mutex::new(state) })
    }

    /// Their names, in order.
    pub fn names(&self) -> Vec<String> {
        self.current().keys().cloned().collect()
    }

    /// A profile by its name; the one that changes nothing for none.
    ///
    /// # Errors
    /// [`ShapeError::Profile`] when there is none of that name.
    pub fn get(&self, name: Option<&str>) -> Result<Profile, ShapeError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Profile::default()) };
        let profiles = self.current();
        profiles.get(name).cloned().ok_or_else(|| ShapeError::Profile {
            name: name.chars().take(100).collect(),
            known: match profiles.len() {
                0 => "none".to_owned(),
                _ => profiles.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            },
        })
    }

    fn current(&self) -> Arc<BTreeMap<String, Profile>> {
        let Ok(mut state) = self.state.lock() else { return Arc::default() };
        if let Some(file) = &self.file {
            let now = looks(file);
            if now != state.seen {
                state.seen = now;
                match load(file) {
                    Ok(profiles) => {
                        tracing::info!(profiles = profiles.len(), "the placement profiles were read again");
                        state.profiles = Arc::new(profiles);
                    }
                    Err(error) => tracing::error!(%error, "the placement profiles stay as they were"),
                }
            }
        }
        state.profiles.clone()
    }
}

fn looks(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn load(file: &Path) -> Result<BTreeMap<String, Profile>, ShapeError> {
    let refused = |reason: String| ShapeError::Profiles(format!("{}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    let profiles = toml::from_str::<File>(&text).map_err(|error| refused(error.to_string()))?.profile;
    for (name, profile) in &profiles {
        check(name, profile).map_err(|reason| refused(format!("profile '{name}': {reason}")))?;
    }
    Ok(profiles)
}

fn check(name: &str, profile: &Profile) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(is_word) {
        return Err("a name has letters, digits, '-' and '_', at most 63".to_owned());
    }
    if let Some(variable) = profile.env.keys().find(|name| !ALLOWED_ENV.contains(&name.as_str())) {
        return Err(format!("env: {variable} is none of {}", ALLOWED_ENV.join(", ")));
    }
    if profile.user_id.is_some_and(|user| !(1..=i64::from(i32::MAX)).contains(&user)) {
        return Err("user_id: must be 1 or more: pods of ours never run as root".to_owned());
    }
    if let Some(key) = profile.annotations.keys().find(|key| key.starts_with("olake.io/")) {
        return Err(format!("annotations: {key} is one of ours"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: &str = r#"
        [profile.large]
        node_selector = { pool = "large" }
        tolerations = [{ key = "dedicated", operator = "Equal", value = "olake", effect = "NoSchedule", tolerationSeconds = 5 }]
        priority_class = "batch"
        env = { HTTPS_PROXY = "http://proxy:3128" }
        user_id = 1000
        resources = "memory=8Gi"

        [profile.large.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution]
        nodeSelectorTerms = [{ matchExpressions = [{ key = "disk", operator = "In", values = ["ssd"] }] }]
    "#;

    fn with(text: &str) -> (tempfile::TempDir, Result<Profiles, ShapeError>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("profiles.toml");
        std::fs::write(&file, text).unwrap();
        (folder, Profiles::open(Some(file)))
    }

    #[test]
    fn a_profile_is_read_with_everything_of_a_pod_that_it_names() {
        let (_folder, profiles) = with(LARGE);
        let profiles = profiles.unwrap();
        assert_eq!(profiles.names(), ["large"]);
        let large = profiles.get(Some("large")).unwrap();
        assert_eq!(large.tolerations[0].toleration_seconds, Some(5));
        assert!(large.affinity.unwrap().node_affinity.is_some());
        assert_eq!(large.resources.memory, Some(8 << 30));
        assert_eq!(profiles.get(None).unwrap(), Profile::default());
        assert_eq!(profiles.get(Some("")).unwrap(), Profile::default());
    }

    #[test]
    fn a_profile_that_does_not_exist_is_refused_with_those_that_do() {
        let (_folder, profiles) = with(LARGE);
        let error = profiles.unwrap().get(Some("huge")).unwrap_err().to_string();
        assert!(error.contains("'huge'") && error.contains("large"), "{error}");
    }

    #[test]
    fn what_a_profile_must_not_do_is_refused_by_name() {
        for (text, named) in [
            ("[profile.a]\nenv = { LD_PRELOAD = \"x\" }", "LD_PRELOAD"),
            ("[profile.a]\nuser_id = 0", "user_id"),
            ("[profile.a]\nhost_network = true", "host_network"),
            ("[profile.a]\nresources = \"memory=lots\"", "lots"),
            ("[profile.\"a b\"]\n", "a b"),
            ("[profile.a]\nannotations = { \"olake.io/attempt\" = \"7\" }", "olake.io/attempt"),
        ] {
            let (_folder, profiles) = with(text);
            let error = profiles.err().expect(text).to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
        let (folder, profiles) = with(LARGE);
        let profiles = profiles.unwrap();
        let file = folder.path().join("profiles.toml");
        std::fs::write(&file, "[profile.small]\n[profile.tiny]\n").unwrap();
        assert_eq!(profiles.names(), ["small", "tiny"]);
        std::fs::write(&file, "[profile").unwrap();
        assert_eq!(profiles.names(), ["small", "tiny"]);
        std::fs::write(&file, "[profile.one]\n").unwrap();
        assert_eq!(profiles.names(), ["one"]);
    }
}
