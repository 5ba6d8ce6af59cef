//! The processes of a system, in either deployment, that die and are started again.

use std::{cell::Cell, fs, path::PathBuf, process::Command};

use rustix::process::Signal;
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::{
    support::{
        client::{Client, PROJECT},
        database::new_database,
        living::{self, Living},
        place::Place,
        process::{Process, program, run},
        redis::Redis,
        system::{ADMIN, ADMIN_PASSWORD, MASTER_KEY},
        waiting::{wait_for, wait_until},
    },
    witness::Story,
};

/// The rows that each job reads, in batches of [`BATCH`].
pub const ROWS: i64 = 100;
pub const BATCH: i64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    Standalone,
    Services,
}

/// A system. Everything ends when this is dropped, the place last.
pub struct Cluster {
    pub client: Client,
    /// `olake standalone`, or `olake-api serve`.
    pub api: Process,
    /// `olake-worker run`; none on one machine.
    pub workers: Vec<Process>,
    pub deployment: Deployment,
    /// Ends with the system.
    _redis: Option<Redis>,
    settings: Vec<(String, String)>,
    database: String,
    /// The selected streams of every job.
    streams: Value,
    jobs: Cell<u32>,
    starts: u32,
    pub place: Place,
}

/// A job whose connector is witnessed.
pub struct WitnessedJob {
    pub id: i64,
    key: String,
    folder: PathBuf,
}

impl WitnessedJob {
    pub fn story(&self) -> Story {
        Story::read(&self.folder, &self.key)
    }

    /// Waits until so many batches were written, over all runs.
    #[track_caller]
    pub fn wait_for_batches(&self, number: usize) {
        wait_until("batches", || self.story().batches() >= number);
    }
}

impl Cluster {
    /// One process, or an API with two workers. `database` makes another URL of the database's.
    pub fn start(
        deployment: Deployment,
        settings: &[(&str, &str)],
        database: impl FnOnce(&str) -> String,
    ) -> Self {
        let place = Place::new();
        place.write_numbers(ROWS);
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut settings: Vec<(String, String)> = settings.iter().map(own).collect();
        let admin = [("OLAKE_ADMIN_USERNAME", ADMIN), ("OLAKE_ADMIN_PASSWORD", ADMIN_PASSWORD)];
        settings.extend(admin.iter().map(own));
        let mut redis = None;
        let mut url = format!("sqlite://{}?mode=ro", place.data().join("olake.db").display());
        if deployment == Deployment::Services {
            let server = redis.insert(Redis::start(place.path().to_owned()));
            url = new_database();
            let more = [
                ("OLAKE_DATABASE_URL", database(&url)),
                ("OLAKE_DATABASE_MAX_CONNECTIONS", "5".to_owned()),
                ("OLAKE_REDIS_URL", server.url()),
                ("OLAKE_MASTER_KEY", MASTER_KEY.to_owned()),
                ("OLAKE_WORKER_LISTEN", "localhost:0".to_owned()),
            ];
            settings.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
            let mut migrate = with(&place, &settings, "olake-api", &[]);
            migrate.arg("migrate");
            let migrated = run(migrate);
            assert_eq!(migrated.code, Some(0), "{}{}", migrated.stdout, migrated.stderr);
        }
        let (api, port) = start_api(&place, &settings, deployment, &[], 0);
        let client = Client::new(port).login(ADMIN, ADMIN_PASSWORD);
        let mut cluster = Self {
            client,
            api,
            workers: Vec::new(),
            deployment,
            _redis: redis,
            settings,
            database: url,
            streams: Value::Null,
            jobs: Cell::new(0),
            starts: 0,
            place,
        };
        if deployment == Deployment::Services {
            cluster.workers = vec![cluster.start_worker(&[]), cluster.start_worker(&[])];
        }
        let source = json!({"type": "files", "version": "v0.9.4", "config": {"path": cluster.place.rows()}});
        let mut streams = cluster.client.post("/source/streams", &source).data()["streams_config"].take();
        for stream in streams["streams"].as_array_mut().unwrap() {
            stream["stream"]["sync_mode"] = "incremental".into();
            stream["stream"]["cursor_field"] = "id".into();
        }
        cluster.streams = streams;
        cluster
    }

    /// A job with a witness, that reads [`ROWS`] rows, and has these faults besides.
    #[track_caller]
    pub fn create_job(&self, faults: &Value) -> WitnessedJob {
        self.create_job_with(faults, &json!({}))
    }

