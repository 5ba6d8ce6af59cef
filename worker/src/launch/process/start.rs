//! From an attempt to its supervisor: what runs, with which inputs, in which environment.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ChildStdin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use olake_shared::{
    config::connectors::ConnectorProgram,
    domain::version::ConnectorVersion,
    json::parse_json,
    step::{Moment, Step, reach},
};
use rustix::fs::{Access, access};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    Inner,
    driver::{Driver, DriverParts},
    folder_name,
};
use crate::{
    agent::{
        follow::FolderFollower,
        supervisor::protocol::{KILL, Order, RunName, STOP, Single},
    },
    connector::command::{self, CommandLine, Request, command_line},
    launch::{Control, Launch, LaunchError, Running},
};

/// Where a connector finds other programs.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Iceberg's writers use one fixed port, and kill whatever else listens there.
const ICEBERG: &str = "iceberg";
const WAITS_FOR_ICEBERG: &str =
    "waiting for another sync to Iceberg on this machine to end: only one can run at a time";

/// Updates that wait to be taken, at most.
const UPDATES: usize = 2;

impl Inner {
    /// What runs for an attempt, and as which version: the entry of the table and its program, which can be run.
    pub(super) fn program_of(
        &self,
        launch: &Launch,
    ) -> Result<(&ConnectorProgram, ConnectorVersion, PathBuf), LaunchError> {
        let not_configured = || LaunchError::NotConfigured {
            connector_type: launch.connector_type.clone(),
            version: launch.version.clone(),
        };
        let version: ConnectorVersion = launch.version.parse().map_err(|_| not_configured())?;
        let connector = self.connectors.lookup(&launch.connector_type, version).ok_or_else(not_configured)?;
        Ok((connector, version, runnable(&connector.program)?))
    }

    /// Starts the supervisor of an attempt. What was made for it is removed again if that fails.
    pub(super) fn start(&self, launch: &Launch) -> Result<(Driver, Running), LaunchError> {
        let (connector, version, program) = self.program_of(launch)?;
        let name = folder_name(launch.task, launch.attempt);
        reach(Step::OutputMade, Moment::Before);
        let output =
            self.folders.make_output(&name)?.ok_or(LaunchError::Running { attempt: launch.attempt })?;
        reach(Step::OutputMade, Moment::After);
        reach(Step::InputsWritten, Moment::Before);
        let started = self.write_inputs(&launch.request, version, &name).and_then(|(inputs, line)| {
            reach(Step::InputsWritten, Moment::After);
            let mut args = connector.args.clone();
            args.extend(line.args);
            let environment = environment(connector, version, &output.path);
            let order = Order { inputs, ..self.order(launch, program, args, environment) };
            reach(Step::SupervisorStarted, Moment::Before);
            let supervisor =
                self.supervisors.give(&order).map_err(|source| LaunchError::Supervisor { source })?;
            reach(Step::SupervisorStarted, Moment::After);
            Ok((supervisor, order))
        });
        let ((supervisor, orders), order) = started.inspect_err(|_| {
            // The first error tells more than one of cleaning up would, and a sweep comes by.
            let _ = self.folders.remove_inputs(&name);
            let _ = self.folders.remove_output(&name);
        })?;
        let (sender, updates) = mpsc::channel(UPDATES);
        let stopping = Arc::new(AtomicBool::new(false));
        let driver = Driver::new(DriverParts {
            supervisor,
            follower: FolderFollower::new(&output.path, self.clock.now()),
            updates: sender,
            stopping: stopping.clone(),
            run: order.run,
            guard: order.guard,
            grace: self.settings.kill_grace,
            output,
            folders: self.folders.clone(),
            name,
        });
        let life_line = LifeLine { orders: Mutex::new(orders), stopping };
        Ok((driver, Running::new(updates, Box::new(life_line))))
    }

    /// Writes the files that the command line names, in memory if there is room.
    fn write_inputs(
        &self,
        request: &Request,
        version: ConnectorVersion,
        name: &str,
    ) -> Result<(PathBuf, CommandLine), LaunchError> {
        let mut folder = self.folders.inputs_path(name, 0);
        let mut line = command_line(request, version, &folder)?;
        let bytes = line.inputs.iter().map(|input| input.content.len() as u64).sum();
        let with_room = self.folders.inputs_path(name, bytes);
        if with_room != folder {
            folder = with_room;
            line = command_line(request, version, &folder)?;
        }
        if !line.inputs.is_empty() {
            self.folders.write_inputs(&folder, &line.inputs)?;
        }
        Ok((folder, line))
    }

