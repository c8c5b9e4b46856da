"""What this nats-server does in a second and for how much CPU: the numbers that docs/scale.md reckons with.

    SHANSHUI_NATS_SERVER=… SHANSHUI_SOAK=… python tests/scale/rates.py PROGRAM

PROGRAM is shanshui-pace. The CPU of the server for an operation does not depend on how slow the client is.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import nats

from lab import Lab, Use, bound

BODY = json.dumps({"id": "x" * 26, "text": "a boat on a lake in the morning", "picture": {"steps": 30}}).encode()
EVENT = b"e" * 420
SECONDS = 6
JOBS = 600


async def many(count: int, do, most: int) -> int:
    """Keeps so many operations going for some seconds; how many were done."""
    end, done = time.monotonic() + SECONDS, 0

    async def one(number: int) -> None:
        nonlocal done
        turn = 0
        while time.monotonic() < end and done + count <= most:
            await do(number, turn)
            turn, done = turn + 1, done + 1

    await asyncio.gather(*(one(number) for number in range(count)))
    return done


async def measured(lab: Lab, name: str, count: int, do, most: int = 10**9) -> str:
    use = Use(lab.nats.pid)
    cpu, at = use.cpu(), time.monotonic()
    done = await many(count, do, most)
    seconds, spent = time.monotonic() - at, use.cpu() - cpu
    return f"| {name} | {done / seconds:,.0f} | {spent / max(1, done) * 1e6:,.0f} µs |\n"


async def operations(lab: Lab) -> str:
    nc = await nats.connect(lab.url)
    js = nc.jetstream(timeout=30)
    text = "| operation | a second here | CPU of nats-server for one |\n| --- | --- | --- |\n"
    for flying in (1, 32, 256):
        publish = lambda number, turn: js.publish(f"shanshui.events.r{number}-{turn}-{flying}.started", EVENT)
        text += await measured(lab, f"event published, PubAck awaited, {flying} at a time", flying, publish)
    for flying in (1, 64):
        publish = lambda number, turn: js.publish("shanshui.text.default", BODY)
        text += await measured(lab, f"job published, PubAck awaited, {flying} at a time", flying, publish)

    pulls = [await js.pull_subscribe_bind("paint", stream="TEXT") for _ in range(32)]

    async def take(number: int, turn: int) -> None:
        await (await pulls[number].fetch(1, timeout=10))[0].ack_sync(timeout=10)

    # As many as were published, so that nobody waits for one more.
    waiting = (await js.stream_info("TEXT")).state.messages
    for flying in (1, 32):
        text += await measured(lab, f"job pulled and acknowledged, {flying} at a time", flying, take, waiting // 2)
    await nc.jetstream().purge_stream("TEXT")

    async def nothing(number: int, turn: int) -> None:
        answer = await nc.request("$JS.API.CONSUMER.MSG.NEXT.TEXT.paint", b'{"batch":1,"no_wait":true}', timeout=10)
        if (answer.headers or {}).get("Status") != "404":
            raise RuntimeError(f"a pull of an empty queue: {answer}")

    text += await measured(lab, "pull that finds nothing, 64 at a time", 64, nothing)
    read = lambda number, turn: nc.request("$JS.API.STREAM.MSG.GET.EVENTS", b'{"last_by_subj":"shanshui.events.r0-0-1.started"}', timeout=10)
    text += await measured(lab, "last event of a job read, 64 at a time", 64, read)
    await nc.close()
    return text


async def through(lab: Lab, prefixes: list, lanes: list, workers: int) -> str:
    """Jobs of no length through real workers: what queue, events, ends and store take."""
    nc = await nats.connect(lab.url)
    ended, first, last = {}, None, None

    async def hear(message) -> None:
        nonlocal last
        ended[message.subject] = ended.get(message.subject, 0) + 1
        last = time.monotonic()

    crew = []
    for prefix in prefixes:
        await nc.subscribe(f"{prefix}.events.*.done", cb=hear)
        for number in range(workers // len(prefixes)):
            settings = {"SHANSHUI_PREFIX": prefix, "SHANSHUI_PACE_SECONDS": "0", "SHANSHUI_WORKER_NAME": f"{prefix}-{number}"}
            crew.append(lab.worker("paint", SHANSHUI_S3_PREFIX=f"{prefix}/", **settings))
    await asyncio.sleep(3)
    run, js = f"{time.monotonic_ns():x}", nc.jetstream(timeout=30)
    use = Use(lab.nats.pid)
    cpu, first = use.cpu(), time.monotonic()
    each = [(prefix, lane) for prefix in prefixes for lane in lanes]
    bodies = [(each[n % len(each)], json.dumps({"id": f"{run}-{n}", "text": "x"}).encode()) for n in range(JOBS)]
    for at in range(0, JOBS, 50):
        await asyncio.gather(*(js.publish(f"{prefix}.text.{lane}", body) for (prefix, lane), body in bodies[at : at + 50]))
    deadline = time.monotonic() + 120
    while len(ended) < JOBS and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    spent, took = use.cpu() - cpu, (last or first) - first
    for worker in crew:
        worker.send_signal(signal.SIGTERM)
    for worker in crew:
        worker.wait(30)
    await nc.close()
    right = len(ended) == JOBS and set(ended.values()) == {1}
    said = f"{', '.join(prefixes)}; {', '.join(lanes)}"
    return f"| {said} | {workers} | {len(ended) / took:,.0f} | {spent / JOBS * 1e3:,.1f} ms | {'each once' if right else 'FAILED'} |\n"


def idle(lab: Lab, count: int = 8) -> str:
    """What workers without a job ask of nats-server."""
    crew = [lab.worker("paint", SHANSHUI_WORKER_NAME=f"idle-{number}") for number in range(count)]
    time.sleep(8)
    use = Use(lab.nats.pid)
    before, cpu, at = lab.asked("varz")["in_msgs"], use.cpu(), time.monotonic()
    time.sleep(30)
    seconds = time.monotonic() - at
    asked, spent = lab.asked("varz")["in_msgs"] - before, use.cpu() - cpu
    for worker in crew:
        lab.stop(worker)
    each = f"{asked / seconds / count:.2f} requests a second, {spent / seconds / count * 1e6:,.0f} µs of CPU a second"
    return f"An idle worker costs nats-server {each} ({count} workers over half a minute)."


def main() -> None:
    lab = Lab(sys.argv[1])
    try:
        print(asyncio.run(operations(lab)))
        subprocess.run([lab.program, "streams", "apply"], env={**lab.env, "SHANSHUI_PREFIX": "second"}, check=True, capture_output=True)
        print("| prefixes; lanes | workers | jobs a second | CPU of nats-server for a job | ends |\n| --- | --- | --- | --- | --- |")
        # default lies in partition 2, a in 0, b in 1 (docs/contract.md, Lanes).
        for prefixes, lanes in ((["shanshui"], ["default"]), (["shanshui"], ["default", "a"]), (["shanshui", "second"], ["default", "a"])):
            print(asyncio.run(through(lab, prefixes, lanes, 4)), end="", flush=True)
        print("\n" + idle(lab))
    finally:
        lab.end()


main()
