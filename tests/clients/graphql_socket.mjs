// The reference client of graphql-transport-ws, and sockets by hand, against the gateway: one line PASS for each promise that holds.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_MODULES, "x.js"));
const { createClient } = require("graphql-ws");
const url = `ws://${process.env.DOOR}/graphql`;
const check = (name, holds, seen = "") => console.log(holds ? "PASS" : "FAIL", name, holds ? "" : JSON.stringify(seen));
const params = (word) => ({ authorization: `Bearer key of ${word}` });

function caller(word, more = {}) {
  return createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: params(word), ...more });
}
async function all(client, query, variables) {
  const answers = [];
  for await (const answer of client.iterate({ query, variables })) answers.push(answer);
  return answers;
}
const failed = (asked) => asked.then((seen) => ({ seen }), (error) => error);
const code = (errors) => errors?.[0]?.extensions?.code;

const events = "subscription($id: ID!, $after: ID) { events(id: $id, after: $after) { sequence kind event } }";
const draw = "mutation($job: Draw!) { draw(job: $job) { id state } }";
const erase = "mutation($id: ID!) { erase(id: $id) { id erased { objects events deadLetters queued } } }";
const picture = { width: 64, height: 64, steps: 2, count: 1, seed: "7" };
const long = { text: "a river", picture: { ...picture, steps: 150, width: 512, height: 512 } };

// By hand: what no good client sends.
async function hand(messages, protocols = ["graphql-transport-ws"], patience = 10_000) {
  const socket = new WebSocket(url, protocols);
  const seen = [];
  socket.onmessage = ({ data }) => seen.push(JSON.parse(data));
  const over = new Promise((done) => {
    socket.onclose = ({ code: seen }) => done(seen);
    socket.onerror = () => {};
    setTimeout(() => done("open"), patience).unref();
  });
  await new Promise((done) => ((socket.onopen = done), over.then(done)));
  for (const message of messages) socket.send(typeof message === "object" && !(message instanceof Uint8Array) ? JSON.stringify(message) : message);
  return { socket, seen, code: await over };
}
const silent = [["nothing said", hand([], undefined, 15_000)], ["pings alone are no beginning", hand([{ type: "ping" }], undefined, 15_000)]];

const [anna, ben] = [caller("anna"), caller("ben")];
const [{ data }] = await all(anna, draw, { job: { text: "a boat", picture } });
check("a mutation", data?.draw.state === "queued", data);
const { id } = data.draw;
const told = (await all(anna, events, { id })).map((answer) => answer.data.events);
check("followed to its end", told.at(-1).kind === "done" && told.some(({ kind }) => kind === "picture"), told);
const kept = told.map(({ sequence }) => sequence).filter((sequence) => sequence);
const again = (await all(anna, events, { id, after: kept[1] })).map((answer) => answer.data.events.sequence);
check("resumed", JSON.stringify(again) === JSON.stringify(kept.slice(2)), [kept, again]);
check("over", (await all(anna, events, { id, after: kept.at(-1) })).length === 0);
const [document] = await all(anna, "query($id: ID!) { job(id: $id) { state lane } }", { id });
check("a query", document.data?.job.state === "done" && document.data.job.lane === "anna", document);

const [foreign] = await all(ben, events, { id });
check("another lane's job", foreign.data === null && code(foreign.errors) === "not-found", foreign);
for (const [name, query, reason] of [
  ["no query", "{", undefined],
  ["no such field", "{ nothing }", undefined],
  ["a query that is too deep", `${"{a".repeat(100)}${"}".repeat(100)}`, "bad-input"],
  ["a query that costs too much", `{ ${Array.from({ length: 6 }, (_, at) => `a${at}: jobs { next }`).join(" ")} }`, undefined],
]) {
  const errors = await failed(all(anna, query));
  check(name, Array.isArray(errors) && errors.length > 0 && code(errors) === reason, errors);
}
const flood = await failed(all(anna, `query ${"@a".repeat(4000)} { __typename }`));
check("few errors are told of one operation", Array.isArray(flood) && flood.length === 20, flood.length);

