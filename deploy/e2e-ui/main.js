// The API in a real browser: a page made for this test goes a person's way through what the web UI does (`page/`), once
// served by the API itself, once from another origin. What was requested is read from the browser's network: a row of
// the table (`rows.json`) that was never requested fails the test.
//
// It runs the debug build of `olake standalone`; the sample connector plays the types. `run.sh` installs what it needs.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { openBrowser } from "./browser.js";
import { startOlake, startPage } from "./servers.js";

const PAGE = fileURLToPath(new URL("page", import.meta.url));
const ROWS = JSON.parse(await readFile(new URL("rows.json", import.meta.url)));
/** The origin that a server allows unless it is told otherwise. */
const ALLOWED = 8000;

/** The row of a request, as `GET P/jobs/*`. */
function rowOf(method, url) {
  const path = new URL(url).pathname.replace(/^\/api\/v1\/project\/123\//, "P/");
  return ROWS.find((row) => {
    const [wanted, ...rest] = row.split(" ");
    return wanted === method && new RegExp(`^${rest.join("").replaceAll("*", "\\d+")}$`).test(path);
  });
}

/** Goes the way from a page, and looks at everything that the browser sent. */
async function goTheWay(browser, olake, from) {
  const isOther = from !== olake.origin;
  const tab = await browser.newTab();
  await tab.goto(`${from}/jobs/new?api=${encodeURIComponent(olake.origin)}`);
  assert.deepEqual((await tab.evaluate("window.rows")).sort(), [...ROWS].sort(), "the page has other rows");
  const download = tab.page.waitForEvent("download");
  // A way that fails before it comes to the download ends this wait by closing the page.
  download.catch(() => {});
  const steps = await tab.evaluate("window.journey()");

  const saved = await download;
  assert.match(saved.suggestedFilename(), /^job-\d+-logs-.*\.tar\.gz$/);
  const bytes = await readFile(await saved.path());
  assert.deepEqual([...bytes.subarray(0, 2)], [0x1f, 0x8b], "no gzip file was saved");

  const seen = new Set(tab.requests.map(({ method, url }) => rowOf(method, url)));
  const missed = ROWS.filter((row) => !seen.has(row));
  assert.deepEqual(missed, [], "never requested");
  const preflights = tab.requests.filter(({ method }) => method === "OPTIONS").length;
  assert.equal(preflights > 0, isOther, `${preflights} preflights from ${from}`);
  assert.ok(tab.statuses.includes(304), "a list that did not change was sent again");
  await tab.close();
  return { steps: steps.length, requests: tab.requests.length, preflights };
}

/** A page of an origin that is not on the list cannot read anything, and a page of another site changes nothing. */
async function strangersAreKeptOut(browser, olake, stranger) {
  const tab = await browser.newTab();
  await tab.goto(stranger);
  const read = `fetch("${olake.origin}/telemetry-id", { credentials: "include" }).then(() => "read", () => "refused")`;
  assert.equal(await tab.evaluate(read), "refused");
  const cancel = `fetch("${olake.origin}/api/v1/project/123/jobs/1/cancel", { credentials: "include", mode: "no-cors" })`;
  await tab.evaluate(`${cancel}.then(() => null)`);
  assert.ok(tab.statuses.includes(403) || tab.statuses.includes(401), `${tab.statuses}`);
  await tab.close();
}

/** The UI's own routes are no files, and survive a reload. */
async function routesSurviveAReload(browser, olake) {
  const tab = await browser.newTab();
  for (const route of ["/login", "/jobs/5/history", "/jobs/5/history/1/logs", "/sources/new"]) {
    const response = await tab.goto(`${olake.origin}${route}`);
    assert.equal(response.status(), 200, route);
    assert.match(await tab.page.title(), /Test of the API/, route);
  }
  await tab.close();
}

async function withOlake(settings, work) {
  const olake = await startOlake(settings);
  try {
    return await work(olake);
  } catch (error) {
    console.error(`---- olake:\n${await olake.log()}`);
    throw error;
  } finally {
    await olake.stop();
  }
}

const started = performance.now();
const browser = await openBrowser();
const page = await startPage(PAGE, ALLOWED);
try {
  const own = await withOlake({ OLAKE_UI_DIR: PAGE }, async (olake) => {
    await routesSurviveAReload(browser, olake);
    return goTheWay(browser, olake, olake.origin);
  });
  console.log(`from our own origin: ${JSON.stringify(own)}`);
  const other = await withOlake({ OLAKE_SERVER_CORS_ORIGINS: page.origin }, async (olake) => {
    const gone = await goTheWay(browser, olake, page.origin);
    await strangersAreKeptOut(browser, olake, page.asStranger);
    return gone;
  });
  console.log(`from ${page.origin}: ${JSON.stringify(other)}`);
} finally {
  await browser.close();
  await page.stop();
}
console.log(`All ${ROWS.length} rows, from both origins, in ${Math.round((performance.now() - started) / 1000)} s`);
