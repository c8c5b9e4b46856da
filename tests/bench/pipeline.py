"""What the pipeline itself costs: no-op stages beside bare async-nats and beside Python gRPC executors.

    SHANSHUI_NATS_SERVER=… SHANSHUI_SOAK=… pipeline.py PROGRAMS [ROUNDS]

PROGRAMS is the folder of `passage`, `shanshui-relay` and `shanshui-pace`. Prints a page of Markdown; `./dev bench
pipeline` writes it to docs/bench-pipeline.md.
"""

import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "scale"))

from engine import cpu, load, table
from executors import Executors
from lab import TICKS, Lab, Use, bound
from puts import puts
from wire import Capture, Proxies, phases

JOBS, FLYING = 60, 64
# Where objects lie, if it is there: a store is another machine's disk, and not what is measured.
MEMORY = "/dev/shm"
CPU = ["CPU of nats-server, ms", "of the store, ms", "of the workers, ms", "cores busy"]
PACE = 0.1


class Passage:
    """The program that publishes jobs and hears their ends."""

    def __init__(self, programs: str, url: str) -> None:
        command = [f"{programs}/passage", url]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, preexec_fn=bound
        )

    def run(self, what: str, stages: int, count: int, flying: int = 1) -> dict:
        self.process.stdin.write(f"{what} {stages} {count} {flying}\n")
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"passage has ended: {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Row:
    """Seconds of the same work in several rounds."""

    def __init__(self) -> None:
        self.seconds, self.rates, self.cpu = [], [], []

    def latency(self) -> str:
        ordered = sorted(self.seconds)
        return f"{statistics.median(ordered) * 1e3:.2f} | {ordered[int(len(ordered) * 0.99)] * 1e3:.2f}"

    def middle(self) -> float:
        return statistics.median(self.seconds)

    def rate(self) -> float:
        return statistics.median(self.rates)

    def spent(self) -> str:
        """CPU for a job, of each kind of process."""
        return spent(statistics.median(one) for one in zip(*self.cpu)) if self.cpu else " |  |  | "


def spent(values) -> str:
    """What `Spent` measured, as cells of a table."""
    *seconds, share = values
    return " | ".join([*(f"{one * 1e3:.2f}" for one in seconds), f"{share:.0%}"])


class Spent:
    """CPU seconds of nats-server, of the store, of all workers and of the whole machine, from now on."""

    def __init__(self, lab: Lab, crew: list) -> None:
        self.uses = [[Use(lab.nats.pid)], [Use(lab.s3.pid)], [Use(worker.pid) for worker in crew]]
        self.before, self.began = self.now(), time.monotonic()

    def now(self) -> list:
        return [*(sum(use.cpu() for use in uses) for uses in self.uses), busy()]

    def each(self, count: int) -> list:
        """Seconds for a job of each kind of process, and the share of the cores that was busy."""
        spent = [after - before for before, after in zip(self.before, self.now())]
        cores = os.cpu_count() * (time.monotonic() - self.began)
        return [*(seconds / count for seconds in spent[:-1]), spent[-1] / cores]


