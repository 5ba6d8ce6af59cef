//! What does not start, and says why.

use crate::support::{
    place::Place,
    process::{program, run},
    system::System,
};

#[test]
fn a_second_process_on_the_same_data_folder_is_refused() {
    let system = System::standalone(&[]);
    let ran = run(system.second_standalone());
    assert_eq!(ran.code, Some(1));
    let folder = system.place.data();
    for words in ["another olake uses the data folder", &folder.display().to_string(), "--data-dir"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert_eq!(system.client.get("/jobs").status, 200, "the first goes on");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let system = System::standalone(&[]);
    let place = Place::new();
    let mut command = program("olake");
    command.arg("standalone").arg("--data-dir").arg(place.data());
    command.args(["--listen", &format!("localhost:{}", system.client.port())]);
    let ran = run(command);
    assert_eq!(ran.code, Some(1));
    for words in ["another program listens there", "OLAKE_LISTEN", &system.client.port().to_string()] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn an_api_on_a_database_without_a_schema_says_what_to_run() {
    let place = Place::new();
    let mut command = program("olake-api");
    command
        .args(["serve", "--listen", "localhost:0"])
        .env("OLAKE_DATABASE_URL", crate::support::database::new_database())
        .env("OLAKE_REDIS_URL", "redis://127.0.0.1:1/0")
        .env("OLAKE_MASTER_KEY", "a master key for tests only")
        .env("OLAKE_DATA_DIR", place.data());
    let ran = run(command);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("olake-api migrate"), "{}", ran.stderr);
}

#[test]
fn a_folder_that_is_not_there_is_named_once_by_every_command() {
    let place = Place::new();
    let folder = place.data().join("nothing/here");
    let mut command = program("olake");
    command.args(["user", "password", "admin", "--data-dir"]).arg(&folder);
    let ran = run(command);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr.matches(&folder.display().to_string()).count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("No such file").count(), 1, "{}", ran.stderr);
}
