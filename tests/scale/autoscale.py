"""`./dev scale`: a day of jobs in minutes, with real workers that come and go as Kubernetes would have them.

    SHANSHUI_NATS_SERVER=… SHANSHUI_SOAK=… python tests/scale/autoscale.py PROGRAM [--faster 96] [--jobs 6000] [--svg FILE]

PROGRAM is shanshui-pace: its stage takes the time of a GPU, all else is real. The lag is read as KEDA reads it
(tests/clients/keda.py), the number of workers is the HPA's (hpa.py), nodes and their price are cloud.py's. Prints
Markdown; ends with 1 if a job was lost or doubled.
"""

import argparse
import asyncio
import dataclasses
import json
import pathlib
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import nats

from cloud import Nodes, Times
from day import DAY, arrivals
from hpa import Autoscaler, Rules
from keda import lags
from lab import Lab, machine
from paper import Fleet, percentile
from plot import Chart, svg

TICK = 0.02
PATIENCE = 300
FINAL = {"done", "failed", "canceled", "no-speech"}
# When a node is taken away under a running worker, in hours.
TAKEN = (10.5, 20.2)
# The least that the server takes; of a day that is played faster it is minutes.
ACK_WAIT = 2


@dataclasses.dataclass(eq=False)
class Worker:
    node: object
    starts: float
    process: object = None
    leaving: bool = False
    name: str = ""