def busy() -> float:
    """Seconds that all cores were busy, with whatever."""
    times = [int(ticks) for ticks in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    idle = times[3] + times[4]
    return (sum(times) - idle) / TICKS


def relay(lab: Lab, concurrency: int, **settings: str) -> list:
    """A worker of each no-op stage."""
    more = {"SHANSHUI_CONCURRENCY": str(concurrency), **settings}
    crew = [lab.worker(stage, "--http", "127.0.0.1:0", **more) for stage in ("transcribe", "paint")]
    time.sleep(2.5)
    return crew


def end(crew: list) -> None:
    for worker in crew:
        Lab.stop(worker)


def rates(passage: Passage, lab: Lab, rows: dict, peers: Executors, rounds: int) -> None:
    """Jobs a second with many under way: of one worker for each stage, and of sixteen slots in each."""
    for concurrency in (1, 16):
        crew = relay(lab, concurrency)
        for _ in range(rounds):
            for name, what in ((f"ours, {concurrency}", "ours"), ("bare", "bare")):
                count, since = 10 * JOBS, Spent(lab, crew)
                rows[name].rates.append(count / passage.run(what, 2, count, FLYING)["all"])
                rows[name].cpu.append(since.each(count))
            rows["executors"].rates.append(peers.rate(FLYING))
        end(crew)


def one_by_one(passage: Passage, lab: Lab, rows: dict, peers: Executors, rounds: int) -> None:
    """One job at a time, by turns."""
    crew = relay(lab, 1)
    for stages in (1, 2):
        for what in ("bare", "ours"):
            passage.run(what, stages, 10)
    for _ in range(rounds):
        for stages in (1, 2):
            for what in ("bare", "ours"):
                rows[f"{what} {stages}"].seconds += passage.run(what, stages, JOBS)["seconds"]
        rows["executors"].seconds += peers.latencies(JOBS)
        rows["puts"].seconds += puts(lab.endpoint, JOBS)
    end(crew)


def measured(programs: str, sync: str, rounds: int) -> dict:
    names = ["bare 1", "ours 1", "bare 2", "ours 2", "bare", "ours, 1", "ours, 16", "executors", "puts"]
    rows = {name: Row() for name in names}
    lab, peers = Lab(f"{programs}/shanshui-relay", memory=MEMORY), Executors()
    try:
        if sync != "always":
            lab.start_nats(sync)
        passage = Passage(programs, lab.url)
        one_by_one(passage, lab, rows, peers, rounds)
        rates(passage, lab, rows, peers, max(1, rounds // 3))
        passage.close()
    finally:
        peers.close()
        lab.end()
    return rows


def profile(programs: str) -> dict:
    """One job's way over the wire, phase by phase, who works meanwhile, what it asks, and how that was seen."""
    lab = Lab(f"{programs}/shanshui-relay", memory=MEMORY)
    try:
        ports, through, seen = (lab.port, int(lab.endpoint.rsplit(":", 1)[1])), {}, "Seen on the loopback device"
        try:
            wire = Capture(*ports)
        except PermissionError:
            wire, seen = Proxies(*ports), "Seen by proxies, which cost about 0.1 ms a message themselves"
            through = {
                "SHANSHUI_NATS_URL": f"nats://127.0.0.1:{wire.nats}",
                "SHANSHUI_S3_ENDPOINT": f"http://127.0.0.1:{wire.s3}",
            }
        crew = relay(lab, 1, **through)
        passage = Passage(programs, lab.url)
        passage.run("ours", 2, 20)
        wire.clear()
        passage.run("ours", 2, JOBS)
        time.sleep(0.3)
        passage.close()
        end(crew)
        return {**phases(wire.lines, JOBS), "seen": seen}
    finally:
        lab.end()


def consumers(programs: str) -> tuple[list, str]:
    """Jobs a second of so many workers of a stage that takes 100 ms; what the last row would need to be linear."""
    lab, rows, alone = Lab(f"{programs}/shanshui-pace", memory=MEMORY), [], 0.0
    try:
        passage = Passage(programs, lab.url)
        for processes, slots in ((1, 1), (4, 1), (16, 1), (2, 16), (4, 16)):
            settings = {"SHANSHUI_PACE_SECONDS": str(PACE), "SHANSHUI_CONCURRENCY": str(slots)}
            crew = [lab.worker("paint", "--http", "127.0.0.1:0", **settings) for _ in range(processes)]
            time.sleep(3 + processes / 4)
            number = processes * slots
            passage.run("ours", 1, number, number)
            count, since = number * 40, Spent(lab, crew)
            took = passage.run("ours", 1, count, 2 * number)["all"]
            each = since.each(count)
            end(crew)
            rate = count / took
            alone = rate if number == 1 else alone
            share = f"{rate / (number * alone):.3f}", f"{rate * PACE / number:.3f}"
            need = each[-1] * os.cpu_count() * 1e3 / rate * number / PACE
            rows.append([f"{processes} × {slots}", f"{rate:.1f}", *share, spent(each)])
        passage.close()
    finally:
        lab.end()
    return rows, f"{need:,.0f} of {os.cpu_count() * 1000:,}"


def disk() -> str:
    """Milliseconds of an fsync where nats-server stores, once what others wrote is on the disk."""
    os.sync()
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(500):
            file.write(bytes(400))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return f"{statistics.median(took) * 1e3:.2f}"


def page(all_rows: dict, profiled: dict, scaled: tuple, rounds: int, programs: str) -> str:
    before, latency, rate = all_rows.pop("disk"), [], []
    for sync, rows in all_rows.items():
        for stages in ("1", "2"):
            bare, ours = rows[f"bare {stages}"], rows[f"ours {stages}"]
            added = (ours.middle() - bare.middle()) * 1e3
            latency.append([sync, stages, bare.latency(), ours.latency(), f"{added:.2f}"])
        peer = rows["executors"]
        latency.append([sync, "2 gRPC executors", "", "", peer.latency(), ""])
        for name in ("ours, 1", "ours, 16", "bare", "executors"):
            row = rows[name]
            rate.append([sync, name, f"{row.rate():,.0f}", f"{row.rate() / peer.rate():.2f}×", row.spent()])
    today = datetime.date.today()
    version = subprocess.run([f"{programs}/shanshui-relay", "--version"], capture_output=True, text=True).stdout.strip()
    server = subprocess.run([os.environ["SHANSHUI_NATS_SERVER"], "--version"], capture_output=True, text=True).stdout
    text = (HERE / "pipeline.md").read_text()
    return text.format(
        date=f"{today.day} {today:%B %Y}",
        rounds=rounds,
        jobs=JOBS,
        flying=FLYING,
        cpu=cpu(),
        load=load(),
        disk=before,
        disk_after=disk(),
        versions=f"{version}, {server.strip()}, grpcio of `tests/bench/pipeline.txt`",
        latency=table(["sync_interval", "stages", "bare, median", "p99", "ours, median", "p99", "ours adds"], latency),
        rate=table(["sync_interval", "who", "jobs a second", "of the executors'", *CPU], rate),
        puts=f"{all_rows['always']['puts'].middle() * 1e3:.2f}",
        profile=table(
            ["what happens", "at, ms", "until the next, ms", "share", "who works meanwhile"], profiled.pop("rows")
        ),
        **profiled,
        consumers=table(["workers × slots", "jobs a second", "of so many alone", "of 10 a second each", *CPU], scaled[0]),
        need=scaled[1],
    )


def main() -> None:
    programs, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 6
    all_rows = {"disk": disk()}
    all_rows |= {sync: measured(programs, sync, rounds) for sync in ("always", "2m")}
    print(page(all_rows, profile(programs), consumers(programs), rounds, programs), end="")


if __name__ == "__main__":
    main()
