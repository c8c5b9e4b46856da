"""What jobs cost that ended long ago: the reconciler, an audit and nats-server beside 100,000 of them.

    SHANSHUI_NATS_SERVER=… SHANSHUI_SOAK=… python tests/scale/finished.py PROGRAM [JOBS]

Writes the events, the ends and the receipts of jobs that no worker has ever seen, then looks. Prints a table.
"""

import asyncio
import json
import pathlib
import signal
import sys
import time

import nats

from lab import Lab, Use

WATCHED = 30
WINDOW = 1000
PURGED = 50
ERASED = 20
REST = 15
EVENTS = ["accepted", "started", "picture", "finished", "done"]


def event(job: str, kind: str) -> bytes:
    data = {
        "accepted": {"stage": "paint", "labels": {}, "lane": "default", "run": 0, "digest": "0" * 64},
        "started": {"stage": "paint", "worker": "w", "attempt": 1},
        "picture": {"index": 0, "key": f"jobs/{job}/0.png", "sha256": "0" * 64, "seed": 1, "width": 512, "height": 512},
        "finished": {"stage": "paint", "seconds": 1.0, "made": "0" * 64},
        "done": {"stage": "paint", "key": f"jobs/{job}/receipt.json", "seconds": 1.5},
    }[kind]
    whole = {
        "specversion": "1.0", "id": f"{job}-{kind}", "source": "/shanshui/paint/w", "type": f"shanshui.{kind}.v1",
        "subject": job, "time": "2026-11-29T12:00:00Z", "datacontenttype": "application/json",
        "data": {"kind": kind, **data},
    }
    return json.dumps(whole).encode()


async def write(lab: Lab, first: int, count: int) -> None:
    """Without waiting for each acknowledgement: one at the end of a window says that all before are there."""
    folder = pathlib.Path(lab.folder, "s3/shanshui/jobs")
    folder.mkdir(parents=True, exist_ok=True)
    nc = await nats.connect(lab.url)
    js = nc.jetstream()
    for number in range(first, first + count):
        job = f"old-{number}"
        (folder / job).mkdir()
        (folder / job / "receipt.json").write_text('{"objects":[]}')
        for kind in EVENTS:
            await nc.publish(f"shanshui.events.{job}.{kind}", event(job, kind))
        end = (f"shanshui.ended.{job}.0", event(job, "done"))
        if number % (WINDOW // 5) == 0 or number == first + count - 1:
            await js.publish(f"shanshui.events.{job}.done", event(job, "done"), headers={"Nats-Msg-Id": f"{job}/again"})
            await js.publish(*end)
        else:
            await nc.publish(*end)
    await nc.close()


async def purge(lab: Lab) -> float:
    """Milliseconds."""
    nc = await nats.connect(lab.url)
    at = time.monotonic()
    for number in range(PURGED):
        for stream, subject in (("CANCELS", "cancel.{}.*"), ("EVENTS", "events.{}.>"), ("ENDS", "ended.{}.*")):
            filtered = json.dumps({"filter": "shanshui." + subject.format(f"old-{number * 7}")}).encode()
            await nc.request(f"$JS.API.STREAM.PURGE.{stream}", filtered, timeout=60)
    await nc.close()
    return (time.monotonic() - at) / PURGED * 1e3


def watch(lab: Lab) -> dict:
    """A reconciler that has caught up, over half a minute, and one audit from the beginning."""
    process = lab.worker("reconcile", "--audit-seconds", "1", log=f"{lab.folder}/reconcile.log")
    began, own, server = time.monotonic(), Use(process.pid), Use(lab.nats.pid)
    caught = catch_up(own, began)
    before, cpu, at = lab.asked("varz")["in_msgs"], (own.cpu(), server.cpu()), time.monotonic()
    time.sleep(WATCHED)
    seconds = time.monotonic() - at
    told = {
        "seconds until it has caught up": f"{caught:.1f}",
        "CPU of the reconciler then, one audit a second": f"{(own.cpu() - cpu[0]) / seconds * 100:.2f} %",
        "CPU of nats-server meanwhile": f"{(server.cpu() - cpu[1]) / seconds * 100:.2f} %",
        "requests to nats-server a second": f"{(lab.asked('varz')['in_msgs'] - before) / seconds:.1f}",
        "memory of the reconciler": f"{own.mib():.0f} MiB",
        "memory of nats-server": f"{server.mib():.0f} MiB",
    }
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    at = time.monotonic()
    audit = json.loads(lab.run("audit", "--no-bucket", "--json"))
    told["`shanshui audit --no-bucket`, from the first event"] = f"{time.monotonic() - at:.1f} s"
    told["jobs that it counts"] = f"{audit['accepted']:,}, {len(audit['discrepancies'])} in doubt"
    at = time.monotonic()
    lab.run("erase", *(f"old-{number * 11 + 5}" for number in range(ERASED)))
    told[f"`shanshui erase` of {ERASED} jobs"] = f"{time.monotonic() - at:.1f} s"
    told["what `erase` asks of nats-server for one job"] = f"{asyncio.run(purge(lab)):.1f} ms"
    lab.start_nats("always")
    time.sleep(REST)
    told["memory of nats-server, started anew"] = f"{Use(lab.nats.pid).mib():.0f} MiB"
    return told


def catch_up(use: Use, began: float) -> float:
    """When the process has used hardly any CPU for three seconds."""
    last, quiet = use.cpu(), 0
    while quiet < 3:
        time.sleep(1)
        now = use.cpu()
        quiet, last = (quiet + 1 if now - last < 0.1 else 0), now
    return time.monotonic() - began - quiet


def main() -> None:
    program, jobs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    lab = Lab(program)
    columns, written = [], 0
    try:
        for count in (0, jobs // 10, jobs):
            lab.start_nats("2m")
            asyncio.run(write(lab, written, count - written)) if count else None
            written = count
            lab.start_nats("always")
            columns.append((count, watch(lab)))
            print(count, columns[-1][1], file=sys.stderr)
        info = {one["name"]: one["state"] for one in lab.asked("jsz?streams=true")["account_details"][0]["stream_detail"]}
    finally:
        lab.end()
    print("| finished jobs | " + " | ".join(f"{count:,}" for count, _ in columns) + " |\n|" + " --- |" * (len(columns) + 1))
    for name in columns[0][1]:
        print(f"| {name} | " + " | ".join(told[name] for _, told in columns) + " |")
    bytes_each = (info["EVENTS"]["bytes"] + info["ENDS"]["bytes"]) / max(written, 1)
    print(f"| bytes of EVENTS and ENDS for each job | | | {bytes_each:,.0f} |")


main()
