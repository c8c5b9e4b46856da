"""Stage 0: draws the scenes. x128.npy and x64.npy (uint8 pictures), scenes.jsonl (caption and facts)."""
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


def work(job):
    out, begin, end, seed, fixed = job
    sprites = Sprites(out / "sprites.npz")
    big, small = (np.load(out / f"{n}.npy", mmap_mode="r+") for n in ("x128", "x64"))
    lines = []
    for i in range(begin, end):
        # The easy scenes are spread evenly: every prefix of the set has the same mix.
        easy = int((i + 1) * fixed) > int(i * fixed)
        picture, caption, facts = scene(seed * 10_000_019 + i, sprites, easy)
        big[i], small[i] = picture, half(picture)
        lines.append(json.dumps(dict(caption=caption, **facts)))
    return begin, lines


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=Path, required=True, help="folder with sprites.npz")
    p.add_argument("--n", type=int, default=40_000)
    p.add_argument("--fixed", type=float, default=0.3, help="share of easy scenes")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=mp.cpu_count())
    p = p.parse_args()
    for name, size in (("x128", 128), ("x64", 64)):
        open_memmap(p.out / f"{name}.npy", "w+", np.uint8, (p.n, size, size, 3)).flush()
    step, start = 250, time.time()
    jobs = [(p.out, k, min(k + step, p.n), p.seed, p.fixed) for k in range(0, p.n, step)]
    with mp.Pool(p.jobs) as pool, open(p.out / "scenes.jsonl", "w") as f:
        for begin, lines in pool.imap(work, jobs):
            f.write("\n".join(lines) + "\n")
            if begin % 5000 == 0:
                print(f"data {begin} {(begin + step) / (time.time() - start):.0f} scenes/s", flush=True)
    print(f"data done: {p.n} scenes in {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
