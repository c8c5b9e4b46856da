"""The points that a GPU must pass. Needs Python alone, and a folder that was carried to the machine.

`gpu.py FOLDER [POINTS]` prints a page of Markdown, and ends with 1 if a point fails. `./dev cuda` makes the folder:
shanshui, shanshui-cuda, gpu-cudnn (`./dev cuda local cuda`: gpu-cuda, without cuDNN), nats-server, models. The
libraries of CUDA and cuDNN must be where the loader looks (LD_LIBRARY_PATH).
"""

import datetime
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

# Published: ONNX Runtime, Stable Diffusion 1.5, 50 steps, 512 px, one picture on an H100 (microsoft/onnxruntime#22834).
PICTURE_SECONDS = 0.57
DECIBELS = 35
DEVICE = "cuda:0"


class Failed(Exception):
    pass


def ensure(true, words):
    if not true:
        raise Failed(words)
    return words


class Bench:
    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        path = self.folder / name
        ensure(path.exists(), f"{path} is missing")
        return str(path)

    def run(self, *command, **options):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
        ensure(done.returncode == 0, f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
        return done.stdout

    def ask(self, *words, lines=(), program="gpu-cudnn", **options):
        """The answers of the example `gpu`."""
        text = "".join(f"{line}\n" for line in lines)
        said = self.run(self.path(program), *words, input=text, **options)
        return [json.loads(line) for line in said.splitlines()]

    def used(self):
        """Memory of the first GPU that is in use, in MB."""
        said = self.run("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0")
        return int(said.strip())

    def up(self, data, *flags):
        """`shanshui up` on the GPU, when it is ready."""
        environment = dict(os.environ, SHANSHUI_MODELS=self.path("models"), SHANSHUI_DATA=data)
        environment["SHANSHUI_NATS_SERVER"] = self.path("nats-server")
        log = open(f"{data}/up.log", "w+")
        flags = ["--paint-device", "cuda", *flags]
        up = subprocess.Popen([self.path("shanshui"), "up", *flags], env=environment, stdout=log, stderr=log)
        for _ in range(600):
            if "shanshui is ready" in pathlib.Path(log.name).read_text():
                return up, environment
            ensure(up.poll() is None, f"up ended: {pathlib.Path(log.name).read_text()[-300:]}")
            time.sleep(0.2)
        raise Failed("up is not ready after two minutes")


def a_libraries(bench):
    """which libraries the two programs need"""
    small = bench.run("ldd", bench.path("shanshui"))
    ensure("cuda" not in small and "cublas" not in small, "the small program needs CUDA")
    large = bench.run("ldd", bench.path("shanshui-cuda"))
    missing = [line.strip() for line in large.splitlines() if "not found" in line]
    ensure(not missing, f"missing: {'; '.join(missing)}")
    ensure("libcuda.so.1" in large and "libcudnn" in large, "shanshui-cuda is built without CUDA or cuDNN")
    found = bench.run(bench.path("shanshui"), "gpus").strip()
    ensure(found.startswith("cuda:0 "), f"shanshui gpus says {found!r}")
    return f"shanshui starts shanshui-cuda, which finds {found.splitlines()[0]}"


def b_quality(bench):
    """bf16 there beside f32 on the CPU"""
    answers = bench.ask("apart", DEVICE, bench.path("models/mini"))
    apart = {answer["part"]: answer["decibels"] for answer in answers}
    words = ", ".join(f"{part} {value:.1f} dB" for part, value in apart.items())
    ensure(set(apart) == {"text", "unet", "vae", "picture"}, f"answers of {words}")
    return ensure(min(apart.values()) >= DECIBELS, f"{words}; allowed: {DECIBELS} or more")


def c_speed(bench):
    """50 steps with guidance at 512 px, one picture and four"""
    lines = ["512 512 1 2", "512 512 4 2", *["512 512 1 50"] * 5, *["512 512 4 50"] * 3]
    seconds = [answer["seconds"] for answer in bench.ask("picture", DEVICE, lines=lines)[1:]]
    one, four = statistics.median(seconds[2:7]), statistics.median(seconds[7:])
    words = f"one {one:.2f} s, four {four:.2f} s; allowed: {PICTURE_SECONDS} s for each"
    return ensure(one <= PICTURE_SECONDS and four <= 4 * PICTURE_SECONDS, words)


def d_sdxl(bench):
    """the shape of SDXL-Turbo, 4 steps"""
    raise Failed("the program has no SDXL; published: 84 ms on an H100")


def e_widths(bench):
    """1024 px four times, 2048 × 512: rows of a batch beside the same alone"""
    lines = ["1024 1024 4 1", "2048 512 2 1"]
    worst = [answer["said"]["decibels"] or 999 for answer in bench.ask("rows", DEVICE, lines=lines)[1:]]
    finite = [answer["said"]["finite"] for answer in bench.ask("picture", DEVICE, lines=lines)[1:]]
    words = f"{worst[0]:.0f} dB and {worst[1]:.0f} dB, finite: {finite}; allowed: 40 or more"
    return ensure(min(worst) >= 40 and all(finite), words)


def f_full(bench):
    """a full GPU is understood, and what comes next is computed"""
    said = bench.ask("full", DEVICE)[-1]
    words = f"{said['gigabytes']} GB taken, understood: {said['known']}, after that finite: {said['after']['finite']}"
    return ensure(said["known"] and said["after"]["finite"], words)


def g_killed(bench):
    """kill -9 in a step gives the memory back"""
    before = bench.used()
    work = subprocess.Popen([bench.path("gpu-cudnn"), "picture", DEVICE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    work.stdout.readline()
    work.stdin.write("1024 1024 4 500\n")
    work.stdin.flush()
    time.sleep(3)
    during = bench.used()
    work.send_signal(signal.SIGKILL)
    work.wait()
    start = time.monotonic()
    while bench.used() > before + 64 and time.monotonic() - start < 30:
        time.sleep(0.2)
    seconds, after = time.monotonic() - start, bench.used()
    words = f"{before} MB before, {during} during, {after} after {seconds:.1f} s; allowed: 64 MB more, in 10 s"
    return ensure(during > before + 1000 and after <= before + 64 and seconds <= 10, words)


def h_cancels(bench):
    """100 jobs canceled at work, and memory as before"""
    with tempfile.TemporaryDirectory() as data:
        up, environment = bench.up(data)
        try:
            program, shown = bench.path("shanshui"), {"env": environment}
            bench.run(program, "draw", "a cat", "--out", f"{data}/first", **shown)
            before = bench.used()
            for number in range(100):
                job = f"canceled-{number}"
                draw = subprocess.Popen(
                    [program, "draw", "a cat", "--id", job, "--steps", "150", "--count", "16", "--out", f"{data}/none"],
                    env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
                time.sleep(0.3)
                bench.run(program, "jobs", "cancel", job, **shown)
                code = draw.wait(timeout=60)
                ensure(code == 4, f"job {number} ended with {code}, not as canceled")
            start = time.monotonic()
            bench.run(program, "draw", "a cat", "--out", f"{data}/last", **shown)
            seconds, after = time.monotonic() - start, bench.used()
        finally:
            up.terminate()
            up.wait(timeout=60)
    words = f"{before} MB before, {after} after; the next picture in {seconds:.1f} s; allowed: 5 % more memory"
    return ensure(after <= before * 1.05, words)


def i_cold(bench):
    """a cold start by its parts: the driver's cache of kernels empty, then full"""
    with tempfile.TemporaryDirectory() as cache:
        environment, totals, words = dict(os.environ, CUDA_CACHE_PATH=cache), [], []
        for name in ("empty", "full"):
            start = time.monotonic()
            parts = {part["part"]: part["seconds"] for part in bench.ask("cold", DEVICE, env=environment)}
            whole = time.monotonic() - start
            split = ", ".join(f"{part} {seconds:.2f}" for part, seconds in parts.items())
            words.append(f"{name}: start and end {whole - sum(parts.values()):.2f}, {split}")
            # A worker reads its weights; these are made, by one thread of the CPU.
            totals.append(whole - parts["weights, made on the CPU"])
    return ensure(totals[1] <= 10, f"{'; '.join(words)}; allowed: 10 s with a full cache, weights not counted")


def j_cudnn(bench):
    """decoding with cuDNN and without"""
    def seconds(program):
        answers = bench.ask("decode", DEVICE, lines=["512 512 1 1"] * 8, program=program)
        return statistics.median(answer["seconds"] for answer in answers[3:])

    on, off = seconds("gpu-cudnn"), seconds("gpu-cuda")
    return ensure(on <= off, f"with {on * 1000:.1f} ms, without {off * 1000:.1f} ms; allowed: not slower with it")


def k_same(bench):
    """the steps of every sampler, given the same answers, beside those of the CPU, to the bit"""
    answers = bench.ask("same", DEVICE)
    kinds = {(answer["sampler"], answer["prediction"]) for answer in answers}
    differ = [f"{answer['sampler']} ({answer['prediction']})" for answer in answers if answer["differ"]]
    numbers = sum(answer["numbers"] for answer in answers)
    words = f"{len(kinds)} walks, {numbers} numbers; others: {', '.join(differ) or 'none'}"
    return ensure(len(kinds) == 60 and not differ, words)


POINTS = [a_libraries, b_quality, c_speed, d_sdxl, e_widths, f_full, g_killed, h_cancels, i_cold, j_cudnn, k_same]


def gpu():
    """Name, driver and memory of the GPU, or none."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(query, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def main():
    if not sys.argv[1:]:
        sys.exit("gpu.py: allowed: gpu.py FOLDER [POINTS, as abj]")
    card = gpu()
    if card is None:
        sys.exit("gpu.py: there is no NVIDIA GPU on this machine (nvidia-smi finds none): no point was tried")
    bench, today, failed = Bench(pathlib.Path(sys.argv[1]).resolve()), datetime.date.today(), 0
    print(f"# GPU\n\n`./dev bench gpu`, {today.day} {today:%B %Y}. {card}.\n\n| point | | |\n| --- | --- | --- |")
    for point in POINTS:
        if len(sys.argv) > 2 and point.__name__[0] not in sys.argv[2]:
            continue
        try:
            result, words = "pass", point(bench)
        except (Failed, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            result, words, failed = "**fails**", f"{error}", failed + 1
        print(f"| {point.__name__[0]}: {point.__doc__} | {result} | {words} |", flush=True)
    sys.exit(1 if failed else 0)


main()
