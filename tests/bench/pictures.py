"""The networks of Stable Diffusion 1.5, ours beside diffusers on torch and on OpenVINO and beside
stable-diffusion.cpp: same shapes, random weights, same threads, in turns, in one run.

`pictures.py DRAW PYTHON [ROUNDS]` prints a page of Markdown; `./dev bench` writes it to docs/bench-pictures.md.
"""

import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from engine import Engine, cpu, load, table

HERE = pathlib.Path(__file__).parent
OURS, EXACT, PEER, PEER_HALF = "bf16", "f32", "torch f32", "torch bf16"
OPENVINO, CPP = "OpenVINO", "stable-diffusion.cpp"
PEERS = (PEER, PEER_HALF, OPENVINO, CPP)
# What is measured, with which threads, at which sides of the latents.
WORK = {
    "unet": ("UNet step with guidance", {1: (32, 64), 2: (32, 64)}),
    "vae": ("VAE decode", {1: (32, 64), 2: (32, 64, 128)}),
    "few": ("picture of 1 step: text, UNet without guidance, TAESD", {2: (64,)}),
}
# These load for a minute, or compute for one: they are measured with two threads alone.
THREADS = 2
# A call that takes longer, in seconds, is made once: a second one would tell little more.
LONG = 6
CPP_SIDES = (32, 64)


def engines(network, threads, draw, python):
    peer = [python, str(HERE / "diffuse.py"), network]
    yield Engine(OURS, threads, [draw, network, "bf16"])
    yield Engine(EXACT, threads, [draw, network, "f32"])
    for name, kind in zip(PEERS, ("f32", "bf16", "openvino")):
        if name != OPENVINO or threads == THREADS:
            yield Engine(name, threads, [*peer, kind, str(threads)])


def measure(network, threads, sides, rounds, programs):
    """Seconds and the most memory so far, by side and engine. The first call of each, which warms it up, does
    not count."""
    all_engines = list(engines(network, threads, *programs))
    seconds, peaks = {}, {}
    for engine in all_engines:
        engine.ask(32)
    for side in sides:
        for turn in range(rounds):
            for engine in all_engines if turn % 2 == 0 else all_engines[::-1]:
                times = seconds.setdefault((side, engine.name), [])
                if not times or times[0] < LONG:
                    times.append(engine.ask(side)["seconds"])
        peaks |= {(side, engine.name): engine.memory("VmHWM") for engine in all_engines}
    for engine in all_engines:
        engine.close()
    return seconds, peaks


def measure_cpp(python):
    """Seconds by network, side and engine, and the most memory of stable-diffusion.cpp, whose program makes
    whole pictures: the times of the parts are those of its log."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, str(HERE / "diffuse.py"), "write", folder], check=True)
        engine = Engine(CPP, THREADS, [python, str(HERE / "sdcpp.py"), folder, str(THREADS)])
        for side in CPP_SIDES:
            for network, time in engine.ask(side).items():
                seconds[network, side] = [time]
        engine.close()
    return seconds, engine.peak


def cell(times):
    if not times:
        return "–"
    return f"{statistics.median(times):.2f}" + (f" ({min(times):.2f}–{max(times):.2f})" if len(times) > 1 else "")


def row(name, threads, side, seconds):
    middle = {engine: statistics.median(times) for (at, engine), times in seconds.items() if at == side}
    best = min(middle[peer] for peer in PEERS if peer in middle)
    cells = [cell(seconds.get((side, engine))) for engine in (OURS, EXACT, *PEERS)]
    return [f"{name}, {side}²", str(threads), *cells, f"{best / middle[OURS]:.2f}×", f"{middle[PEER] / middle[EXACT]:.2f}×"]


def memory_row(name, side, peaks):
    peer = [peaks[side, engine] for engine in PEERS[:3]]
    return [f"{name}, {8 * side} px", *(f"{peaks[side, engine]:.0f}" for engine in (OURS, EXACT)), *map("{:.0f}".format, peer)]


def quality(draw):
    """How far bf16 is from f32."""
    lines = subprocess.run([draw, "apart", "32"], capture_output=True, text=True, check=True).stdout.splitlines()
    answers = map(json.loads, lines)
    return {answer["network"]: f"{answer['decibels']:.1f} dB" for answer in answers}


def page(times, memory, notes, rounds):
    today = datetime.date.today()
    return f"""# Speed of pictures

`./dev bench` wrote this page on {today.day} {today:%B %Y}: {rounds} {"round" if rounds == 1 else "rounds"}, the engines in turns, networks of the
shape of Stable Diffusion 1.5 with random weights. Seconds: median (least–most). A call of more than {LONG} s was
made once.

CPU: {cpu()}. Load of the machine at the end: {load()}. {notes["versions"]}.

{table(["work, side of the latents", "threads", "ours, bf16", "ours, f32", *PEERS,
        "bf16 beside the best peer", "f32 beside torch f32"], times)}

A side of 32 makes pictures of 256 px, one of 64 those of 512 px, one of 128 those of 1024 px. torch has its maps
channels last. OpenVINO chooses its precision itself (bf16 where the CPU has the instructions). stable-diffusion.cpp
has weights in f16. It makes whole pictures, here one of each size, and its log says how long the parts took. These
two are slow to load or to compute, and were measured with {THREADS} threads alone. `--paint-precision auto` takes bf16
where the CPU is faster in it.

Most memory of a process so far, while it loads as well, in MB, with {THREADS} threads; torch makes its weights in f32
first, and OpenVINO converts torch's:

{table(["work", "ours, bf16", "ours, f32", *PEERS[:3]], memory)}

stable-diffusion.cpp holds the text encoder, the UNet and the decoder together: {notes["cpp"]:.0f} MB for 512 px.

bf16 beside f32 at a side of 32, peak signal to noise: UNet {notes["unet"]}, VAE {notes["vae"]}. A test holds the
pictures of the model that ships above 35 dB. A large map is decoded in bands, to the same bits
([memory](pictures.md#memory)).
"""


def main():
    draw, python = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    packages = ("torch", "diffusers", "openvino", "stable-diffusion-cpp-python")
    show = f"import importlib.metadata as m; print(*(f'{{n}} {{m.version(n)}}' for n in {packages}), sep=', ')"
    versions = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.strip()
    seconds_cpp, peak_cpp = measure_cpp(python)
    times, memory = [], []
    for network, (name, work) in WORK.items():
        for threads, sides in work.items():
            seconds, peaks = measure(network, threads, sides, rounds, (draw, python))
            if threads == THREADS:
                seconds |= {(side, CPP): found for (of, side), found in seconds_cpp.items() if of == network}
                memory += [memory_row(name, side, peaks) for side in sides if side >= 64]
            times += [row(name, threads, side, seconds) for side in sides]
    print(page(times, memory, {"versions": versions, "cpp": peak_cpp, **quality(draw)}, rounds), end="")


main()
