use std::fs;

use super::{keys::KEYS, *};

fn sources(env: &[(&str, &str)]) -> Sources {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { env, ..Sources::default() }
}

fn standalone(env: &[(&str, &str)]) -> Result<Config, String> {
    Config::load(Deployment::Standalone, sources(env)).map_err(|error| error.to_string())
}

const SERVICES: [(&str, &str); 3] = [
    ("OLAKE_DATABASE_URL", "postgres://olake:hunter2@db/olake"),
    ("OLAKE_REDIS_URL", "redis://:hunter3@redis/0"),
    ("OLAKE_MASTER_KEY", "a passphrase for tests"),
];

fn services(more: &[(&str, &str)]) -> Result<Config, String> {
    let env: Vec<_> = SERVICES.iter().chain(more).copied().collect();
    Config::load(Deployment::Services, sources(&env)).map_err(|error| error.to_string())
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_default_file_has_every_key_in_order_and_names_its_variable() {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in DEFAULT_TOML.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, rest)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let comment = rest.split_once("# ").map(|(_, comment)| comment).unwrap_or_default();
            let variable = comment.split_once(" or ").map_or(comment, |(first, _)| first);
            found.push((format!("{section}{key}"), variable.to_owned()));
        }
    }
    let listed: Vec<_> = KEYS.iter().map(|key| (key.path.to_owned(), key.variable.to_owned())).collect();
    assert_eq!(found, listed);
}

#[test]
fn the_defaults_are_enough_for_one_machine() {
    let config = standalone(&[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "localhost:8080");
    assert_eq!(config.server.cors_origins, ["http://localhost:8000"]);
    assert_eq!(config.server.session_ttl.as_secs(), 720 * 3_600);
    assert_eq!(config.sqlite_file(), Path::new("./data/olake.db"));
    assert_eq!((config.worker.places_sync, config.worker.places_interactive), (20, 8));
    assert_eq!((config.worker.lease.as_secs(), config.worker.reconcile.as_secs()), (15, 2));
    assert_eq!(config.deadlines.sync.as_secs(), 30 * 86_400);
    assert_eq!(config.signup.mode, SignupMode::Open);
    assert!(config.admin.username.is_none() && config.secrets.master_key.is_none());
}

#[test]
fn flags_come_before_variables_before_the_file_before_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        &folder,
        "olake.toml",
        "[worker]\nplaces_sync = 2\nplaces_interactive = 2\nlease_seconds = 30\n",
    );
    let config = Config::load(
        Deployment::Standalone,
        Sources {
            file: Some(path.clone()),
            flags: vec![("worker.places_sync", "4".to_owned())],
            ..sources(&[("OLAKE_WORKER_PLACES_SYNC", "3"), ("OLAKE_WORKER_PLACES_INTERACTIVE", "3")])
        },
    )
    .unwrap();
    assert_eq!((config.worker.places_sync, config.worker.places_interactive), (4, 3));
    assert_eq!((config.worker.lease.as_secs(), config.worker.reconcile.as_secs()), (30, 2));
    let shown = config.masked_toml();
    let origin = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_once("# ").unwrap().1.to_owned()
    };
    assert_eq!(origin("places_sync"), "flag");
    assert_eq!(origin("places_interactive"), "env OLAKE_WORKER_PLACES_INTERACTIVE");
    assert_eq!(origin("lease_seconds"), format!("file {}", path.display()));
    assert_eq!(origin("reconcile_seconds"), "default");
}

