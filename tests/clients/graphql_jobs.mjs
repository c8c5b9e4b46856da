// GraphQL's reference implementation and a client of others against the gateway: one line PASS for each promise that holds.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_MODULES, "x.js"));
const { buildClientSchema, getIntrospectionQuery, parse, validate } = require("graphql");
const { createClient } = require("graphql-sse");
const url = `${process.env.DOOR}/graphql`;
const check = (name, holds, seen = "") => console.log(holds ? "PASS" : "FAIL", name, holds ? "" : JSON.stringify(seen));

function caller(key) {
  const client = createClient({ url, retryAttempts: 0, headers: { Authorization: `Bearer ${key}` } });
  const all = async (query, variables) => {
    const answers = [];
    for await (const answer of client.iterate({ query, variables })) answers.push(answer);
    return answers;
  };
  // As most clients ask: one request, one answer.
  const ask = async (query, variables) => {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
    return answer.json();
  };
  return { client, all, ask };
}

const anna = caller("key of anna");
const ben = caller("key of ben");
const draw = "mutation($job: Draw!, $key: String, $lane: String) { draw(job: $job, idempotencyKey: $key, lane: $lane) { id state place } }";
const events = "subscription($id: ID!, $after: ID) { events(id: $id, after: $after) { sequence kind event } }";
const document = `query($id: ID!) { job(id: $id) { id state lane labels pictures { index width seed sha256 type url }
  stages receipt totalSeconds error { code reason } } }`;
const picture = { width: 64, height: 64, steps: 2, count: 1, seed: "18446744073709551615" };
const job = (more = {}, wishes = {}) => ({ job: { text: "a boat", picture: { ...picture, ...wishes }, ...more } });
const refusal = ({ errors }) => [errors?.[0].extensions.code, errors?.[0].extensions.field];
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

const schema = buildClientSchema((await anna.ask(getIntrospectionQuery())).data);
const valid = [draw, events, document].flatMap((query) => validate(schema, parse(query)));
check("the schema describes itself", valid.length === 0, valid);

const sent = (await anna.ask(draw, job({ labels: { from: "graphql" } }))).data?.draw;
check("a text is a job", sent?.state === "queued", sent);
const told = (await anna.all(events, { id: sent.id })).map(({ data }) => data.events);
const kinds = told.map(({ kind }) => kind);
check("followed to its end", ["queued", "accepted"].includes(kinds[0]) && kinds.at(-1) === "done" && kinds.includes("picture"), kinds);
check("events are CloudEvents", told.every(({ event }) => event.specversion === "1.0"), told[0]);
const kept = told.map(({ sequence }) => sequence).filter((sequence) => sequence);
const again = (await anna.all(events, { id: sent.id, after: kept[1] })).map(({ data }) => data.events.sequence);
check("resumed", same(again, kept.slice(2)), [kept, again]);
check("over", same(await anna.all(events, { id: sent.id, after: kept.at(-1) }), []));

const read = (await anna.ask(document, { id: sent.id })).data?.job;
check("document", read?.state === "done" && read.lane === "anna" && read.labels.from === "graphql" && read.receipt.objects, read);
check("a seed of 64 bits", read.pictures[0].seed === picture.seed, read.pictures);
const bytes = await fetch(process.env.DOOR + read.pictures[0].url, { headers: { Authorization: "Bearer key of anna" } });
check("the picture is where it says", bytes.status === 200 && bytes.headers.get("content-type") === "image/png", bytes.status);
const list = await anna.ask("{ jobs(limit: 1) { jobs { id state } next } }");
check("a page of the list", list.data?.jobs.jobs.length === 1 && list.data.jobs.next, list);
check("an operation over the stream", same(await anna.all("{ jobs(limit: 1) { next } }"), [{ data: { jobs: { next: list.data.jobs.next } } }]));

const key = `once ${Date.now()}`;
const [one, two] = [await anna.ask(draw, { ...job(), key }), await anna.ask(draw, { ...job(), key })];
check("sent twice, one job", one.data?.draw.id && one.data.draw.id === two.data?.draw.id, [one, two]);
check("another job under the same key", refusal(await anna.ask(draw, { ...job({ text: "a lake" }), key }))[0] === "name-used");

const slow = (await anna.ask(draw, job({}, { steps: 150, width: 512, height: 512 }))).data.draw.id;
const cancel = "mutation($id: ID!) { cancel(id: $id) { id } }";
check("cancel", (await anna.ask(cancel, { id: slow })).data?.cancel.id === slow);
check("canceled", (await anna.all(events, { id: slow })).at(-1).data.events.kind === "canceled");
check("canceled twice", refusal(await anna.ask(cancel, { id: slow }))[0] === "job-ended");

for (const [name, id] of [["another lane's job", sent.id], ["no job", "nobody"], ["no name of a job", "../x y"]]) {
  check(`${name}: no document`, same(await ben.ask(document, { id }), { data: { job: null } }));
  check(`${name}: no cancel`, refusal(await ben.ask(cancel, { id }))[0] === "not-found");
  const followed = await ben.all(events, { id });
  check(`${name}: no events`, followed.length === 1 && refusal(followed[0])[0] === "not-found", followed);
}
const stranger = await caller("key of nobody").all("{ capabilities }").then(() => "", ({ response }) => response?.status);
check("a wrong key", stranger === 401, stranger);
for (const [field, wrong] of [
  ["picture.steps", job({}, { steps: 0 })],
  ["picture.seed", job({}, { seed: "a lot" })],
  ["until", job({ until: "supper" })],
  ["id", job({ id: "mine" })],
  ["lane", { ...job(), lane: "ben" }],
  ["text", job({ text: "x".repeat(20_001) })],
]) {
  const [code, found] = refusal(await anna.ask(draw, wrong));
  check(`wrong ${field}`, code === "bad-input" && found === field, [code, found]);
}
const mutations = (count) => `mutation { ${Array.from({ length: count }, (_, at) => `a${at}: draw(job: {text: "x", until: "supper"}) { id }`).join(" ")} }`;
let late;
for (let at = 0; at < 60 && late !== "rate-limit"; at += 1) late = (await ben.ask(mutations(4))).errors?.map((error) => error.extensions?.code).find((code) => code !== "bad-input");
check("each job of a request counts", late === "rate-limit", late);
