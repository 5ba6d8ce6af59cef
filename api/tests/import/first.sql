-- The tables of the first versions of OLake's UI server, as Beego's ORM makes them of its models: the type of a source is
-- source_type, connectors have no versions, projects are numbers, and a job has none. Written from the models, which are
-- public (server/internal/models/db.go in its repository), not dumped from a server.
CREATE TABLE "olake-dev-user" (
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    id serial PRIMARY KEY, username varchar(100) NOT NULL UNIQUE, password varchar(100) NOT NULL, email varchar(100) NOT NULL UNIQUE
);
CREATE TABLE "olake-dev-source" (
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    id serial PRIMARY KEY, name varchar(255) NOT NULL, project_id integer NOT NULL, config jsonb NOT NULL,
    created_by_id integer NOT NULL, updated_by_id integer NOT NULL, source_type varchar(255) NOT NULL
);
CREATE TABLE "olake-dev-destination" (
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    id serial PRIMARY KEY, name varchar(255) NOT NULL, project_id integer NOT NULL, dest_type varchar(255) NOT NULL,
    config jsonb NOT NULL, created_by_id integer NOT NULL, updated_by_id integer NOT NULL
);
CREATE TABLE "olake-dev-job" (
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    id serial PRIMARY KEY, name varchar(100) NOT NULL, source_id integer NOT NULL, dest_id integer NOT NULL, active boolean NOT NULL,
    frequency varchar(255) NOT NULL, streams_config jsonb NOT NULL, state jsonb NOT NULL,
    created_by_id integer NOT NULL, updated_by_id integer NOT NULL
);
INSERT INTO "olake-dev-user" VALUES (now(), now(), NULL, 1, 'ann', '$2a$10$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK', 'ann@example.org');
INSERT INTO "olake-dev-source" VALUES (now(), now(), NULL, 1, 'shop', 123, '{"host": "db"}', 1, 1, 'postgres');
INSERT INTO "olake-dev-destination" VALUES (now(), now(), NULL, 1, 'lake', 123, 'parquet', '{"type": "PARQUET"}', 1, 1);
INSERT INTO "olake-dev-job" VALUES (now(), now(), NULL, 1, 'nightly', 1, 1, true, '0 2 * * *', '{"streams": []}', '{}', 1, 1);
