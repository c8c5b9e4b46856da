"""What every case of the contract needs: a queue, a bucket, names that nobody else has, a verdict."""

import asyncio
import json
import os
import uuid

import boto3
import nats
from botocore.config import Config
from nats.js.api import DeliverPolicy

BUCKET = os.environ.get("S3_BUCKET", "shanshui")
SPEECH = os.environ.get("SPEECH", "tests/data/speech")
FINAL = {"done", "failed", "canceled", "no-speech"}
# One picture in one step: as little work as a job can be.
SMALL = {"count": 1, "steps": 1}
# Other clients use the same workers at the same time.
PATIENCE = 180
RUN = uuid.uuid4().hex[:6]


def name(text: str) -> str:
    return f"{text}-{RUN}"


def recording(clip: str) -> bytes:
    with open(f"{SPEECH}/{clip}", "rb") as file:
        return file.read()


class Story:
    """The events of one job, in order, each as (kind, event)."""

    def __init__(self, events: list) -> None:
        self.events = events
        self.kinds = [kind for kind, _ in events]
        ends = [(kind, event["data"]) for kind, event in events if kind in FINAL]
        self.end, self.data = ends[0] if ends else ("no end", {})
        self.reason = self.data.get("reason", "")

    def all(self, kind: str) -> list:
        return [event["data"] for other, event in self.events if other == kind]

    def words(self) -> str:
        return " ".join(data["text"] for data in self.all("transcript"))


class Lab:
    def __init__(self) -> None:
        self.broken = 0
        self.jobs = set()

    async def open(self) -> None:
        self.nc = await nats.connect(os.environ["NATS_URL"])
        self.js = self.nc.jetstream()
        endpoint, config = os.environ["S3_ENDPOINT"], Config(s3={"addressing_style": "path"})
        self.s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)

    def say(self, what: str, ok: bool, detail: object = "") -> None:
        """One line for each promise."""
        self.broken += not ok
        print(f"{'PASS' if ok else 'FAIL'}  {what}  {detail}", flush=True)

    async def publish(self, subject: str, payload: bytes, job: str = "", **headers: str):
        """Publishes on a queue; `job` goes into the header."""
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if job:
            sent["Shanshui-Job"] = job
            self.jobs.add(job)
        return await self.js.publish(f"shanshui.{subject}", payload, headers=sent or None)

    async def text(self, job: str, body: dict, **headers: str):
        """Publishes a text job as JSON that has its name in the payload alone."""
        self.jobs.add(job)
        payload = json.dumps({"id": job, "text": "a red apple", "picture": SMALL, **body}).encode()
        return await self.publish("text.default", payload, **headers)

    async def follow(self, job: str, enough: set = FINAL) -> Story:
        """The events of a job from its first one to one of the kinds in `enough`."""
        subject, policy = f"shanshui.events.{job}.>", DeliverPolicy.ALL
        events = await self.js.subscribe(subject, ordered_consumer=True, deliver_policy=policy)
        got = []
        try:
            while not got or got[-1][0] not in enough:
                message = await events.next_msg(timeout=PATIENCE)
                got.append((message.subject.rsplit(".", 1)[1], json.loads(message.data)))
        except (nats.errors.TimeoutError, asyncio.TimeoutError):
            pass
        await events.unsubscribe()
        return Story(got)

    async def found(self, events, ack) -> str:
        """The job that a publication without a name became, by its first word on `events`."""
        job = ""
        while not job.endswith(f"-{ack.seq}"):
            job = (await events.next_msg(timeout=PATIENCE)).subject.split(".")[2]
        self.jobs.add(job)
        return job

    async def ends(self, jobs: list) -> list:
        return [await self.follow(job) for job in jobs]

    async def dead(self, job: str, part: bytes = b""):
        """The dead letter of a job, one that holds `part`."""
        last = (await self.js.stream_info("DEAD")).state.last_seq
        for sequence in range(last, 0, -1):
            try:
                letter = await self.js.get_msg("DEAD", sequence)
            except nats.js.errors.NotFoundError:
                continue
            headers = letter.headers or {}
            if headers.get("Shanshui-Job") == job and part in (letter.data or b""):
                return letter
        return None

    async def finals(self, job: str = "*") -> dict:
        """The final events of each job that the stream knows of."""
        told = {}
        for kind in FINAL:
            subjects = f"shanshui.events.{job}.{kind}"
            info = await self.js.stream_info("EVENTS", subjects_filter=subjects)
            for subject, count in (info.state.subjects or {}).items():
                told.setdefault(subject.split(".")[2], []).extend([kind] * count)
        return told

    def get(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def json(self, key: str) -> dict:
        return json.loads(self.get(key))

    def receipt(self, job: str) -> dict:
        return self.json(f"jobs/{job}/receipt.json")

    def keys(self, job: str) -> set:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"jobs/{job}/")
        return {item["Key"] for item in listed.get("Contents", [])}
