//! A database, an internal port on it, agents, and what a connector would do.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use olake_shared::{
    config::TlsFiles,
    crypto::KeyRing,
    domain::task::TaskId,
    events::Events,
    store::{
        ProjectStore, Store,
        jobs::JobInput,
        logs::{Direction, LogLine},
        tasks::Fence,
    },
};
use olake_worker::{
    agent::record::FinalRecord,
    internal::{Ends, Internal, bind},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::samples;

/// Long enough for a loaded machine; nothing waits for it unless it fails.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, wanted: impl Fn() -> F) {
    let looked = async {
        while !wanted().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, looked).await.is_ok(), "it never came to this: {what}");
}

/// What a worker sees of pods: whether the connector has ended.
struct Seen(watch::Sender<bool>);

#[async_trait]
impl Ends for Seen {
    async fn ended(&self, _: TaskId, _: i32, within: Duration) -> bool {
        let mut seen = self.0.subscribe();
        tokio::time::timeout(within, seen.wait_for(|ended| *ended)).await.is_ok_and(|seen| seen.is_ok())
    }
}

/// A serving internal port.
struct Serving {
    stop: CancellationToken,
    served: JoinHandle<()>,
}

pub struct Stage {
    folder: tempfile::TempDir,
    pub store: Store,
    pub keys: Arc<KeyRing>,
    pub events: Events,
    pub project: ProjectStore,
    pub job: i64,
    pub fence: Fence,
    pub address: SocketAddr,
    seen: Arc<Seen>,
    tls: Option<TlsFiles>,
    serving: Option<Serving>,
}

impl Stage {
    /// A running sync, and a port.
    pub async fn new() -> Self {
        Self::with(samples::job("j"), None).await
    }

    /// The same, with this job, and over TLS if there are files for it.
    pub async fn with(job: JobInput, tls: Option<TlsFiles>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = samples::sqlite(folder.path()).await;
        Self::on(store, folder, job, tls).await
    }

    /// The same, on a database that is there.
    pub async fn on(store: Store, folder: tempfile::TempDir, job: JobInput, tls: Option<TlsFiles>) -> Self {
        let keys = samples::keys();
        let (project, user) = (samples::project(&store).await, samples::user(&store).await);
        let job = project.create_job(&job, user).await.unwrap().id;
        let task = project.create_sync(job, user).await.unwrap().task;
        let fence = samples::claim(&store, task).await.fence;
        let mut stage = Self {
            folder,
            store,
            keys,
            events: Events::in_process(),
            project,
            job,
            fence,
            address: ([127, 0, 0, 1], 0).into(),
            seen: Arc::new(Seen(watch::Sender::new(false))),
            tls,
            serving: None,
        };
        stage.serve().await;
        stage
    }

    /// Serves, on the same port as before.
    pub async fn serve(&mut self) {
        let bound = bind(self.address.to_string().parse().unwrap(), self.tls.as_ref()).await.unwrap();
        self.address = bound.address();
        let stop = CancellationToken::new();
        let internal = Internal::new(
            &self.store,
            self.keys.clone(),
            self.events.clone(),
            self.seen.clone(),
            stop.clone(),
        );
        self.serving = Some(Serving { stop, served: tokio::spawn(bound.serve(internal)) });
    }

    /// Ends the port, and all connections to it.
    pub async fn stop_serving(&mut self) {
        let Some(serving) = self.serving.take() else { return };
        serving.stop.cancel();
        serving.served.await.unwrap();
    }

    /// The worker sees that the connector has ended.
    pub fn connector_ended(&self) {
        self.seen.0.send_replace(true);
    }

    pub fn token(&self) -> String {
        self.keys.attempt_token(self.fence.task, self.fence.attempt)
    }

