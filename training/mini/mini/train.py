"""From nothing to weights: runs every stage that has not finished yet, in order.

    python -m mini.train --work WORK --icons icons.json --out models/mini

A stage that was interrupted goes on from its last checkpoint; one that finished is skipped."""
import argparse
import subprocess
import sys
from pathlib import Path

import torch

# Minutes are one core of a 2025 server CPU or one GPU; those of `pairs`, `lights` and `last` count from the start of `unet`.
CPU = dict(vae=40, text=9, unet=90, pairs=130, lights=140, last=205, decoder=60, encoder=8, judge=8)
GPU = dict(vae=5, text=2, unet=15, pairs=22, lights=24, last=35, decoder=10, encoder=2, judge=2)

MODULES = dict(crowd="data", pairs="unet", lights="unet", last="unet", encoder="decoder")  # of stages that share one


def stages(a):
    data, run, m = a.work / "data", a.work / "run", GPU if torch.cuda.is_available() else CPU
    m = {k: str(v * a.scale) for k, v in m.items()}
    both = ["--data", data, "--run", run]
    yield "sprites", [a.icons, data / "sprites.npz"]
    yield "data", ["--out", data, "--sprites", data / "sprites.npz", "--n", a.scenes]
    crowd = a.work / "crowd"
    yield "crowd", ["--out", crowd, "--sprites", data / "sprites.npz", "--n", a.scenes * 3 // 2, "--crowded", "--seed", "77"]
    yield "vae", ["--data", data / "x64.npy", "--out", run, "--minutes", m["vae"]]
    yield "text", ["--out", run, "--minutes", m["text"]]
    yield "unet", [*both, "--minutes", m["unet"]]
    # Two things in a picture, then moons and suns again, then both: what is learned last is remembered best.
    more = [*both, "--more", crowd, "--minutes"]
    yield "pairs", [*more, m["pairs"], "--lr", "7e-4", "--decay-from", "0.8", "--shares", "0.1", "0.22", "0.48", "0.2"]
    yield "lights", [*more, m["lights"], "--lr", "3e-4", "--decay-from", "0.94", "--ema", "0.997", "--shares", "0.06", "0.12", "0.37", "0.45"]
    yield "last", [*more, m["last"], "--lr", "6e-4", "--decay-from", "0.9", "--ema", "0.9985", "--shares", "0.08", "0.2", "0.52", "0.2"]
    yield "guess", both
    yield "decoder", ["decoder", *both, "--minutes", m["decoder"]]
    yield "encoder", ["encoder", *both, "--minutes", m["encoder"]]
    yield "judge", [*both, "--minutes", m["judge"]]
    best = ["--steps", "16", "--guidance", "4.5"]
    yield "export", [run, a.out, *best]
    yield "gates", [a.out, *both, *best, "--out", run / "gates.json"]
    yield "sample", [a.out, run / "sheet.png", *best]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", type=Path, required=True)
    p.add_argument("--icons", type=Path, required=True, help="icons.json of npm's @iconify-json/fluent-emoji")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--scenes", type=int, default=40_000)
    p.add_argument("--scale", type=float, default=1.0, help="times the minutes of every stage")
    a = p.parse_args()
    (a.work / "run").mkdir(parents=True, exist_ok=True)
    for name, args in stages(a):
        done = a.work / f".{name}-done"
        if done.exists():
            print(name, "is done", flush=True)
            continue
        module = MODULES.get(name, name)
        subprocess.run([sys.executable, "-m", f"mini.{module}", *map(str, args)], check=True, cwd=Path(__file__).parents[1])
        done.touch()


if __name__ == "__main__":
    main()