    fn order(
        &self,
        launch: &Launch,
        program: PathBuf,
        args: Vec<String>,
        environment: BTreeMap<String, String>,
    ) -> Order {
        let single = writes_iceberg(&launch.request)
            .then(|| Single { lock: self.folders.single(ICEBERG), reason: WAITS_FOR_ICEBERG.to_owned() });
        Order {
            run: RunName { task: launch.task.to_string(), attempt: launch.attempt },
            // Its image's working directory is the program's folder, and spec reads a file there.
            cwd: program.parent().unwrap_or(Path::new("/")).to_owned(),
            program,
            args,
            env: environment.into_iter().collect(),
            inputs: PathBuf::new(),
            guard: self.folders.guard(&launch.reference()),
            single,
            grace_millis: u64::try_from(self.settings.kill_grace.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The program by its absolute path, if it can be run.
fn runnable(program: &Path) -> Result<PathBuf, LaunchError> {
    let because = |problem: String| LaunchError::Program { path: program.to_owned(), problem };
    let path = std::path::absolute(program).map_err(|error| because(format!("has no path: {error}")))?;
    let found = fs::metadata(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => because("was not found".to_owned()),
        _ => because(format!("cannot be looked at: {error}")),
    })?;
    if !found.is_file() {
        return Err(because("is no file".to_owned()));
    }
    if access(&path, Access::EXEC_OK).is_err() {
        return Err(because("is not executable for the worker's user".to_owned()));
    }
    Ok(path)
}

/// The whole environment of a connector. The table's variables go before ours, but for the folder of its output.
fn environment(
    connector: &ConnectorProgram,
    version: ConnectorVersion,
    output: &Path,
) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = [("PATH", SEARCH_PATH), ("LANG", "C.UTF-8"), ("TZ", "UTC")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let protocol = command::environment(version, output);
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    variables.extend(protocol.map(|(name, value)| (name.to_owned(), text(value))));
    variables.insert("HOME".to_owned(), text(output.as_os_str().to_owned()));
    let own = connector.env.iter().filter(|(name, _)| name.as_str() != "TMPDIR");
    variables.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    variables
}

/// Whether a request opens Iceberg's port.
fn writes_iceberg(request: &Request) -> bool {
    let (Request::Sync { destination: config, .. }
    | Request::Clear { destination: config, .. }
    | Request::CheckDestination { config }) = request
    else {
        return false;
    };
    let config = parse_json(config).ok();
    let kind = config.as_ref().and_then(|config| config.get("type")).and_then(Value::as_str);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(ICEBERG))
}

/// The supervisor's stdin. Closed, by a drop or by the worker's death, it ends the run.
struct LifeLine {
    orders: Mutex<ChildStdin>,
    stopping: Arc<AtomicBool>,
}

impl LifeLine {
    /// A few bytes: a pipe whose reader lives takes them at once. A supervisor that is gone needs no order.
    fn say(&self, order: &str) {
        self.stopping.store(true, Ordering::Relaxed);
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = orders.write_all(format!("{order}\n").as_bytes());
    }
}

impl Control for LifeLine {
    fn stop(&self) {
        self.say(STOP);
    }

    fn kill(&self) {
        self.say(KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writers_of_iceberg_wait_for_each_other() {
        let sync = |destination: &str| Request::Sync {
            source: "{}".to_owned(),
            destination: destination.to_owned(),
            catalog: "{}".to_owned(),
            state: None,
        };
        assert!(writes_iceberg(&sync("{\"type\":\"ICEBERG\",\"writer\":{}}")));
        let clear = |destination: &str| Request::Clear {
            streams: "{}".to_owned(),
            destination: destination.to_owned(),
            state: None,
        };
        assert!(writes_iceberg(&clear("{\"type\":\"ICEBERG\"}")));
        assert!(!writes_iceberg(&clear("{\"type\":\"PARQUET\"}")));
        assert!(writes_iceberg(&Request::CheckDestination { config: "{\"type\":\"iceberg\"}".to_owned() }));
        assert!(!writes_iceberg(&sync("{\"type\":\"PARQUET\"}")));
        assert!(!writes_iceberg(&sync("no json")));
        assert!(!writes_iceberg(&Request::CheckSource { config: "{\"type\":\"ICEBERG\"}".to_owned() }));
    }

    #[test]
    fn a_program_that_cannot_run_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let words = |path: &Path| runnable(path).unwrap_err().to_string();
        let missing = folder.path().join("connector");
        let missing_words = words(&missing);
        assert!(missing_words.contains(&missing.display().to_string()), "{missing_words}");
        assert!(missing_words.contains("was not found"), "{missing_words}");
        fs::write(&missing, "").unwrap();
        assert!(words(&missing).contains("is not executable"));
        assert!(words(folder.path()).contains("is no file"));
    }
}
