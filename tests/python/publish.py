"""Publishes one job with nats-py, follows it to its end and prints the kinds of its events.

publish.py URL SUBJECT JOB < payload
"""

import asyncio
import json
import sys

import nats
from nats.js.api import DeliverPolicy

FINAL = {"done", "failed", "canceled", "no-speech"}


async def main(url: str, subject: str, job: str) -> None:
    connection = await nats.connect(url)
    stream = connection.jetstream()
    await stream.publish(subject, sys.stdin.buffer.read(), headers={"Shanshui-Job": job})
    events = await stream.subscribe(
        f"shanshui.events.{job}.>", ordered_consumer=True, deliver_policy=DeliverPolicy.ALL
    )
    kinds = []
    while not FINAL.intersection(kinds):
        message = await events.next_msg(timeout=180)
        kinds.append(json.loads(message.data)["data"]["kind"])
    print(json.dumps(kinds))
    await connection.close()


asyncio.run(main(*sys.argv[1:]))
