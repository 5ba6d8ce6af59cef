// What every answer to the UI must be like, one row for each path that it calls. `P` is the project of the UI, `*` a number.
// A row looks at `data` of a success; what an error must be like is said where the journey expects one. The names of the
// rows are in `rows.json`, which the replay of the recorded requests (deploy/standalone/tests) shares.

import { absent, assert, flag, jsonText, list, number, object, oneOf, text, time, version } from "./form.js";

const STATUSES = ["Running", "Completed", "Failed", "Canceled"];
const KINDS = ["sync", "clear"];

function lastRun(job) {
  if (!("last_run_time" in job)) return absent(job, "last_run_state", "last_run_type");
  time(job, "last_run_time");
  oneOf(job, "last_run_state", STATUSES);
  oneOf(job, "last_run_type", KINDS);
}

function connection(item) {
  number(item, "id");
  text(item, "name", "type", "version", "created_by", "updated_by");
  time(item, "created_at");
  time(item, "updated_at");
  jsonText(item, "config");
  assert(!item.config.includes("correct horse"), "a secret is shown");
}

function source(item) {
  connection(item);
  for (const job of list(item, "jobs")) {
    number(job, "id");
    text(job, "name", "destination_name", "dest_name", "destination_type");
    flag(job, "activate");
    lastRun(job);
  }
}

function destination(item) {
  connection(item);
  for (const job of list(item, "jobs")) {
    number(job, "id");
    text(job, "name", "source_name", "source_type");
    flag(job, "activate");
    lastRun(job);
  }
}

function jobOfList(job) {
  number(job, "id");
  text(job, "name", "frequency", "created_by", "updated_by");
  time(job, "created_at");
  time(job, "updated_at");
  flag(job, "activate");
  absent(job, "streams_config");
  for (const side of [object(job, "source"), object(job, "destination")]) {
    number(side, "id");
    text(side, "name", "type", "version");
    absent(side, "config");
  }
  lastRun(job);
}

function job(item) {
  number(item, "id");
  text(item, "name", "frequency");
  flag(item, "activate");
  jsonText(item, "streams_config");
  object(item, "advanced_settings");
  for (const side of [object(item, "source"), object(item, "destination")]) {
    number(side, "id");
    text(side, "name", "type", "version");
    jsonText(side, "config");
  }
  lastRun(item);
}

function spec(data) {
  text(data, "type", "version");
  object(object(data, "spec"), "jsonschema");
  jsonText(data.spec, "uischema");
}

function versions(data) {
  assert(list(data, "version").length > 0, "a form without a version");
  data.version.forEach(version);
}

function lines(logs) {
  assert(logs.length > 0, "there is no line");
  for (const line of logs) {
    oneOf(line, "level", ["info", "warn", "error", "fatal"]);
    text(line, "message");
    time(line, "time");
  }
}

function tested(data, { took }) {
  jsonText(data, "config");
  text(object(data, "connection_result"), "message");
  oneOf(data.connection_result, "status", ["SUCCEEDED", "FAILED"]);
  lines(list(data, "logs"));
  assert(took >= 495, `the window that says "testing" was shown for ${took} ms`);
}

function written(data, { body }) {
  number(data, "id");
  for (const name of ["name", "type", "version"]) assert(data[name] === body[name], `${name} is another`);
  const keys = (value) => Object.keys(jsonText(value, "config")).join();
  assert(keys(data) === keys(body), "another config came back");
}

function writtenJob(data, { body }) {
  number(data, "id");
  for (const name of ["name", "frequency", "streams_config"]) {
    assert(data[name] === body[name], `${name} is another`);
  }
}

function tasks(data) {
  const paths = list(data).map((task) => {
    oneOf(task, "status", STATUSES);
    oneOf(task, "job_type", KINDS);
    assert(text(task, "runtime").endsWith("s"), "a runtime is a text");
    number(task, "runtime_seconds");
    time(task, "start_time");
    return text(task, "file_path");
  });
  assert(new Set(paths).size === paths.length, "a file_path comes twice");
}

function page(data) {
  lines(list(data, "logs"));
  number(data, "older_cursor", "newer_cursor");
  flag(data, "has_more_older", "has_more_newer");
}

function settings(data) {
  number(data, "id");
  text(data, "project_id", "webhook_alert_url");
}

function releases(data) {
  for (const product of ["olake_ui_worker", "olake_helm", "olake", "features"]) {
    list(object(data, product), "releases");
    if ("current_version" in data[product]) version(data[product].current_version);
  }
}

function user(data) {
  number(data, "id");
  text(data, "username", "email");
  absent(data, "password", "password_hash");
}

const catalog = (data) => {
  list(data, "streams").forEach((entry) => object(entry, "stream"));
  Object.values(object(data, "selected_streams")).forEach((selections) => list(selections));
};
const difference = (data) => object(data, "difference_streams");
const message = (data) => text(data, "message");
const name = (data) => text(data, "name");
const anything = () => {};

export const ROWS = {
  "POST /login": (data) => text(data, "username", "token"),
  "GET /auth/check": (data) => assert(text(data, "username") === "admin", data),
  "GET /health": anything,
  "GET /telemetry-id": (data) => assert(text(data, "user_id") === "" && text(data, "version"), data),
  "GET /api/v1/platform/releases": releases,
  "GET /api/v1/platform/opt/status": (data) => assert(flag(data, "enabled") === false, data),
  "GET /api/v1/users": (data) => list(data).forEach(user),
  "POST /api/v1/users": user,
  "PUT /api/v1/users/*": user,
  "DELETE /api/v1/users/*": (data) => text(data, "username"),
  "POST P/check-unique": (data) => assert(flag(data, "unique") === true, data),
  "GET P/settings": settings,
  "PUT P/settings": settings,
  "GET P/sources/spec": spec,
  "POST P/sources/spec": spec,
  "GET P/destinations/spec": spec,
  "POST P/destinations/spec": spec,
  "GET P/sources/versions": versions,
  "GET P/destinations/versions": versions,
  "POST P/sources/test": tested,
  "POST P/destinations/test": tested,
  "POST P/sources/streams": catalog,
  "GET P/sources": (data) => list(data).forEach(source),
  "POST P/sources": written,
  "GET P/sources/*": source,
  "PUT P/sources/*": written,
  "DELETE P/sources/*": name,
  "GET P/destinations": (data) => list(data).forEach(destination),
  "POST P/destinations": written,
  "GET P/destinations/*": destination,
  "PUT P/destinations/*": written,
  "DELETE P/destinations/*": name,
  "GET P/jobs": (data) => list(data).forEach(jobOfList),
  "POST P/jobs": writtenJob,
  "GET P/jobs/*": job,
  "PUT P/jobs/*": writtenJob,
  "DELETE P/jobs/*": name,
  "POST P/jobs/*/activate": (data, { body }) => assert(flag(data, "activate") === body.activate, data),
  "POST P/jobs/*/sync": anything,
  "GET P/jobs/*/cancel": message,
  "POST P/jobs/*/cancel": message,
  "GET P/jobs/*/tasks": tasks,
  "POST P/jobs/*/tasks/1/logs": page,
  "GET P/jobs/*/logs/download": anything,
  "POST P/jobs/*/clear-destination": anything,
  "GET P/jobs/*/clear-destination": (data) => flag(data, "running"),
  "POST P/jobs/*/stream-difference": difference,
  "POST P/jobs/*/difference-streams": difference,
};
