"""How a job ends that is not done: wrong fields, deadlines, cancels; each with a code and a reason."""

import json

from lab import SMALL, Lab, name

WRONG = {
    "an empty text": ({"text": ""}, "text: (empty)"),
    "a number as text": ({"text": 7}, "text: 7"),
    "no text": ({"text": None, "txt": "a"}, "text: "),
    "no steps": (
        {"picture": {"steps": 0}},
        "picture.steps: 0 is not allowed; allowed: a whole number from 1 to 1000",
    ),
    "an odd width": ({"picture": {"width": 65}}, "picture.width: 65"),
    "an unknown sampler": ({"picture": {"sampler": "none"}}, "picture.sampler: none"),
    "a number as label": ({"labels": {"a": 1}}, "labels.a: 1"),
    "a deadline in words": ({"deadline": "soon"}, "deadline: soon"),
    "an unknown model": ({"picture": {"model": "nope"}}, "picture.model: nope"),
    "17 pictures": ({"picture": {"count": 17}}, "picture.count: 17"),
    "the pipeline's own field": ({"made": {}}, "made"),
}


async def wrong(lab: Lab) -> None:
    """The name is in the payload alone: a wrong job keeps it all the same."""
    for i, (label, (body, part)) in enumerate(WRONG.items()):
        job = name(f"wrong-{i}")
        await lab.text(job, body, X_Own="kept")
        story = await lab.follow(job)
        right = story.end == "failed" and part in story.reason and story.data["attempts"] == 1
        lab.say(f"{label}: fails at the first attempt, by its name", right, f"{story.end} {story.reason}")
        letter = await lab.dead(job)
        kept = letter is not None and job.encode() in letter.data and letter.headers.get("X-Own") == "kept"
        lab.say(f"{label}: payload and headers are in DEAD", kept)
        end = lab.json(f"jobs/{job}/end.json")
        lab.say(f"{label}: the bucket says it", (end["end"], end["code"]) == ("failed", story.data["code"]), end)


async def disagreeing_headers(lab: Lab) -> None:
    """Neither name is taken, for one of them is somebody else's; the sequence finds the job."""
    failed = await lab.nc.subscribe("shanshui.events.*.failed")
    headers = {"Shanshui-Job": name("head-1"), "shanshui-job": name("head-2")}
    ack = await lab.js.publish("shanshui.text.default", b"a red apple", headers=headers)
    story = await lab.follow(await lab.found(failed, ack))
    right = story.end == "failed" and story.data["code"] == "bad-input"
    lab.say("two headers that disagree are refused", right, story.data)
    told = [job for job in headers.values() if await lab.finals(job)]
    lab.say("nothing is said of either name", not told, told)


async def late(lab: Lab) -> None:
    for field, code in (("deadline", "deadline"), ("start_before", "start-before")):
        job = name(f"late-{code}")
        await lab.text(job, {field: "2020-01-01T00:00:00Z"})
        story = await lab.follow(job)
        right = story.end == "failed" and story.data["code"] == code and "2020-01-01" in story.reason
        lab.say(f"{field} in the past", right, f"{story.end} {story.data}")


async def cancel(lab: Lab) -> None:
    jobs = [name(f"cancel-{i}") for i in range(4)]
    for job in jobs:
        await lab.text(job, {"picture": {"steps": 150, "count": 16}})
    await lab.follow(jobs[0], {"started"})
    for job in jobs:
        await lab.js.publish(f"shanshui.cancel.{job}", json.dumps({"reason": "enough"}).encode())
    ends = [story.end for story in await lab.ends(jobs)]
    lab.say("cancel: running and queued jobs end as canceled", ends == ["canceled"] * 4, ends)
    told = [lab.json(f"jobs/{job}/end.json")["end"] for job in jobs]
    lab.say("cancel: the bucket says it", told == ["canceled"] * 4, told)
    job = name("cancel-first")
    await lab.js.publish(f"shanshui.cancel.{job}", b"")
    await lab.text(job, {"picture": SMALL})
    story = await lab.follow(job)
    lab.say("a cancel that comes before its job", story.end == "canceled", story.end)
