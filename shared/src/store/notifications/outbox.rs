//! The outbox: what is to be told, and which worker tells it.
//!
//! Deliveries happen at least once: a worker that dies after the receiver's answer leaves its claim to run out, and
//! another one delivers again, under the same id.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Statement, Value as Db};
use uuid::Uuid;

use super::settings::{self, Row as SettingsRow};
use crate::{
    config::Secret,
    domain::{
        project::ProjectId,
        task::{PlaceClass, TaskId, TaskStatus},
        webhook::{DeliveryStatus, NotificationEvent, NotificationFormat},
    },
    store::{
        ProjectStore, Store, StoreError,
        entities::task,
        tasks::{Queue, read::Task},
    },
};

/// A delivery that does not succeed is given up after this long.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The longest text of a receiver's answer that is kept, in characters.
const LONGEST_MESSAGE: usize = 300;

/// A notification that a worker has claimed.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The same at each try: the receiver knows it by it.
    pub id: Uuid,
    /// Counts from 1.
    pub attempt: i32,
    pub project: ProjectId,
    pub event: NotificationEvent,
    pub target: Target,
    /// None for a test.
    pub subject: Option<Subject>,
}

/// Where a notification goes.
#[derive(Clone, Debug)]
pub struct Target {
    pub url: Secret,
    /// What it is signed with.
    pub secret: Option<Secret>,
    pub format: NotificationFormat,
}

/// What a notification is about.
#[derive(Clone, Debug)]
pub struct Subject {
    pub job: i64,
    pub job_name: String,
    pub task: Task,
}

/// What the receiver said, or what kept the notification from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status, if there was one.
    pub code: Option<u16>,
    /// Words for the person who set the webhook up; no secrets.
    pub message: String,
}

/// What becomes of a delivery after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// It is tried again after this time, unless it is too old by then.
    Again(Duration),
    /// It is given up.
    GivenUp,
}

#[derive(FromQueryResult)]
struct ClaimedRow {
    id: Uuid,
    project_id: String,
    event: String,
    job_id: Option<i64>,
    task_id: Option<Uuid>,
    attempts: i32,
}

/// Writes what is to be told of a task that ends like this, in the transaction that ends it.
pub(in crate::store) async fn enqueue_end(
    store: &Store,
    tx: &DatabaseTransaction,
    row: &task::Model,
    status: TaskStatus,
) -> Result<(), StoreError> {
    let of_interest = matches!(status, TaskStatus::Succeeded | TaskStatus::Failed)
        && row.place_class == PlaceClass::Sync.as_str();
    let Some(job) = row.job_id.filter(|_| of_interest) else { return Ok(()) };
    let project = ProjectId::new(row.project_id.as_str());
    let Some(wanted) = settings::read(store, tx, &project, "").await?.filter(|row| row.enabled) else {
        return Ok(());
    };
    let event = match status {
        TaskStatus::Failed => wanted.on_failure.then_some(NotificationEvent::Failure),
        _ if wanted.on_recovery && failed_before(store, tx, row).await? => Some(NotificationEvent::Recovery),
        _ => wanted.on_success.then_some(NotificationEvent::Success),
    };
    match event {
        Some(event) => insert(store, tx, &project, event, Some((job, row.id))).await.map(|_| ()),
        None => Ok(()),
    }
}

/// Whether the run of this kind before this one failed. Cancelled and skipped ones tell nothing.
async fn failed_before(
    store: &Store,
    tx: &DatabaseTransaction,
    row: &task::Model,
) -> Result<bool, StoreError> {
    #[derive(FromQueryResult)]
    struct Before {
        status: String,
    }
    let sql = "SELECT status FROM tasks WHERE job_id = $1 AND id < $2 AND kind = $3 \
               AND status IN ('succeeded', 'failed') ORDER BY id DESC LIMIT 1";
    let values: [Db; 3] = [row.job_id.into(), row.id.into(), row.kind.as_str().into()];
    let statement = Statement::from_sql_and_values(store.backend(), sql, values);
    let before = Before::find_by_statement(statement).one(tx).await?;
    Ok(before.is_some_and(|before| before.status == TaskStatus::Failed.as_str()))
}

async fn insert(
    store: &Store,
    db: &impl ConnectionTrait,
    project: &ProjectId,
    event: NotificationEvent,
    subject: Option<(i64, TaskId)>,
) -> Result<Uuid, StoreError> {
    let id = Uuid::now_v7();
    let sql = format!(
        "INSERT INTO notification_deliveries (id, project_id, event, job_id, task_id, status, attempts, \
         next_attempt_at, give_up_at, created_at) VALUES ($1, $2, $3, $4, $5, 'pending', 0, {now}, {now} + $6, $7)",
        now = store.db_now()
    );
    let values: [Db; 7] = [
        id.into(),
        project.as_str().into(),
        event.as_str().into(),
        subject.map(|(job, _)| job).into(),
        subject.map(|(_, task)| task).into(),
        micros(GIVE_UP_AFTER).into(),
        store.now().into(),
    ];
    db.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
    Ok(id)
}

impl ProjectStore {
    /// Puts a test of the webhook into the outbox, whether notifications are enabled or not. Answers its id.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the project has no webhook.
    pub async fn create_test_delivery(&self) -> Result<Uuid, StoreError> {
        let row = settings::read(&self.store, &self.store.db, &self.project, "").await?;
        let url = row.map(|row| self.store.notification_url(&self.project, &row)).transpose()?;
        if url.is_none_or(|url| url.expose().is_empty()) {
            return Err(StoreError::invalid("url", "no webhook is set"));
        }
        insert(&self.store, &self.store.db, &self.project, NotificationEvent::Test, None).await
    }
}

