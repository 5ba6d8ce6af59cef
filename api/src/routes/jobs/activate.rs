//! `POST P/jobs/{id}/activate`.

use poem_openapi::{Object, types::Example};

use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::scope,
};

/// Whether a job's schedule is active.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct Activation {
    /// False pauses the job: its schedule stands still, and a sync by hand is refused. A running sync is left alone.
    pub activate: bool,
}

impl Example for Activation {
    fn example() -> Self {
        Self { activate: false }
    }
}

/// Pauses or resumes a job.
pub async fn activate(
    context: &Context,
    project: &str,
    id: i64,
    user: i64,
    wanted: Activation,
) -> Answer<Activation> {
    scope::project(context, project).await?.activate_job(id, wanted.activate, user).await?;
    ok(if wanted.activate { "the job is active" } else { "the job is paused" }, wanted)
}
