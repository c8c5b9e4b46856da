// Follows the events of a job to its end, over any number of broken connections. EventSource cannot send
// a key, so the stream is read by fetch, and resumed with Last-Event-ID as EventSource would.
import { Refused, events, parse } from "/page/api.js";

const FINAL = new Set(["done", "failed", "canceled", "no-speech"]);

// HTTP/1.1 allows six connections to a host; pictures and requests need some of them.
const STREAMS = 3;

// A stream that says nothing for so long, not even a comment, is taken for dead.
const SILENCE = 60_000;

let open = 0;
const waiting = [];

// hear(kind, data, time) for each event; link("lost", until, retry) and link("back").
export async function follow(id, { hear, link, signal }) {
  await slot(signal);
  try {
    await until(id, { hear, link, signal });
  } finally {
    open -= 1;
    waiting.shift()?.();
  }
}

function slot(signal) {
  if (open < STREAMS) {
    open += 1;
    return undefined;
  }
  return new Promise((go) => waiting.push(() => ((open += 1), go()))).then(() => signal.throwIfAborted());
}

async function until(id, { hear, link, signal }) {
  const at = { last: undefined, ended: false };
  for (let tries = 0; !at.ended; tries += 1) {
    signal.throwIfAborted();
    const had = at.last;
    try {
      await once(id, at, { hear, signal, opened: () => link("back") });
      if (at.last !== had) tries = 0;
    } catch (error) {
      if (signal.aborted) throw error;
      // 404 and the like do not mend themselves; a full or restarting server does.
      if (error instanceof Refused && error.status < 500 && error.status !== 429) throw error;
    }
    if (!at.ended) await pause(tries, link, signal);
  }
  link("back");
}

// 1, 2, 4, 8, 15 seconds, and a little chance, so that not all pages come back in the same moment.
async function pause(tries, link, signal) {
  const wait = Math.min(15, 2 ** tries) * 1000 * (0.8 + 0.4 * Math.random());
  await new Promise((go) => {
    const timer = setTimeout(go, wait);
    const now = () => (clearTimeout(timer), go());
    signal.addEventListener("abort", now, { once: true });
    // A stream that merely ended (a proxy's limit) is no news for anybody: the first try is silent.
    if (tries > 0) link("lost", Date.now() + wait, now);
  });
}

async function once(id, at, { hear, signal, opened }) {
  const silence = new AbortController();
  let timer;
  const alive = () => (clearTimeout(timer), (timer = setTimeout(() => silence.abort(), SILENCE)));
  alive();
  try {
    const headers = at.last === undefined ? {} : { "Last-Event-ID": at.last };
    const response = await events(id, headers, AbortSignal.any([signal, silence.signal]));
    opened();
    // No content: the job has ended, and everything was told before.
    if (response.status === 204) {
      at.ended = true;
      return;
    }
    for await (const event of messages(response.body, alive)) {
      if (event.id !== undefined) at.last = event.id;
      const envelope = event.data ? parse(event.data) : {};
      const kind = event.kind ?? envelope.data?.kind;
      hear(kind, envelope.data ?? {}, envelope.time);
      if (FINAL.has(kind)) {
        at.ended = true;
        return;
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

// Server-sent events: fields up to an empty line; lines may end in LF, CR LF or CR.
async function* messages(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    alive();
    rest = (rest + value).replace(/\r\n/g, "\n").replace(/\r(?!$)/g, "\n");
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = fields(block);
      if (event.data !== undefined) yield event;
    }
  }
}

function fields(block) {
  const event = {};
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
    else if (name === "event") event.kind = value;
    else if (name === "id") event.id = value;
  }
  return event;
}