    /// As [`Self::create_job`], with these advanced settings.
    #[track_caller]
    pub fn create_job_with(&self, faults: &Value, settings: &Value) -> WitnessedJob {
        self.jobs.set(self.jobs.get() + 1);
        let key = format!("job-{}", self.jobs.get());
        let folder = self.place.path().join("witness");
        let mut faults = faults.clone();
        faults["witness"] = json!({"folder": folder, "key": key});
        let config = json!({"path": self.place.rows(), "batch_size": BATCH, "faults": faults});
        let lake = self.place.path().join(format!("lake of {key}"));
        let body = json!({
            "name": key,
            "source": {"name": key, "type": "files", "version": "v0.9.4", "config": config},
            "destination": {
                "name": key, "type": "parquet", "version": "v0.9.4",
                "config": {"type": "PARQUET", "writer": {"local_path": lake}},
            },
            "frequency": "0 0 29 2 *",
            "streams_config": self.streams,
            "advanced_settings": settings,
        });
        let id = self.client.post("/jobs", &body).data()["id"].as_i64().unwrap();
        WitnessedJob { id, key, folder }
    }

    /// Asks for a sync. Whether it was acknowledged: the API may be dead, or die.
    pub fn ask_for_sync(&self, job: &WitnessedJob) -> bool {
        let answer = self.client.send("POST", &format!("{PROJECT}/jobs/{}/sync", job.id), None);
        answer.is_ok_and(|reply| reply.status == 200)
    }

    /// The tasks of a job, newest first. None while the API is away.
    pub fn tasks(&self, job: &WitnessedJob) -> Option<Vec<Value>> {
        let path = format!("{PROJECT}/jobs/{}/tasks", job.id);
        let reply = self.client.send("GET", &path, None).ok().filter(|reply| reply.status == 200)?;
        reply.data().as_array().cloned()
    }

    /// All log lines of a job, oldest first.
    #[track_caller]
    pub fn lines(&self, job: &WitnessedJob) -> Vec<String> {
        let mut lines = Vec::new();
        for task in self.tasks(job).unwrap().iter().rev() {
            let mut cursor = json!(0);
            loop {
                let id = task["id"].as_str().unwrap();
                let path =
                    format!("/jobs/{}/task/{id}/logs?direction=newer&limit=5000&cursor={cursor}", job.id);
                let page = self.client.get(&path).data();
                let messages = page["task_logs"].as_array().unwrap().iter().map(|line| &line["message"]);
                lines.extend(messages.map(|message| message.as_str().unwrap().to_owned()));
                cursor = page["newer_cursor"].clone();
                if page["has_more_newer"] == false {
                    break;
                }
            }
        }
        lines
    }

