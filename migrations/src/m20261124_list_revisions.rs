//! Revision counters of what the lists of a project show, kept by triggers, so that no writer can forget them; and the
//! index by which a page of a log is found.
//!
//! A project's revision is the sum of its counters. There are sixteen for its jobs (by the job's id), so that the ends
//! of many tasks do not wait for each other, one for its sources, one for its destinations and one for the names of
//! accounts. A transaction that writes several of these writes them in this order: source, destination, job.
//!
//! The removal of an account, which takes its id out of many rows, counts once, by its own trigger: an update is counted
//! if it sets one of the columns named here. Whoever adds a column that lists show adds it to a trigger; whoever makes one
//! of these tables anew (SQLite) has to make its triggers anew too.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On SQLite as well: all of it or nothing.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection.execute_unprepared(SCHEMA).await?;
        let triggers = match manager.get_database_backend() {
            DbBackend::Postgres => {
                POSTGRES.replace("{jobs}", JOB_COLUMNS).replace("{connections}", CONNECTION_COLUMNS)
            }
            _ => sqlite(),
        };
        connection.execute_unprepared(&triggers).await?;
        Ok(())
    }
}

const SCHEMA: &str = "
CREATE TABLE list_revisions (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    shard INTEGER NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (project_id, shard)
);

CREATE INDEX task_log_chunks_lines ON task_log_chunks (task_id, first_line);
";

/// The place of a job's counter, by its row.
const JOBS: &str = "id % 16";
const SOURCES: &str = "16";
const DESTINATIONS: &str = "17";
const USERS: i32 = 18;

/// What lists show of a job, a source or a destination. Who changed it comes with `updated_at`.
const JOB_COLUMNS: &str = "name, source_id, destination_id, frequency, streams_config, activate, advanced_settings, \
                           next_run_at, last_run_time, last_run_state, last_run_type, updated_at, deleted_at";
const CONNECTION_COLUMNS: &str = "name, type, version, config, updated_at, deleted_at";

const POSTGRES: &str = "
CREATE FUNCTION olake_count_list_change(project TEXT, place INTEGER) RETURNS void LANGUAGE sql AS $$
    INSERT INTO list_revisions (project_id, shard, revision) VALUES (project, place, 1)
    ON CONFLICT (project_id, shard) DO UPDATE SET revision = list_revisions.revision + 1
$$;

CREATE FUNCTION olake_job_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM olake_count_list_change(OLD.project_id, (OLD.id % 16)::integer);
    ELSE
        PERFORM olake_count_list_change(NEW.project_id, (NEW.id % 16)::integer);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION olake_connection_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM olake_count_list_change(OLD.project_id, TG_ARGV[0]::integer);
    ELSE
        PERFORM olake_count_list_change(NEW.project_id, TG_ARGV[0]::integer);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION olake_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM olake_count_list_change(id, 18) FROM projects ORDER BY id;
    RETURN NULL;
END
$$;

CREATE TRIGGER jobs_list_inserted AFTER INSERT OR DELETE ON jobs
    FOR EACH ROW EXECUTE FUNCTION olake_job_changed();
CREATE TRIGGER jobs_list_updated AFTER UPDATE OF {jobs} ON jobs
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION olake_job_changed();
CREATE TRIGGER sources_list_changed AFTER INSERT OR UPDATE OF {connections} OR DELETE ON sources
    FOR EACH ROW EXECUTE FUNCTION olake_connection_changed('16');
CREATE TRIGGER destinations_list_changed AFTER INSERT OR UPDATE OF {connections} OR DELETE ON destinations
    FOR EACH ROW EXECUTE FUNCTION olake_connection_changed('17');
CREATE TRIGGER users_list_changed AFTER UPDATE OF username OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION olake_user_changed();
";

/// The same for SQLite, which has no functions: one trigger for each table and kind of change.
fn sqlite() -> String {
    let mut sql = String::new();
    for (table, place, columns) in [
        ("jobs", JOBS, JOB_COLUMNS),
        ("sources", SOURCES, CONNECTION_COLUMNS),
        ("destinations", DESTINATIONS, CONNECTION_COLUMNS),
    ] {
        let update = format!("UPDATE OF {columns}");
        for (name, change, row) in
            [("insert", "INSERT", "NEW"), ("update", update.as_str(), "NEW"), ("delete", "DELETE", "OLD")]
        {
            let place = if place == JOBS { format!("{row}.{place}") } else { place.to_owned() };
            sql.push_str(&format!(
                "CREATE TRIGGER {table}_list_{name} AFTER {change} ON {table} BEGIN \
                 INSERT INTO list_revisions (project_id, shard, revision) VALUES ({row}.project_id, {place}, 1) \
                 ON CONFLICT (project_id, shard) DO UPDATE SET revision = revision + 1; END;\n"
            ));
        }
    }
    for (name, change) in [("update", "UPDATE OF username"), ("delete", "DELETE")] {
        sql.push_str(&format!(
            "CREATE TRIGGER users_list_{name} AFTER {change} ON users BEGIN \
             INSERT INTO list_revisions (project_id, shard, revision) SELECT id, {USERS}, 1 FROM projects WHERE true \
             ON CONFLICT (project_id, shard) DO UPDATE SET revision = revision + 1; END;\n"
        ));
    }
    sql
}
