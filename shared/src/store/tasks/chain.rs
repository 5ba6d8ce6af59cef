//! Tasks that wait for the end of another one: `after_task_id` names it, `after_condition` says which end lets them go
//! on.
//!
//! Invariants: what waits is decided in the transaction that ends the task before it, so a chain survives whatever stops
//! between two of its steps; whoever begins to wait holds the job's row, as everybody does who ends a task of the job, so
//! no end is missed; what is cancelled here never ran, and does not become its job's last run.

use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait, Statement};

use super::{Ended, Failure, apply, create::Created, kind_of};
use crate::{
    domain::{
        machine::Event,
        project::ProjectId,
        task::{AfterCondition, FailureClass, TaskId, TaskStatus},
    },
    store::{Store, StoreError, entities::task},
};

/// What the end of a task did to one that waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It is due; its bell is to be rung.
    Promoted(Created),
    /// It was cancelled.
    Ended(Ended),
}

/// Makes the row of a new task wait for another one.
pub(super) fn wait_for(row: &mut task::ActiveModel, before: TaskId, condition: AfterCondition, why: &str) {
    row.status = Set(TaskStatus::Waiting.as_str().to_owned());
    row.after_task_id = Set(Some(before));
    row.after_condition = Set(Some(condition.as_str().to_owned()));
    row.hold_reason = Set(Some(why.to_owned()));
}

/// Promotes or cancels what waits for a task that has just ended.
pub(super) async fn follow(
    store: &Store,
    tx: &DatabaseTransaction,
    before: &task::Model,
    end: TaskStatus,
) -> Result<Vec<Followed>, StoreError> {
    let sql = format!(
        "SELECT * FROM tasks WHERE after_task_id = $1 AND status = 'waiting' ORDER BY id {}",
        store.for_update()
    );
    let statement = Statement::from_sql_and_values(store.backend(), sql, [before.id.into()]);
    let rows = task::Entity::find().from_raw_sql(statement).all(tx).await?;
    let mut followed = Vec::new();
    for row in rows {
        // A condition of a newer version is not met: a task that waits for ever would hold its job for ever.
        let is_met = row
            .after_condition
            .as_deref()
            .and_then(|word| word.parse::<AfterCondition>().ok())
            .is_some_and(|condition| condition.is_met_by(end));
        let (event, failure) = match is_met {
            true => (Event::Promoted, None),
            false => {
                let words = format!("the {} that it waited for ended as {end}: {}", before.kind, before.id);
                (Event::Abandoned, Some(Failure::new(FailureClass::Cancelled, words)))
            }
        };
        let Some(ended) = Box::pin(apply(store, tx, &row, event, failure.as_ref())).await? else { continue };
        followed.push(match is_met {
            true => Followed::Promoted(Created {
                task: row.id,
                class: kind_of(&row)?.class(),
                project: ProjectId::new(row.project_id.as_str()),
                job: row.job_id,
            }),
            false => Followed::Ended(ended),
        });
    }
    Ok(followed)
}
