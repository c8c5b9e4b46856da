"""A day of jobs: quiet nights, busy evenings, and bursts."""

import math
import random

DAY = 86_400.0


def rate(at: float, jobs: int) -> float:
    """Jobs a second at a time of the day, without the bursts: lowest at 4 in the morning, highest at 20."""
    hour = at / 3600
    shape = 0.08 + (0.5 - 0.5 * math.cos((hour - 4) / 24 * 2 * math.pi)) ** 2 + 0.5 * math.exp(-(((hour - 20) / 1.5) ** 2))
    return jobs / DAY * shape / 0.525


def arrivals(seed: int, jobs: int) -> list:
    """The times of about so many jobs; a fifth of them in bursts of 20 to 60 within two minutes."""
    chance = random.Random(seed)
    steady, times, at = jobs * 0.8, [], 0.0
    most = max(rate(hour * 3600.0, steady) for hour in range(24)) * 1.1
    while at < DAY:
        at += chance.expovariate(most)
        if at < DAY and chance.random() < rate(at, steady) / most:
            times.append(at)
    left = int(jobs * 0.2)
    while left > 0:
        start, size = chance.uniform(0, DAY - 600), min(left, chance.randint(20, 60))
        times += [start + chance.uniform(0, 120) for _ in range(size)]
        left -= size
    return sorted(times)
