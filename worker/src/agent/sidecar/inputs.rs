//! Laying out what the connector is given, and the gate that keeps it from starting before that.
//!
//! Invariants: each file is there as a whole or not at all, readable by its owner alone; the marker comes last, and once it
//! is there nothing is laid out again: the connector may be running.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::Duration,
};

use super::settings::{MASK_FILE, TOKEN_FILE};
use crate::internal::wire::Input;

/// The file that says that everything is laid out.
const MARKER: &str = ".olake-ready";

/// How often the gate looks for the marker.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether everything is laid out.
pub fn are_laid_out(folder: &Path) -> bool {
    folder.join(MARKER).exists()
}

/// Lays everything out and opens the gate. `secret` is the folder with the configs.
///
/// # Errors
/// The system's own, with the file's name.
pub fn lay_out(folder: &Path, secret: &Path, inputs: &[Input]) -> io::Result<()> {
    for entry in fs::read_dir(secret).map_err(|error| named(secret, &error))? {
        let entry = entry.map_err(|error| named(secret, &error))?;
        let name = entry.file_name();
        // Kubernetes keeps folders and links of its own there, whose names begin with a dot.
        let is_config = name
            .to_str()
            .is_some_and(|name| !name.starts_with('.') && ![TOKEN_FILE, MASK_FILE].contains(&name));
        if is_config {
            let content = fs::read(entry.path()).map_err(|error| named(&entry.path(), &error))?;
            write(folder, Path::new(&name), &content)?;
        }
    }
    for input in inputs {
        let name = Path::new(&input.name);
        if input.name.starts_with('.') || name.components().count() != 1 || name.file_name().is_none() {
            return Err(io::Error::other(format!("'{}' is no name of an input", input.name)));
        }
        write(folder, name, input.content.as_bytes())?;
    }
    write(folder, Path::new(MARKER), b"")
}

fn write(folder: &Path, name: &Path, content: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    let new = folder.join(format!(".new-{}", name.display()));
    let written = || {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file: File = File::options().write(true).create_new(true).mode(0o400).open(&new)?;
        file.write_all(content)?;
        fs::rename(&new, &path)
    };
    written().map_err(|error| named(&path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Waits until everything is laid out. Whoever runs it ends it when it takes too long.
pub fn wait_at_gate(folder: &Path) {
    while !are_laid_out(folder) {
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn input(name: &str) -> Input {
        Input { name: name.to_owned(), content: "{}".to_owned() }
    }

    #[test]
    fn configs_and_inputs_are_laid_out_and_the_rest_of_the_secret_is_not() {
        let (folder, secret) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["source.json", "token", "mask.json"] {
            fs::write(secret.path().join(name), name).unwrap();
        }
        fs::create_dir(secret.path().join("..data")).unwrap();
        // An earlier start was ended in the middle.
        fs::write(folder.path().join(".new-source.json"), "half").unwrap();
        assert!(!are_laid_out(folder.path()));
        lay_out(folder.path(), secret.path(), &[input("streams.json"), input("state.json")]).unwrap();
        assert!(are_laid_out(folder.path()));
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [MARKER, "source.json", "state.json", "streams.json"]);
        assert_eq!(fs::read_to_string(folder.path().join("source.json")).unwrap(), "source.json");
        for name in names {
            let mode = fs::metadata(folder.path().join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o400, "{name}");
        }
    }

    #[test]
    fn an_input_with_a_path_for_a_name_is_refused_and_the_gate_stays_shut() {
        let (folder, secret) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["../x", "/x", "a/b", "", "..", ".olake-ready"] {
            assert!(lay_out(folder.path(), secret.path(), &[input(name)]).is_err(), "{name}");
            assert!(!are_laid_out(folder.path()));
        }
    }
}
