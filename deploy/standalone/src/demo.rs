//! The demonstration: a source, a destination and a job are made through the API, and a sync of it is run and shown.
//!
//! Run again on the same data folder it finds what it made before, and the sync goes on from the last state.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use olake_shared::{config::Config, crypto::token::new_token, events::What, store::Store};
use poem::http::Method;
use serde_json::{Value, json};

use crate::{http::Api, standalone::say};

const PROJECT: &str = "/api/v1/project/123";
const NAME: &str = "time zones";
const VERSION: &str = "v0.9.4";
/// The first sync is slowed down to about this many seconds, so that it can be watched.
const SLOWED_TO: u32 = 4;
/// How long is waited without an event.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the demonstration on the files in `folder`.
pub async fn run(api: &Api, store: &Store, config: &Config, folder: &Path, url: &str) -> anyhow::Result<()> {
    let input = fs::canonicalize(folder).with_context(|| format!("no folder {}", folder.display()))?;
    let lake = fs::canonicalize(&config.data_dir)?.join("lake");
    fs::create_dir_all(&lake)?;
    let token = session(store).await?;
    let demo = Demo { api, token: &token };
    let job = match demo.job().await? {
        Some(job) => {
            say("The source, the destination and the job of the last run are there.\n");
            job
        }
        None => demo.create(&input, &lake).await?,
    };
    let before = files(&lake);
    let task = demo.start(job).await?;
    say(&format!("\nSync of job {job} '{NAME}', task {task}:\n\n"));
    let ended = demo.follow(job, &task).await?;
    let new: Vec<PathBuf> = files(&lake).into_iter().filter(|file| !before.contains(file)).collect();
    store.end_session(&token).await?;
    say(&summary(&ended, &input, &lake, &new, url));
    Ok(())
}

/// A session of the oldest account, for the time of the demonstration: its password is not known here.
async fn session(store: &Store) -> anyhow::Result<String> {
    let users = store.users().await?;
    let user = users.iter().min_by_key(|user| user.id).context("there is no account")?;
    let token = new_token();
    store.create_session(user.id, &token, TimeDelta::hours(1)).await?;
    Ok(token)
}

struct Demo<'a> {
    api: &'a Api,
    token: &'a str,
}

