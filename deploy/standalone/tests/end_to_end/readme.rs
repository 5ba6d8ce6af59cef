//! The README's curl lines work as they are printed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    client::Client,
    place::Place,
    process::{Process, program, run},
    waiting::wait_until,
};

const BEGIN: &str = "<!-- curl:begin -->";
const END: &str = "<!-- curl:end -->";

/// The folder of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The commands of the `sh` blocks between the markers. A line that ends with a backslash goes on in the next.
fn curl_lines() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is no README.md");
    let after = readme.split_once(BEGIN).unwrap_or_else(|| panic!("README.md has no {BEGIN}")).1;
    let between = after.split_once(END).unwrap_or_else(|| panic!("README.md has no {END}")).0;
    let mut lines: Vec<String> = Vec::new();
    let (mut in_block, mut goes_on) = (false, false);
    for line in between.lines() {
        match line.trim() {
            "```sh" => in_block = true,
            "```" => in_block = false,
            _ if !in_block => {}
            text if text.is_empty() || text.starts_with('#') => {}
            text if goes_on => *lines.last_mut().unwrap() += &format!("\n{text}"),
            text => lines.push(text.to_owned()),
        }
        goes_on = in_block && line.ends_with('\\');
    }
    lines
}

#[test]
fn readme_curl_lines_work_as_printed() {
    let lines = curl_lines();
    assert_eq!(lines.iter().filter(|line| line.contains("curl")).count(), 10, "{lines:#?}");

    // As `make run` does: a demonstration first, on a data folder that is new.
    let place = Place::new();
    let mut command = program("olake");
    command.args(["standalone", "--listen", "localhost:0", "--demo"]);
    command.arg(root().join("deploy/sample-connector/data"));
    command.env("OLAKE_DATA_DIR", place.data());
    let mut olake = Process::start("olake", command, &place.log("olake"));
    let port: u16 = olake.printed("its port", |log| {
        let (_, rest) = log.split_once("OLake runs on http://localhost:")?;
        rest.split_once('\n')?.0.trim().parse().ok()
    });
    olake.printed("that the demonstration is over", |log| {
        log.contains("Run it again with curl").then_some(())
    });
    // What each line prints is looked at on its own; the variables that it sets stay for the next.
    let mut script = String::from("set -euo pipefail\n");
    for (number, line) in lines.iter().enumerate() {
        // Another port, and a folder of this test's own in place of what everybody shares.
        let line = line.replace("localhost:8080", &format!("localhost:{port}"));
        let line = line.replace("/tmp/olake-", &format!("{}/", place.path().display()));
        script += &format!("echo '@@ {number}'\n{line}\necho\n");
    }
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(root());
    let ran = run(bash);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout.matches("@@ ").count(), 10, "{}", ran.stdout);
    for answer in ran.stdout.split("@@ ").skip(1) {
        let (number, answer) = answer.split_once('\n').unwrap();
        let line = &lines[number.parse::<usize>().unwrap()];
        assert!(answer.contains("\"success\":true"), "{line}\n{answer}");
    }

    let client = Client::new(port).login("ann", "correct horse");
    wait_until("the sync that was started to succeed", || {
        let status = client.get("/jobs/2/tasks").data()[0]["status"].clone();
        assert_ne!(status, "failed");
        status == "succeeded"
    });
}
