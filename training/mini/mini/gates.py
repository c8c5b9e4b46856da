"""Measures the gates on a run or an exported folder and prints them, passed or not.

One picture a prompt, one seed, none picked."""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from . import captions, common, vae, vocab
from .judge import INDEX, Judge
from .sample import SAMPLERS, Painter

GATES = {"object": 0.90, "time of day": 0.95, "colour": 0.85, "moon or sun": 0.85, "side": 0.85, "sharpness": 0.80}
CONTEXTS = [("", None), (" in the snow at night", "night"), (" on the beach at sunset", "sunset"), (" in a meadow on a sunny day", "day"),
            (" on a blue background", "plain")]
LANDSCAPES = [("high mountains and a river under a full moon", "night", "full moon", ["mountains", "river"]),
              ("high mountains and flowing water", None, None, ["mountains", "river"]), ("mountains and a river at sunset", "sunset", None, ["mountains", "river"]),
              ("mountains and a river on a sunny day", "day", "sun", ["mountains", "river"]), ("the sea under a full moon", "night", "full moon", ["sea"]),
              ("the sea at sunset", "sunset", None, ["sea"]), ("a forest under a crescent moon", "night", "crescent moon", ["forest"]),
              ("a desert with the sun shining", "day", "sun", ["desert"]), ("a city at night under a full moon", "night", "full moon", ["city"]),
              ("snowy mountains under a crescent moon", "night", "crescent moon", ["mountains", "snow"]),
              ("a meadow on a sunny day", "day", "sun", ["meadow"]), ("green hills with a bright sun", "day", "sun", ["hills"])]
HUES = {k: v for k, v in vocab.COLOURS.items() if v is not None and k != "pink"}


def hue_right(picture, name: str) -> bool:
    """Over a third of the saturated pixels within 25 degrees of the hue asked for."""
    hsv = np.asarray(Image.fromarray(common.to_bytes(picture[None])[0]).convert("HSV"), np.float32) / 255
    solid = (hsv[..., 1] > 0.3) & (hsv[..., 2] > 0.25)
    away = np.abs((hsv[..., 0][solid] - HUES[name] + 0.5) % 1 - 0.5)
    return solid.sum() > 150 and float((away < 0.07).mean()) > 0.35


def centre(picture) -> float:
    """Where across a white picture the drawing stands, 0..1."""
    solid = (picture.amax(0) - picture.amin(0) > 0.25) | (picture.mean(0) < 0.2)
    weight = solid.float().sum(0)
    return float((weight * torch.arange(len(weight))).sum() / weight.sum().clamp(min=1)) / len(weight)


def sharpness(x) -> float:
    return float(sum(e.abs().mean() for e in vae.edges(x)))


def blobs(picture) -> int:
    """Separate drawings on white: runs of columns with something in them."""
    solid = ((picture.amax(0) - picture.amin(0) > 0.25) | (picture.mean(0) < 0.2)).float().sum(0) > 3
    runs = np.diff(np.concatenate([[0], solid.numpy().astype(int), [0]]))
    return sum(b - a > 8 for a, b in zip(np.flatnonzero(runs == 1), np.flatnonzero(runs == -1)))


def objects(paint, judge, result, failed):
    hits, times = [], []
    for k, (tail, when) in enumerate(CONTEXTS):
        x = paint([captions.article(key) + tail for key in vocab.CORE], seed=1000 * k)
        p = judge(x)
        best = judge.best(p, "object")
        hits += [b == key for b, key in zip(best, vocab.CORE)]
        for b, key in zip(best, vocab.CORE):
            if b != key:
                failed.setdefault(key, []).append(b)
        result[f"object{tail or ' alone'}"] = float(np.mean(hits[-len(vocab.CORE):]))
        if when:
            times += [b == when for b in judge.best(p, "time")]
    result["object"] = float(np.mean(hits))
    return times


