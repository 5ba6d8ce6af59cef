//! Jobs: what moves from which source to which destination, and when.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Statement, Value as Db};
use serde_json::{Map, Value};
use uuid::Uuid;

mod write;

pub(super) use write::{Written, insert, replace};

use super::{
    ProjectStore, StoreError,
    connections::{Connection, ConnectionInput, ConnectionRow, Side, check_revision, missing},
    finish, lists,
    tasks::{
        Ended, cancel,
        clear::{Cleared, can_clear, open_clear},
    },
    time,
};
use crate::domain::{
    frequency::{Frequency, FrequencyError},
    settings::AdvancedSettings,
};

/// A job as it is shown.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: i64,
    pub name: String,
    pub source: Connection,
    pub destination: Connection,
    pub frequency: String,
    /// The catalog with its selections, as JSON text.
    pub streams_config: String,
    pub activate: bool,
    pub advanced_settings: AdvancedSettings,
    pub next_run_at: Option<DateTime<Utc>>,
    /// Grows with each change; the ETag.
    pub revision: i64,
    /// Absent if the job never ran.
    pub last_run: Option<LastRun>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
}

/// The newest run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    pub task: Uuid,
    pub time: DateTime<Utc>,
    /// A status word.
    pub state: String,
    /// A kind of task.
    pub kind: String,
}

/// A job's side in a request: one that exists, or one that is made with the job.
#[derive(Clone, Debug)]
pub enum SideInput {
    /// By id; whatever else the request said of it is ignored.
    Existing(i64),
    /// By name: reused if one of this name is equal, made if there is none.
    Inline(ConnectionInput),
}

/// What a person gives for a job.
#[derive(Clone, Debug)]
pub struct JobInput {
    pub name: String,
    pub source: SideInput,
    pub destination: SideInput,
    pub frequency: String,
    /// JSON text of an object.
    pub streams_config: String,
    /// None: unchanged, or active for a new job.
    pub activate: Option<bool>,
    /// None: unchanged.
    pub advanced_settings: Option<Map<String, Value>>,
}

/// Which jobs a list shows.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub source_id: Option<i64>,
    pub destination_id: Option<i64>,
    /// Only those whose name holds this text, without regard to case.
    pub search: Option<String>,
}

#[derive(FromQueryResult)]
struct JobRow {
    id: i64,
    name: String,
    frequency: String,
    streams_config: String,
    activate: bool,
    advanced_settings: String,
    next_run_at: Option<i64>,
    revision: i64,
    last_task_id: Option<Uuid>,
    last_run_time: Option<i64>,
    last_run_state: Option<String>,
    last_run_type: Option<String>,
    created_at: i64,
    updated_at: i64,
    created_by: Option<String>,
    updated_by: Option<String>,
}

/// The columns of a side, named `s_…` or `d_…`, and how they are read back.
fn side_columns(letter: char) -> String {
    ["id", "name", "version", "seal_id", "config", "revision", "created_at", "updated_at"]
        .iter()
        .map(|column| format!("{letter}.{column} AS {letter}_{column}, "))
        .collect::<String>()
        + &format!("{letter}.type AS {letter}_connector_type")
}

fn side_row(row: &sea_orm::QueryResult, prefix: &str) -> Result<ConnectionRow, StoreError> {
    Ok(ConnectionRow {
        id: row.try_get(prefix, "id")?,
        name: row.try_get(prefix, "name")?,
        connector_type: row.try_get(prefix, "connector_type")?,
        version: row.try_get(prefix, "version")?,
        seal_id: row.try_get(prefix, "seal_id")?,
        config: row.try_get(prefix, "config")?,
        revision: row.try_get(prefix, "revision")?,
        created_at: row.try_get(prefix, "created_at")?,
        updated_at: row.try_get(prefix, "updated_at")?,
        created_by: None,
        updated_by: None,
    })
}

