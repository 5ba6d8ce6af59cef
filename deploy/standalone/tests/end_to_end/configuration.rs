//! The configuration, at the command line: what is shown, and what is refused.

use std::fs;

use crate::support::process::{Ran, program, run};

const SECRETS: &[(&str, &str)] = &[
    ("OLAKE_MASTER_KEY", "master-key-not-to-be-seen"),
    ("OLAKE_SECRETS_RETIRED_KEYS", "retired-key-not-to-be-seen"),
    ("OLAKE_DATABASE_URL", "postgres://user:password-not-to-be-seen@localhost/db"),
    ("OLAKE_REDIS_URL", "redis://user:redis-not-to-be-seen@localhost/0"),
    ("OLAKE_ADMIN_USERNAME", "ann"),
    ("OLAKE_ADMIN_PASSWORD", "admin-not-to-be-seen"),
];

fn run_with(name: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Ran {
    let mut command = program(name);
    command.args(arguments).envs(settings.iter().copied());
    run(command)
}

#[test]
fn each_program_shows_what_is_in_force_and_no_secret() {
    for name in ["olake", "olake-api", "olake-worker"] {
        // One machine has no PostgreSQL.
        let settings: Vec<_> = SECRETS
            .iter()
            .copied()
            .filter(|(key, _)| name != "olake" || *key != "OLAKE_DATABASE_URL")
            .collect();
        let ran = run_with(name, &["config"], &settings);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}");
        assert!(!ran.stdout.contains("not-to-be-seen"), "{name}: {}", ran.stdout);
        for words in ["master_key = \"", "# env OLAKE_MASTER_KEY", "username = \"ann\"", "lease_seconds = 15"]
        {
            assert!(ran.stdout.contains(words), "{name} does not show {words}: {}", ran.stdout);
        }
    }
}

#[test]
fn a_secret_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "a-key-of-a-file-not-to-be-seen\n").unwrap();
    let ran = run_with("olake", &["config"], &[("OLAKE_MASTER_KEY_FILE", file.to_str().unwrap())]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("# env OLAKE_MASTER_KEY_FILE"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("not-to-be-seen"), "{}", ran.stdout);
}

#[test]
fn flags_win_over_variables_and_these_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("olake.toml");
    fs::write(&file, "[server]\nlisten = \"localhost:1001\"\n[worker]\nplaces_sync = 3\n").unwrap();
    let file = file.to_str().unwrap();
    let shown = |arguments: &[&str], settings: &[(&str, &str)]| {
        let ran = run_with("olake", arguments, settings);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    let from_file = shown(&["config", "--config", file], &[]);
    assert!(from_file.contains("listen = \"localhost:1001\"") && from_file.contains("places_sync = 3"));
    let variable = [("OLAKE_LISTEN", "localhost:1002"), ("OLAKE_CONFIG", file)];
    assert!(shown(&["config"], &variable).contains("listen = \"localhost:1002\""));
    let flag = shown(&["config", "--listen", "localhost:1003"], &variable);
    assert!(flag.contains("listen = \"localhost:1003\"") && flag.contains("# flag"), "{flag}");
}

/// A program, its arguments, its variables, and the words with which it refuses them.
type Case<'a> = (&'a str, String, Vec<(&'a str, &'a str)>, &'a [&'a str]);

#[test]
fn mistakes_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unknown_key = file("unknown.toml", "[worker]\nplaces = 3\n");
    let no_toml = file("broken.toml", "[worker\nmaster_key = \"not-to-be-seen\"\n");
    let missing = folder.path().join("missing.toml").to_str().unwrap().to_owned();
    let services = |without: &str| -> Vec<(&str, &str)> {
        SECRETS.iter().copied().filter(|(key, _)| *key != without).collect()
    };
    let cases: Vec<Case<'_>> = vec![
        ("olake", format!("config --config {unknown_key}"), vec![], &["worker.places", "unknown.toml"]),
        ("olake", format!("config --config {no_toml}"), vec![], &["broken.toml", "line 1"]),
        ("olake", format!("config --config {missing}"), vec![], &["missing.toml", "cannot be read"]),
        ("olake", "config".into(), vec![("OLAKE_LISTENS", "x")], &["OLAKE_LISTENS"]),
        ("olake", "standalone".into(), vec![("OLAKE_LISTENS", "x")], &["OLAKE_LISTENS"]),
        (
            "olake",
            "config".into(),
            vec![("OLAKE_WORKER_PLACES_SYNC", "many")],
            &["worker.places_sync", "many"],
        ),
        (
            "olake",
            "config".into(),
            vec![("OLAKE_WORKER_PLACES_SYNC", "0")],
            &["worker.places_sync", "between 1"],
        ),
        ("olake", "config".into(), vec![("OLAKE_SIGNUP", "perhaps")], &["signup.mode", "perhaps"]),
        (
            "olake",
            "config".into(),
            vec![("OLAKE_LAUNCHER", "docker")],
            &["worker.launcher", "docker", "process"],
        ),
        ("olake", "config --listen nowhere".into(), vec![], &["server.listen", "flag"]),
        ("olake", "config".into(), vec![("OLAKE_MASTER_KEY", "short")], &["secrets.master_key"]),
        (
            "olake-api",
            "config".into(),
            services("OLAKE_MASTER_KEY"),
            &["secrets.master_key", "OLAKE_MASTER_KEY_FILE"],
        ),
        ("olake-api", "serve".into(), services("OLAKE_REDIS_URL"), &["redis.url", "OLAKE_REDIS_URL"]),
        (
            "olake-api",
            "migrate".into(),
            services("OLAKE_DATABASE_URL"),
            &["database.url", "OLAKE_DATABASE_URL"],
        ),
        (
            "olake-worker",
            "run".into(),
            services("OLAKE_MASTER_KEY"),
            &["secrets.master_key", "OLAKE_MASTER_KEY"],
        ),
        ("olake-worker", "config".into(), services("OLAKE_DATABASE_URL"), &["database.url"]),
    ];
    for (name, arguments, settings, words) in cases {
        let ran = run_with(name, &arguments.split(' ').collect::<Vec<_>>(), &settings);
        let case = format!("{name} {arguments}: {}", ran.stderr);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{case}");
        assert!(words.iter().all(|word| ran.stderr.contains(word)), "{case}does not say {words:?}");
        assert!(!ran.stderr.contains("not-to-be-seen"), "{case}");
    }
}

#[test]
fn a_mistake_at_the_command_line_is_answered_with_its_usage() {
    for (name, argument) in [("olake", "serve"), ("olake-api", "run"), ("olake-worker", "serve")] {
        let ran = run_with(name, &[argument], &[]);
        assert_eq!(ran.code, Some(2), "{name}");
        assert!(ran.stderr.contains("Usage") && ran.stderr.contains(argument), "{name}: {}", ran.stderr);
    }
}