class Trial:
    def __init__(self, options, lab: Lab) -> None:
        self.options, self.lab, self.times = options, lab, Times()
        self.come = arrivals(options.seed, options.jobs)
        self.scaler, self.nodes = Autoscaler(Rules()), Nodes(self.times)
        self.workers, self.number, self.lag, self.read = [], 0, 0, -1.0
        self.published, self.started, self.ends = {}, {}, {}
        self.curves = {name: [] for name in ("waiting or in work", "wanted", "workers", "nodes")}
        self.taken, self.exits, self.killed, self.refused = list(TAKEN), [], 0, 0
        self.began, self.start_cost, self.job_cost = 0.0, 0.0, 0.0

    def now(self) -> float:
        """Seconds of the day."""
        return (time.monotonic() - self.began) * self.options.faster

    async def calibrate(self, nc) -> None:
        """What a process costs to start and a job to pass, beside what both wait for."""
        began = time.monotonic()
        process = self.spawn("calibrate", 0.0, 0.0)
        for number in range(40):
            await self.publish(nc, f"warm-{number}")
            while f"warm-{number}" not in self.ends:
                await asyncio.sleep(0.005)
            if number == 0:
                self.start_cost = time.monotonic() - began
        took = [self.ends[f"warm-{n}"][0][0] - self.started[f"warm-{n}"] for n in range(10, 40)]
        self.job_cost = statistics.median(took)
        self.lab.stop(process)
        for table in (self.published, self.started, self.ends):
            table.clear()

    def spawn(self, name: str, job: float, load: float):
        settings = {"SHANSHUI_PACE_SECONDS": f"{job:.4f}", "SHANSHUI_PACE_LOAD_SECONDS": f"{load:.4f}", "SHANSHUI_WORKER_NAME": name}
        return self.lab.worker("paint", log=f"{self.lab.folder}/{name}.log", SHANSHUI_DRAIN_SECONDS="20", **settings)

    async def publish(self, nc, job: str) -> None:
        self.published[job] = time.monotonic()
        body = json.dumps({"id": job, "text": "a boat"}).encode()
        await nc.jetstream().publish("shanshui.text.default", body, headers={"Nats-Msg-Id": job})

    async def hear(self, message) -> None:
        _, _, job, kind = message.subject.split(".")
        if kind == "started":
            self.started.setdefault(job, time.monotonic())
        elif kind in FINAL:
            self.ends.setdefault(job, []).append((time.monotonic(), kind))

    async def send(self, nc) -> None:
        for number, at in enumerate(self.come):
            await asyncio.sleep(max(0.0, (at - self.now()) / self.options.faster))
            await self.publish(nc, f"day-{number}")

    async def look(self) -> None:
        """One look at the queue, and what follows from it."""
        now = self.now()
        if now - self.read >= self.scaler.rules.polling:
            self.read = now
            self.lag = (await asyncio.to_thread(lags, self.lab.jsz))["paint"]
        wanted = self.scaler.look(now, self.lag)
        self.tend(now)
        staying = [worker for worker in self.workers if not worker.leaving]
        for _ in range(wanted - len(staying)):
            node, seconds = self.nodes.take(now)
            self.workers.append(Worker(node, max(now, now + seconds - self.times.load - self.start_cost * self.options.faster)))
        # The youngest goes first, as Kubernetes has it.
        for worker in sorted(staying, key=lambda worker: -worker.starts)[: max(0, len(staying) - wanted)]:
            self.dismiss(now, worker)
        working = sum(worker.process is not None for worker in self.workers)
        nodes = sum(node.gone is None for node in self.nodes.all)
        for name, value in zip(self.curves, (self.lag, wanted, working, nodes)):
            self.curves[name].append((now / 3600, value))

    def dismiss(self, now: float, worker: Worker) -> None:
        worker.leaving = True
        if worker.process:
            worker.process.send_signal(signal.SIGTERM)
        else:
            self.nodes.give_back(now, worker.node)
            self.workers.remove(worker)

    def tend(self, now: float) -> None:
        """Starts whose node is ready, sees who has gone, and has a node taken away twice a day."""
        for worker in list(self.workers):
            if worker.process is None and now >= worker.starts:
                self.number += 1
                faster = self.options.faster
                job = max(0.0, self.times.picture / faster - self.job_cost)
                worker.name = f"worker-{self.number}"
                worker.process = self.spawn(worker.name, job, self.times.load / faster)
            elif worker.process and worker.process.poll() is not None:
                self.left(worker)
                self.workers.remove(worker)
                self.nodes.give_back(now, worker.node)
        running = [worker for worker in self.workers if worker.process and not worker.leaving]
        if self.taken and now / 3600 >= self.taken[0] and running:
            self.taken.pop(0)
            running[0].process.kill()
            running[0].process.wait()
            self.workers.remove(running[0])
            self.nodes.lose(now, running[0].node)
            self.killed += 1

    def left(self, worker: Worker) -> None:
        """A process that is told to leave before it can listen has no job, and says nothing."""
        code = worker.process.returncode
        silent = not pathlib.Path(self.lab.folder, f"{worker.name}.log").read_text()
        if code == -signal.SIGTERM and silent:
            self.refused += 1
        else:
            self.exits.append(code)

    async def play(self) -> None:
        nc = await nats.connect(self.lab.url)
        await nc.subscribe("shanshui.events.*.*", cb=self.hear)
        await self.calibrate(nc)
        self.began = time.monotonic()
        sending = asyncio.create_task(self.send(nc))
        deadline = self.began + DAY / self.options.faster + PATIENCE
        while (len(self.ends) < len(self.come) or self.now() < DAY) and time.monotonic() < deadline:
            await self.look()
            await asyncio.sleep(TICK)
        await sending
        self.ended = self.now()
        for worker in list(self.workers):
            if not worker.leaving:
                self.dismiss(self.now(), worker)
        for worker in self.workers:
            await asyncio.to_thread(worker.process.wait, 60)
            self.left(worker)
        await nc.close()

    def waits(self) -> dict:
        """Seconds of the day that each job waited until a worker began it."""
        started = {job: at for job, at in self.started.items() if job in self.published}
        return {job: (at - self.published[job]) * self.options.faster for job, at in started.items()}

    def judge(self) -> list:
        faults = [f"{job}: lost" for job in self.published if job not in self.ends]
        for job, ends in self.ends.items():
            if [kind for _, kind in ends] != ["done"]:
                faults.append(f"{job}: ended {[kind for _, kind in ends]}")
        folder = pathlib.Path(self.lab.folder, "s3/shanshui/jobs")
        receipts = {path.parent.name for path in folder.glob("day-*/receipt.json")}
        faults += [f"{job}: no receipt" for job in self.published if job not in receipts]
        audit = json.loads(self.lab.run("audit", "--json"))
        faults += [str(doubt) for doubt in audit["discrepancies"]]
        if audit["in_flight"]:
            faults.append(f"{audit['in_flight']} jobs on the queue")
        faults += [f"a worker ended with {code}" for code in self.exits if code != 0]
        return faults


def row(name: str, waits: list, hours: float, cold: int, jobs: int, price: float) -> str:
    parts = " | ".join(f"{percentile(waits, share):,.0f} s" for share in (0.5, 0.95, 0.99))
    return f"| {name} | {parts} | {hours:,.1f} | {cold} | {jobs / (hours * price):,.0f} |\n"


