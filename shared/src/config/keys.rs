//! Every key of the configuration, with the name of its environment variable.
//!
//! To add one: put it (commented) into `default.toml`, here, and into the struct of its section. The tests fail while
//! one of the three is missing.

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A list of texts.
    List,
    /// A text that must not be seen.
    Secret,
    /// A list of such texts.
    SecretList,
}

impl Form {
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretList)
    }

    /// What a value of this form is called in an error.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Text | Self::Secret => "a text",
            Self::Number => "a whole number",
            Self::Flag => "true or false",
            Self::List | Self::SecretList => "a list of texts",
        }
    }
}

/// A key of the configuration.
#[derive(Debug)]
pub(super) struct Key {
    /// `section.key`, as in the file.
    pub path: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    pub form: Form,
}

const fn key(path: &'static str, variable: &'static str, form: Form) -> Key {
    Key { path, variable, form }
}

/// Every key, in the order of the default file.
pub(super) const KEYS: &[Key] = &[
    key("data_dir", "OLAKE_DATA_DIR", Form::Text),
    key("server.listen", "OLAKE_LISTEN", Form::Text),
    key("server.cors_origins", "OLAKE_SERVER_CORS_ORIGINS", Form::List),
    key("server.cookie_secure", "OLAKE_SERVER_COOKIE_SECURE", Form::Flag),
    key("server.session_ttl_hours", "OLAKE_SERVER_SESSION_TTL_HOURS", Form::Number),
    key("server.ui_dir", "OLAKE_UI_DIR", Form::Text),
    key("database.url", "OLAKE_DATABASE_URL", Form::Secret),
    key("database.max_connections", "OLAKE_DATABASE_MAX_CONNECTIONS", Form::Number),
    key("database.acquire_timeout_seconds", "OLAKE_DATABASE_ACQUIRE_TIMEOUT_SECONDS", Form::Number),
    key("redis.url", "OLAKE_REDIS_URL", Form::Secret),
    key("secrets.master_key", "OLAKE_MASTER_KEY", Form::Secret),
    key("secrets.retired_keys", "OLAKE_SECRETS_RETIRED_KEYS", Form::SecretList),
    key("signup.mode", "OLAKE_SIGNUP", Form::Text),
    key("admin.username", "OLAKE_ADMIN_USERNAME", Form::Text),
    key("admin.password", "OLAKE_ADMIN_PASSWORD", Form::Secret),
    key("worker.launcher", "OLAKE_LAUNCHER", Form::Text),
    key("worker.connectors", "OLAKE_CONNECTORS", Form::Text),
    key("worker.places_sync", "OLAKE_WORKER_PLACES_SYNC", Form::Number),
    key("worker.places_interactive", "OLAKE_WORKER_PLACES_INTERACTIVE", Form::Number),
    key("worker.lease_seconds", "OLAKE_WORKER_LEASE_SECONDS", Form::Number),
    key("worker.reconcile_seconds", "OLAKE_WORKER_RECONCILE_SECONDS", Form::Number),
    key("worker.kill_grace_seconds", "OLAKE_WORKER_KILL_GRACE_SECONDS", Form::Number),
    key("worker.listen", "OLAKE_WORKER_LISTEN", Form::Text),
    key("worker.internal_listen", "OLAKE_INTERNAL_LISTEN", Form::Text),
    key("worker.internal_tls_cert", "OLAKE_INTERNAL_TLS_CERT", Form::Text),
    key("worker.internal_tls_key", "OLAKE_INTERNAL_TLS_KEY", Form::Text),
    key("kubernetes.namespace", "OLAKE_KUBERNETES_NAMESPACE", Form::Text),
    key("kubernetes.image_template", "OLAKE_IMAGE_TEMPLATE", Form::Text),
    key("kubernetes.registry", "OLAKE_IMAGE_REGISTRY", Form::Text),
    key("kubernetes.pull_policy", "OLAKE_IMAGE_PULL_POLICY", Form::Text),
    key("kubernetes.pull_secrets", "OLAKE_IMAGE_PULL_SECRETS", Form::List),
    key("kubernetes.agent_image", "OLAKE_AGENT_IMAGE", Form::Text),
    key("kubernetes.internal_url", "OLAKE_INTERNAL_URL", Form::Text),
    key("kubernetes.internal_tls_secret", "OLAKE_INTERNAL_TLS_SECRET", Form::Text),
    key("kubernetes.types", "OLAKE_KUBERNETES_TYPES", Form::List),
    key("kubernetes.resources", "OLAKE_KUBERNETES_RESOURCES", Form::Text),
    key("kubernetes.type_resources", "OLAKE_KUBERNETES_TYPE_RESOURCES", Form::List),
    key("kubernetes.memory_cap", "OLAKE_KUBERNETES_MEMORY_CAP", Form::Text),
    key("kubernetes.schedule_seconds", "OLAKE_KUBERNETES_SCHEDULE_SECONDS", Form::Number),
    key("kubernetes.pull_seconds", "OLAKE_KUBERNETES_PULL_SECONDS", Form::Number),
    key("kubernetes.start_seconds", "OLAKE_KUBERNETES_START_SECONDS", Form::Number),
    key("kubernetes.qps", "OLAKE_KUBERNETES_QPS", Form::Number),
    key("kubernetes.burst", "OLAKE_KUBERNETES_BURST", Form::Number),
    key("kubernetes.profiles", "OLAKE_PROFILES", Form::Text),
    key("versions.fallback", "OLAKE_VERSIONS_FALLBACK", Form::List),
    key("registry.url", "OLAKE_REGISTRY_URL", Form::Text),
    key("registry.repository", "OLAKE_REGISTRY_REPOSITORY", Form::Text),
    key("registry.username", "OLAKE_REGISTRY_USERNAME", Form::Text),
    key("registry.password", "OLAKE_REGISTRY_PASSWORD", Form::Secret),
    key("registry.refresh_minutes", "OLAKE_REGISTRY_REFRESH_MINUTES", Form::Number),
    key("releases.feed_url", "OLAKE_RELEASES_FEED_URL", Form::Text),
    key("releases.refresh_minutes", "OLAKE_RELEASES_REFRESH_MINUTES", Form::Number),
    key("deadlines.spec_seconds", "OLAKE_DEADLINES_SPEC_SECONDS", Form::Number),
    key("deadlines.check_seconds", "OLAKE_DEADLINES_CHECK_SECONDS", Form::Number),
    key("deadlines.discover_seconds", "OLAKE_DEADLINES_DISCOVER_SECONDS", Form::Number),
    key("deadlines.difference_seconds", "OLAKE_DEADLINES_DIFFERENCE_SECONDS", Form::Number),
    key("deadlines.validate_seconds", "OLAKE_DEADLINES_VALIDATE_SECONDS", Form::Number),
    key("deadlines.sync_seconds", "OLAKE_DEADLINES_SYNC_SECONDS", Form::Number),
    key("limits.syncs_per_project", "OLAKE_LIMITS_SYNCS_PER_PROJECT", Form::Number),
    key("limits.syncs_per_source", "OLAKE_LIMITS_SYNCS_PER_SOURCE", Form::Number),
    key("notifications.allow_private", "OLAKE_NOTIFICATIONS_ALLOW_PRIVATE", Form::Flag),
    key("notifications.public_url", "OLAKE_NOTIFICATIONS_PUBLIC_URL", Form::Text),
    key("retention.tasks_days", "OLAKE_RETENTION_TASKS_DAYS", Form::Number),
    key("retention.tasks_per_job", "OLAKE_RETENTION_TASKS_PER_JOB", Form::Number),
    key("retention.logs_days", "OLAKE_RETENTION_LOGS_DAYS", Form::Number),
    key("retention.deleted_days", "OLAKE_RETENTION_DELETED_DAYS", Form::Number),
    key("import.from", "OLAKE_IMPORT_FROM", Form::Secret),
    key("import.passphrase", "OLAKE_IMPORT_PASSPHRASE", Form::Secret),
    key("log.format", "OLAKE_LOG_FORMAT", Form::Text),
    key("log.filter", "OLAKE_LOG_FILTER", Form::Text),
];

