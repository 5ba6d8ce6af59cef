//! `olake-api migrate`: brings the schema up to date. Serving never does it by itself, because several servers start
//! at the same time; it only looks.

use std::collections::HashSet;

use olake_migrations::{Migrator, MigratorTrait};
use olake_shared::config::Config;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::{CommandError, open_database, print};

pub(super) async fn run(config: &Config) -> Result<(), CommandError> {
    let db = open_database(config).await?;
    let missing = missing(&db).await?;
    if missing.is_empty() {
        return print("The schema is up to date.\n");
    }
    Migrator::up(&db, None).await?;
    print(&format!("The schema is up to date. Applied: {}\n", missing.join(", ")))
}

/// The migrations that this program knows and the database does not. A database may know more: the next release's
/// schema serves this release, too.
pub(super) async fn missing(db: &DatabaseConnection) -> Result<Vec<String>, CommandError> {
    let there = "SELECT COUNT(*) AS n FROM information_schema.tables \
                 WHERE table_schema = current_schema() AND table_name = 'seaql_migrations'";
    let query = |sql: &str| Statement::from_string(db.get_database_backend(), sql.to_owned());
    let count = db.query_one_raw(query(there)).await?.map_or(Ok(0), |row| row.try_get::<i64>("", "n"))?;
    let mut applied = HashSet::new();
    if count > 0 {
        for row in db.query_all_raw(query("SELECT version FROM seaql_migrations")).await? {
            applied.insert(row.try_get::<String>("", "version")?);
        }
    }
    let known = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
    Ok(known.filter(|name| !applied.contains(name)).collect())
}
