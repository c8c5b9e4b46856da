# Publishes a recording and follows its events: python3 speak_nats.py nats://127.0.0.1:4222 hello.wav
import asyncio
import json
import os
import sys

import nats


async def main(server, recording):
    client = await nats.connect(server)
    job = os.urandom(16).hex()
    events = await client.subscribe(f"shanshui.events.{job}.*")
    with open(recording, "rb") as sound:
        await client.jetstream().publish("shanshui.audio.default", sound.read(), headers={"Shanshui-Job": job})
    async for message in events.messages:
        event = json.loads(message.data)["data"]
        print(event["kind"], event.get("text") or event.get("key") or event.get("reason") or "")
        if event["kind"] in ("done", "failed", "canceled", "no-speech"):
            return await client.close()


asyncio.run(main(*sys.argv[1:]))
