// Speaks a recording into pictures: node speak_http.mjs http://127.0.0.1:8080 hello.wav
import { readFile, writeFile } from "node:fs/promises";

const [door, recording] = process.argv.slice(2);
const body = await readFile(recording);
const sent = await fetch(`${door}/v1/jobs`, { method: "POST", headers: { "Content-Type": "audio/wav" }, body });
if (!sent.ok) throw new Error(await sent.text());
const { links } = await sent.json();
const events = await fetch(door + links.events);
for await (const text of events.body.pipeThrough(new TextDecoderStream())) {
  for (const [, kind] of text.matchAll(/^event: (.*)$/gm)) console.log(kind);
}
const job = await (await fetch(door + links.self)).json();
console.log(job.state, job.error?.reason ?? job.transcript?.text ?? "");
for (const { index, url, seed } of job.pictures) {
  const picture = await fetch(door + url);
  await writeFile(`picture-${index}.png`, Buffer.from(await picture.arrayBuffer()));
  console.log(`picture-${index}.png seed ${seed}`);
}