    /// A pod's folders.
    pub fn pod(&self, uid: &str) -> Pod {
        let folder = self.folder.path().join(uid);
        let pod = Pod { uid: uid.to_owned(), folder, fence: self.fence, url: self.url(), grace: 3600 };
        for folder in [pod.secret(), pod.inputs(), pod.output()] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(pod.secret().join("token"), self.token()).unwrap();
        fs::write(pod.secret().join("mask.json"), r#"["hunter22"]"#).unwrap();
        fs::write(pod.secret().join("source.json"), r#"{"password":"hunter22"}"#).unwrap();
        pod
    }

    fn url(&self) -> String {
        match &self.tls {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    pub async fn state(&self) -> Option<String> {
        self.project.state(self.job).await.unwrap().text
    }

    pub async fn log(&self) -> Vec<LogLine> {
        let (mut lines, mut cursor) = (Vec::new(), 0);
        loop {
            let page = self
                .project
                .log_page(None, self.fence.task, Some(cursor), 100_000, Direction::Newer, true)
                .await
                .unwrap();
            lines.extend(page.lines);
            cursor = page.newer_cursor;
            if !page.has_more_newer {
                return lines;
            }
        }
    }

    pub async fn lines(&self) -> usize {
        usize::try_from(self.project.task(self.fence.task).await.unwrap().log_lines).unwrap()
    }

    pub async fn record(&self) -> Option<FinalRecord> {
        let text = self.store.queue().final_record(self.fence.task, self.fence.attempt).await.unwrap();
        text.map(|text| FinalRecord::parse(&text).unwrap())
    }

    /// Asserts that the log is the lines of a [`Connector`], each once and in order.
    pub async fn assert_log_is(&self, lines: usize) {
        let log = self.log().await;
        assert_eq!(log.len(), lines);
        for (number, line) in log.iter().enumerate() {
            assert!(line.message.starts_with(&format!("line {number} ")), "line {number}: {}", line.message);
        }
    }

    /// Calls the port by hand: the status, the headers and the body of its answer.
    pub async fn call(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let authorization =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let (mut reading, mut writing) = stream.split();
        let write = async {
            writing.write_all(head.as_bytes()).await?;
            writing.write_all(body).await
        };
        let mut answer = Vec::new();
        // Who is refused early may not be able to send all of it.
        let (_, read) = tokio::join!(write, reading.read_to_end(&mut answer));
        let text = String::from_utf8(answer).unwrap();
        assert!(read.is_ok() || !text.is_empty(), "{read:?}");
        (text.split(' ').nth(1).unwrap().parse().unwrap(), text)
    }

    /// The path of a call about this attempt.
    pub fn path(&self, name: &str) -> String {
        format!("/internal/v1/attempts/{}/{}/{name}", self.fence.task, self.fence.attempt)
    }
}

/// What Kubernetes would give an agent.
pub struct Pod {
    pub uid: String,
    folder: PathBuf,
    fence: Fence,
    pub url: String,
    pub grace: u32,
}

impl Pod {
    pub fn secret(&self) -> PathBuf {
        self.folder.join("in")
    }

    pub fn inputs(&self) -> PathBuf {
        self.folder.join("config")
    }

    pub fn output(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    fn command(&self, word: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_olake-worker"));
        command
            .arg(word)
            .env_clear()
            .env("OLAKE_INTERNAL_URL", &self.url)
            .env(
                "OLAKE_INTERNAL_CA",
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pod_agent/tls/ca.pem"),
            )
            .env("OLAKE_AGENT_TASK", self.fence.task.to_string())
            .env("OLAKE_AGENT_ATTEMPT", self.fence.attempt.to_string())
            .env("OLAKE_AGENT_POD_UID", &self.uid)
            .env("OLAKE_AGENT_POD_NAME", format!("olake-{}", self.uid))
            .env("OLAKE_AGENT_NODE", "node-1")
            .env("OLAKE_AGENT_SECRET", self.secret())
            .env("OLAKE_AGENT_INPUTS", self.inputs())
            .env("OLAKE_AGENT_OUTPUT", self.output())
            .env("OLAKE_AGENT_GRACE_SECONDS", self.grace.to_string())
            .stdin(Stdio::null());
        command
    }

    /// Starts the agent. Its output goes to files of the pod, after what is there.
    pub fn start(&self) -> Agent {
        let to =
            |name: &str| fs::File::options().create(true).append(true).open(self.folder.join(name)).unwrap();
        let child = self.command("agent").stdout(to("stdout")).stderr(to("stderr")).spawn().unwrap();
        Agent { child }
    }

    /// Starts the agent, and waits until its gate opens.
    pub async fn start_open(&self) -> Agent {
        let agent = self.start();
        let gate = Agent { child: self.command("agent-gate").spawn().unwrap() };
        assert_eq!(gate.code().await, 0, "{}", self.stderr());
        agent
    }

    pub fn is_open(&self) -> bool {
        fs::read_dir(self.inputs()).unwrap().next().is_some()
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(self.folder.join("stdout")).unwrap_or_default()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }

    /// A connector that writes here.
    pub fn connector(&self) -> Connector {
        let folder = self.output().join("logs/sync_2026-11-24_13-00-00");
        fs::create_dir_all(&folder).unwrap();
        let log = fs::File::options().create(true).append(true).open(folder.join("olake.log")).unwrap();
        Connector { output: self.output(), log, lines: 0 }
    }
}

/// An agent that runs. Dropped, it is ended.
pub struct Agent {
    pub child: Child,
}

impl Agent {
    /// Its exit code.
    pub async fn code(mut self) -> i32 {
        let mut code = None;
        let looked = async {
            while code.is_none() {
                code = self.child.try_wait().unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, looked).await.is_ok(), "it does not end");
        code.unwrap().code().unwrap()
    }

    pub fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a connector does.
pub struct Connector {
    output: PathBuf,
    log: fs::File,
    pub lines: usize,
}

impl Connector {
    /// Logs so many more lines: "line <number> …".
    pub fn log(&mut self, lines: usize) {
        self.log_with(lines, "of the log");
    }

    pub fn log_with(&mut self, lines: usize, rest: &str) {
        let mut text = String::new();
        for number in self.lines..self.lines + lines {
            let message = format!("line {number} {rest}");
            text += &format!(
                "{}\n",
                serde_json::json!({"level": "info", "time": "2026-11-24T13:00:00Z", "message": message})
            );
        }
        self.log.write_all(text.as_bytes()).unwrap();
        self.lines += lines;
    }

    pub fn say(&mut self, level: &str, message: &str) {
        let line = serde_json::json!({"level": level, "time": "2026-11-24T13:00:00Z", "message": message});
        writeln!(self.log, "{line}").unwrap();
        self.lines += 1;
    }

    pub fn state(&self, text: &str) {
        self.file("state.json", text);
    }

    pub fn file(&self, name: &str, text: &str) {
        fs::write(self.output.join(name), text).unwrap();
    }
}
