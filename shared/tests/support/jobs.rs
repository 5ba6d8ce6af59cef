//! Jobs and runs of them, made by hand.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use olake_shared::{
    domain::{
        project::ProjectId,
        task::{FailureClass, TaskId},
    },
    store::{
        ProjectStore, Store,
        accounts::NewUser,
        connections::ConnectionInput,
        jobs::{JobInput, SideInput},
        tasks::{
            Failure, Fence,
            claim::Claim,
            end::{Final, Outcome},
            limits::Limits,
        },
    },
};
use serde_json::json;
use uuid::Uuid;

pub async fn project(store: &Store, id: &str) -> ProjectStore {
    store.project(&ProjectId::new(id)).await.unwrap()
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

/// A new job with a source and a destination of its own.
pub async fn job(project: &ProjectStore, user: i64, name: &str) -> i64 {
    let side = |side: &str, connector_type: &str| {
        SideInput::Inline(ConnectionInput {
            name: format!("{name}-{side}"),
            connector_type: connector_type.into(),
            version: "v0.9.4".into(),
            config: json!({"password": "hunter22"}),
        })
    };
    let input = JobInput {
        name: name.into(),
        source: side("source", "files"),
        destination: side("destination", "parquet"),
        frequency: "0 0 1 1 *".into(),
        streams_config: "{}".into(),
        activate: None,
        advanced_settings: None,
    };
    project.create_job(&input, user).await.unwrap().id
}

/// A sync of the job, claimed.
pub async fn running(store: &Store, project: &ProjectStore, user: i64, job: i64) -> Fence {
    let task = project.create_sync(job, user).await.unwrap().task;
    claimed(store, task).await
}

pub async fn claimed(store: &Store, task: TaskId) -> Fence {
    let claim = store.queue().claim(task, Uuid::now_v7(), "here", Limits::default()).await.unwrap();
    let Some(Claim::Taken(claimed)) = claim else { panic!("not claimed") };
    claimed.fence
}

/// Runs a sync of the job to this end.
pub async fn run(store: &Store, project: &ProjectStore, user: i64, job: i64, end: &Final) -> TaskId {
    let fence = running(store, project, user, job).await;
    store.queue().end(fence, end).await.unwrap();
    fence.task
}

pub fn good() -> Final {
    Final { records_read: Some(42), ..Final::bare(Outcome::Clean) }
}

pub fn bad(message: &str) -> Final {
    Final::bare(Outcome::Bad(Failure::new(FailureClass::Connector, message)))
}