def by_rate(trial: Trial, waits: dict) -> str:
    """Hours of the day by how much came in them; a node belongs to the hours in which it was there."""
    come, spent = [0] * 24, [0.0] * 24
    for at in trial.come:
        come[int(at // 3600)] += 1
    for node in trial.nodes.all:
        gone = min(DAY, node.gone if node.gone is not None else trial.ended)
        for hour in range(24):
            spent[hour] += max(0.0, min(gone, (hour + 1) * 3600) - max(node.asked, hour * 3600)) / 3600
    text = "| hours with | hours | pictures | GPU-hours | pictures for a dollar |\n| --- | --- | --- | --- | --- |\n"
    edges = [0, 30, 100, 200, 400, 10**9]
    for low, high in zip(edges, edges[1:]):
        hours = [hour for hour in range(24) if low <= come[hour] < high]
        jobs, cost = sum(come[hour] for hour in hours), sum(spent[hour] for hour in hours)
        name = f"{low} to {high} pictures" if high < 10**9 else f"{low} pictures or more"
        if cost:
            text += f"| {name} | {len(hours)} | {jobs:,} | {cost:.1f} | {jobs / (cost * trial.times.price):,.0f} |\n"
    return text


def report(trial: Trial, faults: list) -> str:
    times, jobs, faster = trial.times, len(trial.come), trial.options.faster
    waits = trial.waits()
    hours = trial.nodes.seconds(trial.ended) / 3600
    lost = sum("lost" in fault or "receipt" in fault for fault in faults)
    text = machine(trial.lab.program)
    rows = {
        "the day": f"{jobs:,} pictures, {faster} times as fast: {DAY / faster / 60:.0f} minutes",
        "a picture; a cold start; a warm one": f"{times.picture:.0f} s; {times.node + times.image + times.weights + times.load:.0f} s; {times.load:.0f} s",
        "what a process takes to start here, of the day": f"{trial.start_cost * faster:.0f} s (a warm start cannot be shorter)",
        "what queue, store and events add to a picture here, of the day": f"{trial.job_cost * faster:.1f} s (taken off the picture's time)",
        "nodes taken away under a running worker": f"{trial.killed} (its job comes again after {ACK_WAIT} s, {ACK_WAIT * faster:.0f} s of the day; in production 30 s)",
        "workers started; exit codes of those that left": f"{trial.number}; {sorted(set(trial.exits))}",
        "of these told to leave before their first word": f"{trial.refused}",
        "**lost; doubled**": f"**{lost}; {len(faults) - lost}**",
    }
    text += "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    text += "\n| | wait p50 | p95 | p99 | GPU-hours | cold starts | pictures for a dollar |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    text += row("**this run**", list(waits.values()), hours, trial.nodes.cold, jobs, times.price)
    paper = Fleet(times, Rules()).play(trial.come, DAY)
    text += row("the same on paper", paper.waits, paper.node_seconds / 3600, paper.cold, jobs, times.price)
    for fixed in (2, 4, 8):
        result = Fleet(times, None, fixed).play(trial.come, DAY)
        text += row(f"a fixed fleet of {fixed}, on paper", result.waits, result.node_seconds / 3600, 0, jobs, times.price)
    text += "\n" + by_rate(trial, waits)
    if faults:
        text += "\nWhat must not be:\n\n" + "".join(f"- {fault}\n" for fault in faults[:30])
    return text


def charts(trial: Trial) -> list:
    minutes = [0] * 1440
    for at in trial.come:
        minutes[int(at // 60)] += 1
    waits = sorted((trial.come[int(job[4:])] / 3600, wait) for job, wait in trial.waits().items())
    curves = trial.curves
    return [
        Chart("pictures asked for", "a minute", {"arrivals": [(at / 60, count) for at, count in enumerate(minutes)]}),
        Chart("what KEDA reads", "jobs", {"waiting or in work": curves["waiting or in work"]}),
        Chart("workers and nodes", "count", {name: curves[name] for name in ("nodes", "workers", "wanted")}, marks=list(TAKEN)),
        Chart("wait of each job until a worker begins it", "s", {"wait": waits}),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev scale", description="A day of jobs in minutes, with workers that come and go.")
    parser.add_argument("program")
    parser.add_argument("--faster", type=int, default=96, help="how many times faster than a day")
    parser.add_argument("--jobs", type=int, default=6000, help="pictures of the day")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--svg", help="file for the plots")
    options = parser.parse_args()
    lab = Lab(options.program, ["--ack-wait-seconds", str(ACK_WAIT)])
    try:
        trial = Trial(options, lab)
        asyncio.run(trial.play())
        faults = trial.judge()
        print(report(trial, faults), end="")
        if options.svg:
            pathlib.Path(options.svg).write_text(svg(charts(trial), 24, "h"))
    finally:
        lab.end()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