fn select(condition: &str) -> String {
    format!(
        "SELECT j.id, j.name, j.frequency, j.streams_config, j.activate, j.advanced_settings, j.next_run_at, \
         j.revision, j.last_task_id, j.last_run_time, j.last_run_state, j.last_run_type, j.created_at, j.updated_at, \
         cu.username AS created_by, uu.username AS updated_by, {}, {} FROM jobs j \
         JOIN sources s ON s.id = j.source_id JOIN destinations d ON d.id = j.destination_id \
         LEFT JOIN users cu ON cu.id = j.created_by LEFT JOIN users uu ON uu.id = j.updated_by \
         WHERE j.project_id = $1 AND j.deleted_at IS NULL AND {condition}",
        side_columns('s'),
        side_columns('d'),
    )
}

pub(super) fn job_missing(id: i64) -> StoreError {
    StoreError::NotFound(format!("job {id}"))
}

impl ProjectStore {
    fn job_of(&self, row: &sea_orm::QueryResult) -> Result<Job, StoreError> {
        let job = JobRow::from_query_result(row, "")?;
        let last_run = match (job.last_task_id, job.last_run_time, job.last_run_state, job.last_run_type) {
            (Some(task), Some(at), Some(state), Some(kind)) => {
                Some(LastRun { task, time: time::utc(at), state, kind })
            }
            _ => None,
        };
        Ok(Job {
            id: job.id,
            name: job.name,
            source: self.store.connection_of(&self.project, Side::Source, side_row(row, "s_")?)?,
            destination: self.store.connection_of(&self.project, Side::Destination, side_row(row, "d_")?)?,
            frequency: job.frequency,
            streams_config: job.streams_config,
            activate: job.activate,
            advanced_settings: serde_json::from_str(&job.advanced_settings)?,
            next_run_at: job.next_run_at.map(time::utc),
            revision: job.revision,
            last_run,
            created_at: time::utc(job.created_at),
            updated_at: time::utc(job.updated_at),
            created_by: job.created_by,
            updated_by: job.updated_by,
        })
    }

    /// The jobs with these ids, newest-updated first. Those that are gone are left out.
    pub async fn jobs(&self, with: &[i64]) -> Result<Vec<Job>, StoreError> {
        let sql = select(&self.store.rows_with_ids("j"));
        let statement = self.store.sql(&sql, [self.project.as_str().into(), lists::ids(with)]);
        let rows = self.store.db.query_all_raw(statement).await?;
        rows.iter().map(|row| self.job_of(row)).collect()
    }

    /// One job.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when this project has none of this id.
    pub async fn job(&self, id: i64) -> Result<Job, StoreError> {
        self.job_by(&self.store.db, id, "").await?.ok_or_else(|| job_missing(id))
    }

    pub(super) async fn job_by(
        &self,
        db: &impl ConnectionTrait,
        id: i64,
        lock: &str,
    ) -> Result<Option<Job>, StoreError> {
        let sql = select(&format!("j.id = $2 {lock}"));
        let values: [Db; 2] = [self.project.as_str().into(), id.into()];
        let row = db.query_one_raw(Statement::from_sql_and_values(self.store.backend(), sql, values)).await?;
        row.map(|row| self.job_of(&row)).transpose()
    }

    async fn job_locked(&self, tx: &DatabaseTransaction, id: i64) -> Result<Job, StoreError> {
        let lock = self.store.for_update_of("j");
        self.job_by(tx, id, &lock).await?.ok_or_else(|| job_missing(id))
    }

    /// Finds or makes the side that a request means. Locks it, so that it is not deleted before the job points to it.
    async fn resolve_side(
        &self,
        tx: &DatabaseTransaction,
        side: Side,
        input: &SideInput,
        user: i64,
    ) -> Result<Connection, StoreError> {
        let lock = self.store.for_update_of("c");
        let lock = lock.as_str();
        let by_id = |id: i64| async move {
            self.store
                .connection_by(tx, &self.project, side, &format!("c.id = $2 {lock}"), id.into())
                .await?
                .ok_or_else(|| missing(side, id))
        };
        let input = match input {
            SideInput::Existing(id) => return by_id(*id).await,
            SideInput::Inline(input) => input,
        };
        let sealed = self.store.seal(tx, &self.project, side, input).await?;
        let condition = format!("c.name = $2 {lock}");
        let existing =
            self.store.connection_by(tx, &self.project, side, &condition, input.name.as_str().into()).await?;
        match existing {
            Some(found)
                if found.connector_type == input.connector_type
                    && found.version == input.version
                    && found.config == sealed =>
            {
                Ok(found)
            }
            Some(_) => Err(StoreError::NameTaken { what: side.name(), name: input.name.clone() }),
            None => {
                let id =
                    self.store.insert_connection(tx, &self.project, side, input, &sealed, Some(user)).await?;
                by_id(id).await
            }
        }
    }

