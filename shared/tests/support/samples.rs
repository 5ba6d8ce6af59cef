//! A job with its sides, and whoever is needed around it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{path::Path, sync::Arc, time::Duration};

use olake_shared::{
    clock::SystemClock,
    config::Secret,
    crypto::KeyRing,
    domain::{project::ProjectId, task::TaskId},
    store::{
        ProjectStore, Store,
        accounts::NewUser,
        connections::ConnectionInput,
        jobs::{JobInput, SideInput},
        open_sqlite,
        tasks::{
            claim::{Claim, Claimed, Work},
            limits::Limits,
        },
        workers::{NewWorker, RunnableConnector, Runs},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

pub fn job(name: &str) -> JobInput {
    let side = |name: &str, connector_type: &str| {
        SideInput::Inline(ConnectionInput {
            name: name.into(),
            connector_type: connector_type.into(),
            version: "v0.9.4".into(),
            config: json!({"path": "/somewhere"}),
        })
    };
    JobInput {
        name: name.into(),
        source: side("shop", "files"),
        destination: side("lake", "PARQUET"),
        frequency: "0 * * * *".into(),
        streams_config: r#"{"streams":[],"selected_streams":{}}"#.into(),
        activate: None,
        advanced_settings: None,
    }
}

pub fn job_with(name: &str, frequency: &str, settings: &Value) -> JobInput {
    let advanced_settings = settings.as_object().cloned();
    JobInput { frequency: frequency.into(), advanced_settings, ..job(name) }
}

/// The master key of tests.
pub fn keys() -> Arc<KeyRing> {
    Arc::new(KeyRing::new(&Secret::new("a master key for tests only"), &[]).unwrap())
}

/// A store in a new SQLite file of this folder.
pub async fn sqlite(folder: &Path) -> Store {
    let db = open_sqlite(&folder.join("olake.db")).await.unwrap();
    Store::new(db, keys(), SystemClock::shared())
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

/// Claims a task for a new worker.
pub async fn claim(store: &Store, task: TaskId) -> Box<Claimed> {
    let connector = RunnableConnector {
        connector_type: "files".into(),
        version: "v0.9.4".into(),
        destinations: vec!["parquet".into()],
    };
    let worker = NewWorker {
        id: Uuid::now_v7(),
        host: "here".into(),
        launcher: "process".into(),
        place: None,
        runs: Runs { connectors: vec![connector], ..Runs::default() },
        places_sync: 1,
        places_interactive: 1,
    };
    let queue = store.queue();
    queue.register(&worker, Duration::from_secs(60)).await.unwrap();
    match queue.claim(task, worker.id, "here", Limits::default()).await.unwrap() {
        Some(Claim::Taken(claimed)) => claimed,
        other => panic!("not claimed: {other:?}"),
    }
}

/// The state that a claimed sync is given.
pub fn given_state(claimed: &Claimed) -> Option<&str> {
    match &claimed.work {
        Work::Sync(work) => work.state.as_deref(),
        Work::OneShot(_) | Work::Clear(_) => panic!("no sync"),
    }
}
