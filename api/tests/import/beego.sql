-- The tables of OLake's UI server up to the year 2025, as Beego's ORM makes them of its models. Written from the models,
-- which are public (server/internal/models/db.go in its repository), not dumped from a server.
CREATE TABLE "olake-prod-user" (
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    id serial PRIMARY KEY, username varchar(100) NOT NULL DEFAULT '' UNIQUE, password varchar(100) NOT NULL DEFAULT '',
    email varchar(100) NOT NULL DEFAULT '' UNIQUE
);
CREATE TABLE "olake-prod-source" (
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    id serial PRIMARY KEY, name varchar(255) NOT NULL DEFAULT '', project_id varchar(255) NOT NULL DEFAULT '', config jsonb NOT NULL,
    version varchar(255) NOT NULL DEFAULT '', created_by_id integer NOT NULL, updated_by_id integer NOT NULL, type varchar(255) NOT NULL DEFAULT ''
);
CREATE TABLE "olake-prod-destination" (
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    id serial PRIMARY KEY, name varchar(255) NOT NULL DEFAULT '', project_id varchar(255) NOT NULL DEFAULT '',
    dest_type varchar(255) NOT NULL DEFAULT '', version varchar(255) NOT NULL DEFAULT '', config jsonb NOT NULL,
    created_by_id integer NOT NULL, updated_by_id integer NOT NULL
);
CREATE TABLE "olake-prod-job" (
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    id serial PRIMARY KEY, name varchar(100) NOT NULL DEFAULT '', source_id integer NOT NULL, dest_id integer NOT NULL,
    active boolean NOT NULL DEFAULT FALSE, frequency varchar(255) NOT NULL DEFAULT '', streams_config jsonb NOT NULL,
    state jsonb NOT NULL, created_by_id integer NOT NULL, updated_by_id integer NOT NULL, project_id varchar(255) NOT NULL DEFAULT ''
);
CREATE TABLE "olake-prod-catalog" (id serial PRIMARY KEY, type varchar(50), name varchar(100), specs jsonb, version varchar(255));
CREATE TABLE session (session_key char(64) PRIMARY KEY, session_data bytea, session_expiry timestamp NOT NULL);
