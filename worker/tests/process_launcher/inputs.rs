//! What a connector is given, and that secrets are nowhere else and not for long.

use std::{collections::BTreeMap, fs, path::Path};

use olake_worker::launch::Launcher;

use crate::support::{Stage, sync, told};

/// Writes its own beginnings to the output folder.
const TELLS: &str = r#"
    cat /proc/$$/environ > "$TMPDIR/environment"
    cat /proc/$$/cmdline > "$TMPDIR/arguments"
    cat /proc/$PPID/cmdline /proc/$PPID/environ > "$TMPDIR/supervisor"
    pwd -P > "$TMPDIR/folder"
    stat -c %a "$3" "$(dirname "$3")" "$TMPDIR" > "$TMPDIR/modes"
    cp "$3" "$TMPDIR/source"
    echo "$3" > "$TMPDIR/path"
"#;

fn words(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8(word.to_owned()).unwrap()).collect()
}

async fn run() -> (Stage, std::path::PathBuf) {
    let stage = Stage::with(TELLS);
    let launch = sync(1);
    let output = stage.output(launch.task);
    told(stage.launcher.launch(launch).await.unwrap()).await;
    (stage, output)
}

#[tokio::test]
async fn the_environment_is_the_allow_list_and_nothing_else() {
    let (_stage, output) = run().await;
    let environment = words(&output.join("environment"));
    let found: BTreeMap<&str, &str> =
        environment.iter().map(|variable| variable.split_once('=').unwrap()).collect();
    let folder = output.canonicalize().unwrap();
    let folder = folder.to_str().unwrap();
    let expected = BTreeMap::from([
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", folder),
        ("TMPDIR", folder),
        ("TELEMETRY_DISABLED", "true"),
        ("DRIVER_VERSION", "v0.9.4"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("EXTRA", "1"),
    ]);
    assert_eq!(found, expected);
    assert_eq!(environment.len(), expected.len());
}

#[tokio::test]
async fn a_secret_is_in_its_file_alone_which_is_for_the_owner_and_gone_afterwards() {
    let (_stage, output) = run().await;
    let secret = "hunter2";
    assert!(fs::read_to_string(output.join("source")).unwrap().contains(secret));
    assert_eq!(fs::read_to_string(output.join("modes")).unwrap(), "600\n700\n700\n");
    for file in ["arguments", "environment"] {
        assert!(words(&output.join(file)).iter().all(|word| !word.contains(secret)), "{file}");
    }
    let path = fs::read_to_string(output.join("path")).unwrap();
    assert!(path.ends_with("/source.json\n"), "{path}");
    assert!(!Path::new(path.trim()).parent().unwrap().exists());
}

#[tokio::test]
async fn the_supervisor_knows_nothing_that_the_worker_s_environment_holds() {
    let (_stage, output) = run().await;
    let supervisor = words(&output.join("supervisor"));
    assert_eq!(supervisor, [env!("CARGO_BIN_EXE_olake-worker"), "supervise"]);
}

#[tokio::test]
async fn the_working_directory_is_the_program_s_own() {
    let (_stage, output) = run().await;
    let told = fs::read_to_string(output.join("folder")).unwrap();
    assert_eq!(Path::new(told.trim()), fs::canonicalize("/bin").unwrap());
}