#[test]
fn what_is_shown_can_be_read_back_and_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let config = services(&[
        ("OLAKE_ADMIN_USERNAME", "root"),
        ("OLAKE_ADMIN_PASSWORD", "hunter2hunter2"),
        ("OLAKE_SECRETS_RETIRED_KEYS", "an older key in words, and one that is older"),
    ])
    .unwrap();
    assert_eq!(config.secrets.retired_keys.len(), 2);
    let shown = config.masked_toml();
    for secret in ["hunter2", "hunter3", "in words"] {
        assert!(!shown.contains(secret) && !format!("{config:?}").contains(secret), "{shown}");
    }
    assert!(shown.contains("master_key = \"********\"") && shown.contains("mode = \"closed\""), "{shown}");
    let again = shown.replace("url = \"********\"", "").replace("********", "stands for a secret");
    let path = file(&folder, "shown.toml", &again);
    let loaded = Config::load(Deployment::Standalone, Sources { file: Some(path), ..Sources::default() });
    assert_eq!(loaded.unwrap().admin.username.as_deref(), Some("root"));
}

#[test]
fn errors_name_the_key_and_where_the_value_came_from() {
    for (name, value, words) in [
        ("OLAKE_LISTEN", "example.com:80", "server.listen (env OLAKE_LISTEN): must be localhost:<port>"),
        (
            "OLAKE_LAUNCHER",
            "docker",
            "worker.launcher (env OLAKE_LAUNCHER): 'docker' is no launcher of this version; accepted are: process, kubernetes",
        ),
        ("OLAKE_SIGNUP", "maybe", "signup.mode (env OLAKE_SIGNUP): must be open or closed, not 'maybe'"),
        (
            "OLAKE_WORKER_PLACES_SYNC",
            "0",
            "worker.places_sync (env OLAKE_WORKER_PLACES_SYNC): must be between 1 and 10000, not 0",
        ),
        (
            "OLAKE_WORKER_PLACES_SYNC",
            "many",
            "worker.places_sync (env OLAKE_WORKER_PLACES_SYNC): must be a whole number, not 'many'",
        ),
        ("OLAKE_SERVER_COOKIE_SECURE", "yes", "must be true or false, not 'yes'"),
        (
            "OLAKE_SERVER_CORS_ORIGINS",
            "http://a,*",
            "server.cors_origins (env OLAKE_SERVER_CORS_ORIGINS): '*' is no origin",
        ),
        ("OLAKE_LOG_FORMAT", "xml", "log.format (env OLAKE_LOG_FORMAT): must be auto, text or json"),
        ("OLAKE_LOG", "olake=loud", "log.filter (env OLAKE_LOG): 'olake=loud'"),
        (
            "OLAKE_MASTER_KEY",
            "hunter2",
            "secrets.master_key (env OLAKE_MASTER_KEY): a master key is 32 bytes",
        ),
        (
            "OLAKE_DATABASE_URL",
            "postgres://a:hunter2@b/c",
            "database.url (env OLAKE_DATABASE_URL): must be empty here",
        ),
        (
            "OLAKE_ADMIN_USERNAME",
            "root",
            "admin.username (env OLAKE_ADMIN_USERNAME): is set without a password",
        ),
        (
            "OLAKE_ADMIN_PASSWORD",
            "hunter2hunter2",
            "admin.password (env OLAKE_ADMIN_PASSWORD): is set without a name",
        ),
        (
            "OLAKE_LAUNCHER",
            "kubernetes",
            "worker.launcher (env OLAKE_LAUNCHER): one machine runs connectors as processes",
        ),
        (
            "OLAKE_KUBERNETES_RESOURCES",
            "memory=lots",
            "kubernetes.resources (env OLAKE_KUBERNETES_RESOURCES): memory: 'lots'",
        ),
        (
            "OLAKE_KUBERNETES_TYPE_RESOURCES",
            "foo: cpu=1",
            "kubernetes.type_resources (env OLAKE_KUBERNETES_TYPE_RESOURCES)",
        ),
        ("OLAKE_KUBERNETES_TYPES", "a b", "kubernetes.types (env OLAKE_KUBERNETES_TYPES): 'a b'"),
        (
            "OLAKE_KUBERNETES_MEMORY_CAP",
            "much",
            "kubernetes.memory_cap (env OLAKE_KUBERNETES_MEMORY_CAP): 'much'",
        ),
        ("OLAKE_IMAGE_TEMPLATE", "a b:{version}", "kubernetes.image_template (env OLAKE_IMAGE_TEMPLATE)"),
        ("OLAKE_AGENT_IMAGE", "a b", "kubernetes.agent_image (env OLAKE_AGENT_IMAGE): has no white space"),
        ("OLAKE_IMAGE_PULL_POLICY", "Sometimes", "kubernetes.pull_policy (env OLAKE_IMAGE_PULL_POLICY)"),
        ("OLAKE_WORKER_RECONCILE_SECONDS", "20", "worker.reconcile_seconds"),
        ("OLAKE_LISTENS", "x", "unknown environment variable OLAKE_LISTENS"),
        ("OLAKE_CONFIG", "/nowhere/olake.toml", "/nowhere/olake.toml (env OLAKE_CONFIG) cannot be read"),
    ] {
        let error = standalone(&[(name, value)]).unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_wrong_file_is_refused_by_key_or_line_and_never_quoted() {
    let folder = tempfile::tempdir().unwrap();
    for (text, words) in [
        ("[server]\nlisten_on = \"x\"", "unknown key 'server.listen_on' (file"),
        ("[sever]\nlisten = \"x\"", "unknown key 'sever' (file"),
        ("listen = \"x\"", "unknown key 'listen' (file"),
        ("server = 1", "unknown key 'server' (file"),
        ("[server]\nlisten = 8080", "server.listen (file"),
        ("[server]\ncors_origins = [1]", "must be a list of texts"),
        ("[worker]\nplaces_sync = \"2\"", "must be a whole number"),
        ("[secrets]\n\nmaster_key = hunter2", "olake.toml, line 3: "),
    ] {
        let path = file(&folder, "olake.toml", text);
        let error = standalone(&[("OLAKE_CONFIG", path.to_str().unwrap())]).unwrap_err();
        assert!(error.contains(words) && error.contains("olake.toml"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn services_need_a_database_redis_and_a_master_key() {
    for (missing, words) in [
        ("OLAKE_DATABASE_URL", "database.url is missing: set OLAKE_DATABASE_URL or OLAKE_DATABASE_URL_FILE"),
        ("OLAKE_REDIS_URL", "redis.url is missing: set OLAKE_REDIS_URL or OLAKE_REDIS_URL_FILE"),
        ("OLAKE_MASTER_KEY", "secrets.master_key is missing: set OLAKE_MASTER_KEY or OLAKE_MASTER_KEY_FILE"),
    ] {
        let env: Vec<_> = SERVICES.iter().filter(|(name, _)| *name != missing).copied().collect();
        let error = Config::load(Deployment::Services, sources(&env)).unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
    let config = services(&[]).unwrap();
    assert_eq!(config.signup.mode, SignupMode::Closed);
    assert!(config.key_ring().is_ok());
    let error = config.connector_table(Path::new("/opt")).unwrap_err().to_string();
    assert!(error.starts_with("worker.connectors is missing: set OLAKE_CONNECTORS, or"), "{error}");
}

#[test]
fn the_urls_of_services_have_a_known_scheme() {
    let with = |name: &str, value: &str| {
        let env: Vec<_> =
            SERVICES.iter().map(|pair| if pair.0 == name { (pair.0, value) } else { *pair }).collect();
        Config::load(Deployment::Services, sources(&env)).unwrap_err().to_string()
    };
    assert!(with("OLAKE_DATABASE_URL", "mysql://hunter2@h").contains("must begin with postgres://"));
    assert!(with("OLAKE_REDIS_URL", "hunter2").contains("must begin with redis://"));
    assert!(with("OLAKE_REDIS_URL", "rediss://hunter2@h").contains("TLS"));
}

#[test]
fn a_secret_can_come_from_a_file_and_not_from_two_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "key", "  a passphrase for tests\n");
    let path = path.to_str().unwrap();
    let config = standalone(&[("OLAKE_MASTER_KEY_FILE", path)]).unwrap();
    assert_eq!(config.secrets.master_key.as_ref().unwrap().expose(), "a passphrase for tests");
    assert!(config.masked_toml().contains("# env OLAKE_MASTER_KEY_FILE"));

    let error = standalone(&[("OLAKE_MASTER_KEY_FILE", path), ("OLAKE_MASTER_KEY", "another passphrase")])
        .unwrap_err();
    assert!(error.contains("OLAKE_MASTER_KEY and OLAKE_MASTER_KEY_FILE are both set"), "{error}");
    assert!(standalone(&[("OLAKE_MASTER_KEY_FILE", path), ("OLAKE_MASTER_KEY", "")]).is_ok());
    let error = standalone(&[("OLAKE_MASTER_KEY_FILE", "/nowhere/key")]).unwrap_err();
    assert!(error.contains("/nowhere/key (env OLAKE_MASTER_KEY_FILE) cannot be read"), "{error}");

    let keys = file(&folder, "keys", "one passphrase, with a comma\nanother passphrase, likewise\n");
    let config = standalone(&[("OLAKE_SECRETS_RETIRED_KEYS_FILE", keys.to_str().unwrap())]).unwrap();
    assert_eq!(config.secrets.retired_keys.len(), 2);
}

#[test]
fn a_secret_on_the_command_line_is_refused() {
    let flags = vec![("secrets.master_key", "hunter2 hunter2 hunter2".to_owned())];
    let error = Config::load(Deployment::Standalone, Sources { flags, ..Sources::default() })
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("secrets.master_key (flag)") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_kubernetes_sets_does_not_stop_the_start() {
    assert!(
        services(&[
            ("OLAKE_API_SERVICE_HOST", "10.0.0.1"),
            ("OLAKE_API_PORT_8080_TCP", "tcp://10.0.0.1:8080")
        ])
        .is_ok()
    );
    assert!(services(&[("PATH", "/bin"), ("OLAKE", "x")]).is_ok());
}

#[test]
fn sign_up_is_open_by_default_only_where_nobody_else_can_reach_it() {
    let mode = |env: &[(&str, &str)]| standalone(env).unwrap().signup.mode;
    assert_eq!(mode(&[("OLAKE_LISTEN", "127.0.0.1:80")]), SignupMode::Open);
    assert_eq!(mode(&[("OLAKE_LISTEN", "0.0.0.0:80")]), SignupMode::Closed);
    assert_eq!(mode(&[("OLAKE_LISTEN", "0.0.0.0:80"), ("OLAKE_SIGNUP", "open")]), SignupMode::Open);
    assert_eq!(mode(&[("OLAKE_SIGNUP", "closed")]), SignupMode::Closed);
}

#[test]
fn the_key_of_the_data_folder_is_kept_and_still_opens_after_another_one_was_set() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let sealed =
        standalone(&[("OLAKE_DATA_DIR", data)]).unwrap().key_ring().unwrap().seal_text("aad", "text");
    let same = standalone(&[("OLAKE_DATA_DIR", data)]).unwrap().key_ring().unwrap();
    assert!(same.is_current(&sealed));
    let other =
        standalone(&[("OLAKE_DATA_DIR", data), ("OLAKE_MASTER_KEY", "a passphrase for tests")]).unwrap();
    let other = other.key_ring().unwrap();
    assert!(!other.is_current(&sealed));
    assert_eq!(other.open_text("aad", &sealed).unwrap(), "text");
}

#[test]
fn one_machine_without_a_table_has_the_sample_connector() {
    let table = standalone(&[]).unwrap().connector_table(Path::new("/opt/olake")).unwrap();
    assert_eq!(table.types(), ["files"]);
    let error = standalone(&[("OLAKE_CONNECTORS", "/nowhere/table.toml")]).unwrap();
    let error = error.connector_table(Path::new("/opt")).unwrap_err().to_string();
    assert!(error.contains("worker.connectors: /nowhere/table.toml cannot be read"), "{error}");
}
