//! The proof can fail: without the start guard, `make chaos` is red.

use std::{path::Path, process::Command};

use crate::support::process::run;

#[test]
fn chaos_is_red_when_the_fence_is_broken_on_purpose() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let programs = Path::new(env!("CARGO_BIN_EXE_olake")).parent().unwrap();
    let mut command = Command::new("python3");
    command.arg("-B").arg(root.join("deploy/chaos/chaos.py")).arg("--programs").arg(programs);
    // Syncs that are still running when the paused worker's lease has run out.
    let words = "--break-fence --only pause_worker --times 3 --syncs 1 --jobs 16 --sync-seconds 12 --seed 1";
    command.args(words.split(' '));
    let ran = run(command);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("RED: two live connectors of one job"), "{}{}", ran.stdout, ran.stderr);
}
