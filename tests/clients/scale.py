"""Paint workers come, are killed and go while jobs flow; then it counts what came of it.

    SHANSHUI=… SHANSHUI_PICTURE_MODEL=… MONITOR=http://127.0.0.1:8222 python tests/clients/scale.py

60 jobs in four lanes; one worker, then four; `kill -9` of two of them; none (SIGTERM); two until
all is done. NATS_URL, S3_ENDPOINT and the rest as for `contract`; the workers' own settings come
from the environment. One line for each promise; ends with 1 when one is broken.
"""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import uuid

import boto3
import nats
from botocore.config import Config
from keda import lags

COUNT = int(os.environ.get("COUNT", "60"))
STEPS = int(os.environ.get("STEPS", "4"))
BUCKET = os.environ.get("S3_BUCKET", "shanshui")
LANES = ["default", "gold", "silver", "tenant-a"]
FINAL = {"done", "failed", "canceled", "no-speech"}
# Two slow cores, both busy with other tests: time decides nothing here.
PATIENCE = 900
RUN = f"scale-{uuid.uuid4().hex[:6]}-"
JOBS = [f"{RUN}{i}" for i in range(COUNT)]
PDEATHSIG = 1


class Crew:
    """The workers; none outlives this program."""

    def __init__(self) -> None:
        self.workers = []

    def start(self, count: int) -> None:
        libc = ctypes.CDLL(None)
        command = [os.environ["SHANSHUI"], "paint", "--http", "127.0.0.1:0"]
        for _ in range(count):
            worker = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: libc.prctl(PDEATHSIG, signal.SIGKILL),
            )
            self.workers.append(worker)

    async def stop(self, count: int, how: signal.Signals) -> list:
        hit = [worker for worker in self.workers if worker.poll() is None][:count]
        for worker in hit:
            worker.send_signal(how)
        return [await asyncio.to_thread(worker.wait, PATIENCE) for worker in hit]


class Run:
    def __init__(self, nc) -> None:
        self.nc = nc
        self.broken = False
        self.ends = {job: [] for job in JOBS}
        self.starts = {job: set() for job in JOBS}
        self.idle = []
        self.crew = Crew()

    def say(self, what: str, ok: bool, detail: object = "") -> None:
        self.broken |= not ok
        print(f"{'PASS' if ok else 'FAIL'}  scale: {what}  {detail}", flush=True)

    async def hear(self, message) -> None:
        _, _, job, kind = message.subject.split(".")
        if job in self.ends and kind in FINAL:
            self.ends[job].append(kind)
        if job in self.starts and kind == "started":
            self.starts[job].add(json.loads(message.data)["data"]["worker"])

    def ended(self) -> int:
        return sum(bool(kinds) for kinds in self.ends.values())

    def at_work(self) -> int:
        return sum(bool(self.starts[job]) and not self.ends[job] for job in JOBS)

    async def until(self, what: str, enough) -> None:
        """Looks at the lag meanwhile, as an autoscaler does."""
        deadline = time.monotonic() + PATIENCE
        while not enough():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: {self.ended()} of {COUNT} jobs have ended")
            ended, lag = self.ended(), lags(os.environ["MONITOR"])["paint"]
            # Events that were told before the lag was read are here after that.
            await self.nc.flush()
            await asyncio.sleep(0.2)
            if lag == 0 and self.ended() == ended < COUNT:
                self.idle.append(ended)

    async def scale(self) -> None:
        self.crew.start(1)
        await self.until("one worker", lambda: self.ended() >= 5)
        self.crew.start(3)
        await self.until("four workers", lambda: self.ended() >= COUNT // 4 and self.at_work() >= 3)
        killed = await self.crew.stop(2, signal.SIGKILL)
        await self.until("two workers", lambda: self.ended() >= COUNT // 2)
        left = await self.crew.stop(COUNT, signal.SIGTERM)
        # What the last of them said may still be on its way.
        await asyncio.sleep(1)
        ended = self.ended()
        await asyncio.sleep(1)
        lag = lags(os.environ["MONITOR"])["paint"]
        self.say("without workers nothing ends, and the lag says so", self.ended() == ended and lag > 0, lag)
        self.crew.start(2)
        await self.until("two workers again", lambda: self.ended() == COUNT)
        left += await self.crew.stop(COUNT, signal.SIGTERM)
        right = killed == [-signal.SIGKILL] * 2 and set(left) == {0}
        self.say("workers that are told to leave end with 0", right, f"{killed} {left}")


async def main() -> bool:
    nc = await nats.connect(os.environ["NATS_URL"])
    run = Run(nc)
    await nc.subscribe("shanshui.events.*.*", cb=run.hear)
    for i, job in enumerate(JOBS):
        body = {"id": job, "text": "a red apple", "picture": {"count": 1, "steps": STEPS}}
        await nc.jetstream().publish(f"shanshui.text.{LANES[i % len(LANES)]}", json.dumps(body).encode())
    await run.scale()
    lost = [job for job, kinds in run.ends.items() if not kinds]
    odd = {job: kinds for job, kinds in run.ends.items() if kinds and kinds != ["done"]}
    run.say(f"{COUNT} jobs: none lost", not lost, lost)
    run.say("none doubled, none failed", not odd, odd)
    receipts = stored()
    run.say("one receipt for each", receipts == set(JOBS), len(receipts))
    run.say("the lag is never 0 while a job is unfinished", not run.idle, run.idle)
    await nc.close()
    return run.broken


def stored() -> set:
    """The jobs that have a receipt in the bucket."""
    endpoint, config = os.environ["S3_ENDPOINT"], Config(s3={"addressing_style": "path"})
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"jobs/{RUN}")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key.split("/")[1] for key in keys if key.endswith("/receipt.json")}


sys.exit(asyncio.run(main()))
