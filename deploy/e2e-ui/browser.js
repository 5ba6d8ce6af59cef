// Headless Chromium with a profile of its own, and what its tabs send.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function openBrowser() {
  const profile = await mkdtemp(join(tmpdir(), "olake-e2e-ui-profile."));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    args: ARGUMENTS,
    acceptDownloads: true,
  });
  return {
    newTab: () => openTab(context),
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** A tab, with all that it requested and all statuses that came, as the network saw them. */
async function openTab(context) {
  const page = await context.newPage();
  const requests = [];
  const statuses = [];
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  const network = await context.newCDPSession(page);
  network.on("Network.requestWillBeSent", ({ request }) => {
    requests.push({ method: request.method, url: request.url });
  });
  // Also those that the browser's cache hides from the page.
  network.on("Network.responseReceivedExtraInfo", ({ statusCode }) => statuses.push(statusCode));
  await network.send("Network.enable");
  return {
    page,
    requests,
    statuses,
    goto: (url) => page.goto(url, { waitUntil: "load" }),
    async evaluate(code) {
      const value = await page.evaluate(code);
      if (errors.length > 0) throw errors[0];
      return value;
    },
    close: () => page.close(),
  };
}
