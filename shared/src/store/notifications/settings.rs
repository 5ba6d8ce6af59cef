//! The webhook of a project.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value as Db};

use super::aad;
use crate::{
    config::{MASK, Secret},
    crypto::masked,
    domain::{
        project::ProjectId,
        webhook::{NotificationFormat, WebhookUrl},
    },
    store::{ProjectStore, Store, StoreError, connections::check_revision, time},
};

/// The longest secret that is taken, in bytes.
const LONGEST_SECRET: usize = 1_024;

/// The webhook of a project as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationSettings {
    /// Passwords and tokens in it masked; empty if none was set.
    pub url: String,
    /// Whether deliveries are signed.
    pub has_secret: bool,
    pub format: NotificationFormat,
    pub on_failure: bool,
    pub on_recovery: bool,
    pub on_success: bool,
    pub enabled: bool,
    /// Grows with each change; the ETag. 0: never set.
    pub revision: i64,
    pub updated_at: Option<DateTime<Utc>>,
}

impl Default for NotificationSettings {
    /// What a project has that never set a webhook.
    fn default() -> Self {
        Self {
            url: String::new(),
            has_secret: false,
            format: NotificationFormat::Json,
            on_failure: true,
            on_recovery: true,
            on_success: false,
            enabled: false,
            revision: 0,
            updated_at: None,
        }
    }
}

/// What becomes of the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretChange {
    /// It stays.
    Keep,
    /// Deliveries are signed no more.
    Remove,
    /// Another one.
    Set(Secret),
}

/// What a person gives. It holds secrets in its URL, and so has no `Debug`.
#[derive(Clone)]
pub struct NotificationInput {
    /// As it was shown (masked): it stays. Empty: notifications go nowhere.
    pub url: String,
    pub secret: SecretChange,
    pub format: NotificationFormat,
    pub on_failure: bool,
    pub on_recovery: bool,
    pub on_success: bool,
    pub enabled: bool,
    /// Whether a URL to this machine or a private network is taken.
    pub allow_private: bool,
}

#[derive(FromQueryResult)]
pub(super) struct Row {
    pub url: String,
    pub secret: Option<String>,
    pub format: String,
    pub on_failure: bool,
    pub on_recovery: bool,
    pub on_success: bool,
    pub enabled: bool,
    revision: i64,
    updated_at: i64,
}

/// The row of a project, if there is one.
pub(super) async fn read(
    store: &Store,
    db: &impl ConnectionTrait,
    project: &ProjectId,
    lock: &str,
) -> Result<Option<Row>, StoreError> {
    let sql = format!(
        "SELECT url, secret, format, on_failure, on_recovery, on_success, enabled, revision, updated_at \
         FROM notification_settings WHERE project_id = $1 {lock}"
    );
    let statement = Statement::from_sql_and_values(store.backend(), sql, [project.as_str().into()]);
    Ok(Row::find_by_statement(statement).one(db).await?)
}

impl Store {
    /// The URL of a row, with its secrets; empty if none is set.
    pub(super) fn notification_url(&self, project: &ProjectId, row: &Row) -> Result<Secret, StoreError> {
        Ok(Secret::new(self.keys.open_text(&aad(project, "url"), &row.url)?))
    }

    /// The secret of a row.
    pub(super) fn notification_secret(
        &self,
        project: &ProjectId,
        row: &Row,
    ) -> Result<Option<Secret>, StoreError> {
        let open = |sealed: &String| self.keys.open_text(&aad(project, "secret"), sealed);
        Ok(row.secret.as_ref().map(open).transpose()?.map(Secret::new))
    }
}

