"""The report of a soak (R36) from what it measured: is everything flat?

    SHANSHUI_PROGRAM=… SHANSHUI_NATS_SERVER=… python tests/scale/soak.py FOLDER COMMAND [SVG]

Reads the files of `soak --keep FOLDER`, also of one that still runs. Prints Markdown; ends with 1 if a job was
lost or doubled, or if something grew that must not. Rises are slopes over the second half: the median of the
slopes between all pairs of points (Theil-Sen), which a single spike does not move.
"""

import collections
import csv
import os
import pathlib
import statistics
import sys

from lab import machine
from plot import Chart, svg

# What R36 asks for, in MiB an hour; a process that was measured too short a time is not judged.
GROWTH = 1.0
# What nats-server keeps in memory of each job whose events are kept, in KiB: 3.7 measured (docs/scale.md).
KEPT = 4.0
# Its memory goes up and down in steps: Go's collector lets a heap grow to twice of what lives in it. A slope over
# less than an hour tells where the steps lie (two runs that both ended 55 MiB higher had +10 and +38 MiB an hour),
# so the whole run is judged, with this much, in MiB, for what a busy server needs more than one that has just begun.
STEPS = 16.0
LEAST_MINUTES = 10
# Seconds an hour by which the wait of jobs may rise: its median, the oldest waiting job, and its 99th percentile,
# which is made of the few jobs whose worker was killed.
SLOWER = {0.5: 0.1, 0.99: 1.0}
# Minutes that are taken together: of sixty jobs the 99th percentile would be the slowest one.
WINDOW = 5
# Nothing of the product: the servers of the tests.
OTHERS = {"s3": "S3 server of the tests", "soak": "the soak itself"}


def rows(folder: pathlib.Path, name: str) -> list:
    file = folder / f"{name}.csv"
    return list(csv.DictReader(file.open())) if file.exists() else []