    /// Makes a job, and its source and destination if they are new, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::Invalid`], [`StoreError::NotFound`] for a side given by id.
    pub async fn create_job(&self, input: &JobInput, user: i64) -> Result<Job, StoreError> {
        let settings = patched(&AdvancedSettings::default(), input)?;
        let frequency = frequency(&input.frequency, &settings)?;
        let activate = input.activate.unwrap_or(true);
        let tx = self.store.begin().await?;
        let source = self.resolve_side(&tx, Side::Source, &input.source, user).await?;
        let destination = self.resolve_side(&tx, Side::Destination, &input.destination, user).await?;
        same_version(&source, &destination)?;
        let next = Some(coming(&frequency, self.store.clock.now())?).filter(|_| activate);
        let written = Written {
            name: &input.name,
            source: source.id,
            destination: destination.id,
            frequency: &input.frequency,
            streams_config: &input.streams_config,
            activate,
            settings: &settings,
            next,
        };
        let id = insert(&self.store, &tx, &self.project, &written, Some(user)).await?;
        tx.commit().await?;
        self.job(id).await
    }

    /// Replaces a job. Running tasks go on with what they started with.
    ///
    /// # Errors
    /// As for [`Self::update_job_and_clear`].
    pub async fn update_job(
        &self,
        id: i64,
        input: &JobInput,
        if_match: Option<i64>,
        user: i64,
    ) -> Result<Job, StoreError> {
        Ok(self.update_job_and_clear(id, input, None, if_match, user).await?.0)
    }

    /// Replaces a job whose streams have changed: in the same transaction a running sync is wished to end, a clear of the
    /// selected streams of `clear` (a catalog, as JSON text) follows its end, and the next sync follows that. Without
    /// `clear` it is [`Self::update_job`].
    ///
    /// # Errors
    /// As for [`Self::create_job`]; [`StoreError::Stale`] when `if_match` is another revision; [`StoreError::JobBusy`]
    /// while a clear of the job runs or waits, since it reads the job's destination; [`StoreError::CannotClear`].
    pub async fn update_job_and_clear(
        &self,
        id: i64,
        input: &JobInput,
        clear: Option<&str>,
        if_match: Option<i64>,
        user: i64,
    ) -> Result<(Job, Cleared), StoreError> {
        let tx = self.store.begin().await?;
        let written = self.write_update(&tx, id, input, clear, if_match, user).await;
        let cleared = finish(tx, written).await?;
        Ok((self.job(id).await?, cleared))
    }

    async fn write_update(
        &self,
        tx: &DatabaseTransaction,
        id: i64,
        input: &JobInput,
        clear: Option<&str>,
        if_match: Option<i64>,
        user: i64,
    ) -> Result<Cleared, StoreError> {
        let current = self.job_locked(tx, id).await?;
        check_revision(current.revision, if_match)?;
        if let Some(task) = open_clear(&self.store, tx, id).await? {
            return Err(StoreError::JobBusy { kind: "clear".to_owned(), job: current.name, task });
        }
        let settings = patched(&current.advanced_settings, input)?;
        let frequency = frequency(&input.frequency, &settings)?;
        let source = self.resolve_side(tx, Side::Source, &input.source, user).await?;
        let destination = self.resolve_side(tx, Side::Destination, &input.destination, user).await?;
        if source.id != current.source.id || destination.id != current.destination.id {
            same_version(&source, &destination)?;
        }
        let activate = input.activate.unwrap_or(current.activate);
        let same_slots =
            input.frequency == current.frequency && settings.time_zone == current.advanced_settings.time_zone;
        let now = self.store.clock.now();
        let next = match (same_slots, activate) {
            (true, _) if activate == current.activate => current.next_run_at,
            (true, true) => frequency.next_after(now),
            (true, false) => None,
            (false, _) => Some(coming(&frequency, now)?).filter(|_| activate),
        };
        let written = Written {
            name: &input.name,
            source: source.id,
            destination: destination.id,
            frequency: &input.frequency,
            streams_config: &input.streams_config,
            activate,
            settings: &settings,
            next,
        };
        replace(&self.store, tx, id, &written, Some(user)).await?;
        let Some(catalog) = clear else { return Ok(Cleared::default()) };
        can_clear(&input.name, &source.version)?;
        self.clear_and_go_on(tx, id, activate, catalog, user).await
    }

