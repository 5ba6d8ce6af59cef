//! A worker takes what is due, and gets what its connector needs.

use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, Statement};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Fence, Queue, apply, clear::ClearInput, end::failures_before, input::OneShot, kind_of, limits::Limits,
};
use crate::{
    domain::{
        machine::Event,
        project::ProjectId,
        settings::AdvancedSettings,
        task::{FailureClass, TaskId, TaskKind},
    },
    store::{
        StoreError,
        connections::Side,
        entities::{job, task, task_attempt},
        states,
    },
};

/// A task that a worker owns now, with all that its connector needs. Configs hold tokens: see [`Claimed::open`].
#[derive(Clone, Debug)]
pub struct Claimed {
    pub fence: Fence,
    pub project: ProjectId,
    pub job: Option<i64>,
    pub kind: TaskKind,
    pub connector_type: String,
    pub connector_version: String,
    /// How many attempts of this task ended for want of memory: each doubles what the next one gets.
    pub memory_doublings: u32,
    pub work: Work,
}

impl Claimed {
    /// The settings of the job that it works on, or asks for; none for the other one-shot kinds.
    pub fn settings(&self) -> Option<&AdvancedSettings> {
        match &self.work {
            Work::Sync(sync) => Some(&sync.settings),
            Work::Clear(clear) => Some(&clear.settings),
            Work::OneShot(OneShot::Validate { settings }) => Some(settings),
            Work::OneShot(_) => None,
        }
    }
}

/// What a claimed task is to do.
#[derive(Clone, Debug)]
pub enum Work {
    /// A one-shot kind and its input.
    OneShot(OneShot),
    /// A sync: everything read at the start of this attempt.
    Sync(Box<SyncWork>),
    /// A clear: its catalog, and the rest read at the start of this attempt.
    Clear(Box<ClearWork>),
}

/// What a sync works with.
#[derive(Clone, Debug)]
pub struct SyncWork {
    pub job_name: String,
    pub source_config: Value,
    pub destination_type: String,
    pub destination_config: Value,
    /// The catalog with its selections, as JSON text.
    pub streams_config: String,
    /// The last state, to the byte; none on a first run.
    pub state: Option<String>,
    pub settings: AdvancedSettings,
}

/// What a clear works with.
#[derive(Clone, Debug)]
pub struct ClearWork {
    pub job_name: String,
    pub destination_type: String,
    pub destination_config: Value,
    /// The catalog whose selected streams are cleared, as JSON text.
    pub catalog: String,
    /// Whether these are all streams of the job, so that its state is reset.
    pub whole: bool,
    /// The last state, to the byte; none if the job has none.
    pub state: Option<String>,
    pub settings: AdvancedSettings,
}

/// What a claim came to.
#[derive(Clone, Debug)]
pub enum Claim {
    /// The task is the worker's.
    Taken(Box<Claimed>),
    /// The task was taken, but what it needs cannot be read (a secret does not open, a row is broken). The worker ends
    /// it with these words.
    Unreadable { fence: Fence, project: ProjectId, job: Option<i64>, reason: String },
}