def slope(points: list) -> float:
    """In units an hour; of long series every few points count, so that all pairs are few enough."""
    points = points[:: max(1, len(points) // 300)]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for at, a in enumerate(points) for b in points[at + 1 :] if b[0] > a[0]]
    return statistics.median(slopes) * 60 if slopes else 0.0


def second_half(points: list, end: float) -> list:
    return [point for point in points if point[0] >= end / 2]


def percentile(values: list, share: float) -> float:
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def over_time(jobs: list, field: str, share: float) -> list:
    windows = collections.defaultdict(list)
    for at, job in jobs:
        windows[int(at // WINDOW)].append(float(job[field]))
    # The last window is not whole.
    whole = [(window, values) for window, values in sorted(windows.items()) if (window + 1) * WINDOW <= jobs[-1][0] + 1]
    return [((window + 0.5) * WINDOW, percentile(values, share)) for window, values in whole]


class Soak:
    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        processes = rows(folder, "processes")
        self.start = float(processes[0]["at"]) - 10
        minute = lambda row, field="at": (float(row[field]) - self.start) / 60
        self.end = minute(processes[-1])
        # By process; one that was killed has a successor of another number.
        self.memory, self.descriptors, self.cpu = (collections.defaultdict(list) for _ in range(3))
        for row in processes:
            key = (row["process"], row["pid"])
            self.memory[key].append((minute(row), float(row["rss_kib"]) / 1024))
            self.descriptors[key].append((minute(row), float(row["descriptors"])))
            self.cpu[key].append((minute(row), float(row["cpu_seconds"])))
        self.streams = collections.defaultdict(list)
        self.oldest = collections.defaultdict(list)
        for row in rows(folder, "streams"):
            self.streams[row["stream"]].append((minute(row), float(row["bytes"]) / 2**20))
            self.oldest[row["stream"]].append((minute(row), float(row["oldest_seconds"])))
        self.jobs = [(minute(row, "published"), row) for row in rows(folder, "jobs")]
        self.blows = [(minute(row), row["what"]) for row in rows(folder, "blows") if row["what"].startswith("SIG")]
        self.faults = []

    def steady(self, series: dict) -> dict:
        """Those that ran from the first half to the end."""
        long = {}
        for (name, _), points in series.items():
            if points[0][0] < self.end / 2 - 1 and points[-1][0] > self.end - 1:
                long[name] = points
        return long

    def processes(self) -> str:
        lines = "| process | MiB at a third | MiB at the end | rise, MiB an hour | descriptors, least to most | CPU |\n| --- | --- | --- | --- | --- | --- |\n"
        memory, descriptors, cpu = (self.steady(series) for series in (self.memory, self.descriptors, self.cpu))
        for name, points in sorted(memory.items()):
            half, files = second_half(points, self.end), second_half(descriptors[name], self.end)
            rise, spread = slope(half), [count for _, count in files]
            third = min(points, key=lambda point: abs(point[0] - self.end / 3))[1]
            used = cpu[name][-1][1] - cpu[name][0][1]
            share = used / (cpu[name][-1][0] - cpu[name][0][0]) / 60 * 100
            lines += f"| {OTHERS.get(name, name)} | {third:.1f} | {points[-1][1]:.1f} | {rise:+.2f} | {min(spread):.0f} to {max(spread):.0f} | {share:.1f} % |\n"
            if name not in OTHERS and self.end >= LEAST_MINUTES:
                if name == "nats-server":
                    self.judge("memory of nats-server, MiB since its start", points[-1][1] - points[0][1], self.index())
                else:
                    self.judge(f"memory of {name}, MiB an hour", rise, GROWTH)
                self.judge(f"descriptors of {name}, an hour", slope(files), 1.0)
        return lines

    def index(self) -> float:
        """What nats-server may grow by: it holds an index of the events that it keeps, until their age is reached."""
        return 2 * len(self.jobs) * KEPT / 1024 + STEPS

    def judge(self, what: str, rise: float, most: float) -> None:
        if rise > most:
            self.faults.append(f"{what}: {rise:+.2f}; allowed: {most:.1f}")

    def latencies(self) -> str:
        lines = "| | first half | second half | rise an hour |\n| --- | --- | --- | --- |\n"
        half = self.end / 2
        for what, field in (
            ("published until a worker begins it", "waited_seconds"),
            ("published until its end", "took_seconds"),
        ):
            for share, said in ((0.5, "median"), (0.99, "99 %")):
                parts = [
                    [float(job[field]) for at, job in self.jobs if (at >= half) == later] for later in (False, True)
                ]
                before, after = (percentile(part, share) for part in parts)
                rise = slope(second_half(over_time(self.jobs, field, share), self.end))
                lines += f"| {what}, {said} | {before:.3f} s | {after:.3f} s | {rise:+.3f} s |\n"
                if field == "waited_seconds":
                    self.judge(f"{what}, {said}, seconds an hour", rise, SLOWER[share])
        for queue in ("AUDIO", "TEXT"):
            ages = [[age for at, age in self.oldest[queue] if (at >= half) == later] for later in (False, True)]
            rise = slope(second_half(self.oldest[queue], self.end))
            lines += f"| oldest job in {queue}, 99 % | {percentile(ages[0], 0.99):.3f} s | {percentile(ages[1], 0.99):.3f} s | {rise:+.3f} s |\n"
            self.judge(f"oldest job in {queue}, seconds an hour", rise, SLOWER[0.5])
        return lines

    def growth(self) -> str:
        each = {name: points[-1][1] for name, points in self.streams.items() if points[-1][1] > 0}
        said = ", ".join(f"{name} {size:.1f} MiB" for name, size in sorted(each.items()))
        return (
            f"Streams at the end: {said}. EVENTS keeps the story of each job for 7 days: {each.get('EVENTS', 0) * 1024 / max(1, len(self.jobs)):.1f} KiB a job. "
            f"nats-server has an index of them in memory, {KEPT:.0f} KiB a job at most ([measured](scale.md)), until the first events are "
            f"a week old. Go's collector lets memory grow to twice of what is in use. So nats-server may have grown by {self.index():.0f} MiB "
            f"from the beginning to the end; all else may grow by {GROWTH:.0f} MiB an hour."
        )

    def judged(self) -> list:
        file = self.folder / "faults.txt"
        if not file.exists():
            return ["the run has not come to its end: nothing is judged of lost and doubled jobs"]
        return [line for line in file.read_text().splitlines() if line]

    def report(self, command: str, facts: str) -> tuple:
        processes, latencies = self.processes(), self.latencies()
        ends = collections.Counter(job["end"] for _, job in self.jobs)
        kinds = collections.Counter(what for _, what in self.blows)
        faults = self.judged() + self.faults
        result = "flat, nothing lost, nothing doubled" if not faults else "FAILED"
        text = (
            f"# Soak (R36): {result}\n\nMade by `{command}`. A client that knows the contract and none of our code publishes one job a second; "
            "a worker of each stage is left alone, and another is killed or told to leave about every minute. Samples come every 10 s.\n\n"
            f"{facts}| minutes | {self.end:.0f} |\n| jobs published and ended | {len(self.jobs):,} |\n"
            f"| how they ended | {', '.join(f'{count:,} `{end}`' for end, count in ends.most_common())} |\n"
            f"| workers broken | {', '.join(f'{count} by {what}' for what, count in sorted(kinds.items()))} |\n"
            f"| **lost, doubled, wrong** | **{len(self.judged())}** |\n\n"
            f"![memory, descriptors, waits and streams over time](soak.svg)\n\n## Memory and descriptors\n\n{processes}\n"
            f"## Waiting\n\n{latencies}\n{self.growth()}\n"
        )
        if faults:
            text += "\nWhat must not be:\n\n" + "".join(f"- {fault}\n" for fault in faults)
        return text, faults

    def charts(self) -> list:
        memory, descriptors = self.steady(self.memory), self.steady(self.descriptors)
        own = {name: points for name, points in sorted(memory.items()) if name not in OTHERS}
        marks = [at for at, _ in self.blows]
        waits = {
            "median": over_time(self.jobs, "waited_seconds", 0.5),
            "99 %": over_time(self.jobs, "waited_seconds", 0.99),
        }
        return [
            Chart("resident memory", "MiB", own),
            Chart("open descriptors", "count", {name: descriptors[name] for name in own}),
            Chart(
                "wait until a worker begins a job, each five minutes", "s; dashed: a worker broken", waits, marks=marks
            ),
            Chart("oldest job in a queue", "s", {name: self.oldest[name] for name in ("AUDIO", "TEXT")}),
            Chart("size of streams", "MiB", {name: self.streams[name] for name in ("EVENTS", "DEAD")}),
        ]


def main() -> int:
    soak = Soak(pathlib.Path(sys.argv[1]))
    text, faults = soak.report(sys.argv[2], machine(os.environ["SHANSHUI_PROGRAM"]))
    print(text, end="")
    if len(sys.argv) > 3:
        pathlib.Path(sys.argv[3]).write_text(svg(soak.charts(), soak.end, "min"))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