// Erasing: a job that has ended, of one's own.
const [refused] = await all(ben, erase, { id });
check("another lane's job is not erased", code(refused.errors) === "not-found", refused);
const [{ data: erased }] = await all(anna, erase, { id });
check("erased", erased?.erase.id === id && erased.erase.erased.objects > 1 && erased.erase.erased.events > 3, erased);
check("gone", (await all(anna, "query($id: ID!) { job(id: $id) { state } }", { id }))[0].data.job === null);
const slow = (await all(anna, draw, { job: long }))[0].data.draw.id;
const [open] = await all(anna, erase, { id: slow });
check("a job that has not ended is not erased", code(open.errors) === "job-open", open);

// Two operations beside each other, of which one is given up.
const waiting = anna.iterate({ query: events, variables: { id: slow } });
check("an event of a job in work", (await waiting.next()).value.data.events.kind);
check("an operation beside it", (await all(anna, "{ capabilities }"))[0].data.capabilities.caller.name === "anna");
await waiting.return();
await all(anna, "mutation($id: ID!) { cancel(id: $id) { id } }", { id: slow });
check("canceled", (await all(anna, events, { id: slow })).at(-1).data.events.kind === "canceled");

const closed = await failed(all(caller("nobody"), "{ capabilities }"));
check("a wrong key", closed.code === 4403, closed.code ?? closed);
const among = caller("nobody", { connectionParams: { headers: { Authorization: "Bearer key of ben" } } });
check("a key among headers", (await all(among, "{ capabilities }"))[0].data.capabilities.caller.name === "ben");
let pongs = 0;
const alive = caller("anna", { lazy: false, keepAlive: 50, on: { pong: () => (pongs += 1) } });
await new Promise((done) => setTimeout(done, 400));
check("pings are answered", pongs > 1, pongs);
await alive.dispose();

// What no good client sends.
const init = { type: "connection_init", payload: params("anna") };
const ask = (id, query = "{ capabilities }") => ({ type: "subscribe", id, payload: { query } });
for (const [name, expected, messages] of [
  ["no JSON", 4400, [init, "{"]],
  ["an unknown message", 4400, [init, { type: "start", id: "1", payload: { query: "{ capabilities }" } }]],
  ["bytes", 4400, [init, new Uint8Array(8)]],
  ["an operation without a name", 4400, [init, { type: "subscribe", payload: { query: "{ capabilities }" } }]],
  ["a name without end", 4400, [init, ask("x".repeat(257))]],
  ["an operation that is a list", 4400, [init, { type: "subscribe", id: "1", payload: [{ query: "{ capabilities }" }] }]],
  ["values without end", 4400, [init, `{"type":"ping","payload":[${"0,".repeat(100_000)}0]}`]],
  ["an operation before the key", 4401, [ask("1")]],
  ["no key", 4403, [{ type: "connection_init" }]],
  ["a key that is none", 4403, [{ type: "connection_init", payload: { authorization: 7 } }]],
  ["a name in work", 4409, [init, ask("1"), ask("1")]],
  ["two beginnings", 4429, [init, init]],
  ["a message that is too large", 1006, [init, `{"type":"ping","payload":"${"x".repeat(1 << 18)}"}`]],
]) {
  const { code } = await hand(messages);
  check(name, code === expected, code);
}
for (const [name, over] of silent) check(name, (await over).code === 4408);
const none = await hand([], []);
check("no protocol", none.code === 4406, none.code);

const crowded = (await all(anna, draw, { job: long }))[0].data.draw.id;
const followers = Array.from({ length: 70 }, (_, at) => ask(`${at}`, `subscription { events(id: "${crowded}") { kind } }`));
const many = await hand([init, ...followers], undefined, 2000);
const late = many.seen.filter(({ type }) => type === "error");
check("more operations than a socket may have", late.length === 6 && late.every(({ payload }) => code(payload) === "too-many-followers"), late);
check("the socket stays open", many.code === "open", many.code);
await all(anna, "mutation($id: ID!) { cancel(id: $id) { id } }", { id: crowded });
await all(anna, events, { id: crowded });
await new Promise((done) => setTimeout(done, 500));
check("each is told the end", many.seen.filter(({ type }) => type === "complete").length === 64, many.seen.length);
process.exit();
