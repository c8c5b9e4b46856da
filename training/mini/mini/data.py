"""Stage 0: draws the scenes. x128.npy and x64.npy (uint8 pictures), scenes.jsonl (caption and facts).

`--crowded` makes the second set, of several things in each picture, which only the UNet learns from."""
import argparse
import json
import multiprocessing as mp
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from .scenes import scene
from .sprites import Sprites


def half(x: np.ndarray) -> np.ndarray:
    """128 -> 64 px by 2 x 2 means."""
    h, w, c = x.shape
    return ((x.reshape(h // 2, 2, w // 2, 2, c).astype(np.uint16).sum((1, 3)) + 2) // 4).astype(np.uint8)


def sizes(crowded: bool) -> dict[str, int]:
    """The decoder alone wants 128 px, and is not shown the second set."""
    return {"x64": 64} if crowded else {"x128": 128, "x64": 64}


def work(job):
    out, drawings, begin, end, seed, fixed, crowded = job
    sprites = Sprites(drawings)
    files = {n: np.load(out / f"{n}.npy", mmap_mode="r+") for n in sizes(crowded)}
    lines = []
    for i in range(begin, end):
        # The easy scenes are spread evenly: every prefix of the set has the same mix.
        easy = int((i + 1) * fixed) > int(i * fixed)
        picture, caption, facts = scene(seed * 10_000_019 + i, sprites, easy, crowded)
        files["x64"][i] = half(picture)
        if "x128" in files:
            files["x128"][i] = picture
        lines.append(json.dumps(dict(caption=caption, **facts)))
    return begin, lines


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--sprites", type=Path, required=True, help="sprites.npz")
    p.add_argument("--n", type=int, default=40_000)
    p.add_argument("--fixed", type=float, default=0.3, help="share of easy scenes")
    p.add_argument("--crowded", action="store_true", help="several things in every picture")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=mp.cpu_count())
    p = p.parse_args()
    p.out.mkdir(parents=True, exist_ok=True)
    for name, size in sizes(p.crowded).items():
        open_memmap(p.out / f"{name}.npy", "w+", np.uint8, (p.n, size, size, 3)).flush()
    step, start = 250, time.time()
    jobs = [(p.out, p.sprites, k, min(k + step, p.n), p.seed, 0 if p.crowded else p.fixed, p.crowded) for k in range(0, p.n, step)]
    with mp.Pool(p.jobs) as pool, open(p.out / "scenes.jsonl", "w") as f:
        for begin, lines in pool.imap(work, jobs):
            f.write("\n".join(lines) + "\n")
            if begin % 5000 == 0:
                print(f"data {begin} {(begin + step) / (time.time() - start):.0f} scenes/s", flush=True)
    print(f"data done: {p.n} scenes in {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
