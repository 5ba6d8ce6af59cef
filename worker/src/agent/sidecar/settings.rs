//! What the agent is told by its environment.

use std::{env, fs, path::PathBuf, time::Duration};

use olake_shared::domain::task::TaskId;
use url::Url;

/// How the agent works.
#[derive(Clone)]
pub struct Settings {
    /// Where the workers answer.
    pub url: Url,
    /// A file with the certificate authority (PEM) that their certificates come from; none: those that browsers trust.
    pub ca: Option<PathBuf>,
    pub task: TaskId,
    pub attempt: i32,
    pub pod_uid: String,
    pub pod_name: String,
    pub node: Option<String>,
    /// The Secret: token, words to mask, configs.
    pub secret: PathBuf,
    /// Where the connector looks for its inputs.
    pub inputs: PathBuf,
    /// Where it writes.
    pub output: PathBuf,
    /// How long after it was told to end the agent tries to tell what is left.
    pub grace: Duration,
}

/// What is wrong with the environment, in words.
#[derive(Debug, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct SettingsError {
    variable: &'static str,
    problem: String,
}

/// The grace of a pod, unless the environment says otherwise.
const GRACE: Duration = Duration::from_secs(3600);

impl Settings {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// [`SettingsError`] when a variable is missing or makes no sense.
    pub fn of_environment() -> Result<Self, SettingsError> {
        let url: Url = parsed("OLAKE_INTERNAL_URL")?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            let problem = "must be an http or https URL".to_owned();
            return Err(SettingsError { variable: "OLAKE_INTERNAL_URL", problem });
        }
        let grace = match text("OLAKE_AGENT_GRACE_SECONDS") {
            None => GRACE,
            Some(_) => Duration::from_secs(parsed("OLAKE_AGENT_GRACE_SECONDS")?),
        };
        Ok(Self {
            url,
            ca: text("OLAKE_INTERNAL_CA").map(PathBuf::from),
            task: parsed("OLAKE_AGENT_TASK")?,
            attempt: parsed("OLAKE_AGENT_ATTEMPT")?,
            pod_uid: required("OLAKE_AGENT_POD_UID")?,
            pod_name: required("OLAKE_AGENT_POD_NAME")?,
            node: text("OLAKE_AGENT_NODE"),
            secret: folder("OLAKE_AGENT_SECRET", "/in"),
            inputs: inputs_folder(),
            output: folder("OLAKE_AGENT_OUTPUT", "/tmp"),
            grace,
        })
    }

    /// The attempt's token.
    ///
    /// # Errors
    /// The file's own.
    pub fn token(&self) -> std::io::Result<String> {
        Ok(fs::read_to_string(self.secret.join(TOKEN_FILE))?.trim().to_owned())
    }

    /// The words to mask in lines; none when the Secret has none.
    ///
    /// # Errors
    /// The file's own, or that it is no list of texts.
    pub fn words_to_mask(&self) -> std::io::Result<Vec<String>> {
        match fs::read_to_string(self.secret.join(MASK_FILE)) {
            Ok(text) => serde_json::from_str(&text).map_err(std::io::Error::from),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The files of the Secret that are no configs.
pub const TOKEN_FILE: &str = "token";
/// A JSON list of texts: what [`crate::reconcile::redact::Redactor::forms`] answers.
pub const MASK_FILE: &str = "mask.json";

/// Where the connector looks for its inputs: all that the gate needs to know.
pub fn inputs_folder() -> PathBuf {
    folder("OLAKE_AGENT_INPUTS", "/mnt/config")
}

fn text(variable: &'static str) -> Option<String> {
    env::var(variable).ok().filter(|text| !text.is_empty())
}

fn folder(variable: &'static str, default: &str) -> PathBuf {
    text(variable).map_or_else(|| PathBuf::from(default), PathBuf::from)
}

fn required(variable: &'static str) -> Result<String, SettingsError> {
    text(variable).ok_or_else(|| SettingsError { variable, problem: "is not set".to_owned() })
}

fn parsed<T: std::str::FromStr>(variable: &'static str) -> Result<T, SettingsError> {
    required(variable)?
        .parse()
        .map_err(|_| SettingsError { variable, problem: "has a value that makes no sense".to_owned() })
}