impl Queue {
    /// Takes one task for a worker. None when another worker was faster, or it is no longer due.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn claim(
        &self,
        id: TaskId,
        worker: Uuid,
        host: &str,
        limits: Limits,
    ) -> Result<Option<Claim>, StoreError> {
        let store = &self.store;
        let tx = store.begin().await?;
        // Rolled back at once where nothing is claimed: a lock that lingers makes others pass the row over.
        if limits.are_set() && !self.within_limits(&tx, id, limits).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let Some(row) = store.lock_free_task(&tx, id).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        if apply(store, &tx, &row, Event::Claim { worker }, None).await?.is_none() {
            tx.rollback().await?;
            return Ok(None);
        }
        let fence = Fence { task: id, attempt: row.attempt + 1, epoch: row.epoch + 1 };
        let sql = "UPDATE tasks SET phase = 'scheduling', hold_reason = NULL, unrunnable_since = NULL, attempt_lines = 0, \
                   not_before = NULL, force_end_requested_at = NULL, failure_class = NULL, failure_message = NULL, \
                   exit_code = NULL, slot_key = (SELECT s.slot_key FROM jobs j JOIN sources s ON s.id = j.source_id \
                   WHERE j.id = tasks.job_id AND tasks.kind = 'sync') WHERE id = $1";
        match tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, [id.into()])).await {
            Ok(_) => {}
            // Another sync took the same replication slot at the same moment: this one waits.
            Err(error) if StoreError::is_unique_violation(&error) => {
                tx.rollback().await?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        let read = self.read_work(&tx, &row, fence).await;
        let mut attempt = task_attempt::ActiveModel {
            task_id: Set(id),
            attempt: Set(fence.attempt),
            worker_id: Set(worker),
            host: Set(host.to_owned()),
            started_at: Set(store.now()),
            ..Default::default()
        };
        let claim = match read {
            Ok((claimed, revisions)) => {
                if let Some([source, destination, job]) = revisions {
                    attempt.source_revision = Set(Some(source));
                    attempt.destination_revision = Set(Some(destination));
                    attempt.job_revision = Set(Some(job));
                }
                Claim::Taken(Box::new(claimed))
            }
            Err(StoreError::Database(e)) => return Err(e.into()),
            Err(e) => Claim::Unreadable {
                fence,
                project: ProjectId::new(row.project_id.as_str()),
                job: row.job_id,
                reason: e.to_string(),
            },
        };
        task_attempt::Entity::insert(attempt).exec_without_returning(&tx).await?;
        tx.commit().await?;
        Ok(Some(claim))
    }

    /// What a running task works with, read anew: for whoever finishes what a dead worker left.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when it is gone; others when what it needs cannot be read.
    pub async fn work_of(&self, fence: Fence) -> Result<Claimed, StoreError> {
        let tx = self.store.begin().await?;
        let row = task::Entity::find_by_id(fence.task).one(&tx).await?.ok_or(StoreError::Fenced)?;
        Ok(self.read_work(&tx, &row, fence).await?.0)
    }

    /// As [`Self::work_of`], but only if source and destination are as they were when the attempt began: their secrets are
    /// those that its connector was given.
    ///
    /// # Errors
    /// Those of [`Self::work_of`]; [`StoreError::Corrupt`] when they were changed since.
    pub async fn work_as_claimed(&self, fence: Fence) -> Result<Claimed, StoreError> {
        let tx = self.store.begin().await?;
        let row = task::Entity::find_by_id(fence.task).one(&tx).await?.ok_or(StoreError::Fenced)?;
        let (claimed, revisions) = self.read_work(&tx, &row, fence).await?;
        let attempt = task_attempt::Entity::find_by_id((fence.task, fence.attempt)).one(&tx).await?;
        let began_with =
            attempt.and_then(|attempt| attempt.source_revision.zip(attempt.destination_revision));
        match revisions {
            Some([source, destination, _]) if began_with != Some((source, destination)) => {
                Err(StoreError::Corrupt("source or destination was changed since the attempt began".into()))
            }
            _ => Ok(claimed),
        }
    }

    pub(super) async fn read_work(
        &self,
        tx: &DatabaseTransaction,
        row: &task::Model,
        fence: Fence,
    ) -> Result<(Claimed, Option<[i64; 3]>), StoreError> {
        let project = ProjectId::new(row.project_id.as_str());
        let kind = kind_of(row)?;
        let of_job = row.job_id.filter(|_| matches!(kind, TaskKind::Sync | TaskKind::Clear));
        let Some(job) = of_job else {
            let sealed = row
                .input
                .as_deref()
                .ok_or_else(|| StoreError::Corrupt("a one-shot task without input".into()))?;
            let claimed = Claimed {
                fence,
                project,
                job: row.job_id,
                kind,
                connector_type: row.connector_type.clone().unwrap_or_default(),
                connector_version: row.connector_version.clone().unwrap_or_default(),
                memory_doublings: 0,
                work: Work::OneShot(self.store.open_document(row.id, "input", sealed)?),
            };
            return Ok((claimed, None));
        };
        let job = job::Entity::find_by_id(job)
            .one(tx)
            .await?
            .ok_or_else(|| StoreError::Corrupt("the job's row is missing".into()))?;
        // Deleted sides can be read too: a delete cancels the task, it does not break it.
        let source = self.side(tx, &project, Side::Source, job.source_id).await?;
        let destination = self.side(tx, &project, Side::Destination, job.destination_id).await?;
        let revisions = [source.revision, destination.revision, job.revision];
        let claimed = Claimed {
            fence,
            project,
            job: Some(job.id),
            kind,
            connector_type: source.connector_type,
            connector_version: source.version,
            memory_doublings: {
                let class = FailureClass::OutOfMemory;
                failures_before(&self.store, tx, row.id, fence.attempt, class).await?
            },
            work: match kind {
                TaskKind::Clear => {
                    let input = ClearInput::of(&self.store, row)?;
                    Work::Clear(Box::new(ClearWork {
                        job_name: job.name,
                        destination_type: destination.connector_type,
                        destination_config: destination.config,
                        catalog: input.catalog,
                        whole: input.whole,
                        state: states::current_text(&self.store, tx, job.id).await?,
                        settings: serde_json::from_str(&job.advanced_settings)?,
                    }))
                }
                _ => Work::Sync(Box::new(SyncWork {
                    job_name: job.name,
                    source_config: source.config,
                    destination_type: destination.connector_type,
                    destination_config: destination.config,
                    streams_config: job.streams_config,
                    state: states::current_text(&self.store, tx, job.id).await?,
                    settings: serde_json::from_str(&job.advanced_settings)?,
                })),
            },
        };
        Ok((claimed, Some(revisions)))
    }

    async fn side(
        &self,
        tx: &DatabaseTransaction,
        project: &ProjectId,
        side: Side,
        id: i64,
    ) -> Result<crate::store::connections::Connection, StoreError> {
        let connection = self
            .store
            .connection_even_deleted(tx, project, side, id)
            .await?
            .ok_or_else(|| StoreError::Corrupt(format!("the {} of the job is missing", side.name())))?;
        match connection.is_readable {
            true => Ok(connection),
            false => Err(StoreError::Corrupt(format!("the config of {} {id} is damaged", side.name()))),
        }
    }

    /// Makes plain text of a config that a claim carries.
    ///
    /// # Errors
    /// [`StoreError::Secret`] names the field whose token does not open.
    pub fn open_config(&self, project: &ProjectId, side: Side, config: &Value) -> Result<Value, StoreError> {
        self.store.open_config(project, side, config)
    }
}
