"""What a worker costs that has nothing to do, and how soon a new one works. docs/operations.md has the numbers.

    SHANSHUI_MODELS=… python tests/cluster/rest.py PROGRAM NATS_SERVER RCLONE [SECONDS]

Real workers of both stages on a nats-server with deploy/nats.conf. Rest: requests that the server counts and CPU time
of the process, over SECONDS (600). Start: from the start of the process to the job's event `accepted`, which follows
its lease; a job waits already.
"""

import datetime
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

from backup import Machine
from page import get, wait
from rendered import ROOT

STAGES = {
    "transcribe": ("say", str(ROOT / "tests/data/speech/cat.wav"), "--until", "transcript"),
    "paint": ("draw", "a red apple", "--steps", "1", "--count", "1"),
}
STARTS = 5


def cpu(pid: int) -> float:
    """User and system seconds (proc(5), fields 14 and 15, in hundredths)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def requests(machine: Machine, stage: str) -> int:
    page = json.loads(get(f"http://127.0.0.1:{machine.monitor}/connz"))
    return next(one["in_msgs"] for one in page["connections"] if one.get("name") == f"shanshui-{stage}")


def start(machine: Machine, stage: str, at: int) -> float:
    job = f"{stage}-{at}"
    machine.ask("tenant-a", *STAGES[stage], "--id", job, "--no-wait")
    began = datetime.datetime.now(datetime.timezone.utc)
    machine.login(stage)
    machine.start(stage, machine.program, stage)
    told = {}

    def accepted() -> bool:
        events = json.loads(machine.ask("tenant-a", "jobs", "show", job, "--json"))["events"]
        told.update({one["data"]["kind"]: one["time"] for one in events})
        return bool({"done", "failed"} & set(told))

    # Asking costs a process, which would compete with the start.
    time.sleep(4)
    wait(f"{job} is done", 120, accepted)
    machine.stop(stage)
    return (datetime.datetime.fromisoformat(told["accepted"].replace("Z", "")[:26] + "+00:00") - began).total_seconds()


def judge(good: bool, words: str) -> bool:
    print(f"{'ok' if good else 'FAIL'}  {words}", flush=True)
    return good


def main(program: str, server: str, rclone: str, seconds: str = "600") -> bool:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="shanshui-rest-"))
    machine = Machine((os.path.abspath(program), os.path.abspath(server), os.path.abspath(rclone)), folder / "disk")
    good = True
    try:
        machine.start_services()
        machine.ask("admin", "streams", "apply")
        for stage in STAGES:
            times = sorted(start(machine, stage, at) for at in range(STARTS))
            half, most = times[STARTS // 2], times[-1]
            good &= judge(most <= 3, f"start: {stage}: first lease after {half:.2f} s, at most {most:.2f} s of {STARTS}")
        for stage in STAGES:
            machine.login(stage)
            machine.start(stage, machine.program, stage)
        time.sleep(15)
        before = {stage: (requests(machine, stage), cpu(machine.running[stage].pid)) for stage in STAGES}
        time.sleep(int(seconds))
        for stage, (asked, busy) in before.items():
            asked, busy = requests(machine, stage) - asked, cpu(machine.running[stage].pid) - busy
            # What is asked every five minutes may fall into a shorter time as a whole.
            few = asked <= int(seconds) / 10 + 12
            good &= judge(few, f"rest: {stage}: {asked} requests and {busy:.2f} s of CPU in {seconds} s")
        return good
    finally:
        machine.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
