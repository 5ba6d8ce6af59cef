//! What an answer shows of notifications.

use chrono::{DateTime, Utc};
use olake_shared::{
    config::MASK,
    domain::{
        task::TaskId,
        webhook::{DeliveryStatus, NotificationEvent, NotificationFormat},
    },
    store::notifications::{log::DeliveryRecord, settings::NotificationSettings},
};
use poem_openapi::{Enum, Object};
use uuid::Uuid;

/// Where the notifications of a project go.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Notifications", skip_serializing_if_is_none)]
pub struct NotificationItem {
    /// Passwords and tokens in it are masked; empty if none was set.
    pub url: String,
    /// `********` if deliveries are signed.
    pub secret: Option<String>,
    /// The form of the body.
    pub format: FormatWord,
    /// Whether failures are told.
    pub on_failure: bool,
    /// Whether the first success after a failure is told.
    pub on_recovery: bool,
    /// Whether every success is told.
    pub on_success: bool,
    /// Whether anything is told.
    pub enabled: bool,
    /// RFC 3339, UTC; absent if none was ever set.
    pub updated_at: Option<DateTime<Utc>>,
}

impl From<NotificationSettings> for NotificationItem {
    fn from(settings: NotificationSettings) -> Self {
        Self {
            url: settings.url,
            secret: settings.has_secret.then(|| MASK.to_owned()),
            format: settings.format.into(),
            on_failure: settings.on_failure,
            on_recovery: settings.on_recovery,
            on_success: settings.on_success,
            enabled: settings.enabled,
            updated_at: settings.updated_at,
        }
    }
}

/// What was told, or is to be.
#[derive(Clone, Debug, Object)]
#[oai(rename = "NotificationDelivery", skip_serializing_if_is_none)]
pub struct DeliveryItem {
    /// A UUID; the `X-OLake-Delivery` header has it.
    pub id: Uuid,
    /// What is told.
    pub event: EventWord,
    /// Absent in a test.
    pub job_id: Option<i64>,
    /// Absent in a test.
    pub task_id: Option<TaskId>,
    /// Where it stands.
    pub status: DeliveryWord,
    /// How often it was tried.
    pub attempts: i32,
    /// The HTTP status that the receiver answered last.
    pub last_code: Option<i32>,
    /// What the last try came to, in words.
    pub last_message: Option<String>,
    /// RFC 3339, UTC.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// When it is tried again.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// RFC 3339, UTC.
    pub created_at: DateTime<Utc>,
}

impl From<DeliveryRecord> for DeliveryItem {
    fn from(record: DeliveryRecord) -> Self {
        Self {
            id: record.id,
            event: record.event.into(),
            job_id: record.job,
            task_id: record.task,
            status: record.status.into(),
            attempts: record.attempts,
            last_code: record.last_code,
            last_message: record.last_message,
            last_attempt_at: record.last_attempt_at,
            next_attempt_at: record.next_attempt_at,
            created_at: record.created_at,
        }
    }
}

/// The form of a notification's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "NotificationFormat", rename_all = "snake_case")]
pub enum FormatWord {
    /// An object with all that is known.
    Json,
    /// `{"text": "…"}`, which chat tools take.
    Text,
}

impl From<NotificationFormat> for FormatWord {
    fn from(format: NotificationFormat) -> Self {
        match format {
            NotificationFormat::Json => Self::Json,
            NotificationFormat::Text => Self::Text,
        }
    }
}

impl From<FormatWord> for NotificationFormat {
    fn from(word: FormatWord) -> Self {
        match word {
            FormatWord::Json => Self::Json,
            FormatWord::Text => Self::Text,
        }
    }
}

/// What a notification tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "NotificationEvent", rename_all = "snake_case")]
pub enum EventWord {
    Failure,
    Recovery,
    Success,
    Test,
}

impl From<NotificationEvent> for EventWord {
    fn from(event: NotificationEvent) -> Self {
        match event {
            NotificationEvent::Failure => Self::Failure,
            NotificationEvent::Recovery => Self::Recovery,
            NotificationEvent::Success => Self::Success,
            NotificationEvent::Test => Self::Test,
        }
    }
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "NotificationDeliveryStatus", rename_all = "snake_case")]
pub enum DeliveryWord {
    /// It will be tried, or tried again.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It was given up.
    Failed,
}

impl From<DeliveryStatus> for DeliveryWord {
    fn from(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Pending => Self::Pending,
            DeliveryStatus::Delivered => Self::Delivered,
            DeliveryStatus::Failed => Self::Failed,
        }
    }
}
