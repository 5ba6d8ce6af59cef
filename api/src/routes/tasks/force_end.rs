//! `POST P/tasks/{id}/force-end`.

use olake_shared::domain::task::TaskId;

use super::item::TaskItem;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    routes::scope,
};

/// Wishes that a task ends whose node is lost, although how its connector ended will not be seen.
pub async fn force_end(context: &Context, project: &str, id: TaskId) -> Answer<TaskItem> {
    let task = scope::project(context, project).await?.force_end_task(id).await?;
    ok(format!("task {id} is being ended by force"), TaskItem::new(&task, context.store.clock().now()))
}
