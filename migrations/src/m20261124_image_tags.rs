//! Tags of connectors' images, and whose turn it is to read what is elsewhere.

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
CREATE TABLE image_tags (
    connector_type TEXT NOT NULL,
    version TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (connector_type, version)
);

-- One row for each thing that is read. due_at is by the database's clock; a claim moves it to the end of its lease.
CREATE TABLE refreshes (
    name TEXT PRIMARY KEY,
    due_at BIGINT NOT NULL,
    failures INTEGER NOT NULL
);
";
