//! The system, in its two deployments.

use std::{path::Path, process::Command};

use super::{
    client::Client,
    database::new_database,
    place::Place,
    process::{Process, program, run},
    redis::Redis,
    waiting::wait_until,
};

pub const ADMIN: &str = "ann";
pub const ADMIN_PASSWORD: &str = "an administrator's password";
pub const MASTER_KEY: &str = "a master key for tests only";

/// A running system and its first administrator's client. Everything ends when this is dropped, the place last.
pub struct System {
    pub client: Client,
    /// `olake standalone`, or `olake-api serve`.
    pub api: Process,
    /// `olake-worker run`; none on one machine.
    pub workers: Vec<Process>,
    pub redis: Option<Redis>,
    settings: Vec<(String, String)>,
    pub place: Place,
}

impl System {
    /// One process, with these variables beside the tests' own.
    pub fn standalone(settings: &[(&str, &str)]) -> Self {
        Self::standalone_at(Place::new(), settings)
    }

    /// One process, in a place that was prepared.
    pub fn standalone_at(place: Place, settings: &[(&str, &str)]) -> Self {
        let settings = with_admin(settings);
        let command = standalone(&place, &settings);
        let (api, port) = serve("olake", command, &place.log("olake"), "OLake runs on http://localhost:");
        let client = sign_in(port, &settings);
        Self { client, api, workers: Vec::new(), redis: None, settings, place }
    }

    /// An API and `workers` workers, with PostgreSQL and Redis.
    pub fn services(workers: usize, settings: &[(&str, &str)]) -> Self {
        Self::services_at(Place::new(), workers, settings)
    }

    /// An API and `workers` workers, in a place that was prepared.
    pub fn services_at(place: Place, workers: usize, settings: &[(&str, &str)]) -> Self {
        let redis = Redis::start(place.path().to_owned());
        let mut settings = with_admin(settings);
        settings.push(("OLAKE_DATABASE_URL".to_owned(), new_database()));
        settings.push(("OLAKE_DATABASE_MAX_CONNECTIONS".to_owned(), "5".to_owned()));
        settings.push(("OLAKE_REDIS_URL".to_owned(), redis.url()));
        settings.push(("OLAKE_MASTER_KEY".to_owned(), MASTER_KEY.to_owned()));
        settings.push(("OLAKE_WORKER_LISTEN".to_owned(), "localhost:0".to_owned()));
        let mut migrate = with(program("olake-api"), &place, &settings);
        migrate.arg("migrate");
        let migrated = run(migrate);
        assert_eq!(migrated.code, Some(0), "{}{}", migrated.stdout, migrated.stderr);
        let mut command = with(program("olake-api"), &place, &settings);
        command.args(["serve", "--listen", "localhost:0"]);
        let (api, port) =
            serve("olake-api", command, &place.log("olake-api"), "the API listens on http://localhost:");
        let client = sign_in(port, &settings);
        let mut system = Self { client, api, workers: Vec::new(), redis: Some(redis), settings, place };
        (0..workers).for_each(|_| system.add_worker());
        system
    }

    /// Starts one worker more, and waits until it works.
    pub fn add_worker(&mut self) {
        let name = format!("olake-worker-{}", self.workers.len() + 1);
        let mut command = with(program("olake-worker"), &self.place, &self.settings);
        command.arg("run");
        let mut worker = Process::start(&name, command, &self.place.log(&name));
        worker.printed("that it works", |log| log.contains("worker started").then_some(()));
        self.workers.push(worker);
    }

    /// The number of the worker that runs a task.
    pub fn worker_of(&self, task: &str) -> usize {
        let takes =
            |log: &str| log.lines().any(|line| line.contains("attempt starts") && line.contains(task));
        self.workers.iter().position(|worker| takes(&worker.log())).expect("no worker has this task")
    }

    /// Starts the one process again, which has ended. The session goes on.
    pub fn start_again(&mut self) {
        assert!(self.api.has_ended());
        let log = self.place.log("olake-again");
        let command = standalone(&self.place, &self.settings);
        let (api, port) = serve("olake, started again", command, &log, "OLake runs on http://localhost:");
        self.api = api;
        self.client = self.client.at(port);
    }

    /// A command line of `olake standalone` on this system's data folder.
    pub fn second_standalone(&self) -> Command {
        standalone(&self.place, &self.settings)
    }

    /// Everything that the services have logged.
    pub fn log(&self) -> String {
        std::iter::once(&self.api).chain(&self.workers).map(Process::log).collect()
    }
}

/// The settings, with a first administrator unless they name one.
fn with_admin(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let admin = [("OLAKE_ADMIN_USERNAME", ADMIN), ("OLAKE_ADMIN_PASSWORD", ADMIN_PASSWORD)];
    let lacks = |name: &str| settings.iter().all(|(given, _)| *given != name);
    let all = settings.iter().copied().chain(admin.into_iter().filter(|(name, _)| lacks(name)));
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn sign_in(port: u16, settings: &[(String, String)]) -> Client {
    let value = |name: &str| &settings.iter().find(|(given, _)| given == name).unwrap().1;
    Client::new(port).login(value("OLAKE_ADMIN_USERNAME"), value("OLAKE_ADMIN_PASSWORD"))
}

fn with(mut command: Command, place: &Place, settings: &[(String, String)]) -> Command {
    command.env("OLAKE_DATA_DIR", place.data()).env("OLAKE_CONNECTORS", place.connectors());
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

fn standalone(place: &Place, settings: &[(String, String)]) -> Command {
    let mut command = with(program("olake"), place, settings);
    command.args(["standalone", "--listen", "localhost:0"]);
    command
}

/// Starts a server, and waits until it is ready on the port that it prints after `words`.
fn serve(name: &str, command: Command, log: &Path, words: &str) -> (Process, u16) {
    let mut process = Process::start(name, command, log);
    let port = process.printed("its port", |log| {
        let (_, rest) = log.split_once(words)?;
        let (digits, _) = rest.split_once(|c: char| !c.is_ascii_digit())?;
        digits.parse().ok()
    });
    let client = Client::new(port);
    wait_until("the server to be ready", || {
        assert!(!process.has_ended(), "{name} has ended:\n{}", process.log());
        client.send("GET", "/ready", None).is_ok_and(|reply| reply.status == 200)
    });
    (process, port)
}
