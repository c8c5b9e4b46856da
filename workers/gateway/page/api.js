// The gateway's own API. Every failure is one of two: the server refused (`Refused`, with its words), or
// it could not be reached (`Unreachable`).
import { $ } from "/page/dom.js";

export class Refused extends Error {
  constructor(status, error, wait) {
    super(error?.message ?? `HTTP ${status}`);
    Object.assign(this, { status, code: error?.code, param: error?.param, wait });
  }
}

export class Unreachable extends Error {}

// Seeds have 64 bits and numbers of JavaScript 53. So a seed is text here, and a number on the wire. In
// JSON text a quote inside a string is escaped, so neither pattern can match there.
export const parse = (text) => JSON.parse(text.replace(/("seed"\s*:\s*)(\d+)/g, '$1"$2"'));
export const format = (value, space) => JSON.stringify(value, null, space).replace(/("seed"\s*:\s*)"(\d+)"/g, "$1$2");

const KEY = "shanshui.key";
let asking;

const key = () => {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
};

export const hasKey = () => Boolean(key());

// `asked` is false for what the page does by itself: then a 401 is an error like any other.
export async function request(path, options = {}, asked = true) {
  const used = key();
  const headers = { ...options.headers, ...(used ? { Authorization: `Bearer ${used}` } : {}) };
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
  if (response.status === 401 && asked && (await askForKey(used))) return request(path, options, asked);
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const body = await response.text().then(JSON.parse).catch(() => ({}));
  const wait = Number(response.headers.get("retry-after")) || undefined;
  return new Refused(response.status, body.error, wait);
}

// One question at a time, however many requests wait for the answer.
function askForKey(used) {
  if (key() !== used) return Promise.resolve(true);
  asking ??= new Promise((answer) => {
    const dialog = $("key");
    $("key-field").value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "ok" && $("key-field").value.trim();
      if (given) sessionStorage.setItem(KEY, given);
      $("key-field").value = "";
      asking = undefined;
      answer(Boolean(given));
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

const read = async (response) => parse(await response.text());

export const capabilities = async () => read(await request("/v1/capabilities", {}, false));

export const job = async (id) => read(await request(`/v1/jobs/${encodeURIComponent(id)}`));

export const cancel = (id) => request(`/v1/jobs/${encodeURIComponent(id)}`, { method: "DELETE" });

export const events = (id, headers, signal) =>
  request(`/v1/jobs/${encodeURIComponent(id)}/events`, { headers: { Accept: "text/event-stream", ...headers }, signal });

// `once` names the attempt to send: sent again under the same name it is the same job.
export async function send({ text, recording, name, spec }, once) {
  const headers = { "Idempotency-Key": once, Prefer: "respond-async" };
  if (!recording) {
    headers["Content-Type"] = "application/json";
    return read(await request("/v1/jobs", { method: "POST", headers, body: format({ text, ...spec }) }));
  }
  const form = new FormData();
  form.append("audio", recording, name);
  form.append("job", new Blob([format(spec)], { type: "application/json" }), "job.json");
  return read(await request("/v1/jobs", { method: "POST", headers, body: form }));
}

export const picturePath = (id, index) => `/v1/jobs/${encodeURIComponent(id)}/pictures/${index}`;

// An <img> cannot send a key: with one the picture is fetched here and shown from memory. `again` is for
// an address that the image could not load: perhaps because the server wants a key.
const fetched = new Map();
export async function picture(id, index, again) {
  const path = picturePath(id, index);
  if (!key() && !again) return path;
  if (!fetched.has(path)) {
    const got = request(path, { cache: "default" }).then((response) => response.blob()).then((blob) => URL.createObjectURL(blob));
    got.catch(() => fetched.delete(path));
    fetched.set(path, got);
  }
  return fetched.get(path);
}

// crypto.randomUUID is not there on plain http; getRandomValues is.
export const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export const freshSeed = () => String(crypto.getRandomValues(new Uint32Array(1))[0]);