impl ProjectStore {
    /// The webhook; the defaults if none was set.
    pub async fn notification_settings(&self) -> Result<NotificationSettings, StoreError> {
        let Some(row) = read(&self.store, &self.store.db, &self.project, "").await? else {
            return Ok(NotificationSettings::default());
        };
        Ok(NotificationSettings {
            url: masked(self.store.notification_url(&self.project, &row)?.expose()),
            has_secret: row.secret.is_some(),
            format: row.format.parse()?,
            on_failure: row.on_failure,
            on_recovery: row.on_recovery,
            on_success: row.on_success,
            enabled: row.enabled,
            revision: row.revision,
            updated_at: Some(time::utc(row.updated_at)),
        })
    }

    /// Replaces the webhook. What waits to be delivered goes to the new one.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names the field; [`StoreError::Stale`] when `if_match` is another revision.
    pub async fn put_notification_settings(
        &self,
        input: &NotificationInput,
        if_match: Option<i64>,
        user: i64,
    ) -> Result<NotificationSettings, StoreError> {
        let store = &self.store;
        let tx = store.begin().await?;
        let current = read(store, &tx, &self.project, store.for_update()).await?;
        check_revision(current.as_ref().map_or(0, |row| row.revision), if_match)?;
        let stored = match &current {
            Some(row) => store.notification_url(&self.project, row)?,
            None => Secret::new(""),
        };
        let url = self.new_url(input, &stored)?;
        let secret = match (&input.secret, current) {
            (SecretChange::Keep, Some(row)) => row.secret,
            (SecretChange::Keep, None) | (SecretChange::Remove, _) => None,
            (SecretChange::Set(secret), _) => Some(self.seal_secret(secret)?),
        };
        let sql = "INSERT INTO notification_settings (project_id, url, secret, format, on_failure, on_recovery, \
                   on_success, enabled, revision, updated_at, updated_by) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10) \
                   ON CONFLICT (project_id) DO UPDATE SET url = excluded.url, secret = excluded.secret, \
                   format = excluded.format, on_failure = excluded.on_failure, on_recovery = excluded.on_recovery, \
                   on_success = excluded.on_success, enabled = excluded.enabled, \
                   revision = notification_settings.revision + 1, updated_at = excluded.updated_at, \
                   updated_by = excluded.updated_by";
        let values: [Db; 10] = [
            self.project.as_str().into(),
            store.keys.seal_text(&aad(&self.project, "url"), url.expose()).into(),
            secret.into(),
            input.format.as_str().into(),
            input.on_failure.into(),
            input.on_recovery.into(),
            input.on_success.into(),
            input.enabled.into(),
            store.now().into(),
            user.into(),
        ];
        tx.execute_raw(Statement::from_sql_and_values(store.backend(), sql, values)).await?;
        tx.commit().await?;
        self.notification_settings().await
    }

    /// The URL to be stored: the given one, or the stored one if it came back as it was shown.
    fn new_url(&self, input: &NotificationInput, stored: &Secret) -> Result<Secret, StoreError> {
        let given = input.url.trim();
        let invalid = |reason: &str| StoreError::invalid("url", reason);
        if given.is_empty() {
            return match input.enabled {
                true => Err(invalid("it is missing; without one, notifications cannot be enabled")),
                false => Ok(Secret::new("")),
            };
        }
        let url = if given == masked(stored.expose()) { stored.expose() } else { given };
        if url != stored.expose() && url.contains(MASK) {
            return Err(invalid(
                "the masked part of a URL is only taken back if nothing else of it has changed",
            ));
        }
        let parsed = WebhookUrl::parse(url).map_err(|error| invalid(&error.to_string()))?;
        if !input.allow_private {
            parsed.check_host().map_err(|error| invalid(&error.to_string()))?;
        }
        Ok(Secret::new(url))
    }

    fn seal_secret(&self, secret: &Secret) -> Result<String, StoreError> {
        if secret.expose().len() > LONGEST_SECRET {
            return Err(StoreError::invalid("secret", format!("it is longer than {LONGEST_SECRET} bytes")));
        }
        Ok(self.store.keys.seal_text(&aad(&self.project, "secret"), secret.expose()))
    }
}
