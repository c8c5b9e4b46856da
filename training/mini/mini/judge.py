"""A classifier of our own that says what a picture shows; the gates ask it. Trained on real scenes only."""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import common, vocab

TIMES = ["day", "sunset", "night", "overcast", "space", "underwater", "plain"]
LIGHTS = ["sun", "full moon", "crescent moon", "stars"]
LANDS = ["mountains", "river", "sea", "forest", "snow", "desert", "city", "meadow", "beach", "hills", "waterfall"]
NAMES = [f"object={k}" for k in vocab.KEYS] + [f"time={t}" for t in TIMES] + [f"light={c}" for c in LIGHTS] + [f"land={x}" for x in LANDS] + ["ink"]
INDEX = {n: i for i, n in enumerate(NAMES)}
HELD = 2000


def label(m) -> np.ndarray:
    y = np.zeros(len(NAMES), np.float32)
    for key, _ in m["objs"]:
        y[INDEX[f"object={key}"]] = 1
    y[INDEX[f"time={m['time'].split(':')[0]}"]] = 1
    for name in [f"light={m['cel']}"] + [f"land={x}" for x in m["land"]]:
        if name in INDEX:
            y[INDEX[name]] = 1
    y[-1] = m["style"] == "ink"
    return y


def build() -> nn.Module:
    layers, c = [], 3
    for width, stride in ((32, 2), (48, 1), (64, 2), (96, 1), (128, 2), (160, 1), (160, 2)):
        layers += [nn.Conv2d(c, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        c = width
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * c, len(NAMES))).to(common.DEVICE)


def augment(x, rng):
    """Blur, noise, gain and shift: generated pictures differ from real ones in just these."""
    if rng.random() < 0.4:
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    x = x * (0.88 + 0.24 * torch.rand(len(x), 1, 1, 1)) + 0.08 * torch.rand(len(x), 1, 1, 1) * torch.randn_like(x)
    return torch.roll(x, tuple(int(v) for v in rng.integers(-3, 4, 2)), (2, 3))


class Judge:
    """Probabilities for 64 px pictures; larger ones are averaged down."""

    def __init__(self, path: Path):
        self.net = build().eval()
        self.net.load_state_dict(torch.load(path, map_location=common.DEVICE))

    @torch.no_grad()
    def __call__(self, x) -> torch.Tensor:
        if x.shape[-1] != 64:
            x = F.interpolate(x, size=(64, 64), mode="area")
        return torch.cat([torch.sigmoid(self.net(x[k:k + 256])) for k in range(0, len(x), 256)])

    def best(self, p, kind: str) -> list[str]:
        cols = [i for n, i in INDEX.items() if n.startswith(kind + "=")]
        return [NAMES[cols[i]].split("=")[1] for i in p[:, cols].argmax(1).tolist()]


def ceiling(judge, x, facts) -> dict:
    """What the judge scores on real, held-out scenes: no generated picture can be measured better."""
    p = judge(common.to_float(x))
    one = [i for i, m in enumerate(facts) if len(m["objs"]) == 1 and m["style"] != "ink"]
    objects, times = judge.best(p, "object"), judge.best(p, "time")
    lit = [i for i, m in enumerate(facts) if f"light={m['cel']}" in INDEX and m["style"] != "ink" and m["cel"] != "stars"]
    coloured = [i for i, m in enumerate(facts) if m["style"] != "ink"]
    return {"object": float(np.mean([objects[i] == facts[i]["objs"][0][0] for i in one])),
            "time": float(np.mean([times[i] == facts[i]["time"].split(":")[0] for i in coloured])),
            "moon or sun": float(np.mean([bool(p[i, INDEX[f"light={facts[i]['cel']}"]] > 0.5) for i in lit]))}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--minutes", type=float)
    p.add_argument("--steps", type=int)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--seed", type=int, default=6)
    p = p.parse_args()
    common.setup(p.seed)
    x, facts = np.load(p.data / "x64.npy", mmap_mode="r"), [json.loads(line) for line in open(p.data / "scenes.jsonl")]
    y, net, rng, step = torch.from_numpy(np.stack([label(m) for m in facts])), build(), np.random.default_rng(p.seed), 0
    opt, budget, mean = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-3, fused=True), common.Budget(p.minutes, p.steps), None
    while (f := budget.progress(step)) < 1:
        for g in opt.param_groups:
            g["lr"] = 2e-3 * min(1, (step + 1) / 50) * common.cosine(f)
        k = np.sort(rng.integers(0, len(x) - HELD, p.batch))
        picture = augment(common.to_float(x[k]), rng).to(common.DEVICE)
        with common.autocast():
            out = net(picture).float()
        loss = F.binary_cross_entropy_with_logits(out, y[k].to(common.DEVICE), pos_weight=torch.full((len(NAMES),), 4.0, device=common.DEVICE))
        loss.backward()
        opt.step()
        opt.zero_grad(set_to_none=True)
        step += 1
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 200 == 0:
            print(f"judge {budget.spent:.0f}s step {step} loss {mean:.4f} {step * p.batch / budget.spent:.0f}/s", flush=True)
    torch.save(net.state_dict(), p.run / "judge.pt")
    result = ceiling(Judge(p.run / "judge.pt"), x[-HELD:], facts[-HELD:])
    (p.run / "judge.json").write_text(json.dumps(result))
    print("judge done", step * p.batch, "samples; on real held-out scenes:", result, flush=True)


if __name__ == "__main__":
    main()
