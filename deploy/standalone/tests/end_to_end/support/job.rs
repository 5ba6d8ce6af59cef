//! A job that reads the stream `numbers` into a lake of its own, and its tasks.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    client::Client,
    place::ids,
    system::System,
    waiting::{wait_for, wait_until},
};

/// How many rows are in a batch.
pub const BATCH: i64 = 50;

/// What a job is made of. Change what matters to the test.
pub struct NewJob {
    pub name: String,
    /// The source's config.
    pub config: Value,
    pub frequency: &'static str,
    pub advanced_settings: Value,
}

/// A job.
pub struct Job {
    client: Client,
    pub id: i64,
    pub lake: PathBuf,
}

/// A task of a job.
pub struct Task {
    client: Client,
    job: i64,
    pub id: String,
}

impl NewJob {
    /// A job on the place's rows whose connector misbehaves like this. It is not scheduled within the test's time.
    pub fn with_faults(system: &System, name: &str, faults: Value) -> Self {
        Self {
            name: name.to_owned(),
            config: json!({"path": system.place.rows(), "batch_size": BATCH, "faults": faults}),
            frequency: "0 0 29 2 *",
            advanced_settings: Value::Null,
        }
    }

    /// Makes it, with the streams that a discover finds.
    #[track_caller]
    pub fn create(self, system: &System) -> Job {
        let client = system.client.clone();
        let mut well_behaved = self.config.clone();
        well_behaved.as_object_mut().unwrap().remove("faults");
        let source = json!({"type": "files", "version": "v0.9.4", "config": well_behaved});
        let mut streams = client.post("/source/streams", &source).data()["streams_config"].take();
        for stream in streams["streams"].as_array_mut().unwrap() {
            stream["stream"]["sync_mode"] = "incremental".into();
            stream["stream"]["cursor_field"] = "id".into();
        }
        let lake = system.place.path().join(format!("lake of {}", self.name));
        let body = json!({
            "name": self.name,
            "source": {"name": self.name, "type": "files", "version": "v0.9.4", "config": self.config},
            "destination": {
                "name": self.name, "type": "parquet", "version": "v0.9.4",
                "config": {"type": "PARQUET", "writer": {"local_path": lake}},
            },
            "frequency": self.frequency,
            "streams_config": streams,
            "advanced_settings": self.advanced_settings,
        });
        let id = client.post("/jobs", &body).data()["id"].as_i64().unwrap();
        Job { client, id, lake }
    }
}

impl Job {
    /// A job that was made before, seen by another client.
    pub fn seen_by(&self, client: &Client) -> Self {
        Self { client: client.clone(), id: self.id, lake: self.lake.clone() }
    }

    /// Starts a sync.
    #[track_caller]
    pub fn start(&self) -> Task {
        let answer = self.client.post_nothing(&format!("/jobs/{}/sync", self.id));
        assert_eq!(answer.data(), Value::Null);
        self.newest()
    }

    /// Its newest task.
    #[track_caller]
    pub fn newest(&self) -> Task {
        let id = self.tasks()[0]["id"].as_str().unwrap().to_owned();
        Task { client: self.client.clone(), job: self.id, id }
    }

    /// Its tasks as they are listed, newest first.
    #[track_caller]
    pub fn tasks(&self) -> Vec<Value> {
        let tasks = self.client.get(&format!("/jobs/{}/tasks", self.id)).data();
        tasks.as_array().unwrap().clone()
    }

    #[track_caller]
    pub fn cancel(&self) {
        let answer = self.client.post_nothing(&format!("/jobs/{}/cancel", self.id)).data();
        assert!(answer["message"].is_string(), "{answer}");
    }

    /// The job as it is shown.
    #[track_caller]
    pub fn shown(&self) -> Value {
        self.client.get(&format!("/jobs/{}", self.id)).data()
    }

    /// Gives its source another config.
    #[track_caller]
    pub fn change_source(&self, config: &Value) {
        let source = self.shown()["source"].clone();
        let body = json!({
            "name": source["name"], "type": source["type"], "version": source["version"], "config": config,
        });
        self.client.put(&format!("/sources/{}", source["id"]), &body).data();
    }

    /// The ids of the rows in its lake, sorted.
    pub fn ids(&self) -> Vec<i64> {
        ids(&self.lake)
    }

    /// Waits until at least so many rows are in its lake.
    #[track_caller]
    pub fn wait_for_rows(&self, number: usize) {
        wait_until("rows in the lake", || self.ids().len() >= number);
    }
}

impl Task {
    /// The same task, seen by another client.
    pub fn seen_by(&self, client: &Client) -> Self {
        Self { client: client.clone(), job: self.job, id: self.id.clone() }
    }

    /// The whole story.
    #[track_caller]
    pub fn shown(&self) -> Value {
        self.client.get(&format!("/tasks/{}", self.id)).data()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn ended(&self) -> Value {
        wait_for("the end of a task", || {
            let shown = self.shown();
            let ends = ["succeeded", "failed", "cancelled", "skipped"];
            ends.iter().any(|end| shown["status"] == *end).then_some(shown)
        })
    }

    /// Waits until it has succeeded.
    #[track_caller]
    pub fn succeeded(&self) -> Value {
        let shown = self.ended();
        assert_eq!(shown["status"], "succeeded", "{shown:#}");
        shown
    }

    /// Waits until it has failed, and looks at the class. Answers the words.
    #[track_caller]
    pub fn failed(&self, class: &str) -> String {
        let shown = self.ended();
        assert_eq!(
            (&shown["status"], &shown["failure_class"]),
            (&json!("failed"), &json!(class)),
            "{shown:#}"
        );
        shown["failure_message"].as_str().unwrap().to_owned()
    }

    /// Waits until it is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || {
            let shown = self.shown();
            is_so(&shown).then_some(shown)
        })
    }

    /// Waits until its log has a line with this text.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) {
        wait_until(&format!("the line '{text}'"), || self.lines().iter().any(|line| line.contains(text)));
    }

    /// All lines of its log, oldest first, read page by page.
    #[track_caller]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut cursor = json!(0);
        loop {
            let path = format!(
                "/jobs/{}/task/{}/logs?direction=newer&limit=5000&cursor={cursor}",
                self.job, self.id
            );
            let page = self.client.get(&path).data();
            let messages = page["task_logs"].as_array().unwrap().iter().map(|line| &line["message"]);
            lines.extend(messages.map(|message| message.as_str().unwrap().to_owned()));
            cursor = page["newer_cursor"].clone();
            if page["has_more_newer"] == false {
                return lines;
            }
        }
    }
}
