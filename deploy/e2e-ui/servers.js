// The servers of the test: `olake standalone` on a folder of its own, and one for the files of the page.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { mkdtemp, mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAMS = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", "debug");
const CATALOG = join(ROOT, "deploy/standalone/tests/end_to_end/web_ui/catalog.json");
const VERSION = "v0.7.4";
const PATIENCE = 60_000;
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8" };

/** The types that the page uses, all played by the sample connector. */
function connectors() {
  const entry = (type) => {
    const words = ["--as", type, "--catalog-file", CATALOG, "--unreachable-host", "badhost"];
    const command = [join(PROGRAMS, "sample-connector"), ...words];
    return `[[connector]]
type = "${type}"
versions = ["${VERSION}"]
destinations = ["parquet", "iceberg"]
command = ${JSON.stringify(command)}
`;
  };
  return ["postgres", "mongodb"].map(entry).join("\n");
}

/** Starts `olake standalone` with these settings, and waits until it is ready. */
export async function startOlake(settings) {
  const folder = await mkdtemp(join(tmpdir(), "olake-e2e-ui."));
  await mkdir(join(folder, "data"));
  await writeFile(join(folder, "connectors.toml"), connectors());
  const log = await open(join(folder, "olake.log"), "w");
  const olake = spawn(join(PROGRAMS, "olake"), ["standalone", "--listen", "localhost:0"], {
    env: {
      PATH: process.env.PATH,
      OLAKE_DATA_DIR: join(folder, "data"),
      OLAKE_CONNECTORS: join(folder, "connectors.toml"),
      OLAKE_ADMIN_USERNAME: "admin",
      OLAKE_ADMIN_PASSWORD: "password",
      ...settings,
    },
    stdio: ["ignore", log.fd, log.fd],
  });
  const ended = once(olake, "exit");
  const read = () => readFile(join(folder, "olake.log"), "utf8");
  const stop = async () => {
    if (olake.exitCode === null) olake.kill("SIGTERM");
    await ended;
    await log.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const origin = await waitFor("olake to listen", async () => {
      if (olake.exitCode !== null) throw new Error(`olake has ended:\n${await read()}`);
      return (await read()).match(/OLake runs on (http:\/\/localhost:\d+)/)?.[1];
    });
    await waitFor("olake to be ready", async () => (await fetch(`${origin}/ready`)).ok);
    return { origin, stop, log: read };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Serves a folder on `http://localhost:PORT`, as the server of a single-page program does: a path that is no file is its
 * `index.html`. If the port is taken, on another.
 */
export async function startPage(folder, port) {
  const index = join(folder, "index.html");
  const server = createServer(async (request, response) => {
    const path = resolve(folder, `.${new URL(request.url, "http://localhost").pathname}`);
    const file = path.startsWith(folder) && extname(path) in TYPES ? path : index;
    const body = await readFile(file).catch(() => null);
    response.writeHead(body === null ? 404 : 200, { "Content-Type": TYPES[extname(file)] }).end(body);
  });
  const listen = (at) => {
    server.listen(at);
    return once(server, "listening");
  };
  await listen(port).catch((error) => {
    if (error.code !== "EADDRINUSE") throw error;
    console.log(`port ${port} is taken: the page is served on another`);
    return listen(0);
  });
  const at = server.address().port;
  return {
    origin: `http://localhost:${at}`,
    // The same page as a site that the server does not know.
    asStranger: `http://127.0.0.1:${at}`,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close").catch(() => {});
    },
  };
}

async function waitFor(what, look) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; ) {
    const found = await look();
    if (found) return found;
    await new Promise((go) => setTimeout(go, 50));
  }
  throw new Error(`waited in vain for ${what}`);
}
