"""The published schemas: against their own rules, every example of the docs, real jobs, and what a gateway refuses."""

import json
import os
import pathlib
import re
import subprocess
import urllib.error
import urllib.request

from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

root = pathlib.Path.cwd()
door = os.environ["DOOR"]


def check(name, holds, seen=""):
    print("PASS" if holds else "FAIL", name, "" if holds else str(seen)[:600], flush=True)


def get(path):
    with urllib.request.urlopen(door + path) as answer:
        return json.load(answer)


def send(job, prefer=""):
    """Status and answer of a gateway that is given a job."""
    body, headers = json.dumps(job).encode(), {"Content-Type": "application/json", "Prefer": prefer}
    try:
        with urllib.request.urlopen(urllib.request.Request(door + "/v1/jobs", body, headers)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


schemas, openapi, asyncapi = get("/schema.json"), get("/openapi.json"), get("/asyncapi.json")


def faults(name, value, whole=schemas, at="#/$defs/"):
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator({**whole, "$ref": at + name}, format_checker=FormatChecker()).iter_errors(value)
    ]


def of_http(name, value):
    return faults(name, value, {"components": openapi["components"]}, "#/components/schemas/")


def documents():
    Draft202012Validator.check_schema(schemas)
    for name, schema in openapi["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
    check("every schema is one", len(schemas["$defs"]) > 10)
    rules = root / os.environ["NODE_MODULES"] / "@asyncapi/specs/schemas/3.0.0.json"
    found = [error.message for error in Draft7Validator(json.loads(rules.read_text())).iter_errors(asyncapi)]
    check("AsyncAPI 3", not found, found)
    text = json.dumps(asyncapi)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', text):
        place = asyncapi
        for part in reference.split("/"):
            place = place[part]
    check("every reference of it leads somewhere", text.count("$ref") > 20)
    printed = [json.loads(subprocess.check_output([os.environ["SHANSHUI"], "schema", *more])) for more in ([], ["--asyncapi"])]
    check("the command prints the same", printed == [schemas, asyncapi])


def plain(text):
    """JSON without the comments of our docs, which begin behind a space."""
    return json.loads(re.sub(r"(^|\s)//[^\n]*", "", text))


def kind(example):
    if "specversion" in example:
        return "CloudEvent"
    if str(example.get("type", "")).startswith("job."):
        return "WebhookEvent"
    return next((name for field, name in (("audio", "AudioJob"), ("text", "TextJob"), ("error", "Error")) if field in example), "AudioFields")


def examples():
    seen = 0
    for page in sorted([*root.glob("docs/*.md"), root / "README.md"]):
        text = page.read_text()
        found = re.findall(r"```jsonc?\n(.*?)```", text, re.S)
        for shell in re.findall(r"```sh\n(.*?)```", text, re.S):
            found += [job for job in re.findall(r"'(?:job=)?(\{.*?\})'", shell, re.S)]
        for example in found:
            try:
                value = plain(example if example.startswith("{") else "{" + example + "}")
            except ValueError as error:
                check(f"{page.name}: an example is JSON", False, f"{error}: {example}")
                continue
            if not example.startswith("{"):
                # Some fields of a larger object.
                continue
            name = kind(value)
            wrong = of_http(name, value) if name in ("WebhookEvent", "Error") else faults(name, value)
            seen += 1
            if wrong:
                check(f"{page.name}: {name}", False, f"{wrong} {example}")
    check("every example of the docs fits its schema", seen >= 9, seen)


def job(**fields):
    return {"text": "a boat", "until": "picture", **fields}


def pictures(**fields):
    return job(picture=fields)


FITTING = [
    job(), job(id=None), job(labels={"a": "b"}), job(attempts=3.0), job(deadline="2030-01-01T00:00:00+01:00"), job(unknown=[{}]),
    job(voice=False), pictures(), pictures(width=8, height=4096), pictures(steps=1000, guidance=0, count=64, seed=2**64 - 1),
    pictures(shape="wide", format="webp", syntax="a1111", sampler="Euler a", model=None), pictures(loras=[{"name": "ink"}]),
    pictures(guidance=99.5, negative="", unknown=1), pictures(loras=[{"name": "a", "weight": -100}, {"name": "b", "weight": None}]),
]
WRONG = [
    {}, {"text": ""}, {"text": " \n"}, {"text": 7}, {"text": "x" * 20001}, job(id="No Name"), job(id=""), job(id="x" * 65), job(labels=[]),
    job(labels={"a": 1}), job(labels={"a": "x" * 257}), job(labels={"x" * 65: "a"}), job(labels={str(n): "" for n in range(65)}),
    job(attempts=0), job(attempts=1.5), job(attempts=101), job(deadline="tomorrow"), job(start_before=7), job(until=""), job(voice=True),
    job(picture=[]), job(picture="png"), pictures(width=7), pictures(width=12), pictures(height=4104), pictures(width="64"), pictures(steps=0),
    pictures(steps=1001), pictures(steps=True), pictures(guidance=-1), pictures(guidance=100.5), pictures(guidance="7"), pictures(seed=-1),
    pictures(seed=1.5), pictures(count=0), pictures(count=65), pictures(shape="round"), pictures(format="gif"), pictures(syntax="compel"),
    pictures(sampler=""), pictures(sampler="x" * 129), pictures(negative=1), pictures(loras={}), pictures(loras=[{}]), pictures(loras=["ink"]),
    pictures(loras=[{"name": "a", "weight": 101}]), pictures(loras=[{"name": "a"}] * 17), {"audio": {}}, {"audio": []},
    {"audio": {"key": "a", "bytes": "AAAA"}}, {"audio": {"key": ""}}, {"audio": {"key": "a", "sha256": "0"}}, {"audio": {"bytes": ""}},
    {"audio": {"key": "a"}, "task": "sing"}, {"audio": {"key": "a"}, "voice": "yes"}, {"audio": {"key": "a"}, "hint": 1},
]


def verdicts():
    """The schema and the program judge alike: what one refuses, the other does."""
    wrong = [(one, found) for one in FITTING if (found := faults("TextJob", one))]
    check("what is right fits the schema", not wrong, wrong)
    refused = [(one, answer) for one in FITTING for status, answer in [send(one)] if status != 202]
    check("what is right is taken", not refused, refused)
    taken = [one for one in WRONG if not faults("AudioJob" if "audio" in one else "TextJob", one)]
    check("what is wrong does not fit", not taken, taken)
    answers = [(one, *send(one)) for one in WRONG]
    check("what is wrong is refused", all(status == 400 for _, status, _ in answers), [one for one in answers if one[1] != 400])
    shapes = [found for *_, answer in answers if (found := of_http("Error", answer))]
    check("a refusal has its schema", not shapes, shapes)


def real():
    """What really travels has the schemas that are published."""
    status, done = send({"text": "a boat", "picture": {"steps": 2, "count": 2}}, "wait=120")
    check("a job", status == 200 and not of_http("Job", done), (status, of_http("Job", done)))
    check("its receipt", not faults("Receipt", done["receipt"]), faults("Receipt", done["receipt"]))
    with urllib.request.urlopen(door + done["links"]["events"]) as told:
        events = [json.loads(line[6:]) for line in told.read().decode().splitlines() if line.startswith("data: ")]
    wrong = [found for event in events if (found := faults("CloudEvent", event))]
    check("its events", len(events) > 4 and not wrong, (len(events), wrong))
    for name, path in (("JobList", "/v1/jobs"), ("Capabilities", "/v1/capabilities")):
        found = of_http(name, get(path))
        check(name, not found, found)


documents()
examples()
real()
verdicts()
