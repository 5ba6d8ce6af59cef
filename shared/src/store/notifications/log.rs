//! The log of deliveries.

use chrono::{DateTime, Utc};
use sea_orm::{FromQueryResult, Statement, Value as Db};
use uuid::Uuid;

use crate::{
    domain::{
        task::TaskId,
        webhook::{DeliveryStatus, NotificationEvent},
    },
    store::{ProjectStore, StoreError, time},
};

/// A delivery as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// A UUID of version 7: later deliveries have greater ids.
    pub id: Uuid,
    pub event: NotificationEvent,
    pub job: Option<i64>,
    pub task: Option<TaskId>,
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: i32,
    /// The receiver's last HTTP status.
    pub last_code: Option<i32>,
    /// What the last try came to, in words.
    pub last_message: Option<String>,
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// When it is tried again.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    event: String,
    job_id: Option<i64>,
    task_id: Option<Uuid>,
    status: String,
    attempts: i32,
    last_code: Option<i32>,
    last_message: Option<String>,
    last_attempt_at: Option<i64>,
    next_attempt_at: i64,
    created_at: i64,
}

impl TryFrom<Row> for DeliveryRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let status: DeliveryStatus = row.status.parse()?;
        let pending = status == DeliveryStatus::Pending;
        Ok(Self {
            id: row.id,
            event: row.event.parse()?,
            job: row.job_id,
            task: row.task_id,
            status,
            attempts: row.attempts,
            last_code: row.last_code,
            last_message: row.last_message,
            last_attempt_at: row.last_attempt_at.map(time::utc),
            next_attempt_at: pending.then(|| time::utc(row.next_attempt_at)),
            created_at: time::utc(row.created_at),
        })
    }
}

const COLUMNS: &str = "id, event, job_id, task_id, status, attempts, last_code, last_message, last_attempt_at, \
                       next_attempt_at, created_at";

impl ProjectStore {
    /// The deliveries, newest first: at most `limit`, those before `before` if given.
    pub async fn deliveries(
        &self,
        limit: u64,
        before: Option<Uuid>,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM notification_deliveries WHERE project_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        );
        let values: [Db; 3] = [
            self.project.as_str().into(),
            before.unwrap_or(Uuid::max()).into(),
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
        ];
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        let rows = Row::find_by_statement(statement).all(&self.store.db).await?;
        rows.into_iter().map(DeliveryRecord::try_from).collect()
    }

    /// One delivery.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when this project has none of this id.
    pub async fn delivery(&self, id: Uuid) -> Result<DeliveryRecord, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM notification_deliveries WHERE project_id = $1 AND id = $2");
        let statement = self.store.sql(&sql, [self.project.as_str().into(), id.into()]);
        let row = Row::find_by_statement(statement).one(&self.store.db).await?;
        row.ok_or_else(|| StoreError::NotFound(format!("delivery {id}")))?.try_into()
    }
}