impl Demo<'_> {
    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.api.call(self.token, Method::GET, &format!("{PROJECT}{path}"), None).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.api.call(self.token, Method::POST, &format!("{PROJECT}{path}"), Some(body)).await
    }

    /// The job that an earlier run made.
    async fn job(&self) -> anyhow::Result<Option<i64>> {
        let jobs = self.get("/jobs").await?;
        let found = jobs.as_array().into_iter().flatten().find(|job| job["name"] == NAME);
        Ok(found.and_then(|job| job["id"].as_i64()))
    }

    /// Tests the source, lists its streams, chooses how to sync them, and makes the job.
    async fn create(&self, input: &Path, lake: &Path) -> anyhow::Result<i64> {
        let source =
            json!({"type": "files", "version": VERSION, "config": {"path": input, "batch_size": 500}});
        let destination = json!({
            "type": "parquet", "version": VERSION,
            "config": {"type": "PARQUET", "writer": {"local_path": lake}},
        });
        for (what, body) in [("sources", &source), ("destinations", &destination)] {
            let test = self.post(&format!("/{what}/test"), body).await?;
            let result = &test["connection_result"];
            if result["status"] != "SUCCEEDED" {
                bail!(
                    "the test of the {what} failed: {}",
                    result["message"].as_str().unwrap_or("no reason given")
                );
            }
        }
        say(&format!(
            "Tested: files in {} can be read, {} can be written.\n",
            input.display(),
            lake.display()
        ));
        let mut streams = self.post("/source/streams", &source).await?["streams_config"].take();
        for stream in streams["streams"].as_array_mut().into_iter().flatten() {
            let stream = &mut stream["stream"];
            say(&format!("Found:  stream {}.\n", stream["name"].as_str().unwrap_or_default()));
            // What grows is read on from where the last run ended; the rest is small and read whole.
            if stream["name"] == "transitions" {
                stream["sync_mode"] = "incremental".into();
                stream["cursor_field"] = "id".into();
            } else {
                stream["sync_mode"] = "full_refresh".into();
            }
        }
        let named = |name: &str, mut body: Value| {
            body["name"] = name.into();
            body
        };
        let job = json!({
            "name": NAME,
            "source": named("time zone files", source),
            "destination": named("local lake", destination),
            "frequency": "0 * * * *",
            "streams_config": streams,
        });
        let made = self.post("/jobs", &job).await?;
        let id = made["id"].as_i64().context("the job has no id")?;
        say(&format!(
            "Made:   a source, a destination, and job {id} '{NAME}', every hour.\n        It is slowed down to about {SLOWED_TO} seconds, to be watched.\n"
        ));
        Ok(id)
    }

    /// Starts a sync, or finds the one that runs: what was interrupted goes on by itself.
    async fn start(&self, job: i64) -> anyhow::Result<String> {
        let started = self.post(&format!("/jobs/{job}/sync"), &Value::Null).await;
        let tasks = self.get(&format!("/jobs/{job}/tasks?limit=1")).await?;
        let newest = &tasks[0];
        let is_open = ["queued", "running"].iter().any(|word| newest["status"] == *word);
        match (started, newest["id"].as_str()) {
            (Ok(_), Some(id)) => Ok(id.to_owned()),
            (Err(_), Some(id)) if is_open => Ok(id.to_owned()),
            (Err(error), _) => Err(error),
            (Ok(_), None) => bail!("the task that was started is not listed"),
        }
    }

    /// Shows a task's log lines and progress as they are written, until it has ended. Answers the task.
    async fn follow(&self, job: i64, task: &str) -> anyhow::Result<Value> {
        let mut events = self.api.events();
        let mut cursor = 0;
        let mut records = None;
        loop {
            let shown = self.get(&format!("/tasks/{task}")).await?;
            let has_ended = ["succeeded", "failed", "cancelled"].iter().any(|word| shown["status"] == *word);
            cursor = self.show_lines(job, task, cursor).await?;
            let now = shown["records_read"].as_i64();
            if now.is_some() && now != records {
                records = now;
                say(&format!("  … {} records so far\n", now.unwrap_or_default()));
            }
            if has_ended {
                return Ok(shown);
            }
            // Any event may be about this task; without one, the rows are looked at all the same.
            let _ = tokio::time::timeout(LOOK, async {
                while let Ok(event) = events.recv().await {
                    if event.job == Some(job) && event.what != What::CancelWish {
                        break;
                    }
                }
            })
            .await;
        }
    }

    async fn show_lines(&self, job: i64, task: &str, mut cursor: i64) -> anyhow::Result<i64> {
        loop {
            let page = self
                .get(&format!("/jobs/{job}/task/{task}/logs?direction=newer&limit=1000&cursor={cursor}"))
                .await?;
            for line in page["task_logs"].as_array().into_iter().flatten() {
                let text = |key: &str| line[key].as_str().unwrap_or_default();
                let message: String = text("message").chars().take(160).collect();
                say(&format!("  {} {:5} {message}\n", text("time"), text("level")));
            }
            cursor = page["newer_cursor"].as_i64().unwrap_or(cursor);
            if page["has_more_newer"] != true {
                return Ok(cursor);
            }
        }
    }
}

/// The Parquet files below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn summary(task: &Value, input: &Path, lake: &Path, new: &[PathBuf], url: &str) -> String {
    let status = task["status"].as_str().unwrap_or_default();
    let mut text = format!("\nThe sync {status}");
    if let Some(message) = task["failure_message"].as_str() {
        text.push_str(&format!(": {message}"));
    }
    let records = task["records_read"].as_i64().unwrap_or_default();
    text.push_str(&format!(
        "\n\n  Read:     {records} records from {}\n  Written:  {} new Parquet files below {}\n",
        input.display(),
        new.len(),
        lake.display()
    ));
    for file in new.iter().take(3) {
        text.push_str(&format!("            {}\n", file.display()));
    }
    if new.len() > 3 {
        text.push_str(&format!("            … and {} more\n", new.len() - 3));
    }
    text.push_str(&format!("  The API:  {url}/docs\n"));
    text
}
