//! States that a person has put in place of a run's, and resets (rows without a state).

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On SQLite as well: a table that is made anew is there as a whole or not at all.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let sql = match backend {
            DbBackend::Postgres => POSTGRES.to_owned(),
            _ => dialect::render(backend, SQLITE),
        };
        manager.get_connection().execute_unprepared(&sql).await?;
        Ok(())
    }
}

const POSTGRES: &str = "
ALTER TABLE job_states
    ALTER COLUMN task_id DROP NOT NULL,
    ALTER COLUMN attempt DROP NOT NULL,
    ALTER COLUMN state DROP NOT NULL,
    ADD COLUMN created_by BIGINT REFERENCES users (id) ON DELETE SET NULL;
";

/// SQLite cannot drop a NOT NULL: the table is made anew.
const SQLITE: &str = "
CREATE TABLE job_states_new (
    id {id},
    job_id BIGINT NOT NULL REFERENCES jobs (id),
    task_id {uuid},
    attempt INTEGER,
    sequence BIGINT NOT NULL,
    state TEXT,
    created_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
INSERT INTO job_states_new (id, job_id, task_id, attempt, sequence, state, created_at, updated_at)
    SELECT id, job_id, task_id, attempt, sequence, state, created_at, updated_at FROM job_states;
DROP TABLE job_states;
ALTER TABLE job_states_new RENAME TO job_states;
CREATE UNIQUE INDEX job_states_attempt ON job_states (job_id, task_id, attempt);
CREATE INDEX job_states_newest ON job_states (job_id, id DESC);
";
