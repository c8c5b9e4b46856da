"""The same on paper: arrivals, the HPA's rule, nodes, and workers that only take their time.

    python tests/scale/paper.py            prints pictures for a dollar at each rate, and a fleet of thousands

Its rules are those that the real trial uses (hpa.py, cloud.py, day.py); docs/scale.md has both side by side.
"""

import collections
import dataclasses
import heapq
import itertools
import random
import sys

from cloud import Nodes, Times
from day import DAY, arrivals
from hpa import Autoscaler, Rules

STEP = 5.0
COME, READY, DONE, LOOK = range(4)


@dataclasses.dataclass
class Result:
    waits: list
    node_seconds: float
    dollars: float
    cold: int
    warm: int
    most: int
    fleet: list


def percentile(values: list, share: float) -> float:
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class Fleet:
    """Plays a list of arrivals through an autoscaled fleet, or a fixed one."""

    def __init__(self, times: Times, rules: Rules | None, fixed: int = 0) -> None:
        self.times, self.scaler, self.nodes = times, Autoscaler(rules) if rules else None, Nodes(times)
        self.events, self.number = [], itertools.count()
        self.queue, self.waits, self.fleet = collections.deque(), [], []
        self.loading, self.idle, self.busy, self.leaving, self.most = 0, [], 0, 0, 0
        for _ in range(fixed):
            self.idle.append(self.nodes.take(0.0)[0])

    def at(self, when: float, what: int, which: object = None) -> None:
        heapq.heappush(self.events, (when, next(self.number), what, which))

    def play(self, come: list, end: float) -> Result:
        for when in come:
            self.at(when, COME)
        if self.scaler:
            self.at(0.0, LOOK)
        now = 0.0
        while self.events:
            now, _, what, which = heapq.heappop(self.events)
            self.step(now, what, which, end)
        end = max(end, now)
        return Result(
            self.waits, self.nodes.seconds(end), self.nodes.dollars(end), self.nodes.cold, self.nodes.warm, self.most, self.fleet
        )

    def step(self, now: float, what: int, which: object, end: float) -> None:
        if what == COME:
            self.queue.append(now)
        elif what == READY:
            self.loading -= 1
            self.idle.append(which)
        elif what == DONE:
            self.busy -= 1
            if self.leaving:
                self.leaving -= 1
                self.nodes.give_back(now, which)
            else:
                self.idle.append(which)
        elif self.scaler:
            self.look(now)
            if now < end or self.queue or self.busy:
                self.at(now + STEP, LOOK)
        while self.queue and self.idle:
            self.waits.append(now - self.queue.popleft())
            self.busy += 1
            self.at(now + self.times.picture, DONE, self.idle.pop())

    def look(self, now: float) -> None:
        running = self.loading + len(self.idle) + self.busy - self.leaving
        wanted = self.scaler.look(now, len(self.queue) + self.busy)
        for _ in range(wanted - running):
            if self.leaving:
                # One that was told to go has not gone; Kubernetes would start another, at the same cost.
                self.leaving -= 1
                continue
            node, seconds = self.nodes.take(now)
            self.loading += 1
            self.at(now + seconds, READY, node)
        for _ in range(running - wanted):
            if self.idle:
                self.nodes.give_back(now, self.idle.pop())
            elif self.busy > self.leaving:
                self.leaving += 1
        self.most = max(self.most, wanted)
        self.fleet.append((now / 3600, self.loading + len(self.idle) + self.busy))


def row(name: str, jobs: int, result: Result) -> str:
    waits = " | ".join(f"{percentile(result.waits, share):,.0f} s" for share in (0.5, 0.95, 0.99))
    return f"| {name} | {waits} | {result.node_seconds / 3600:,.1f} | {result.cold:,} | {jobs / result.dollars:,.0f} |"


HEAD = "| {} | wait p50 | p95 | p99 | GPU-hours | cold starts | pictures for a dollar |\n| --- | --- | --- | --- | --- | --- | --- |"


def rates(times: Times) -> None:
    """A week of steady chance arrivals at each rate."""
    print(HEAD.format("pictures an hour"))
    for an_hour in (1, 4, 15, 60, 240, 1000, 4000):
        chance, at, come = random.Random(an_hour), 0.0, []
        while at < min(7 * DAY, 40_000 / an_hour * 3600):
            at += chance.expovariate(an_hour / 3600)
            come.append(at)
        # At most three quarters of the fleet are needed: the limit must not decide.
        most = max(8.0, an_hour * times.picture / 3600 * 2)
        result = Fleet(times, Rules(most=most)).play(come, come[-1])
        print(row(f"{an_hour:,}", len(come), result))


def thousands(times: Times) -> None:
    """A million pictures in the busiest hour, and 10,000 workers at most."""
    print(HEAD.format("fleet"))
    jobs = 1_000_000
    come = [at / 24 for at in arrivals(7, jobs)]
    for up in (4, 500):
        rules = Rules(most=10_000.0, up=float(up))
        result = Fleet(times, rules).play(come, DAY / 24)
        print(row(f"{jobs:,} in an hour, {up} pods in 30 s, at most {result.most:,} workers", jobs, result))


def settings() -> None:
    """The day of `./dev scale` with other settings: what each of them buys."""
    print(HEAD.format("setting"))
    come = arrivals(11, 6000)
    quick = {"unneeded": 120.0}
    for name, rules, times in (
        ("as it is", {}, {}),
        ("an idle node goes after 2 minutes, not 10", {}, quick),
        ("target 4 jobs a worker, not 2", {"target": 4.0}, {}),
        ("down after 1 minute, not 5; none after 1, not 5", {"window": 60.0, "cooldown": 60.0}, {}),
        ("all three", {"target": 4.0, "window": 60.0, "cooldown": 60.0}, quick),
        ("target 4, an idle node goes after 2 minutes", {"target": 4.0}, quick),
        ("the same, nodes that come in 60 s", {"target": 4.0}, {**quick, "node": 60.0}),
    ):
        result = Fleet(Times(**times), Rules(**rules)).play(come, DAY)
        print(row(name, len(come), result))


if __name__ == "__main__":
    for part in (lambda: rates(Times()), settings, lambda: thousands(Times())):
        part()
        print()
