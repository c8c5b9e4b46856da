"""How many workers Kubernetes would run: KEDA's switch between none and one, and the HPA's rule above that.

The numbers are those of deploy/kubernetes/base/scaling.yaml. Times are seconds of the day that is played.
As in Kubernetes 1.37 and KEDA 2.20: wanted = ceil(metric / target), no change within a tenth of the target; up at
once and down only to the highest wish of the last minutes, both by at most so many pods in a period.
"""

import math
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYNC = 15.0
TOLERANCE = 0.1


class Rules:
    """What the ScaledObject of a stage says."""

    def __init__(self, stage: str = "paint", **changed: float) -> None:
        text = (ROOT / "deploy/kubernetes/base/scaling.yaml").read_text()
        own = next(part for part in text.split("\n---\n") if f"name: {stage}\n" in part)
        number = lambda pattern: float(re.search(pattern, own)[1])
        self.polling, self.cooldown = number(r"pollingInterval: (\d+)"), number(r"cooldownPeriod: (\d+)")
        self.most, self.target = number(r"maxReplicaCount: (\d+)"), number(r'\btarget: "(\d+)"')
        up, down = own.split("scaleUp:")[1].split("scaleDown:")
        read = lambda part: tuple(
            float(re.search(pattern, part)[1])
            for pattern in (r"stabilizationWindowSeconds: (\d+)", r"value: (\d+)", r"periodSeconds: (\d+)")
        )
        (_, self.up, self.up_period), (self.window, self.down, self.down_period) = read(up), read(down)
        self.__dict__.update(changed)


class Autoscaler:
    """Asked again and again; `replicas` is what it wants."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.replicas = rules, 0
        self.active, self.polled, self.synced = -math.inf, -math.inf, -math.inf
        self.wishes, self.changes = [], []

    def look(self, now: float, metric: float) -> int:
        if now - self.polled >= self.rules.polling:
            self.polled = now
            self.poll(now, metric)
        if self.replicas and now - self.synced >= SYNC:
            self.synced = now
            self.sync(now, metric)
        return self.replicas

    def poll(self, now: float, metric: float) -> None:
        """KEDA's own part: from none to one, and to none when nothing came for a while."""
        if metric > 0:
            self.active = now
            if not self.replicas:
                self.replicas, self.wishes, self.changes = 1, [], []
        elif self.replicas and now - self.active >= self.rules.cooldown:
            self.replicas = 0

    def sync(self, now: float, metric: float) -> None:
        rules, current = self.rules, self.replicas
        wanted = math.ceil(metric / rules.target)
        if abs(metric / (rules.target * current) - 1) <= TOLERANCE:
            wanted = current
        wanted = max(1, min(int(rules.most), wanted))
        self.wishes = [wish for wish in self.wishes if now - wish[0] <= rules.window] + [(now, wanted)]
        if wanted < current:
            # Down only as far as every wish of the window allows.
            wanted = min(current, max(count for _, count in self.wishes))
        recent = lambda period, sign: sum(by for at, by in self.changes if now - at < period and by * sign > 0)
        if wanted > current:
            wanted = min(wanted, current + max(0, int(rules.up) - recent(rules.up_period, 1)))
        elif wanted < current:
            wanted = max(wanted, current - max(0, int(rules.down) + recent(rules.down_period, -1)))
        if wanted != current:
            self.changes = [change for change in self.changes if now - change[0] < 3600] + [(now, wanted - current)]
            self.replicas = wanted
