//! What was taken over from other installations, so that taking it over again finds what it made.

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
-- new_id points to nothing when the thing was deleted here: ids are never used twice.
CREATE TABLE imports (
    origin TEXT NOT NULL,
    kind TEXT NOT NULL,
    old_id BIGINT NOT NULL,
    new_id BIGINT NOT NULL,
    -- How the thing stood here after it was taken over: if it stands otherwise, somebody has changed it.
    mark TEXT NOT NULL,
    imported_at BIGINT NOT NULL,
    PRIMARY KEY (origin, kind, old_id)
);
";
