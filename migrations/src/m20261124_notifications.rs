//! Notifications of a project with their outbox, and the indexes by which old rows are found.

use sea_orm_migration::prelude::*;

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = dialect::render(manager.get_database_backend(), SCHEMA);
        manager.get_connection().execute_unprepared(&sql).await?;
        Ok(())
    }
}

const SCHEMA: &str = "
-- url and secret are sealed at rest: the URL of a chat tool's webhook is a secret as a whole.
CREATE TABLE notification_settings (
    project_id TEXT PRIMARY KEY REFERENCES projects (id),
    url TEXT NOT NULL,
    secret TEXT,
    format TEXT NOT NULL,
    on_failure BOOLEAN NOT NULL,
    on_recovery BOOLEAN NOT NULL,
    on_success BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by BIGINT REFERENCES users (id) ON DELETE SET NULL
);

-- The outbox and the log of deliveries. next_attempt_at and give_up_at are by the database's clock; a claim moves
-- next_attempt_at to the end of its lease.
CREATE TABLE notification_deliveries (
    id {uuid} PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    event TEXT NOT NULL,
    job_id BIGINT,
    task_id {uuid},
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    give_up_at BIGINT NOT NULL,
    last_code INTEGER,
    last_message TEXT,
    last_attempt_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX notification_deliveries_due ON notification_deliveries (next_attempt_at) WHERE status = 'pending';
CREATE INDEX notification_deliveries_of_task ON notification_deliveries (task_id) WHERE status = 'pending';
CREATE INDEX notification_deliveries_newest ON notification_deliveries (project_id, id DESC);
CREATE INDEX notification_deliveries_age ON notification_deliveries (created_at);

CREATE INDEX tasks_ended ON tasks (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX tasks_ended_short ON tasks (ended_at) WHERE job_id IS NULL OR status = 'skipped';
CREATE INDEX task_log_chunks_age ON task_log_chunks (last_time);
CREATE INDEX jobs_deleted ON jobs (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX sources_deleted ON sources (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX destinations_deleted ON destinations (deleted_at) WHERE deleted_at IS NOT NULL;
";
