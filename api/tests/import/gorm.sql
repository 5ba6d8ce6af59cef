-- The tables of OLake's UI server since GORM makes them of its models: nothing but the key must be there, jobs have
-- advanced settings, a catalog may be kept in two parts, and projects have a webhook. Written from the models, which are
-- public (server/internal/models/db.go in its repository), not dumped from a server.
CREATE TABLE "olake-prod-user" (
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    id bigserial PRIMARY KEY, username varchar(100) UNIQUE, password varchar(100), email varchar(100) UNIQUE
);
CREATE TABLE "olake-prod-project-settings" (
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    id bigserial PRIMARY KEY, project_id text UNIQUE, webhook_alert_url varchar(512)
);
CREATE TABLE "olake-prod-source" (
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    id bigserial PRIMARY KEY, name text, project_id text, config jsonb, version text, type text, created_by_id bigint, updated_by_id bigint
);
CREATE TABLE "olake-prod-destination" (
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    id bigserial PRIMARY KEY, name text, project_id text, dest_type text, version text, config jsonb, created_by_id bigint, updated_by_id bigint
);
CREATE TABLE "olake-prod-job" (
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    id bigserial PRIMARY KEY, name varchar(100), source_id bigint, dest_id bigint, active boolean, frequency text, streams_config jsonb,
    available_streams_config jsonb, selected_streams_config jsonb, state jsonb, advanced_settings jsonb, created_by_id bigint,
    updated_by_id bigint, project_id text
);
INSERT INTO "olake-prod-project-settings" VALUES (now(), now(), NULL, 1, '123', 'https://hooks.example.org/1');