def lands(paint, judge, result, times):
    lights, parts = [], []
    for seed in (1, 2, 3, 4):
        p = judge(paint([prompt for prompt, *_ in LANDSCAPES], seed=seed))
        for row, got, (_, when, light, wanted) in zip(p, judge.best(p, "time"), LANDSCAPES):
            if when:
                times.append(got == when)
            if light:
                lights.append(bool(row[INDEX[f"light={light}"]] > 0.5))
            parts += [bool(row[INDEX[f"land={x}"]] > 0.5) for x in wanted]
    result.update({"time of day": float(np.mean(times)), "moon or sun": float(np.mean(lights)), "parts of landscapes": float(np.mean(parts))})


def attributes(paint, judge, result):
    keys = [k for k in vocab.CORE if len(vocab.CONCEPTS[k]["colours"]) > 6]
    ask = [(k, c) for k in keys for c in HUES]
    x = paint([f"{captions.article(f'{c} {k}')} on a white background" for k, c in ask], seed=5)
    result["colour"] = float(np.mean([hue_right(p, c) for p, (_, c) in zip(x, ask)]))
    result["object when coloured"] = float(np.mean([b == k for b, (k, _) in zip(judge.best(judge(x), "object"), ask)]))
    sides = [(k, s) for k in vocab.CORE[::3] for s in ("left", "right")]
    x = paint([f"{captions.article(k)} on the {s} on a white background" for k, s in sides], seed=9)
    result["side"] = float(np.mean([(centre(p) < 0.44) if s == "left" else (centre(p) > 0.56) for p, (_, s) in zip(x, sides)]))
    counts = [(k, n) for k in vocab.CORE[::4] for n in (2, 3)]
    x = paint([f"{'two' if n == 2 else 'three'} {captions.plural(k)} on a white background" for k, n in counts], seed=11)
    result["count"] = float(np.mean([blobs(p) == n for p, (_, n) in zip(x, counts)]))


def both(paint, judge, result):
    """Two objects: are both among the judge's first two?"""
    for rel, words in (("beside", "next to"), ("under", "sitting under")):
        pairs = [(a, b) for a, b in zip(vocab.CORE, vocab.CORE[23:] + vocab.CORE[:23])][::2]
        p = judge(paint([f"{captions.article(a)} {words} {captions.article(b)}" for a, b in pairs], seed=13))
        cols = [INDEX[f"object={k}"] for k in vocab.CORE]
        top = p[:, cols].topk(2, 1).indices.tolist()
        result[f"both objects, {rel}"] = float(np.mean([{vocab.CORE[i] for i in t} == {a, b} for t, (a, b) in zip(top, pairs)]))


def sharp(paint, data: Path, result):
    facts = [json.loads(line) for line in open(data / "scenes.jsonl")][-160:]
    real = common.to_float(np.load(data / "x128.npy", mmap_mode="r")[-160:])
    result["sharpness"] = sharpness(paint([m["caption"] for m in facts], seed=17)) / sharpness(real)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("folder", type=Path)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--run", type=Path, required=True, help="folder with judge.pt")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--guidance", type=float, default=3.0)
    p.add_argument("--sampler", choices=list(SAMPLERS), default="ddim")
    p.add_argument("--unet", default="unet")
    p.add_argument("--out", type=Path)
    p = p.parse_args()
    painter, judge, result, failed = Painter(p.folder, unet=p.unet), Judge(p.run / "judge.pt"), {}, {}
    paint = lambda prompts, seed: painter(prompts, steps=p.steps, guidance=p.guidance, sampler=p.sampler, seed=seed, batch=32)
    times = objects(paint, judge, result, failed)
    lands(paint, judge, result, times)
    attributes(paint, judge, result)
    both(paint, judge, result)
    sharp(paint, p.data, result)
    result["judge on real scenes"] = json.loads((p.run / "judge.json").read_text())
    for name, value in result.items():
        gate = GATES.get(name)
        print(f"{name:32}", value if isinstance(value, dict) else f"{value:.3f}", "" if gate is None else f"gate {gate}: {'pass' if value >= gate else 'FAIL'}")
    print("mistaken at least twice:", {k: v for k, v in failed.items() if len(v) > 1})
    if p.out:
        p.out.write_text(json.dumps({"settings": [p.sampler, p.steps, p.guidance], "result": result, "mistaken": failed}, indent=1))


if __name__ == "__main__":
    main()
