//! The folder of a test: rows to read, lakes to write to, and the data folder of the system.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use tempfile::TempDir;

use super::{living, waiting::wait_until};

/// The folder of a test. What still runs in it is ended when this is dropped.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// With a table of connectors: `files`, and `missing`, whose program does not exist.
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        for folder in [place.data(), place.rows()] {
            fs::create_dir(folder).unwrap();
        }
        let sample = Self::sample_connector();
        assert!(sample.exists(), "{} is not built: run the tests of the whole workspace", sample.display());
        place.write_connectors(&sample);
        place
    }

    /// The program of the sample connector.
    pub fn sample_connector() -> PathBuf {
        Path::new(env!("CARGO_BIN_EXE_olake")).with_file_name("sample-connector")
    }

    /// Writes the table of connectors: this one, and `missing`, whose program does not exist.
    pub fn write_connectors(&self, program: &Path) {
        let table = format!(
            "[[connector]]\ntype = \"files\"\nversions = [\"v0.9.4\"]\ncommand = [{program:?}]\n\
             destinations = [\"parquet\"]\nenv = {{ OWN_VARIABLE = \"of the table\" }}\n\n\
             [[connector]]\ntype = \"missing\"\nversions = [\"v0.9.4\"]\ncommand = [\"no-such-program\"]\n\
             destinations = [\"parquet\"]\n"
        );
        fs::write(self.connectors(), table).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder of the system.
    pub fn data(&self) -> PathBuf {
        self.path().join("system")
    }

    /// The folder that the source reads.
    pub fn rows(&self) -> PathBuf {
        self.path().join("rows")
    }

    /// The table of connectors.
    pub fn connectors(&self) -> PathBuf {
        self.path().join("connectors.toml")
    }

    /// A file for what a program prints.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.log"))
    }

    /// Writes the stream `numbers` with the ids 1 to `last`.
    pub fn write_numbers(&self, last: i64) {
        let mut text = "id,word\n".to_owned();
        for id in 1..=last {
            text += &format!("{id},word {id}\n");
        }
        fs::write(self.rows().join("numbers.csv"), text).unwrap();
    }

    /// The folder in memory which holds the inputs of running connectors.
    pub fn memory(&self) -> PathBuf {
        let data = fs::metadata(self.data()).unwrap();
        let user = rustix::process::geteuid().as_raw();
        format!("/dev/shm/olake-{user}-{:x}-{:x}", data.dev(), data.ino()).into()
    }

    /// What attempts have on disk and in memory: nothing while none runs.
    pub fn files_of_attempts(&self) -> Vec<PathBuf> {
        let folders = [self.data().join("attempts"), self.data().join("inputs"), self.memory()];
        folders.iter().flat_map(|folder| files_below(folder)).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            wait_until("the last process of the test to end", || {
                let left = living::of_folder(self.path());
                left.iter().for_each(living::Living::kill);
                left.is_empty()
            });
        } else {
            living::of_folder(self.path()).iter().for_each(living::Living::kill);
        }
        // It is beside the temporary folder, in memory. There may be none.
        let _ = fs::remove_dir_all(self.memory());
    }
}

/// The numbers from 1 to `last`.
pub fn one_to(last: i64) -> Vec<i64> {
    (1..=last).collect()
}

/// All files and empty folders below a folder, sorted. None if it does not exist.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let below = if path.is_dir() { files_below(&path) } else { Vec::new() };
        files.extend(if below.is_empty() { vec![path] } else { below });
    }
    files.sort();
    files
}

/// The ids of all rows in the Parquet files below a folder, sorted; doubled rows are there twice.
pub fn ids(lake: &Path) -> Vec<i64> {
    let files = files_below(lake).into_iter();
    let mut ids: Vec<i64> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "parquet"))
        .flat_map(|file| ids_of_file(&file))
        .collect();
    ids.sort_unstable();
    ids
}

fn ids_of_file(file: &Path) -> Vec<i64> {
    let reader = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns());
    let id = |columns: Vec<(String, Field)>| match columns.iter().find(|(name, _)| name == "id").unwrap().1 {
        Field::Long(id) => id,
        ref other => panic!("an id that is no int64: {other:?}"),
    };
    rows.map(id).collect()
}
