// Publishes a recording and follows its events: node speak_nats.mjs nats://127.0.0.1:4222 hello.wav
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";

const [servers, recording] = process.argv.slice(2);
const client = await connect({ servers });
const job = randomBytes(16).toString("hex");
const events = client.subscribe(`shanshui.events.${job}.*`);
const named = headers();
named.set("Shanshui-Job", job);
await jetstream(client).publish("shanshui.audio.default", await readFile(recording), { headers: named });
for await (const message of events) {
  const event = message.json().data;
  console.log(event.kind, event.text ?? event.key ?? event.reason ?? "");
  if (["done", "failed", "canceled", "no-speech"].includes(event.kind)) break;
}
await client.close();
