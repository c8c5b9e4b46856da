"""How a job comes in: core publish and request, names, headers, message ids, lanes, many at once."""

import asyncio
import hashlib
import json
import os
import time

from lab import PATIENCE, SMALL, Lab, name

MANY = int(os.environ.get("MANY", "200"))


async def raw_core(lab: Lab) -> None:
    job = name("raw-core")
    lab.jobs.add(job)
    await lab.nc.publish("shanshui.text.default", b"a red apple", headers={"Shanshui-Job": job})
    story = await lab.follow(job)
    lab.say("raw text, core publish, name in the header", story.end == "done", story.end)


async def raw_reply(lab: Lab) -> None:
    job = name("raw-reply")
    lab.jobs.add(job)
    subject, headers = "shanshui.text.default", {"Shanshui-Job": job}
    reply = await lab.nc.request(subject, b"a red apple", headers=headers, timeout=PATIENCE)
    ack, story = json.loads(reply.data), await lab.follow(job)
    lab.say("request: the reply is the PubAck", ack["stream"] == "TEXT" and ack["seq"] > 0, ack)
    lab.say("request: the job is done", story.end == "done", story.end)


async def derived_id(lab: Lab) -> None:
    """No name at all: two publications are two jobs, and the PubAck's sequence finds each."""
    accepted = await lab.nc.subscribe("shanshui.events.*.accepted")
    payload = json.dumps({"text": "a red apple", "picture": SMALL}).encode()
    acks = [await lab.publish("text.default", payload) for _ in range(2)]
    found = [await lab.found(accepted, ack) for ack in acks]
    ends = [story.end for story in await lab.ends(found)]
    lab.say("jobs without a name: one for each sequence", ends == ["done"] * 2, found)


async def header_case(lab: Lab) -> None:
    for i, write in enumerate((str.title, str.lower, str.upper)):
        job, names = name(f"case-{i}"), (write("Shanshui-Job"), write("Content-Type"))
        lab.jobs.add(job)
        headers = {names[0]: job, names[1]: "text/plain"}
        # As text it is fine; as JSON, which its first byte says, it would be refused.
        await lab.js.publish("shanshui.text.default", b"{a curly cat", headers=headers)
        story = await lab.follow(job)
        lab.say(f"headers {', '.join(names)}", story.end == "done", f"{story.end} {story.reason}")


async def dedup(lab: Lab) -> None:
    job = name("dedup")
    sent = [await lab.publish("text.default", b"a red apple", job, Nats_Msg_Id=job) for _ in range(3)]
    story, told = await lab.follow(job), [ack.duplicate for ack in sent]
    right = told == [None, True, True] and story.end == "done"
    lab.say("Nats-Msg-Id drops the second publication", right, told)
    lab.say("it is worked on once", story.kinds.count("started") == 1, story.kinds)


async def used_name(lab: Lab) -> None:
    job = name("used")
    await lab.text(job, {"picture": {**SMALL, "seed": 1}})
    first = await lab.follow(job)
    await lab.text(job, {"text": "a blue house", "picture": {**SMALL, "seed": 2}})
    story = await lab.follow(job, {"refused"})
    told = story.all("refused")
    right = [data["code"] for data in told] == ["name-used"] and first.end == "done"
    lab.say("another job under a used name is refused by an event", right, told)
    lab.say("its letter lies in DEAD", await lab.dead(job, b"a blue house") is not None)
    seeds = {data["seed"] for data in story.all("picture")}
    lab.say("the first job is untouched", seeds == {1} and lab.receipt(job)["job"] == job, seeds)


async def lanes(lab: Lab) -> None:
    for lane in ("a", "tenant-a_1", "Ünï"):
        job = name("lane-" + hashlib.md5(lane.encode()).hexdigest()[:5])
        payload = json.dumps({"id": job, "text": "a red apple", "picture": SMALL}).encode()
        await lab.publish(f"text.{lane}", payload, job)
        story = await lab.follow(job)
        told = story.all("accepted")[0]["lane"]
        lab.say(f"lane {lane}", story.end == "done" and told == lane, f"{story.end} in {told}")
    try:
        ack = await lab.js.publish("shanshui.text.a.no-such-pool", b"a red apple", timeout=5)
        lab.say("a pool that does not exist takes no job", False, ack)
    except Exception as error:
        right = type(error).__name__ == "NoStreamResponseError"
        lab.say("a pool that does not exist takes no job", right, type(error).__name__)


async def many(lab: Lab) -> None:
    jobs, began = [name(f"many-{i}") for i in range(MANY)], time.monotonic()
    small = {"text": "a red apple", "picture": {**SMALL, "width": 64, "height": 64}}
    payloads = [(job, json.dumps({"id": job, **small}).encode()) for job in jobs]
    await asyncio.gather(*(lab.publish("text.default", p, job, Nats_Msg_Id=job) for job, p in payloads))
    sent = time.monotonic() - began
    ends = [story.end for story in await lab.ends(jobs)]
    took = time.monotonic() - began
    lab.say(f"{MANY} jobs published at once", set(ends) == {"done"}, f"{sent:.1f} s, {took:.1f} s")
    receipts = sum(f"jobs/{job}/receipt.json" in lab.keys(job) for job in jobs)
    lab.say(f"{MANY} receipts", receipts == MANY, receipts)