    /// The state that is stored for a job.
    pub fn state(&self, job: &WitnessedJob) -> Option<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = Database::connect(self.database.as_str()).await.unwrap();
            let sql =
                format!("SELECT state FROM job_states WHERE job_id = {} ORDER BY id DESC LIMIT 1", job.id);
            let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
            let state = row.map(|row| row.try_get("", "state").unwrap());
            db.close().await.unwrap();
            state
        })
    }

    /// Does something to the database, past the system.
    pub fn alter_database(&self, statement: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = Database::connect(self.database.replace("?mode=ro", "?mode=rw")).await.unwrap();
            db.execute_unprepared(statement).await.unwrap();
            db.close().await.unwrap();
        });
    }

    /// What is wrong with a job whose last sync has succeeded.
    #[track_caller]
    pub fn faults(&self, job: &WitnessedJob) -> Vec<String> {
        let (state, lines) = (self.state(job), self.lines(job));
        let faults = job.story().faults(ROWS, state.as_deref(), &lines);
        if !faults.is_empty() {
            println!("{faults:#?}\nwitnessed: {:#?}\nstored: {state:?}\n{lines:#?}", job.story());
        }
        faults
    }

    /// The number of the worker that runs a task.
    pub fn worker_of(&self, task: &str) -> usize {
        let takes =
            |log: &str| log.lines().any(|line| line.contains("attempt starts") && line.contains(task));
        wait_for("a worker that has the task", || self.workers.iter().position(|worker| takes(&worker.log())))
    }

    /// Ends what runs (SIGTERM), looks whether it left something, and starts all of it again with these variables.
    #[track_caller]
    pub fn restart(&mut self, variables: &[(&str, &str)]) {
        let api_too =
            self.deployment == Deployment::Standalone || self.api.has_ended() || !variables.is_empty();
        let mut old: Vec<Process> = std::mem::take(&mut self.workers);
        for process in &mut old {
            end(process);
        }
        if api_too {
            end(&mut self.api);
        }
        drop(old);
        let left = self.connectors_and_supervisors();
        assert!(left.is_empty(), "processes were left: {left:?}");
        if api_too {
            self.start_api(variables);
        }
        if self.deployment == Deployment::Services {
            self.workers = vec![self.start_worker(variables), self.start_worker(variables)];
        }
    }

    /// Starts again what is needed to go on: an API, and at least one worker.
    pub fn revive(&mut self, variables: &[(&str, &str)]) {
        if self.api.has_ended() {
            self.start_api(variables);
        }
        if self.deployment == Deployment::Services && self.workers.iter_mut().all(Process::has_ended) {
            let worker = self.start_worker(variables);
            self.workers.push(worker);
        }
    }

    /// Whether something of the system has died.
    pub fn something_died(&mut self) -> bool {
        self.api.has_ended() || self.workers.iter_mut().any(Process::has_ended)
    }

    fn start_api(&mut self, variables: &[(&str, &str)]) {
        self.starts += 1;
        let (api, port) = start_api(&self.place, &self.settings, self.deployment, variables, self.starts);
        self.api = api;
        self.client = self.client.at(port);
    }

    fn start_worker(&mut self, variables: &[(&str, &str)]) -> Process {
        let mut worker = self.spawn_worker(variables);
        worker.printed("that it works", |log| log.contains("worker started").then_some(()));
        worker
    }

    /// Starts a worker with these variables, and does not wait until it works.
    pub fn spawn_worker(&mut self, variables: &[(&str, &str)]) -> Process {
        self.starts += 1;
        let name = format!("olake-worker-{}", self.starts);
        let mut command = with(&self.place, &self.settings, "olake-worker", variables);
        command.arg("run");
        Process::start(&name, command, &self.place.log(&name))
    }

    /// What runs for attempts.
    pub fn connectors_and_supervisors(&self) -> Vec<Living> {
        let all = living::of_folder(self.place.path()).into_iter();
        all.filter(|process| process.is_connector() || self.is_supervisor_of_run(process)).collect()
    }

    /// A supervisor that waits for its order has no start guard open.
    fn is_supervisor_of_run(&self, process: &Living) -> bool {
        let Ok(files) = fs::read_dir(format!("/proc/{}/fd", process.pid)) else { return false };
        let mut links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        process.command.contains(" supervise") && links.any(|file| file.starts_with(self.place.path()))
    }
}

/// Tells a process to end (SIGTERM), and waits for it.
pub fn end(process: &mut Process) {
    if !process.has_ended() {
        process.signal(Signal::TERM);
        process.ended();
    }
}

fn with(place: &Place, settings: &[(String, String)], name: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = program(name);
    command.env("OLAKE_DATA_DIR", place.data()).env("OLAKE_CONNECTORS", place.connectors());
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command.envs(variables.iter().copied());
    command
}

/// Starts the API or the one process, and waits until it is ready.
fn start_api(
    place: &Place,
    settings: &[(String, String)],
    deployment: Deployment,
    variables: &[(&str, &str)],
    number: u32,
) -> (Process, u16) {
    let (name, arguments, words) = match deployment {
        Deployment::Standalone => {
            ("olake", ["standalone", "--listen", "localhost:0"], "OLake runs on http://localhost:")
        }
        Deployment::Services => {
            ("olake-api", ["serve", "--listen", "localhost:0"], "the API listens on http://localhost:")
        }
    };
    let mut command = with(place, settings, name, variables);
    command.args(arguments);
    let log = place.log(&format!("{name}-{number}"));
    let mut process = Process::start(name, command, &log);
    let port = wait_for("the port of the API", || {
        let found = port_after(&process.log(), words);
        // It may be told to die as soon as it works.
        (found.is_some() || process.has_ended()).then_some(found)
    });
    let Some(port) = port else { return (process, 0) };
    let client = Client::new(port);
    wait_until("the API to be ready, or to die", || {
        process.has_ended() || client.send("GET", "/ready", None).is_ok_and(|reply| reply.status == 200)
    });
    (process, port)
}

fn port_after(log: &str, words: &str) -> Option<u16> {
    let (_, rest) = log.split_once(words)?;
    let (digits, _) = rest.split_once(|c: char| !c.is_ascii_digit())?;
    digits.parse().ok()
}
