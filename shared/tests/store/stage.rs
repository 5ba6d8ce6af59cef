//! A project with jobs, workers and claimed tasks.

use std::time::Duration;

use olake_shared::{
    domain::project::ProjectId,
    store::{
        ProjectStore, Store,
        accounts::NewUser,
        connections::ConnectionInput,
        jobs::{JobInput, SideInput},
        logs::LogLine,
        tasks::{
            claim::{Claim, Claimed},
            end::{Final, Outcome},
            limits::Limits,
        },
        workers::{NewWorker, RunnableConnector, Runs},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::databases::TestDatabase;

pub fn shop() -> ConnectionInput {
    ConnectionInput {
        name: "shop".into(),
        connector_type: "files".into(),
        version: "v0.9.4".into(),
        config: json!({"z": 1, "path": "/in", "password": "hunter22", "big": serde_json::from_str::<Value>("12345678901234567890123").unwrap()}),
    }
}

pub fn lake() -> ConnectionInput {
    ConnectionInput {
        name: "lake".into(),
        connector_type: "PARQUET".into(),
        version: "v0.9.4".into(),
        config: json!({"type": "PARQUET", "writer": {"local_path": "/lake"}}),
    }
}

pub fn job(name: &str) -> JobInput {
    JobInput {
        name: name.into(),
        source: SideInput::Inline(shop()),
        destination: SideInput::Inline(lake()),
        frequency: "0 * * * *".into(),
        streams_config: r#"{"streams":[],"selected_streams":{}}"#.into(),
        activate: None,
        advanced_settings: None,
    }
}

pub fn runs() -> Runs {
    Runs {
        connectors: vec![RunnableConnector {
            connector_type: "files".into(),
            version: "v0.9.4".into(),
            destinations: vec!["parquet".into()],
        }],
        ..Runs::default()
    }
}

pub async fn user(store: &Store) -> i64 {
    let new = NewUser {
        username: format!("u{}", Uuid::now_v7()),
        email: format!("{}@example.org", Uuid::now_v7()),
        password_hash: "hash".into(),
        is_admin: false,
    };
    store.create_user(new).await.unwrap().id
}

pub async fn project(store: &Store) -> ProjectStore {
    store.project(&ProjectId::new("123")).await.unwrap()
}

pub async fn setting(db: &TestDatabase) -> (ProjectStore, i64) {
    (project(&db.store).await, user(&db.store).await)
}

pub async fn worker(store: &Store) -> Uuid {
    let worker = NewWorker {
        id: Uuid::now_v7(),
        host: "here".into(),
        launcher: "process".into(),
        place: None,
        runs: runs(),
        places_sync: 1,
        places_interactive: 1,
    };
    store.queue().register(&worker, Duration::from_secs(60)).await.unwrap();
    worker.id
}

/// A job with a sync that this worker has claimed.
pub async fn claimed(db: &TestDatabase, name: &str) -> (ProjectStore, i64, i64, Box<Claimed>) {
    let (project, user) = setting(db).await;
    let job = project.create_job(&job(name), user).await.unwrap();
    let task = project.create_sync(job.id, user).await.unwrap().task;
    let worker = worker(&db.store).await;
    let Some(Claim::Taken(claimed)) =
        db.store.queue().claim(task, worker, "here", Limits::default()).await.unwrap()
    else {
        panic!("not claimed")
    };
    (project, job.id, user, claimed)
}

pub fn clean() -> Final {
    Final::bare(Outcome::Clean)
}

pub fn line(n: usize) -> LogLine {
    let level = if n.is_multiple_of(3) { "debug" } else { "info" };
    LogLine { level: level.into(), time: chrono::DateTime::UNIX_EPOCH, message: format!("line {n}") }
}
