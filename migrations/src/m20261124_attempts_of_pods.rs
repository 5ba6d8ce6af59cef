//! Attempts that run in pods: who may start, what their agents have told, and a wish to end without a lost node.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(SCHEMA).await?;
        Ok(())
    }
}

const SCHEMA: &str = "
-- The pod that may run the connector, by its uid; 'closed': none ever will.
ALTER TABLE task_attempts ADD COLUMN pod_uid TEXT;
ALTER TABLE task_attempts ADD COLUMN pod_name TEXT;
ALTER TABLE task_attempts ADD COLUMN node TEXT;
-- Starts of its agent, and the last push of the newest one.
ALTER TABLE task_attempts ADD COLUMN incarnation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE task_attempts ADD COLUMN push_sequence BIGINT NOT NULL DEFAULT 0;
-- Sealed; what the agent told at the end, and which start of it. The record goes with the end of the attempt.
ALTER TABLE task_attempts ADD COLUMN final_record TEXT;
ALTER TABLE task_attempts ADD COLUMN final_incarnation BIGINT;
-- A person has said that the node of a running task will not come back.
ALTER TABLE tasks ADD COLUMN force_end_requested_at BIGINT;
";