    /// Pauses or resumes a job's schedule. A running sync is left alone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn activate_job(&self, id: i64, activate: bool, user: i64) -> Result<(), StoreError> {
        let tx = self.store.begin().await?;
        let job = self.job_locked(&tx, id).await?;
        if job.activate != activate {
            let frequency = frequency(&job.frequency, &job.advanced_settings)?;
            let next = activate.then(|| frequency.next_after(self.store.clock.now())).flatten();
            let sql = "UPDATE jobs SET activate = $1, next_run_at = $2, revision = revision + 1, updated_at = $3, \
                       updated_by = $4 WHERE id = $5";
            let values: [Db; 5] = [
                activate.into(),
                next.map(time::micros).into(),
                self.store.now().into(),
                user.into(),
                id.into(),
            ];
            tx.execute_raw(Statement::from_sql_and_values(self.store.backend(), sql, values)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Deletes a job (softly) and cancels what runs of it. Answers its name and what became of its tasks.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Stale`] when `if_match` is another revision.
    pub async fn delete_job(
        &self,
        id: i64,
        if_match: Option<i64>,
        user: i64,
    ) -> Result<(String, Vec<Ended>), StoreError> {
        let tx = self.store.begin().await?;
        let job = self.job_locked(&tx, id).await?;
        check_revision(job.revision, if_match)?;
        let sql = "UPDATE jobs SET deleted_at = $1, next_run_at = NULL, updated_by = $2 WHERE id = $3";
        let values: [Db; 3] = [self.store.now().into(), user.into(), id.into()];
        tx.execute_raw(Statement::from_sql_and_values(self.store.backend(), sql, values)).await?;
        let ended = cancel::cancel_all_of(&self.store, &tx, id).await?;
        tx.commit().await?;
        Ok((job.name, ended))
    }
}

fn patched(current: &AdvancedSettings, input: &JobInput) -> Result<AdvancedSettings, StoreError> {
    match &input.advanced_settings {
        None => Ok(current.clone()),
        Some(patch) => current
            .patched(patch)
            .map_err(|e| StoreError::invalid(format!("advanced_settings.{}", e.field), e.reason)),
    }
}

fn frequency(text: &str, settings: &AdvancedSettings) -> Result<Frequency, StoreError> {
    Frequency::parse(text, settings.time_zone.as_deref()).map_err(|e| {
        let field = match e {
            FrequencyError::Text(_) => "frequency",
            FrequencyError::Zone(_) => "advanced_settings.time_zone",
        };
        StoreError::invalid(field, e.to_string())
    })
}

/// The first slot of a schedule that somebody asks for: one without any would be a job that never runs.
fn coming(frequency: &Frequency, now: DateTime<Utc>) -> Result<DateTime<Utc>, StoreError> {
    let never = || StoreError::invalid("frequency", "it never comes again: all of its times have passed");
    frequency.next_after(now).ok_or_else(never)
}

fn same_version(source: &Connection, destination: &Connection) -> Result<(), StoreError> {
    if source.version == destination.version {
        return Ok(());
    }
    Err(StoreError::invalid(
        "destination.version",
        format!(
            "the source is {} and the destination {}: both need the same",
            source.version, destination.version
        ),
    ))
}
