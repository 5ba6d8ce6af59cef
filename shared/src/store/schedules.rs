//! Schedules: jobs whose next slot has come.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult, Statement, Value as Db};

use super::{
    StoreError,
    entities::task,
    tasks::{
        Queue,
        create::{Created, active_of, new_row, slot},
    },
    time,
};
use crate::domain::{
    frequency::Frequency,
    project::ProjectId,
    settings::{AdvancedSettings, MissedSlots},
    task::{TaskKind, TaskStatus, TaskTrigger},
};

/// A slot that is later than this counts as missed: nothing was up to run it.
const MISSED_AFTER: TimeDelta = TimeDelta::seconds(60);

/// What became of a slot that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fired {
    /// A sync was started.
    Started(Created),
    /// It was recorded as skipped, with the reason.
    Skipped { job: i64, reason: &'static str },
}

#[derive(FromQueryResult)]
struct Due {
    id: i64,
    project_id: String,
    frequency: String,
    advanced_settings: String,
    next_run_at: i64,
}

impl Queue {
    /// Fires the slots that have come, at most `limit` jobs. Each slot is fired once, whoever asks and however often:
    /// the job's next slot moves in the same transaction.
    pub async fn fire_schedules(&self, limit: u64) -> Result<Vec<Fired>, StoreError> {
        let store = &self.store;
        let sql = "SELECT id, project_id, frequency, advanced_settings, next_run_at FROM jobs \
                   WHERE next_run_at IS NOT NULL AND next_run_at <= $1 AND deleted_at IS NULL \
                   ORDER BY next_run_at LIMIT $2";
        let values = [store.now().into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        let due = Due::find_by_statement(store.sql(sql, values)).all(&store.db).await?;
        let mut fired = Vec::new();
        for job in due {
            fired.extend(self.fire(&job).await?);
        }
        Ok(fired)
    }

    async fn fire(&self, job: &Due) -> Result<Option<Fired>, StoreError> {
        let store = &self.store;
        let now = store.clock.now();
        let settings: AdvancedSettings = serde_json::from_str(&job.advanced_settings)?;
        let frequency = Frequency::parse(&job.frequency, settings.time_zone.as_deref())
            .map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let came: DateTime<Utc> = time::utc(job.next_run_at);
        let next = frequency.next_after(now).map(time::micros);
        let tx = store.begin().await?;
        let sql =
            "UPDATE jobs SET next_run_at = $3 WHERE id = $1 AND next_run_at = $2 AND deleted_at IS NULL";
        let values: [Db; 3] = [job.id.into(), job.next_run_at.into(), next.into()];
        let moved = tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
        if moved.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(None);
        }
        let missed = now - came > MISSED_AFTER && settings.missed_slots == Some(MissedSlots::Skip);
        let skip = if missed {
            Some("the slot was missed: nothing was up to run it")
        } else if active_of(store, &tx, job.id).await?.is_some() {
            Some("the job was still running")
        } else {
            None
        };
        let status = if skip.is_some() { TaskStatus::Skipped } else { TaskStatus::Queued };
        let project = ProjectId::new(job.project_id.as_str());
        let mut row = new_row(store, &project, TaskKind::Sync, status, TaskTrigger::Schedule);
        let id = row.id.clone().unwrap();
        row.job_id = Set(Some(job.id));
        row.scheduled_for = Set(Some(slot(came)));
        if let Some(reason) = skip {
            row.failure_message = Set(Some(reason.to_owned()));
            row.ended_at = Set(Some(store.now()));
        }
        task::Entity::insert(row).exec_without_returning(&tx).await?;
        super::tasks::write_last_run(store, &tx, id).await?;
        tx.commit().await?;
        Ok(Some(match skip {
            Some(reason) => Fired::Skipped { job: job.id, reason },
            None => Fired::Started(Created {
                task: id,
                class: TaskKind::Sync.class(),
                project,
                job: Some(job.id),
            }),
        }))
    }
}
