// Event streams, in the two ways in which a page can read them.

const PATIENCE = 60_000;

/** Opens a stream by `EventSource`, which has the cookie alone. Once it is open: what gives the first event of this name. */
export async function listen(url, name) {
  const source = new EventSource(url, { withCredentials: true });
  const first = new Promise((found) => {
    source.addEventListener(name, (event) => {
      source.close();
      found(JSON.parse(event.data));
    });
  });
  await within(new Promise((open) => source.addEventListener("open", open)), `${url} is not opened`);
  return () => within(first, `${url}: no event '${name}' came`);
}

function within(promise, words) {
  const late = new Promise((_, failed) => setTimeout(() => failed(new Error(words)), PATIENCE));
  return Promise.race([promise, late]);
}

/** The messages of a log that has ended, by `fetch`, which can send a bearer. */
export async function linesOfStream(url) {
  const response = await fetch(url, {
    credentials: "include",
    headers: { Accept: "text/event-stream", Authorization: "Bearer authenticated" },
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
    throw new Error(`${url}: no event stream: ${response.status}`);
  }
  const events = (await response.text()).split("\n\n").map((event) => {
    const fields = event.split("\n").map((line) => line.split(/: (.*)/s, 2));
    return Object.fromEntries(fields);
  });
  if (events.findLast((event) => event.event)?.event !== "end") throw new Error(`${url}: it did not end`);
  return events.filter((event) => event.event === "line").map((event) => JSON.parse(event.data).message);
}
