//! `GET P/jobs/{id}/state`.

use super::{item::StateItem, tagged};
use crate::{context::Context, envelope::TaggedAnswer, routes::scope};

/// Shows a job's state.
pub async fn get(context: &Context, project: &str, id: i64) -> TaggedAnswer<StateItem> {
    let state = scope::project(context, project).await?.state(id).await?;
    tagged(format!("the state of job {id}"), state)
}
