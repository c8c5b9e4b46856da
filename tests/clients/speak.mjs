// A WebSocket client that knows nothing but the standard: one line PASS for each promise of /v1/speak that holds.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const check = (name, holds, seen = "") => console.log(holds ? "PASS" : "FAIL", name, holds ? "" : JSON.stringify(seen));
const sound = readFileSync(join(process.env.SPEECH, "cat.wav"));
const picture = { width: 64, height: 64, steps: 2, count: 1, seed: 7 };

// A socket whose messages are read one after the other.
async function open(protocols = ["shanshui.speak.v1", `key.${process.env.KEY}`]) {
  const socket = new WebSocket(process.env.DOOR, protocols);
  socket.binaryType = "arraybuffer";
  const came = [];
  let wake = () => {};
  const push = (one) => (came.push(one), wake());
  socket.onmessage = ({ data }) => push(typeof data === "string" ? JSON.parse(data) : { type: "bytes", bytes: Buffer.from(data) });
  socket.onclose = ({ code }) => push({ type: "closed", code });
  const opened = await new Promise((done) => ((socket.onopen = () => done(true)), (socket.onerror = () => done(false))));
  const next = async () => {
    while (came.length === 0) await new Promise((done) => (wake = done));
    return came.shift();
  };
  // Everything up to a message of this type.
  const until = async (type) => {
    const all = [];
    do all.push(await next());
    while (![type, "closed"].includes(all.at(-1).type));
    return all;
  };
  return { socket, opened, next, until, say: (value) => socket.send(JSON.stringify(value)) };
}

// Sends a recording as a microphone would: piece by piece.
function speak({ socket, say }, bytes, start) {
  if (start) say({ type: "start", ...start });
  for (let at = 0; at < bytes.length; at += 8000) socket.send(bytes.subarray(at, at + 8000));
  say({ type: "end" });
}

function heard(all) {
  const words = all.filter(({ event }) => event?.data.kind === "transcript").map(({ event }) => event.data.text);
  const shown = all.findIndex(({ type }) => type === "picture");
  const png = shown >= 0 && all[shown + 1].bytes?.subarray(1, 4).toString() === "PNG" && all[shown].bytes === all[shown + 1].bytes.length;
  return { words: words.join(), png, state: all.at(-1).state };
}

const line = await open();
check("opened", line.opened && line.socket.protocol === "shanshui.speak.v1", line.socket.protocol);
speak(line, sound, { job: { picture, labels: { from: "socket" } } });
let told = heard(await line.until("end"));
check("words and a picture", /cat/i.test(told.words) && told.png && told.state === "done", told);

// The samples of the same file, without its head, on the same line.
speak(line, sound.subarray(44), { pcm: 16000, job: { picture } });
told = heard(await line.until("end"));
check("bare samples", /cat/i.test(told.words) && told.png, told);

// Words come before the transcript, and what is settled of them begins it.
speak(line, sound, { job: { until: "transcript" } });
const all = (await line.until("end")).filter(({ event }) => ["partial", "transcript"].includes(event?.data.kind)).map(({ event }) => event.data);
const settled = all.filter((data) => data.settled).map((data) => data.text).join("");
check("words while they are decoded", all.length > 1 && all[0].kind === "partial" && /^A cat/i.test(all[0].text) && all.at(-1).kind === "transcript" && all.at(-1).text.startsWith(settled), all);

line.say({ type: "start", job: { picture: { steps: 0 } } });
speak(line, sound);
let [refused] = (await line.until("error")).slice(-1);
check("a wrong field", refused.error.param === "picture.steps" && refused.error.code === "bad-input", refused);
for (const [name, text] of [["no JSON", "{"], ["an unknown message", '{"type":"sing"}'], ["a wrong rate", '{"type":"start","pcm":1}']]) {
  line.socket.send(text);
  [refused] = (await line.until("error")).slice(-1);
  check(name, refused.error.code === "bad-input", refused);
}
line.say({ type: "end" });
[refused] = (await line.until("error")).slice(-1);
check("an utterance without sound", refused.error.param === "audio", refused);
speak(line, Buffer.from("no recording at all"));
told = heard(await line.until("end"));
check("what is no recording", told.state === "failed", told);

// A long job, canceled in the middle; until then nothing else is taken.
speak(line, sound, { job: { picture: { steps: 500, count: 8 } } });
const started = async () => {
  for (;;) if (["started", "progress"].includes((await line.next()).event?.data.kind)) return;
};
await started();
line.socket.send(sound.subarray(0, 100));
[refused] = (await line.until("error")).slice(-1);
check("sound while a job is in work", refused.error.code === "job-in-work", refused);
line.say({ type: "cancel" });
told = heard(await line.until("end"));
check("cancel", told.state === "canceled", told);

for (let piece = 0; piece < 5; piece++) line.socket.send(Buffer.alloc(250_000));
const gone = await line.until("closed");
check("more than is allowed", gone.at(-2)?.error?.code === "too-large" && gone.at(-1).code === 1009, gone);

const polite = await open();
polite.socket.close(1000);
const goodbye = await polite.until("closed");
check("a goodbye is answered", goodbye.at(-1).code === 1000, goodbye);

const wide = await open();
wide.socket.send(Buffer.alloc((1 << 18) + 1));
check("a message that is too large", (await wide.until("closed")).length === 1);

for (const [name, protocols] of [["no key", ["shanshui.speak.v1"]], ["a wrong key", ["shanshui.speak.v1", "key.AAAA"]], ["no base64", ["key.!"]]]) {
  let opened = false;
  try {
    ({ opened } = await open(protocols));
  } catch {
    // A word that is none of a protocol is refused by the client itself.
  }
  check(name, !opened);
}

// Whoever goes before the end does not want the job any more.
const short = await open();
speak(short, sound, { job: { picture: { steps: 500, count: 8 } } });
const [{ id }] = await short.until("accepted");
for (;;) if ((await short.next()).event?.data.kind === "started") break;
short.socket.close();
const headers = { Authorization: `Bearer ${Buffer.from(process.env.KEY, "base64url")}` };
let state;
do {
  await new Promise((done) => setTimeout(done, 100));
  ({ state } = await (await fetch(`${process.env.DOOR.replace(/^ws/, "http").replace("/v1/speak", "")}/v1/jobs/${id}`, { headers })).json());
} while (["queued", "running"].includes(state));
check("a caller that goes", state === "canceled", state);
process.exit();