/// The variable that names the configuration file.
pub(super) const FILE_VARIABLE: &str = "OLAKE_CONFIG";
/// A short name for `OLAKE_LOG_FILTER`.
pub(super) const FILTER_ALIAS: &str = "OLAKE_LOG";

pub(super) fn by_path(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The key that a variable sets, and whether the variable names a file that holds the value.
pub(super) fn by_variable(name: &str) -> Option<(&'static Key, bool)> {
    if name == FILTER_ALIAS {
        return by_path("log.filter").map(|key| (key, false));
    }
    let secret_file = name.strip_suffix("_FILE");
    KEYS.iter().find_map(|key| match () {
        () if key.variable == name => Some((key, false)),
        () if key.form.is_secret() && Some(key.variable) == secret_file => Some((key, true)),
        () => None,
    })
}

/// Whether an `OLAKE_…` variable that sets nothing is no mistake: the file's own, those of tests, and those that
/// Kubernetes sets in every container for a service named `olake…`.
pub(super) fn is_harmless(name: &str) -> bool {
    let service_link = name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| {
            name.split_once("_PORT_").is_some_and(|(_, rest)| {
                let port = rest.split_once(protocol).map(|(port, _)| port);
                port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
            })
        });
    name == FILE_VARIABLE || name.starts_with("OLAKE_TEST_") || service_link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_service_links_are_harmless_and_misspelt_ones_are_not() {
        for name in [
            "OLAKE_API_SERVICE_HOST",
            "OLAKE_API_SERVICE_PORT",
            "OLAKE_API_SERVICE_PORT_HTTP",
            "OLAKE_API_PORT",
            "OLAKE_API_PORT_8080_TCP",
            "OLAKE_API_PORT_8080_TCP_ADDR",
            "OLAKE_WORKER_PORT_53_UDP_PROTO",
            "OLAKE_CONFIG",
            "OLAKE_TEST_POSTGRES",
        ] {
            assert!(is_harmless(name), "{name}");
        }
        for name in ["OLAKE_LISTENS", "OLAKE_MASTERKEY", "OLAKE_PORT_X_TCP", "OLAKE_DATABASE_URL_FILES"] {
            assert!(!is_harmless(name), "{name}");
        }
    }

    #[test]
    fn secrets_have_a_file_twin_and_other_keys_have_none() {
        assert!(
            matches!(by_variable("OLAKE_MASTER_KEY_FILE"), Some((key, true)) if key.path == "secrets.master_key")
        );
        assert!(matches!(by_variable("OLAKE_LISTEN"), Some((key, false)) if key.path == "server.listen"));
        assert!(by_variable("OLAKE_LISTEN_FILE").is_none());
    }

    #[test]
    fn no_key_and_no_variable_is_listed_twice() {
        let mut names: Vec<_> = KEYS.iter().flat_map(|key| [key.path, key.variable]).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