impl Queue {
    /// Claims notifications that are due, oldest first. They are the caller's for the length of `lease`; who has not
    /// settled one by then may find that another worker delivers it again.
    pub async fn claim_deliveries(&self, limit: u64, lease: Duration) -> Result<Vec<Delivery>, StoreError> {
        let store = &self.store;
        if !self.any_delivery_due().await? {
            return Ok(Vec::new());
        }
        let lock = if store.for_update().is_empty() { "" } else { "FOR UPDATE SKIP LOCKED" };
        let sql = format!(
            "UPDATE notification_deliveries SET attempts = attempts + 1, next_attempt_at = {now} + $1, \
             last_attempt_at = $2 WHERE id IN (SELECT id FROM notification_deliveries \
             WHERE status = 'pending' AND next_attempt_at <= {now} ORDER BY next_attempt_at, id LIMIT $3 {lock}) \
             RETURNING id, project_id, event, job_id, task_id, attempts",
            now = store.db_now()
        );
        let values: [Db; 3] =
            [micros(lease).into(), store.now().into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        let rows = ClaimedRow::find_by_statement(store.sql(&sql, values)).all(&store.db).await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in rows {
            match self.delivery(&row).await {
                Ok(delivery) => deliveries.push(delivery),
                Err(StoreError::Database(error)) => return Err(error.into()),
                // What it would tell is gone, or nobody is to be told any more.
                Err(error) => {
                    let answer = Answer { code: None, message: error.to_string() };
                    self.settle_delivery(row.id, row.attempts, &answer, Verdict::GivenUp).await?;
                }
            }
        }
        Ok(deliveries)
    }

    /// Looks without the lock that a write takes: mostly there is nothing.
    async fn any_delivery_due(&self) -> Result<bool, StoreError> {
        let store = &self.store;
        let sql = format!(
            "SELECT 1 FROM notification_deliveries WHERE status = 'pending' AND next_attempt_at <= {} LIMIT 1",
            store.db_now()
        );
        Ok(store.db.query_one_raw(store.sql(&sql, [])).await?.is_some())
    }

    /// All that a claimed row stands for, read now: a webhook that was corrected meanwhile counts.
    async fn delivery(&self, row: &ClaimedRow) -> Result<Delivery, StoreError> {
        let store = &self.store;
        let project = ProjectId::new(row.project_id.as_str());
        let event: NotificationEvent = row.event.parse()?;
        let off = || StoreError::invalid("notifications", "switched off before it was delivered");
        let settings = settings::read(store, &store.db, &project, "").await?;
        let settings =
            settings.filter(|row| row.enabled || event == NotificationEvent::Test).ok_or_else(off)?;
        let target = self.target(&project, &settings)?;
        if target.url.expose().is_empty() {
            return Err(off());
        }
        let subject = match (row.job_id, row.task_id) {
            (Some(job), Some(task)) => Some(self.subject(&project, job, task).await?),
            _ => None,
        };
        Ok(Delivery { id: row.id, attempt: row.attempts, project, event, target, subject })
    }

    fn target(&self, project: &ProjectId, row: &SettingsRow) -> Result<Target, StoreError> {
        Ok(Target {
            url: self.store.notification_url(project, row)?,
            secret: self.store.notification_secret(project, row)?,
            format: row.format.parse()?,
        })
    }

    async fn subject(&self, project: &ProjectId, job: i64, task: TaskId) -> Result<Subject, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            name: String,
        }
        let store = &self.store;
        // Also of a job that was deleted meanwhile.
        let sql = "SELECT name FROM jobs WHERE id = $1 AND project_id = $2";
        let row = Row::find_by_statement(store.sql(sql, [job.into(), project.as_str().into()]))
            .one(&store.db)
            .await?
            .ok_or_else(|| StoreError::NotFound(format!("job {job}")))?;
        let project = ProjectStore { store: store.clone(), project: project.clone() };
        Ok(Subject { job, job_name: row.name, task: project.task(task).await? })
    }

    /// Writes what a try came to. False when the delivery is no longer this attempt's: nothing was written.
    pub async fn settle_delivery(
        &self,
        id: Uuid,
        attempt: i32,
        answer: &Answer,
        verdict: Verdict,
    ) -> Result<bool, StoreError> {
        let store = &self.store;
        let now = store.db_now();
        let (status, wait) = match verdict {
            Verdict::Delivered => (DeliveryStatus::Delivered, Duration::ZERO),
            Verdict::Again(wait) => (DeliveryStatus::Pending, wait),
            Verdict::GivenUp => (DeliveryStatus::Failed, Duration::ZERO),
        };
        let sql = format!(
            "UPDATE notification_deliveries SET next_attempt_at = {now} + $4, \
             status = CASE WHEN $3 = 'pending' AND {now} + $4 > give_up_at THEN 'failed' ELSE $3 END, \
             last_code = $5, last_message = $6 WHERE id = $1 AND attempts = $2 AND status = 'pending'"
        );
        let message: String = answer.message.chars().take(LONGEST_MESSAGE).collect();
        let values: [Db; 6] = [
            id.into(),
            attempt.into(),
            status.as_str().into(),
            micros(wait).into(),
            answer.code.map(i32::from).into(),
            message.into(),
        ];
        Ok(store.db.execute_raw(store.sql(&sql, values)).await?.rows_affected() == 1)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
