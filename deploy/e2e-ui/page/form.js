// How values are looked at: each function fails with the name of the field.

export function assert(condition, words) {
  if (!condition) throw new Error(typeof words === "string" ? words : JSON.stringify(words));
}

export function field(value, name) {
  assert(value !== null && typeof value === "object" && name in value, `${name} is missing: ${JSON.stringify(value)}`);
  return value[name];
}

function typed(type) {
  return (value, ...names) => {
    const found = names.map((name) => field(value, name));
    for (const [at, one] of found.entries()) {
      assert(typeof one === type, `${names[at]} is no ${type}: ${JSON.stringify(value)}`);
    }
    return found[0];
  };
}

export const text = typed("string");
export const number = typed("number");
export const flag = typed("boolean");

export function list(value, name) {
  const found = name === undefined ? value : field(value, name);
  assert(Array.isArray(found), `${name ?? "data"} is no list: ${JSON.stringify(value)}`);
  return found;
}

export function object(value, name) {
  const found = field(value, name);
  assert(found !== null && typeof found === "object" && !Array.isArray(found), `${name} is no object`);
  return found;
}

/** A text that holds a JSON object. */
export function jsonText(value, name) {
  const held = JSON.parse(text(value, name));
  assert(held !== null && typeof held === "object" && !Array.isArray(held), `${name} holds no object`);
  return held;
}

export function absent(value, ...names) {
  for (const name of names) assert(!(name in value), `${name} must be absent: ${JSON.stringify(value)}`);
}

/** RFC 3339, UTC. Answers milliseconds. */
export function time(value, name) {
  const found = text(value, name);
  const at = Date.parse(found);
  assert(!Number.isNaN(at) && /(Z|\+00:00)$/.test(found), `${name} is no time in UTC: ${found}`);
  return at;
}

export function version(found) {
  assert(/^v\d+\.\d+\.\d+$/.test(found), `no version: ${found}`);
}

export function oneOf(value, name, words) {
  assert(words.includes(text(value, name)), `${name} is '${value[name]}', which is none of ${words}`);
}
