//! `POST P/jobs/{id}/reset-state`.

use super::{item::StateItem, tagged};
use crate::{context::Context, envelope::TaggedAnswer, routes::scope};

/// Resets a job's state: its next run begins from the start.
pub async fn reset(context: &Context, project: &str, id: i64, user: i64) -> TaggedAnswer<StateItem> {
    let state = scope::project(context, project).await?.reset_state(id, user).await?;
    tagged(format!("the state of job {id} was reset: its next run begins from the start"), state)
}
