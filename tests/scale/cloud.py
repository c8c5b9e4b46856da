"""The machines under the workers: a worker needs a node with a GPU, which takes time to come and costs money.

Times in seconds, as published or assumed; docs/scale.md cites them.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Times:
    # Google measured 225 s from the wish to a started node on GKE, for Stable Diffusion.
    node: float = 225.0
    # The image (without weights) onto a new node, and the weights out of the bucket.
    image: float = 20.0
    weights: float = 45.0
    # Weights from the disk of the node into the GPU, and the start of the process.
    load: float = 10.0
    # An idle node goes after this time (the cluster autoscaler's default).
    unneeded: float = 600.0
    # One picture.
    picture: float = 10.0
    # An hour of a node with a GPU, in dollars.
    price: float = 0.71


class Node:
    def __init__(self, now: float) -> None:
        self.asked, self.ready_at, self.gone, self.idle_since, self.warm = now, None, None, None, False


class Nodes:
    """All nodes there ever were; says how soon a worker can begin to load, and what all of it costs."""

    def __init__(self, times: Times) -> None:
        self.times, self.all, self.idle, self.cold, self.warm = times, [], [], 0, 0

    def take(self, now: float) -> tuple:
        """A node for one worker, and the seconds until its model is loaded."""
        self.sweep(now)
        if self.idle:
            node = self.idle.pop()
            node.idle_since = None
            self.warm += 1
            return node, self.times.load
        node = Node(now)
        self.all.append(node)
        self.cold += 1
        return node, self.times.node + self.times.image + self.times.weights + self.times.load

    def give_back(self, now: float, node: Node) -> None:
        node.idle_since = now
        self.idle.append(node)

    def sweep(self, now: float) -> None:
        for node in [node for node in self.idle if now - node.idle_since >= self.times.unneeded]:
            node.gone = node.idle_since + self.times.unneeded
            self.idle.remove(node)

    def lose(self, now: float, node: Node) -> None:
        """Its owner took it away."""
        node.gone = now

    def seconds(self, now: float) -> float:
        self.sweep(now)
        return sum((node.gone if node.gone is not None else now) - node.asked for node in self.all)

    def dollars(self, now: float) -> float:
        return self.seconds(now) / 3600 * self.times.price
