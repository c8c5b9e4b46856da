"""The networks of Stable Diffusion 1.5, ours beside diffusers on torch and on OpenVINO: same shapes, random
weights, same threads, in turns, in one run.

`pictures.py DRAW PYTHON [ROUNDS]` prints a page of Markdown; `./dev bench` writes it to docs/bench-pictures.md.
"""

import datetime
import json
import pathlib
import statistics
import subprocess
import sys

from engine import Engine, cpu, load, table

HERE = pathlib.Path(__file__).parent
OURS, EXACT, PEER, PEER_HALF, OPENVINO = "bf16", "f32", "torch f32", "torch bf16", "OpenVINO"
PEERS = (PEER, PEER_HALF, OPENVINO)
# What is measured, with which threads, at which sides of the latents.
WORK = {
    "unet": ("UNet step with guidance", (1, 2), (32, 64)),
    "vae": ("VAE decode", (1, 2), (32, 64)),
    "few": ("picture of 1 step: text, UNet without guidance, TAESD", (2,), (64,)),
}


def engines(network, threads, draw, python):
    peer = [python, str(HERE / "diffuse.py"), network]
    yield Engine(OURS, threads, [draw, network, "bf16"])
    yield Engine(EXACT, threads, [draw, network, "f32"])
    for name, kind in zip(PEERS, ("f32", "bf16", "openvino")):
        yield Engine(name, threads, [*peer, kind, str(threads)])


def measure(network, threads, sides, rounds, programs):
    """Seconds by side and engine, and the engines. The first call of each, which warms it up, does not count."""
    all_engines = list(engines(network, threads, *programs))
    seconds = {}
    for side in sides:
        for engine in all_engines:
            if side == sides[0]:
                engine.ask(side)
        for turn in range(rounds):
            for engine in all_engines if turn % 2 == 0 else all_engines[::-1]:
                seconds.setdefault((side, engine.name), []).append(engine.ask(side)["seconds"])
    for engine in all_engines:
        engine.close()
    return seconds, all_engines


def cell(times):
    return f"{statistics.median(times):.2f} ({min(times):.2f}–{max(times):.2f})"


def row(name, threads, side, seconds):
    middle = {engine: statistics.median(times) for (at, engine), times in seconds.items() if at == side}
    best = min(middle[peer] for peer in PEERS)
    cells = [cell(seconds[side, engine]) for engine in (OURS, EXACT, *PEERS)]
    return [f"{name}, {side}²", str(threads), *cells, f"{best / middle[OURS]:.2f}×", f"{middle[PEER] / middle[EXACT]:.2f}×"]


def quality(draw):
    """How far bf16 is from f32."""
    lines = subprocess.run([draw, "apart", "32"], capture_output=True, text=True, check=True).stdout.splitlines()
    answers = map(json.loads, lines)
    return {answer["network"]: f"{answer['decibels']:.1f} dB" for answer in answers}


def page(times, memory, apart, rounds, versions):
    today = datetime.date.today()
    return f"""# Speed of pictures

`./dev bench` wrote this page on {today.day} {today:%B %Y}: {rounds} {"round" if rounds == 1 else "rounds"}, the engines in turns, networks of the
shape of Stable Diffusion 1.5 with random weights. Seconds: median (least–most).

CPU: {cpu()}. Load of the machine at the end: {load()}. {versions}.

{table(["work, side of the latents", "threads", "ours, bf16", "ours, f32", *PEERS,
        "bf16 beside the best peer", "f32 beside torch f32"], times)}

A side of 32 makes pictures of 256 px, one of 64 those of 512 px. torch has its maps channels last.
OpenVINO chooses its precision itself (bf16 where the CPU has the instructions). `--paint-precision auto` takes
bf16 where the CPU is faster in it.

Most memory of a process over all sides, while it loads as well, in MB; torch makes its weights in f32 first, and
OpenVINO converts torch's:

{table(["work", "ours, bf16", "ours, f32", *PEERS], memory)}

bf16 beside f32 at a side of 32, peak signal to noise: UNet {apart["unet"]}, VAE {apart["vae"]}. A test holds the
pictures of the model that ships above 35 dB.
"""


def main():
    draw, python = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    show = "import importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in ('torch', 'diffusers', 'openvino')), sep=', ')"
    versions = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.strip()
    times, memory = [], []
    for network, (name, all_threads, sides) in WORK.items():
        for threads in all_threads:
            seconds, all_engines = measure(network, threads, sides, rounds, (draw, python))
            times += [row(name, threads, side, seconds) for side in sides]
        memory.append([name, *(f"{engine.peak:.0f}" for engine in all_engines)])
    print(page(times, memory, quality(draw), rounds, versions), end="")


main()
