"""What a job may say: every field as JSON, MessagePack's own types, seeds, formats, samplers."""

import datetime
import hashlib
import json

import msgpack
from lab import BUCKET, SMALL, Lab, Story, name

FORMATS = {"jpeg": (b"\xff\xd8", "jpg", "image/jpeg"), "webp": (b"RIFF", "webp", "image/webp")}
SAMPLERS = (
    "ddim", "euler", "euler-a", "dpm++-2m", "euler-karras", "DPM++ 2M Karras", "Euler a", "DDIM",
    "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler",
)  # fmt: skip
LABELS = {"tenant": "a", "多": "字"}


async def json_full(lab: Lab) -> None:
    job = name("json")
    picture = {"count": 2, "seed": 42, "width": 128, "height": 128, "steps": 4, "guidance": 3.5}
    picture |= {"negative": "blur", "sampler": "Euler a", "format": "png"}
    body = {"labels": LABELS, "picture": picture, "future": {"x": [1]}}
    await lab.text(job, body, Content_Type="application/json; charset=utf-8")
    story = await lab.follow(job)
    lab.say("JSON job done", story.end == "done", story.kinds)
    first = story.events[0][1]["data"]
    lab.say("accepted is first and has the labels", first["kind"] == "accepted" and first["labels"] == LABELS)
    events_are_cloud_events(lab, job, story)
    pictures = story.all("picture")
    lab.say("two picture events, index 0 and 1", sorted(p["index"] for p in pictures) == [0, 1])
    for picture in pictures:
        picture_is_whole(lab, picture)
    receipt = lab.receipt(job)
    listed = {item["key"]: item["sha256"] for item in receipt["objects"]}
    right = all(listed.get(picture["key"]) == picture["sha256"] for picture in pictures)
    lab.say("the receipt lists every object with its SHA-256", right, sorted(listed))
    keys, wanted = lab.keys(job), set(listed) | {f"jobs/{job}/receipt.json"}
    lab.say("the bucket holds exactly what the receipt lists, and the receipt", keys == wanted, keys)
    lab.say("labels are in the receipt", receipt["labels"] == LABELS, receipt["labels"])


def events_are_cloud_events(lab: Lab, job: str, story: Story) -> None:
    right = all(
        event["specversion"] == "1.0"
        and event["type"] == f"shanshui.job.{kind}.v1"
        and event["subject"] == job
        and event["source"].startswith("/shanshui/")
        and event["datacontenttype"] == "application/json"
        and event["data"]["kind"] == kind
        and event["time"].endswith("Z")
        for kind, event in story.events
    )
    lab.say("every event is a CloudEvent as documented", right)
    ids = [event["id"] for _, event in story.events]
    lab.say("event ids are unique", len(ids) == len(set(ids)))


def picture_is_whole(lab: Lab, picture: dict) -> None:
    label, body = f"picture {picture['index']}", lab.get(picture["key"])
    right = hashlib.sha256(body).hexdigest() == picture["sha256"] and picture["seed"] == 42
    lab.say(f"{label}: the event's sha256 is the object's", right and body.startswith(b"\x89PNG\r\n\x1a\n"))
    head = lab.s3.head_object(Bucket=BUCKET, Key=picture["key"])
    right = head["ContentType"] == "image/png" and head["Metadata"].get("sha256") == picture["sha256"]
    lab.say(f"{label}: content type and sha256 as metadata", right, head["Metadata"])
    chunks = b"parameters" in body and b"shanshui" in body
    lab.say(f"{label}: A1111 parameters and the recipe", chunks)


async def seeds(lab: Lab) -> None:
    values = (0, 2**31, 2**53 - 1, 2**53 + 1, 2**63 + 3, 2**64 - 1)
    forms = {"json": lambda body: json.dumps(body).encode(), "msgpack": msgpack.packb}
    for form, pack in forms.items():
        jobs = {seed: name(f"seed-{form}-{seed}") for seed in values}
        for seed, job in jobs.items():
            body = {"id": job, "text": "a red apple", "picture": {**SMALL, "seed": seed}}
            await lab.publish("text.default", pack(body), job)
        for seed, job in jobs.items():
            story = await lab.follow(job)
            told = {data["seed"] for data in story.all("picture")}
            right = told == {seed} and str(seed) in lab.get(f"jobs/{job}/receipt.json").decode()
            lab.say(f"seed {seed} as {form}: exact in event and receipt", right, f"{story.end} {told}")


async def msgpack_fields(lab: Lab) -> None:
    later = datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc)
    cases = {
        "steps 1.0": ({"picture": {**SMALL, "steps": 1.0}}, "done", ""),
        "steps true": ({"picture": {**SMALL, "steps": True}}, "failed", "picture.steps: true"),
        "sampler binary": ({"picture": {**SMALL, "sampler": b"euler"}}, "failed", "picture.sampler"),
        "deadline timestamp": ({"deadline": msgpack.Timestamp.from_datetime(later)}, "done", ""),
    }
    for label, (body, end, part) in cases.items():
        job = name("pack-" + label.replace(" ", "-").replace(".", "-"))
        payload = msgpack.packb({"id": job, "text": "a red apple", "picture": SMALL, **body})
        await lab.publish("text.default", payload, job)
        story = await lab.follow(job)
        lab.say(f"MessagePack, {label}", story.end == end and part in story.reason, f"{story.end} {story.reason}")


async def formats(lab: Lab) -> None:
    for form, (magic, extension, content_type) in FORMATS.items():
        job = name(f"format-{form}")
        await lab.text(job, {"picture": {**SMALL, "format": form}})
        story, key = await lab.follow(job), f"jobs/{job}/0.{extension}"
        kind = lab.s3.head_object(Bucket=BUCKET, Key=key)["ContentType"]
        right = story.end == "done" and lab.get(key).startswith(magic) and kind == content_type
        lab.say(f"format {form}", right, f"{story.end} {kind}")


async def samplers(lab: Lab) -> None:
    jobs = {sampler: name(f"sampler-{i}") for i, sampler in enumerate(SAMPLERS)}
    for sampler, job in jobs.items():
        await lab.text(job, {"picture": {"count": 1, "steps": 2, "sampler": sampler}})
    for sampler, job in jobs.items():
        story = await lab.follow(job)
        lab.say(f"sampler {sampler}", story.end == "done", f"{story.end} {story.reason}")
