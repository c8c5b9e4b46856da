// One job in each form, from JavaScript: node client.mjs nats | nats-io [MANY]
// `nats` is the old library, `nats-io` the new ones. NATS_URL says where, SPEECH is a folder with mountains.wav,
// NODE_MODULES the folder that npm has filled. One line for each promise; ends with 1 when one is broken.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [which = "nats", count = "200"] = process.argv.slice(2);
const { NATS_URL, SPEECH, NODE_MODULES } = process.env;
const run = Math.random().toString(16).slice(2, 8);
const FINAL = ["done", "failed", "canceled", "no-speech"];
// Other clients use the same workers at the same time.
const PATIENCE = 180_000;
const SMALL = { count: 1, steps: 1 };

const found = createRequire(join(NODE_MODULES, "clients.cjs"));
const load = async (library) => {
  const module = await import(pathToFileURL(found.resolve(library)));
  return module.default ?? module;
};
const { encode } = await load("@msgpack/msgpack");
const { connect, headers } = await load(which === "nats" ? "nats" : "@nats-io/transport-node");
const nc = await connect({ servers: NATS_URL.replace("nats://", "") });
const js = which === "nats" ? nc.jetstream() : (await load("@nats-io/jetstream")).jetstream(nc);

const bytes = (text) => new TextEncoder().encode(text);
const json = (value) => bytes(JSON.stringify(value));
const name = (text) => `js-${which}-${text}-${run}`;

function say(what, ok, detail = "") {
  console.log(`${ok ? "PASS" : "FAIL"}  ${which}: ${what}  ${detail}`);
  if (!ok) process.exitCode = 1;
}

// Subscribed before the job is published: core NATS shows all events from then on.
async function follow(job) {
  const events = nc.subscribe(`shanshui.events.${job}.>`);
  const limit = setTimeout(() => events.unsubscribe(), PATIENCE);
  await nc.flush();
  return async (enough = FINAL) => {
    const told = [];
    for await (const message of events) {
      const kind = message.subject.split(".").pop();
      if (kind !== "progress") told.push({ kind, text: message.string(), data: message.json().data });
      if (enough.includes(kind)) break;
    }
    clearTimeout(limit);
    return told;
  };
}

async function job(what, id, payload, { head = {}, want = "done", queue = "text" } = {}) {
  const read = await follow(id);
  const sent = headers();
  for (const [key, value] of Object.entries(head)) sent.set(key, value);
  const ack = await js.publish(`shanshui.${queue}.default`, payload, { headers: sent });
  const told = await read();
  const last = told.at(-1) ?? { kind: "nothing", data: {} };
  say(what, last.kind === want && ack.seq > 0, `${told.map((event) => event.kind)} ${last.data.reason ?? ""}`);
  return told;
}

async function forms() {
  const text = "a red apple";
  let id = name("raw");
  await job("raw text, name in the header", id, bytes(text), { head: { "Shanshui-Job": id } });
  id = name("lower");
  await job("the header in lower case", id, bytes(text), { head: { "shanshui-job": id } });
  id = name("json");
  await job("JSON", id, json({ id, text, picture: SMALL }));
  id = name("pack");
  await job("MessagePack", id, encode({ id, text, picture: { ...SMALL, seed: 42, guidance: 7.5 } }));
  id = name("null");
  await job("undefined and null fields", id, encode({ id, text, picture: { ...SMALL, seed: undefined, width: null } }));
  id = name("date");
  const deadline = new Date(Date.now() + 3_600_000);
  await job("a Date as deadline, MessagePack", id, encode({ id, text, deadline, picture: SMALL }));
  id = name("iso");
  await job("a Date as deadline, JSON", id, json({ id, text, deadline, picture: SMALL }));
  id = name("wav");
  const audio = { bytes: new Uint8Array(readFileSync(join(SPEECH, "mountains.wav"))) };
  const payload = encode({ id, audio, until: "transcript" });
  const told = await job("a recording as Uint8Array", id, payload, { queue: "audio" });
  const words = told.find((event) => event.kind === "transcript")?.data.text;
  say("its words", /river/i.test(words), words);
}

// JavaScript reads such a number as a double; the text of the event has every digit.
async function seeds() {
  const text = "a red apple";
  let id = name("big"), seed = 18446744073709551615n;
  const packed = encode({ id, text, picture: { ...SMALL, seed } }, { useBigInt64: true });
  let told = await job("a BigInt as seed", id, packed);
  exact(told, seed);
  id = name("odd");
  seed = 9007199254740993n;
  const written = `{"id":"${id}","text":"${text}","picture":{"count":1,"steps":1,"seed":${seed}}}`;
  told = await job("a seed above 2^53 in JSON", id, bytes(written));
  exact(told, seed);
  id = name("own");
  told = await job("no seed", id, json({ id, text, picture: SMALL }));
  const own = told.find((event) => event.kind === "picture")?.data.seed;
  say("a seed that the product chooses is exact as a double", own < 2 ** 32, own);
}

function exact(told, seed) {
  const text = told.find((event) => event.kind === "picture")?.text ?? "";
  say(`${seed} is exact in the event's text`, new RegExp(`"seed": *${seed}\\D`).test(text), /"seed": *\d+/.exec(text));
}

async function cancel() {
  const id = name("cancel");
  const [started, read] = [await follow(id), await follow(id)];
  await js.publish("shanshui.text.default", json({ id, text: "a red apple", picture: { steps: 150, count: 16 } }));
  await started(["started"]);
  await js.publish(`shanshui.cancel.${id}`, bytes(""));
  const told = await read();
  say("cancel", told.at(-1)?.kind === "canceled", told.map((event) => event.kind));
}

async function many() {
  const jobs = [...Array(Number(count)).keys()].map((i) => name(`many-${i}`));
  const left = new Set(jobs), done = nc.subscribe("shanshui.events.*.done");
  const limit = setTimeout(() => done.unsubscribe(), PATIENCE);
  await nc.flush();
  const payload = (id) => json({ id, text: "a red apple", picture: { ...SMALL, width: 64, height: 64 } });
  await Promise.all(jobs.map((id) => js.publish("shanshui.text.default", payload(id), { msgID: id })));
  for await (const message of done) {
    left.delete(message.subject.split(".")[2]);
    if (!left.size) break;
  }
  clearTimeout(limit);
  say(`${count} jobs published at once`, !left.size, `${left.size} left`);
}

await forms();
await seeds();
await cancel();
await many();
await nc.close();
