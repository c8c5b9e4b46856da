"""Recordings: raw, in JSON and MessagePack, by key; what is said, and what is not."""

import base64
import hashlib
import json
import os

import msgpack
from lab import BUCKET, RUN, SMALL, Lab, name, recording

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def raw_recording(lab: Lab) -> None:
    job = name("audio-raw")
    await lab.publish("audio.default", recording("mountains.wav"), job, traceparent=TRACE)
    story = await lab.follow(job)
    right = story.end == "done" and "river" in story.words().lower()
    lab.say("raw recording: words and pictures", right and len(story.all("picture")) > 0, story.kinds)
    transcript, words = lab.json(f"jobs/{job}/transcript.json"), story.words()
    right = transcript["text"] == words and transcript["language"] == "en" and transcript["segments"]
    lab.say("transcript.json has text, language, segments", bool(right), words)
    listed, keys = {item["key"] for item in lab.receipt(job)["objects"]}, lab.keys(job)
    wanted = {f"jobs/{job}/transcript.{form}" for form in ("json", "srt", "vtt", "txt")}
    lab.say("the words lie there in four forms, and the receipt lists them", wanted <= listed & keys, keys)


async def msgpack_recordings(lab: Lab) -> None:
    wav = recording("mountains.wav")
    cases = {
        "binary": (wav, True, "done"),
        "base64": (base64.b64encode(wav).decode(), True, "done"),
        "raw string of the old specification": (wav, False, "failed"),
    }
    for i, (form, (body, modern, end)) in enumerate(cases.items()):
        job = name(f"audio-pack-{i}")
        fields = {"id": job, "audio": {"bytes": body}, "until": "transcript"}
        payload = msgpack.packb(fields, use_bin_type=modern)
        await lab.publish("audio.default", payload, job, Content_Type="application/msgpack")
        story = await lab.follow(job)
        right = story.end == end and ("river" in story.words().lower() if end == "done" else "audio.bytes" in story.reason)
        lab.say(f"MessagePack recording, {form}", right, f"{story.end} {story.reason} {story.words()}")


async def by_key(lab: Lab) -> None:
    wav = recording("mountains.wav")
    key, sha256 = f"audio/in/{RUN} 山+水.wav", hashlib.sha256(wav).hexdigest()
    lab.s3.put_object(Bucket=BUCKET, Key=key, Body=wav)
    cases = {
        "by key": ({"key": key}, "done", ""),
        "by key and sha256": ({"key": key, "sha256": sha256}, "done", ""),
        "with another sha256": ({"key": key, "sha256": "0" * 64}, "failed", "bad-input"),
        "that is not there": ({"key": "audio/none.wav"}, "failed", "not-found"),
        "outside of audio/": ({"key": "jobs/none.wav"}, "failed", "bad-input"),
        "at an address": ({"url": "http://127.0.0.1/x"}, "failed", "bad-input"),
    }
    for i, (label, (audio, end, code)) in enumerate(cases.items()):
        job = name(f"audio-key-{i}")
        payload = json.dumps({"id": job, "audio": audio, "until": "transcript"}).encode()
        await lab.publish("audio.default", payload, job)
        story = await lab.follow(job)
        right = story.end == end and story.data.get("code", "") == code
        lab.say(f"recording {label}", right, f"{story.end} {story.data}")
        last = "receipt.json" if end == "done" else "end.json"
        lab.say(f"recording {label}: {last} is there", f"jobs/{job}/{last}" in lab.keys(job))


async def silence(lab: Lab) -> None:
    job = name("silence")
    await lab.publish("audio.default", recording("silence.wav"), job)
    story = await lab.follow(job)
    lab.say("silence ends as no-speech", story.end == "no-speech" and bool(story.reason), story.data)
    end = lab.json(f"jobs/{job}/end.json")
    lab.say("who watches only the bucket learns of no-speech", end["end"] == "no-speech", end)


async def until_picture(lab: Lab) -> None:
    """A recording in JSON with a picture's fields: both stages, one receipt."""
    job = name("audio-json")
    audio = {"bytes": base64.b64encode(recording("mountains.wav")).decode()}
    body = {"id": job, "audio": audio, "picture": {**SMALL, "seed": 7}, "until": "picture"}
    await lab.publish("audio.default", json.dumps(body).encode())
    lab.jobs.add(job)
    story = await lab.follow(job)
    seeds = [data["seed"] for data in story.all("picture")]
    lab.say("a recording in JSON: its picture's fields reach the next stage", seeds == [7], story.kinds)
    stages = set(lab.receipt(job)["stages"])
    lab.say("the receipt says what each stage made", stages == {"transcribe", "paint"}, stages)


async def read_back(lab: Lab) -> None:
    """A recording inline and one by key: every object that the receipts list is what they say."""
    wav = recording("mountains.wav")
    key, inline = f"audio/back/{RUN}.wav", base64.b64encode(wav).decode()
    lab.s3.put_object(Bucket=BUCKET, Key=key, Body=wav)
    for label, audio in (("inline", {"bytes": inline}), ("by key", {"key": key})):
        job = name("back-" + label.replace(" ", "-"))
        body = {"id": job, "audio": audio, "picture": SMALL}
        await lab.publish("audio.default", json.dumps(body).encode(), job)
        story = await lab.follow(job)
        lab.say(f"recording {label}: done", story.end == "done", f"{story.kinds} {story.reason}")
        objects = lab.receipt(job)["objects"]
        wrong = [item["key"] for item in objects if not is_whole(lab, item["key"], item["sha256"])]
        lab.say(f"recording {label}: every object has its SHA-256", len(objects) > 4 and not wrong, wrong)
        made = {item["key"] for item in objects} - {key} | {f"jobs/{job}/receipt.json"}
        lab.say(f"recording {label}: nothing else lies there", made == lab.keys(job), made)


def is_whole(lab: Lab, key: str, sha256: str) -> bool:
    """Some stores drop metadata: DROPS_METADATA says that this one does. A sender's has none."""
    metadata = lab.s3.head_object(Bucket=BUCKET, Key=key)["Metadata"]
    exempt = "DROPS_METADATA" in os.environ or key.startswith("audio/")
    kept = exempt or metadata.get("sha256") == sha256
    return kept and hashlib.sha256(lab.get(key)).hexdigest() == sha256
