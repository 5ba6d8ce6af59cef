//! Schedules: jobs whose next slot has come.
//!
//! Invariants: a slot is fired once, whoever looks and however often, since the job's next slot moves in the same
//! transaction; a job whose schedule cannot be read is put off, and holds nobody else up.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, Value as Db,
};

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
    missed::{Come, decide},
    project::ProjectId,
    settings::{AdvancedSettings, MissedSlots},
    task::{TaskKind, TaskStatus, TaskTrigger},
};

/// When a schedule that cannot be read is tried again: a worker of a newer version may read it.
const UNREADABLE_AGAIN: TimeDelta = TimeDelta::hours(1);

/// What became of a slot that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fired {
    /// A sync was started.
    Started(Created),
    /// It was recorded as skipped, with the reason.
    Skipped { job: i64, reason: String },
    /// Nothing was written; it is tried again at the next look.
    Failed { job: i64, error: String },
}

#[derive(FromQueryResult)]
struct Due {
    id: i64,
    project_id: String,
    frequency: String,
    advanced_settings: String,
    next_run_at: i64,
}

/// The schedule of a job, or why it cannot be read.
fn schedule(job: &Due) -> Result<(Frequency, MissedSlots), String> {
    let settings: AdvancedSettings =
        serde_json::from_str(&job.advanced_settings).map_err(|e| e.to_string())?;
    let frequency =
        Frequency::parse(&job.frequency, settings.time_zone.as_deref()).map_err(|e| e.to_string())?;
    Ok((frequency, settings.missed_slots.unwrap_or_default()))
}

impl Queue {
    /// Fires the slots that have come, of at most `limit` jobs.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the database cannot be asked for them.
    pub async fn fire_schedules(&self, limit: u64) -> Result<Vec<Fired>, StoreError> {
        let store = &self.store;
        let sql = "SELECT id, project_id, frequency, advanced_settings, next_run_at FROM jobs \
                   WHERE next_run_at IS NOT NULL AND next_run_at <= $1 AND deleted_at IS NULL \
                   ORDER BY next_run_at LIMIT $2";
        let values = [store.now().into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        let due = Due::find_by_statement(store.sql(sql, values)).all(&store.db).await?;
        let mut fired = Vec::new();
        for job in due {
            match self.fire(&job).await {
                Ok(more) => fired.extend(more),
                // What was fired is to be told; the others come at the next look.
                Err(error) if error.is_unavailable() && fired.is_empty() => return Err(error),
                Err(error) if error.is_unavailable() => break,
                Err(error) => fired.push(Fired::Failed { job: job.id, error: error.to_string() }),
            }
        }
        Ok(fired)
    }

    async fn fire(&self, job: &Due) -> Result<Vec<Fired>, StoreError> {
        let store = &self.store;
        let now = store.clock.now();
        let oldest = time::utc(job.next_run_at);
        let schedule = schedule(job);
        let next = match &schedule {
            Ok((frequency, _)) => frequency.next_after(now),
            Err(_) => Some(now + UNREADABLE_AGAIN),
        };
        let tx = store.begin().await?;
        let sql =
            "UPDATE jobs SET next_run_at = $3 WHERE id = $1 AND next_run_at = $2 AND deleted_at IS NULL";
        let values: [Db; 3] = [job.id.into(), job.next_run_at.into(), next.map(time::micros).into()];
        if tx.execute_raw(store.sql(sql, values)).await?.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Vec::new());
        }
        let fired = match schedule {
            Ok((frequency, policy)) => self.write(&tx, job, decide(&frequency, oldest, now, policy)).await?,
            Err(why) => {
                let reason = format!("the schedule cannot be read: {why}");
                self.skip(&tx, job, oldest, reason).await?.into_iter().collect()
            }
        };
        tx.commit().await?;
        Ok(fired)
    }

    async fn write(&self, tx: &DatabaseTransaction, job: &Due, come: Come) -> Result<Vec<Fired>, StoreError> {
        let mut fired = Vec::new();
        if let Some(missed) = come.missed {
            fired.extend(self.skip(tx, job, missed.newest, missed.to_string()).await?);
        }
        if let Some(slot) = come.run {
            let active = active_of(&self.store, tx, job.id).await?;
            fired.extend(match active.map(|active| active.kind) {
                Some(kind) if kind == TaskKind::Clear.as_str() => {
                    self.skip(tx, job, slot, "the job's destination was being cleared".to_owned()).await?
                }
                Some(_) => self.skip(tx, job, slot, "the job was still running".to_owned()).await?,
                None => self.start(tx, job, slot).await?,
            });
        }
        Ok(fired)
    }

    async fn start(
        &self,
        tx: &DatabaseTransaction,
        job: &Due,
        at: DateTime<Utc>,
    ) -> Result<Option<Fired>, StoreError> {
        if self.is_recorded(tx, job, at).await? {
            return Ok(None);
        }
        let row = self.row(job, at, TaskStatus::Queued);
        let created = Created {
            task: row.id.clone().unwrap(),
            class: TaskKind::Sync.class(),
            project: ProjectId::new(job.project_id.as_str()),
            job: Some(job.id),
        };
        task::Entity::insert(row).exec_without_returning(tx).await?;
        super::tasks::write_last_run(&self.store, tx, created.task).await?;
        Ok(Some(Fired::Started(created)))
    }

    /// Records a slot that is not run. A skipped slot is no run: the job's last one stays.
    async fn skip(
        &self,
        tx: &DatabaseTransaction,
        job: &Due,
        at: DateTime<Utc>,
        reason: String,
    ) -> Result<Option<Fired>, StoreError> {
        if self.is_recorded(tx, job, at).await? {
            return Ok(None);
        }
        let mut row = self.row(job, at, TaskStatus::Skipped);
        row.failure_message = Set(Some(reason.clone()));
        row.ended_at = Set(Some(self.store.now()));
        task::Entity::insert(row).exec_without_returning(tx).await?;
        Ok(Some(Fired::Skipped { job: job.id, reason }))
    }

    /// Whether a slot was fired before: the clock was put back, and the job's schedule changed after that.
    async fn is_recorded(
        &self,
        tx: &DatabaseTransaction,
        job: &Due,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM tasks WHERE job_id = $1 AND scheduled_for = $2";
        Ok(tx.query_one_raw(self.store.sql(sql, [job.id.into(), slot(at).into()])).await?.is_some())
    }

    fn row(&self, job: &Due, at: DateTime<Utc>, status: TaskStatus) -> task::ActiveModel {
        let project = ProjectId::new(job.project_id.as_str());
        let mut row = new_row(&self.store, &project, TaskKind::Sync, status, TaskTrigger::Schedule);
        row.job_id = Set(Some(job.id));
        row.scheduled_for = Set(Some(slot(at)));
        row
    }
}
