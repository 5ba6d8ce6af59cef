// A person's way through the UI, from the login to the end of the session: every row of the table is requested on it.
// `window.journey` is what the test calls; it answers the steps that were made, and fails with the first that went wrong.

import { address, API, ask, poll, send } from "./api.js";
import { linesOfStream, listen } from "./events.js";
import { assert } from "./form.js";
import { ROWS } from "./rows.js";

const VERSION = "v0.7.4";
const ACCOUNT = { username: "admin", password: "password" };
const SOURCE = { host: "db.example.com", port: 5432, username: "olake", password: "correct horse" };
const LAKE = { type: "PARQUET", writer: { s3_bucket: "lake", s3_secret_key: "correct horse" } };
const isOver = (list) => list.every((task) => task.status !== "Running");

const steps = {
  async "sign in"() {
    const wrong = { username: "admin", password: "not this one" };
    assert((await ask("POST /login", { body: wrong, status: 401 })) === "Invalid credentials", "another message");
    await ask("GET /auth/check", { status: 401 });
    await ask("POST /login", { body: ACCOUNT });
    assert(document.cookie === "", "scripts can read the session");
    await ask("GET /auth/check");
  },

  async "what every page asks"() {
    assert((await ask("GET /health")).status === "ok", "it is not well");
    await ask("GET /telemetry-id");
    await ask("GET /api/v1/platform/releases", { query: { limit: 5 } });
    await ask("GET /api/v1/platform/opt/status");
  },

  async "a source"() {
    await ask("GET P/sources/versions", { query: { type: "postgres" } });
    await ask("GET P/sources/spec", { query: { type: "postgres", version: VERSION } });
    await ask("POST P/sources/spec", { body: { type: "postgres", version: VERSION } });
    // A form is asked for again and again while a person chooses: what nobody waits for is aborted.
    const abort = new AbortController();
    const aborted = send("POST P/sources/spec", { body: { type: "mongodb", version: VERSION }, signal: abort.signal });
    abort.abort();
    await aborted.then(() => assert(false, "it was not aborted"), () => {});
    await ask("POST P/check-unique", { body: { name: "shop", entity_type: "source" } });
    const body = { name: "shop", type: "postgres", version: VERSION, config: JSON.stringify(SOURCE) };
    const works = await ask("POST P/sources/test", { body });
    assert(works.connection_result.status === "SUCCEEDED", works);
    const wrong = { ...body, config: JSON.stringify({ ...SOURCE, host: "badhost" }) };
    const fails = await ask("POST P/sources/test", { body: wrong });
    assert(fails.connection_result.status === "FAILED" && fails.connection_result.message !== "", fails);
    await ask("POST P/sources", { body });
    const taken = await ask("POST P/check-unique", { body: { name: "shop", entity_type: "source" }, status: 409 });
    assert(taken === "source name 'shop' is not unique", taken);
    const [listed] = await ask("GET P/sources");
    const read = await ask("GET P/sources/*", { id: listed.id });
    // What is shown in place of a secret is taken back.
    const { name, type, version, config } = read;
    await ask("POST P/sources/test", { body: { type, version, config } });
    await ask("PUT P/sources/*", { id: read.id, body: { name, type, version, config } });
  },

  async "a destination"() {
    await ask("GET P/destinations/versions", { query: { type: "parquet" } });
    await ask("GET P/destinations/spec", { query: { type: "iceberg", version: VERSION } });
    const asked = { type: "parquet", version: VERSION, source_type: "", source_version: "" };
    await ask("POST P/destinations/spec", { body: asked });
    const config = JSON.stringify(LAKE);
    await ask("POST P/destinations/test", { body: { ...asked, config } });
    const body = { name: "lake", type: "parquet", version: VERSION, config };
    await ask("POST P/destinations", { body });
    const [listed] = await ask("GET P/destinations");
    const read = await ask("GET P/destinations/*", { id: listed.id });
    await ask("PUT P/destinations/*", { id: read.id, body: { ...body, config: read.config } });
  },

  async "a job in its steps"() {
    const [source] = await ask("GET P/sources");
    const [destination] = await ask("GET P/destinations");
    const found = { name: source.name, type: source.type, version: source.version, config: source.config };
    const catalog = await ask("POST P/sources/streams", { body: { ...found, job_id: -1, job_name: "nightly" } });
    const side = ({ id, name, type, version, config }) => ({ id, name, type, version, config });
    const body = {
      name: "nightly",
      source: side(source),
      destination: side(destination),
      frequency: "0 1 * * 0",
      streams_config: JSON.stringify(catalog),
      advanced_settings: { max_discover_threads: 5 },
    };
    await ask("POST P/check-unique", { body: { name: "nightly", entity_type: "job" } });
    await ask("POST P/jobs", { body });
    const [listed] = await ask("GET P/jobs");
    assert(listed.activate === true && !("last_run_time" in listed), listed);
    const read = await ask("GET P/jobs/*", { id: listed.id });

    // Edited: another stream is chosen, what differs is asked for, and it is saved.
    const again = { ...found, job_id: read.id, job_name: read.name };
    const edited = await ask("POST P/sources/streams", { body: again });
    const [namespace] = Object.keys(edited.selected_streams);
    edited.selected_streams[namespace].pop();
    const updated = { updated_streams_config: JSON.stringify(edited) };
    await ask("POST P/jobs/*/stream-difference", { id: read.id, body: updated });
    await ask("POST P/jobs/*/difference-streams", { id: read.id, body: updated });
    const changed = { ...body, activate: true, streams_config: updated.updated_streams_config, difference_streams: "{}" };
    await ask("PUT P/jobs/*", { id: read.id, body: changed });
    await ask("POST P/jobs/*/activate", { id: read.id, body: { activate: false } });
    await ask("POST P/jobs/*/sync", { id: read.id, status: 409 });
    await ask("POST P/jobs/*/activate", { id: read.id, body: { activate: true } });
    const [used] = await ask("GET P/sources");
    assert(used.jobs.length === 1 && used.jobs[0].dest_name === "lake", used);
    const refused = await ask("DELETE P/sources/*", { id: used.id, status: 409 });
    assert(refused === "source 'shop' is used by 1 job: nightly", refused);
  },

  async "a sync, its history and its log"() {
    const [{ id }] = await ask("GET P/jobs");
    const told = await listen(`${API}/api/v1/project/123/events`, "task");
    await ask("POST P/jobs/*/sync", { id, body: {} });
    const clicked = Date.now();
    const isNew = ([task]) => task?.job_type === "sync" && Math.abs(Date.parse(task.start_time) - clicked) < 2_000;
    await poll("GET P/jobs/*/tasks", { id }, isNew, { every: 500, patience: 2_000 });
    assert((await told()).job_id === id, "no event came");
    const [task] = await poll("GET P/jobs/*/tasks", { id }, isOver);
    assert(task.status === "Completed", task);

    const file = { id, body: { file_path: task.file_path } };
    const tail = await ask("POST P/jobs/*/tasks/1/logs", {
      ...file,
      query: { cursor: -1, limit: 2, direction: "older" },
    });
    assert(tail.logs.length === 2 && tail.has_more_older && !tail.has_more_newer, tail);
    const older = { cursor: tail.older_cursor, limit: 1000, direction: "older" };
    const rest = await ask("POST P/jobs/*/tasks/1/logs", { ...file, query: older });
    assert(!rest.has_more_older, rest);
    const newer = { cursor: rest.newer_cursor, limit: 1000, direction: "newer" };
    const back = await ask("POST P/jobs/*/tasks/1/logs", { ...file, query: newer });
    assert(JSON.stringify(back.logs) === JSON.stringify(tail.logs), "scrolling both ways shows other lines");
    const url = `${API}/api/v1/project/123/jobs/${id}/tasks/${task.file_path}/logs/stream?level=info`;
    const all = [...rest.logs, ...tail.logs].map((line) => line.message).join("\n");
    assert((await linesOfStream(url)).join("\n") === all, "the stream has other lines than the pages");
  },

  async "a download"() {
    const [{ id }] = await ask("GET P/jobs");
    const [task] = await ask("GET P/jobs/*/tasks", { id });
    const query = { file_path: task.file_path };
    const row = "GET P/jobs/*/logs/download";
    const first = await send(row, { id, query, headers: { Range: "bytes=0-0" } });
    assert(first.status === 206 && (await first.arrayBuffer()).byteLength === 1, first.status);
    assert(/job-\d+-logs-.*\.tar\.gz/.test(first.headers.get("content-disposition")), "its name cannot be read");
    const whole = new Uint8Array(await (await send(row, { id, query })).arrayBuffer());
    const half = Math.floor(whole.length / 2);
    const part = await send(row, { id, query, headers: { Range: `bytes=${half}-` } });
    const bytes = new Uint8Array(await part.arrayBuffer());
    assert(part.status === 206 && bytes.join() === whole.slice(half).join(), "another half came");
    // The link is opened with the cookie alone.
    const link = document.createElement("a");
    link.href = address(row, { id, query });
    document.body.append(link);
    link.click();
  },

  async "cancelled syncs"() {
    const [{ id }] = await ask("GET P/jobs");
    const [source] = await ask("GET P/sources");
    const { name, type, version, config } = await ask("GET P/sources/*", { id: source.id });
    const slow = JSON.stringify({ ...JSON.parse(config), faults: { take_seconds: 60 } });
    await ask("PUT P/sources/*", { id: source.id, body: { name, type, version, config: slow } });
    for (const method of ["GET", "POST"]) {
      await ask("POST P/jobs/*/sync", { id });
      const twice = await ask("POST P/jobs/*/sync", { id, status: 409 });
      assert(twice.startsWith("a sync of job 'nightly' is running: "), twice);
      await ask(`${method} P/jobs/*/cancel`, { id });
      const [task] = await poll("GET P/jobs/*/tasks", { id }, isOver);
      assert(task.status === "Canceled", task);
    }
    await ask("PUT P/sources/*", { id: source.id, body: { name, type, version, config } });
    await ask("POST P/jobs/*/cancel", { id, status: 409 });
  },

  async "a cleared destination"() {
    const [{ id }] = await ask("GET P/jobs");
    await ask("POST P/jobs/*/clear-destination", { id });
    await poll("GET P/jobs/*/clear-destination", { id }, ({ running }) => !running);
    const [task] = await ask("GET P/jobs/*/tasks", { id });
    assert(task.job_type === "clear" && task.status === "Completed", task);
    const [listed] = await ask("GET P/jobs");
    assert(listed.last_run_type === "clear" && listed.last_run_state === "Completed", listed);
  },

  async "settings and people"() {
    const empty = await ask("GET P/settings");
    assert(empty.id === 0 && empty.webhook_alert_url === "", empty);
    const body = { id: 0, project_id: "123", webhook_alert_url: "https://hooks.example.com/a" };
    await ask("PUT P/settings", { body });
    await ask("GET P/settings");
    const person = { username: "ann", email: "ann@example.com", password: "correct horse" };
    const { id } = await ask("POST /api/v1/users", { body: person });
    assert((await ask("GET /api/v1/users")).length === 2, "she is not listed");
    await ask("PUT /api/v1/users/*", { id, body: { ...person, username: "anna" } });
    await ask("DELETE /api/v1/users/*", { id });
  },

  async "everything is deleted"() {
    for (const what of ["jobs", "sources", "destinations"]) {
      const [{ id }] = await ask(`GET P/${what}`);
      await ask(`DELETE P/${what}/*`, { id });
      assert((await ask(`GET P/${what}`)).length === 0, `${what} are left`);
    }
  },

  async "sign out"() {
    const left = await fetch(`${API}/logout`, { method: "POST", credentials: "include" });
    assert(left.status === 200, left.status);
    await ask("GET /auth/check", { status: 401 });
  },
};

window.rows = Object.keys(ROWS);
window.journey = async () => {
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step();
    } catch (error) {
      throw new Error(`${name}: ${error.message}`);
    }
  }
  return Object.keys(steps);
};
