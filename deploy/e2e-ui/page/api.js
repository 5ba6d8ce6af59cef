// The API as the UI uses it: by the session's cookie, with a literal bearer, JSON texts in place of documents.

import { assert } from "./form.js";
import { ROWS } from "./rows.js";

/** Where the API is; this page may come from another place. */
export const API = new URLSearchParams(location.search).get("api") ?? location.origin;
const HEADERS = { Accept: "application/json", Authorization: "Bearer authenticated" };
/** The longest that any answer may take. The UI itself waits longer for some. */
const WITHIN = 10_000;

/** The address of a row of the table. */
export function address(row, { id, query } = {}) {
  const [, path] = row.split(" ");
  const full = path.replace(/^P\//, "/api/v1/project/123/").replace("*", id);
  return `${API}${full}${query ? `?${new URLSearchParams(query)}` : ""}`;
}

/** Sends what the UI sends, without looking at the answer. */
export function send(row, { id, query, body, headers, signal } = {}) {
  const [method] = row.split(" ");
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  return fetch(address(row, { id, query }), {
    method,
    credentials: "include",
    headers: { ...HEADERS, ...json, ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
}

/** Sends a request of a row, and holds the answer against it. Answers `data`, or the message of an error. */
export async function ask(row, { status = 200, ...options } = {}) {
  const begin = performance.now();
  const response = await send(row, options);
  const answer = await response.json();
  const took = performance.now() - begin;
  const words = `${row}: ${response.status} ${JSON.stringify(answer)}`;
  assert(response.status === status, words);
  assert(took < WITHIN, `${row} took ${took} ms`);
  assert(response.headers.get("x-request-id"), `${row}: no X-Request-Id can be read`);
  if (row === "GET /health") return answer;
  assert(answer.success === (status === 200) && typeof answer.message === "string", words);
  if (!answer.success) return answer.message;
  assert("data" in answer, words);
  try {
    ROWS[row](answer.data, { ...options, took });
  } catch (error) {
    throw new Error(`${row}: ${error.message}`);
  }
  return answer.data;
}

/** Asks until it is so, as a page that polls. */
export async function poll(row, options, isSo, { every = 100, patience = 60_000 } = {}) {
  for (const end = performance.now() + patience; performance.now() < end; ) {
    const data = await ask(row, options);
    if (isSo(data)) return data;
    await new Promise((go) => setTimeout(go, every));
  }
  throw new Error(`${row}: waited in vain`);
}
