//! A launcher on a folder of its own, whose one connector is a shell script.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use olake_shared::{clock::SystemClock, config::connectors::ConnectorTable, domain::task::TaskId};
use olake_worker::{
    connector::{command::Request, output::LogLine, state::StateText},
    launch::{
        Ended, Launch, LaunchError, Launcher, Placement, Running, Update,
        process::{ProcessLauncher, ProcessSettings},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

/// Long enough for a loaded machine; nothing waits for it unless it fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The program that is a supervisor when it is told so.
pub const SUPERVISOR: &str = env!("CARGO_BIN_EXE_olake-worker");

/// Ends on SIGTERM, writing a state; otherwise never.
pub const RUNS_UNTIL_TOLD: &str = r#"
    trap 'echo "{\"type\":\"STREAM\",\"streams\":[]}" > "$TMPDIR/state.json"; exit 1' TERM
    : > "$TMPDIR/ready"
    while :; do sleep 0.02; done
"#;

pub struct Stage {
    pub folder: tempfile::TempDir,
    pub launcher: ProcessLauncher,
}

impl Stage {
    /// A connector that does what `script` says, with a long grace.
    pub fn with(script: &str) -> Self {
        Self::with_grace(script, DEADLINE)
    }

    pub fn with_grace(script: &str, grace: Duration) -> Self {
        let folder = folder();
        let path = folder.path().join("connector.sh");
        fs::write(&path, script).unwrap();
        let command = format!("[\"/bin/sh\", \"{}\"]", path.display());
        let launcher = launcher(folder.path(), &command, grace).unwrap();
        Self { folder, launcher }
    }

    /// The folder that attempt 1 of the task writes to.
    pub fn output(&self, task: TaskId) -> PathBuf {
        self.folder.path().join(format!("data/attempts/{task}-1"))
    }

    /// Launches attempt 1 of a sync of this job, and waits until the script has made the file `ready`.
    pub async fn launch_ready(&self, job: i64) -> (TaskId, Running) {
        let launch = sync(job);
        let task = launch.task;
        let running = self.launcher.launch(launch).await.unwrap();
        eventually("the connector is ready", || self.output(task).join("ready").exists()).await;
        (task, running)
    }

    /// Runs a spec to its end.
    pub async fn run_spec(&self) -> Told {
        told(self.launcher.launch(spec()).await.unwrap()).await
    }
}

/// A folder in memory where there is one, since inputs are to be there.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A launcher whose one connector is `files v0.9.4`, with this command (in TOML).
pub fn launcher(folder: &Path, command: &str, grace: Duration) -> Result<ProcessLauncher, LaunchError> {
    launcher_with(folder, command, grace, vec![SUPERVISOR.into(), "supervise".into()])
}

/// The same, with this command of the supervisor.
pub fn launcher_with(
    folder: &Path,
    command: &str,
    grace: Duration,
    supervisor_command: Vec<OsString>,
) -> Result<ProcessLauncher, LaunchError> {
    let table = folder.join("connectors.toml");
    let text = format!(
        "[[connector]]\ntype = \"files\"\nversions = [\"v0.9.4\"]\ncommand = {command}\n\
         env = {{ EXTRA = \"1\" }}\ndestinations = [\"parquet\"]\n"
    );
    fs::write(&table, text).unwrap();
    let mut settings = ProcessSettings::new(grace);
    settings.memory = folder.to_owned();
    settings.supervisor_command = supervisor_command;
    let table = ConnectorTable::load(&table).unwrap();
    ProcessLauncher::new(&folder.join("data"), table, settings, SystemClock::shared())
}

pub fn launch(job: Option<i64>, request: Request) -> Launch {
    Launch {
        task: Uuid::now_v7(),
        attempt: 1,
        epoch: 1,
        job,
        connector_type: "files".to_owned(),
        version: "v0.9.4".to_owned(),
        request,
        mask: Vec::new(),
        placement: Placement::default(),
        deadline: Duration::from_secs(3600),
    }
}

pub fn spec() -> Launch {
    launch(None, Request::Spec { destination_type: None })
}

pub fn sync(job: i64) -> Launch {
    let request = Request::Sync {
        source: "{\"password\":\"hunter2\"}".to_owned(),
        destination: "{\"type\":\"PARQUET\"}".to_owned(),
        catalog: "{\"streams\":[]}".to_owned(),
        state: None,
    };
    launch(Some(job), request)
}

/// All that was told of a run.
#[derive(Debug)]
pub struct Told {
    pub waited_for: Vec<String>,
    pub pid: Option<i32>,
    pub lines: Vec<LogLine>,
    pub state: Option<String>,
    /// The most bytes of log in one step of progress.
    pub largest_step: usize,
    pub ended: Ended,
}

impl Told {
    pub fn messages(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.message.as_str()).collect()
    }
}

/// Takes updates to the end.
pub async fn told(running: Running) -> Told {
    tokio::time::timeout(DEADLINE, take_all(running)).await.expect("the run ends in time")
}

async fn take_all(mut running: Running) -> Told {
    let (mut waited_for, mut pid, mut lines, mut state, mut largest_step) =
        (Vec::new(), None, Vec::new(), None, 0);
    loop {
        match running.updates.recv().await.expect("an end is told") {
            Update::Starting { why, .. } => waited_for.extend(why),
            Update::Placed(_) | Update::Unreachable(_) => {}
            Update::Started { pid: new, .. } => pid = new,
            Update::Progress(progress) => {
                assert_eq!(progress.first_line, lines.len() as u64);
                largest_step = largest_step.max(progress.log.iter().map(|line| line.message.len()).sum());
                lines.extend(progress.log);
                state = progress.state.or(state);
            }
            Update::Ended(mut ended) => {
                lines.append(&mut ended.rest.progress.log);
                let state = ended.rest.progress.state.take().or(state).map(StateText::into_string);
                return Told { waited_for, pid, lines, state, largest_step, ended: *ended };
            }
        }
    }
}

/// The process of the connector, once it runs.
pub async fn started(running: &mut Running) -> i32 {
    let first = async {
        loop {
            match running.updates.recv().await.expect("the start is told") {
                Update::Started { pid, .. } => return pid.expect("a process has a number"),
                Update::Ended(ended) => panic!("it ended before it was started: {:?}", ended.seen),
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, first).await.expect("the connector starts in time")
}

/// Waits until `holds` says so.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The parent and the group of a process. None when it is gone (a zombie counts as gone).
pub fn process(pid: i32) -> Option<(i32, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    if fields[0] == "Z" {
        return None;
    }
    Some((fields[1].parse().unwrap(), fields[2].parse().unwrap()))
}

/// The number in a file that a script wrote.
pub fn number_in(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

pub fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}
