//! `GET P/jobs/{id}/state/history/{stateid}`.

use super::item::StateOfHistory;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::scope,
};

/// Shows one state of a job's history.
pub async fn history(context: &Context, project: &str, id: i64, state: i64) -> Answer<StateOfHistory> {
    let (entry, text) = scope::project(context, project).await?.state_of_history(id, state).await?;
    ok(format!("state {state} of job {id}"), StateOfHistory::new(entry, text))
}
