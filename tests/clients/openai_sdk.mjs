// The SDK of OpenAI for Node, unchanged, against the gateway: one line PASS for each promise that holds.
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_MODULES, "x.js"));
const { default: OpenAI, toFile } = require("openai");
const client = new OpenAI({ baseURL: process.env.DOOR, apiKey: "none", maxRetries: 0 });
const recording = (name) => createReadStream(join(process.env.SPEECH, name));

const check = (name, holds, seen = "") => console.log(holds ? "PASS" : "FAIL", name, holds ? "" : seen);

async function raises(name, kind, call, param) {
  try {
    check(name, false, JSON.stringify(await call()));
  } catch (error) {
    check(name, error instanceof kind && (!param || error.param === param), String(error));
  }
}

async function hears() {
  const create = (more, file = recording("cat.wav")) => client.audio.transcriptions.create({ model: "whisper-1", file, ...more });
  const words = await create({ language: "en" });
  check("words", /cat/i.test(words.text), words.text);
  const srt = await create({ response_format: "srt" });
  check("words as subtitles", String(srt).startsWith("1\n00:00"), String(srt));
  const long = await create({ response_format: "verbose_json" });
  check("segments", long.segments[0].end > long.segments[0].start && long.language === "english", JSON.stringify(long));
  let spoken = "";
  let last;
  for await (const event of await create({ stream: true, model: "gpt-4o-transcribe" })) {
    spoken += event.type === "transcript.text.delta" ? event.delta : "";
    last = event;
  }
  check("words as they come", last.type === "transcript.text.done" && last.text === spoken, JSON.stringify(last));
  await raises("silence", OpenAI.UnprocessableEntityError, () => create({}, recording("silence.wav")));
  const noise = await toFile(Buffer.from("no recording"), "a.wav");
  await raises("what is no recording", OpenAI.BadRequestError, () => create({}, noise));
}

async function paints() {
  const small = { model: "gpt-image-1", prompt: "a boat", size: "64x64", steps: 2, seed: 7 };
  const made = await client.images.generate({ ...small, n: 2 });
  const png = (text) => Buffer.from(text, "base64").subarray(1, 4).toString() === "PNG";
  check("pictures", made.data.length === 2 && made.data.every((one) => png(one.b64_json)), made.data.length);
  const { data } = await client.images.generate({ ...small, response_format: "url" });
  const picture = await fetch(data[0].url);
  check("a picture by its address", picture.headers.get("content-type") === "image/png", data[0].url);
  let last;
  for await (const event of await client.images.generate({ ...small, stream: true, partial_images: 1 })) last = event;
  check("a picture as it comes", last.type === "image_generation.completed" && png(last.b64_json), last.type);
  await raises("a wrong size", OpenAI.BadRequestError, () => client.images.generate({ ...small, size: "64" }), "size");
  await raises("an unknown model", OpenAI.NotFoundError, () => client.images.generate({ ...small, model: "parrot" }), "model");
}

async function lists() {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  check("models", names.includes("whisper-1"), names.join());
}

await hears();
await paints();
await lists();
