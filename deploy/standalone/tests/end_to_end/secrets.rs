//! Where secrets are not.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    client::Client,
    job::NewJob,
    living,
    place::{Place, files_below},
    process::{Process, program},
    system::{ADMIN_PASSWORD, System},
};

const PASSWORD: &str = "hunter-2-hunter-2";

/// The variables of a connector: an allow-list, and the table's own.
const VARIABLES: &[&str] =
    &["DRIVER_VERSION", "HOME", "LANG", "OWN_VARIABLE", "PATH", "TELEMETRY_DISABLED", "TMPDIR", "TZ"];

/// Fails if a file below the system's data folder has the password in it.
fn assert_no_file_has_it(system: &System, when: &str) {
    let files: Vec<_> = files_below(&system.place.data()).into_iter().filter(|file| file.is_file()).collect();
    assert!(files.iter().any(|file| file.ends_with("olake.db")), "{files:?}");
    for file in files {
        let content = fs::read(&file).unwrap_or_default();
        let has_it = [PASSWORD, ADMIN_PASSWORD]
            .iter()
            .any(|secret| content.windows(secret.len()).any(|part| part == secret.as_bytes()));
        assert!(!has_it, "{when}: {} has a password in it", file.display());
    }
}

#[test]
fn a_password_is_only_where_the_connector_reads_it() {
    let system = System::standalone(&[("OLAKE_LOG_FILTER", "debug")]);
    let client = &system.client;
    system.place.write_numbers(10);
    let config = json!({
        "path": system.place.rows(), "password": PASSWORD, "faults": {"expected_password": PASSWORD},
    });
    let test = json!({"type": "files", "version": "v0.9.4", "config": config});
    let tested = client.post("/sources/test", &test).data();
    assert_eq!(tested["connection_result"]["status"], "SUCCEEDED", "the connector gets it");
    let shown = tested["config"].clone();
    assert!(shown["password"].as_str().unwrap().starts_with("sealed:"), "{shown}");
    let again = json!({"type": "files", "version": "v0.9.4", "config": shown});
    let tested = client.post("/sources/test", &again).data();
    assert_eq!(tested["connection_result"]["status"], "SUCCEEDED", "a token stands for its secret");

    let faults = json!({"hang": true, "expected_password": PASSWORD});
    let mut job = NewJob::with_faults(&system, "secretive", faults);
    job.config["password"] = PASSWORD.into();
    let job = job.create(&system);
    let task = job.start();
    task.wait_for_line("Hanging until killed");
    let inputs = files_below(&system.place.memory());
    let config = inputs.iter().find(|file| file.ends_with("source.json")).unwrap();
    assert!(fs::read_to_string(config).unwrap().contains(PASSWORD), "this is where it is, in memory");

    let connectors = living::connectors(system.place.path());
    let [connector] = connectors.as_slice() else { panic!("{connectors:?}") };
    let names: BTreeSet<&str> =
        connector.environment.iter().map(|variable| variable.split('=').next().unwrap()).collect();
    assert_eq!(names, VARIABLES.iter().copied().collect());
    for process in living::of_folder(system.place.path()) {
        let is_service = process.pid == system.api.pid();
        let environment = process.environment.join("\n");
        assert!(!process.command.contains(PASSWORD) && !process.command.contains(ADMIN_PASSWORD));
        assert!(!environment.contains(PASSWORD), "{process:?}");
        assert!(is_service || !environment.contains("OLAKE_"), "{process:?}");
    }
    assert_no_file_has_it(&system, "while it runs");

    job.cancel();
    task.ended();
    job.change_source(&json!({"path": system.place.rows(), "password": shown["password"]}));
    job.start().succeeded();
    let _ =
        (client.get("/sources").data(), client.get("/jobs").data(), job.shown(), job.tasks(), task.shown());
    assert_no_file_has_it(&system, "afterwards");
    assert!(system.place.files_of_attempts().is_empty());
    assert!(!client.seen().contains(PASSWORD), "an answer has it");
    let log = system.log();
    assert!(log.contains("attempt ended") && !log.contains(PASSWORD) && !log.contains(ADMIN_PASSWORD));
}

/// A job whose password is also the name of its folder, which the connector logs.
fn talkative(system: &System, faults: Value) -> NewJob {
    let folder = system.place.path().join(PASSWORD);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("numbers.csv"), "id\n1\n").unwrap();
    let mut job = NewJob::with_faults(system, "talkative", faults);
    job.config["path"] = folder.to_str().unwrap().into();
    job.config["password"] = PASSWORD.into();
    job
}

#[test]
fn a_connector_that_repeats_a_password_is_masked() {
    let system = System::standalone(&[]);
    let job = talkative(&system, json!({"expected_password": "another-password"})).create(&system);
    let task = job.start();
    let words = task.failed("connector");
    assert!(words.contains("********: password authentication failed"), "{words}");
    let lines = task.lines();
    assert!(lines.iter().any(|line| line.contains("********: password authentication failed")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains(PASSWORD)), "{lines:#?}");

    let config = json!({"path": format!("/no-such-folder/{PASSWORD}"), "password": PASSWORD});
    let source = json!({"type": "files", "version": "v0.9.4", "config": config});
    let tested = system.client.post("/sources/test", &source).data();
    let message = tested["connection_result"]["message"].as_str().unwrap();
    assert!(message.contains("/no-such-folder/********"), "{message}");
    assert!(!tested["logs"].to_string().contains(PASSWORD), "{tested:#}");
    let refused = system.client.post("/source/streams", &source).error(422);
    assert!(refused.contains("/no-such-folder/********") && !refused.contains(PASSWORD), "{refused}");
}

#[test]
fn what_a_killed_process_left_is_masked_too() {
    let mut system = System::standalone(&[]);
    system.place.write_numbers(1000);
    // The lake's path is logged with each file.
    let mut job = NewJob::with_faults(&system, PASSWORD, json!({"take_seconds": 8}));
    job.config["password"] = PASSWORD.into();
    let job = job.create(&system);
    let task = job.start();
    job.wait_for_rows(100);
    // It hears and stores nothing while the connector goes on.
    system.api.signal(Signal::STOP);
    job.wait_for_rows(job.ids().len() + 200);
    system.api.signal(Signal::KILL);
    system.api.ended();
    system.start_again();
    let task = task.seen_by(&system.client);
    task.succeeded();
    let lines = task.lines();
    let files = lines.iter().filter(|line| line.contains("created new partition file"));
    assert_eq!(files.filter(|line| line.contains("lake of ********/")).count(), 20, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains(PASSWORD)), "{lines:#?}");
}

#[test]
fn a_generated_password_is_kept_in_a_file_when_nobody_looks_on() {
    let place = Place::new();
    let mut command = program("olake");
    command.args(["standalone", "--listen", "localhost:0"]).env("OLAKE_DATA_DIR", place.data());
    let mut olake = Process::start("olake", command, &place.log("olake"));
    let port: u16 = olake.printed("its port", |log| {
        let (_, rest) = log.split_once("OLake runs on http://localhost:")?;
        rest.split_once('\n')?.0.trim().parse().ok()
    });
    let file = place.data().join("admin-password");
    let password = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    Client::new(port).login("admin", password.trim());
    let log = olake.log();
    assert!(!log.contains(password.trim()), "{log}");
    assert!(log.contains(&file.display().to_string()), "{log}");
}
