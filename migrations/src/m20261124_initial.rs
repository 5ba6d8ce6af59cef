//! The first schema.

use sea_orm_migration::prelude::*;

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On SQLite too: a start that is killed in the middle leaves nothing.
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
CREATE TABLE projects (
    id TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id {id},
    username TEXT NOT NULL,
    email TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_admin BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email ON users (email);

-- A session is found by the hash of its token: a copy of the table opens no session.
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- seal_id is what the sealed config is bound to: the id is not known before the row is written.
CREATE TABLE sources (
    id {id},
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    version TEXT NOT NULL,
    seal_id {uuid} NOT NULL,
    config TEXT NOT NULL,
    -- A hash that names the replication slot of its config, if it uses one: two syncs on one slot must not run at once.
    slot_key TEXT,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    updated_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX sources_name ON sources (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX sources_updated ON sources (project_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL;

CREATE TABLE destinations (
    id {id},
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    version TEXT NOT NULL,
    seal_id {uuid} NOT NULL,
    config TEXT NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    updated_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX destinations_name ON destinations (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX destinations_updated ON destinations (project_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL;

CREATE TABLE jobs (
    id {id},
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    source_id BIGINT NOT NULL REFERENCES sources (id),
    destination_id BIGINT NOT NULL REFERENCES destinations (id),
    frequency TEXT NOT NULL,
    streams_config TEXT NOT NULL,
    activate BOOLEAN NOT NULL,
    advanced_settings TEXT NOT NULL,
    -- The next slot of the schedule; NULL while the job is paused or when no slot is left.
    next_run_at BIGINT,
    revision BIGINT NOT NULL,
    -- The last sync or clear that was started, written with the task's own status, so that lists need no join.
    last_task_id {uuid},
    last_run_time BIGINT,
    last_run_state TEXT,
    last_run_type TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    updated_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX jobs_name ON jobs (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX jobs_updated ON jobs (project_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX jobs_source ON jobs (source_id) WHERE deleted_at IS NULL;
CREATE INDEX jobs_destination ON jobs (destination_id) WHERE deleted_at IS NULL;
CREATE INDEX jobs_due ON jobs (next_run_at) WHERE deleted_at IS NULL AND next_run_at IS NOT NULL;

-- One row per process start of a worker. lease_until is by the database's clock.
CREATE TABLE workers (
    id {uuid} PRIMARY KEY,
    host TEXT NOT NULL,
    launcher TEXT NOT NULL,
    connectors TEXT NOT NULL,
    -- What all workers with this launcher must share: a host and its data folder.
    place TEXT,
    places_sync INTEGER NOT NULL,
    places_interactive INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);

CREATE TABLE tasks (
    id {uuid} PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    job_id BIGINT REFERENCES jobs (id),
    kind TEXT NOT NULL,
    place_class TEXT NOT NULL,
    trigger_kind TEXT NOT NULL,
    created_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    status TEXT NOT NULL,
    phase TEXT,
    attempt INTEGER NOT NULL,
    epoch BIGINT NOT NULL,
    owner {uuid},
    not_before BIGINT,
    scheduled_for BIGINT,
    cancel_requested_at BIGINT,
    after_task_id {uuid},
    after_condition TEXT,
    -- The replication slot that this run holds.
    slot_key TEXT,
    -- What runs it, for one-shot kinds; a job's task reads its source instead.
    connector_type TEXT,
    connector_version TEXT,
    -- Sealed; the input goes in the transaction that ends the task, the result after result_until.
    input TEXT,
    result TEXT,
    result_until BIGINT,
    -- Why a queued task is not running yet, in words.
    hold_reason TEXT,
    -- Since when no live worker can run it, while it is queued and others are up.
    unrunnable_since BIGINT,
    failure_class TEXT,
    failure_message TEXT,
    exit_code INTEGER,
    records_read BIGINT,
    bytes_read BIGINT,
    stats TEXT,
    state_sequence BIGINT NOT NULL,
    log_sequence BIGINT NOT NULL,
    log_lines BIGINT NOT NULL,
    -- How many of them are of the current attempt: a write that is repeated appends nothing twice.
    attempt_lines BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT
);
-- One active sync or clear per job: two requests that race for it cannot both win.
CREATE UNIQUE INDEX tasks_one_active_per_job ON tasks (job_id)
    WHERE status IN ('queued', 'running') AND kind IN ('sync', 'clear');
CREATE UNIQUE INDEX tasks_slot ON tasks (job_id, scheduled_for) WHERE scheduled_for IS NOT NULL;
CREATE UNIQUE INDEX tasks_one_per_slot ON tasks (slot_key) WHERE status = 'running' AND slot_key IS NOT NULL;
CREATE INDEX tasks_running ON tasks (project_id, place_class) WHERE status = 'running';
CREATE INDEX tasks_queue ON tasks (place_class, id) WHERE status = 'queued';
CREATE INDEX tasks_owner ON tasks (owner) WHERE status = 'running';
CREATE INDEX tasks_after ON tasks (after_task_id) WHERE status = 'waiting';
CREATE INDEX tasks_of_job ON tasks (job_id, id DESC);
CREATE INDEX tasks_result ON tasks (result_until) WHERE result_until IS NOT NULL;

CREATE TABLE task_attempts (
    task_id {uuid} NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    worker_id {uuid} NOT NULL,
    host TEXT NOT NULL,
    source_revision BIGINT,
    destination_revision BIGINT,
    job_revision BIGINT,
    started_at BIGINT NOT NULL,
    connector_started_at BIGINT,
    ended_at BIGINT,
    failure_class TEXT,
    failure_message TEXT,
    exit_code INTEGER,
    PRIMARY KEY (task_id, attempt)
);

-- The states of a job, newest last: one row for each attempt that wrote one, updated while it runs.
CREATE TABLE job_states (
    id {id},
    job_id BIGINT NOT NULL REFERENCES jobs (id),
    task_id {uuid} NOT NULL,
    attempt INTEGER NOT NULL,
    sequence BIGINT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX job_states_attempt ON job_states (job_id, task_id, attempt);
CREATE INDEX job_states_newest ON job_states (job_id, id DESC);

-- Log lines in chunks: zstd over JSON lines. Line numbers run on over the attempts of a task.
CREATE TABLE task_log_chunks (
    task_id {uuid} NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    first_line BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    visible_lines BIGINT NOT NULL,
    first_time BIGINT NOT NULL,
    last_time BIGINT NOT NULL,
    raw_bytes BIGINT NOT NULL,
    data {bytes} NOT NULL,
    PRIMARY KEY (task_id, sequence)
);

CREATE TABLE spec_cache (
    type TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Empty for the spec of the source itself.
    destination_type TEXT NOT NULL,
    spec TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (type, version, destination_type)
);

INSERT INTO projects (id, created_at) VALUES ('olake', 0), ('123', 0);
";
