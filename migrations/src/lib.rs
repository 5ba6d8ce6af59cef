//! Database migrations, the same for PostgreSQL and SQLite.
//!
//! Rules:
//! - one file a change, named after its date and what it does; a file that has been released is never edited;
//! - expand, then contract: a release must run on the schema of the next one, because API and workers of two
//!   releases run side by side while a deployment rolls;
//! - times are `BIGINT` microseconds since 1970 (UTC) and documents are `TEXT`, so that both databases compare and
//!   keep them alike.
//!
//! To add one: 1. write `src/mYYYYMMDD_what.rs` beside the others; 2. add it at the end of [`Migrator::migrations`];
//! 3. change the entities in `olake_shared::store`; 4. `make test` runs it on both databases.

mod dialect;
mod m20261124_attempts_of_pods;
mod m20261124_image_tags;
mod m20261124_imports;
mod m20261124_initial;
mod m20261124_list_revisions;
mod m20261124_notifications;
mod m20261124_release_news;
mod m20261124_states_of_operators;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{MigrationTrait, async_trait};

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_initial::Migration),
            Box::new(m20261124_notifications::Migration),
            Box::new(m20261124_states_of_operators::Migration),
            Box::new(m20261124_list_revisions::Migration),
            Box::new(m20261124_attempts_of_pods::Migration),
            Box::new(m20261124_imports::Migration),
            Box::new(m20261124_image_tags::Migration),
            Box::new(m20261124_release_news::Migration),
        ]
    }
}
