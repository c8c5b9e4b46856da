"""Speech to text, ours beside faster-whisper's: same weights, clips and threads, in turns, in one run.

`whisper.py HEAR MODEL PYTHON [ROUNDS]` prints a page of Markdown; `./dev bench` writes it to docs/bench.md.
"""

import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
SPEECH = HERE.parent / "data" / "speech"
SAID = {
    "jfk.flac": "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
    "mountains.wav": "Paint high mountains and a river under a full moon.",
    "cat.wav": "A cat sitting under a yellow star.",
    "apple.wav": "Draw me a red apple on a green field.",
    "librispeech-1995-1837-0001.wav": "It was the first great sorrow of his life. It was not so much the loss of the cotton itself, but the fantasy, the hopes, the dreams built around it.",
}
TIMED = {"jfk.flac": "11 s", "mountains.wav": "3 s"}
INSTRUCTIONS = ["avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"]
OURS, WHOLE, FLOATS, PEER = "int8, default", "int8, 30 s windows", "f32, 30 s windows", "faster-whisper int8"


class Engine:
    """A program that answers a name with seconds and words."""

    def __init__(self, name, threads, command):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
        self.name, self.threads, self.errors, self.texts = name, threads, {}, {}
        self.seconds = {clip: [] for clip in TIMED}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
        )
        self.load = self.answer()["load"]
        self.idle = self.memory("VmRSS")

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} has ended: {self.process.wait()}")
        return json.loads(line)

    def hear(self, clip):
        self.process.stdin.write(f"{SPEECH / clip}\n")
        return self.answer()

    def memory(self, field):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1000

    def close(self):
        self.peak = self.memory("VmHWM")
        self.process.stdin.close()
        self.process.wait()


def words(text):
    return re.findall(r"[\w']+", text.lower())


def word_errors(found, said):
    row = list(range(len(said) + 1))
    for above, word in enumerate(found):
        diagonal, row[0] = row[0], above + 1
        for at, expected in enumerate(said):
            diagonal, row[at + 1] = row[at + 1], min(diagonal + (word != expected), row[at] + 1, row[at + 1] + 1)
    return row[-1]


def middle(engine, clip):
    return statistics.median(engine.seconds[clip])


def cell(engine, clip):
    times = engine.seconds[clip]
    return f"{middle(engine, clip):.3f} ({min(times):.3f}–{max(times):.3f})"


def engines(hear, model, python, threads):
    yield Engine(OURS, threads, [hear, model, "int8"])
    yield Engine(WHOLE, threads, [hear, model, "int8", "whole"])
    yield Engine(FLOATS, threads, [hear, model, "f32", "whole"])
    yield Engine(PEER, threads, [python, str(HERE / "faster.py"), model, str(threads)])


def measure(all_engines, rounds):
    for engine in all_engines:
        for clip, said in SAID.items():
            engine.texts[clip] = engine.hear(clip)["text"]
            engine.errors[clip] = word_errors(words(engine.texts[clip]), words(said))
    for turn in range(rounds):
        order = all_engines if turn % 2 == 0 else all_engines[::-1]
        for clip in TIMED:
            for engine in order:
                # f32 is what we had before: it takes so long that fewer rounds of it will do.
                if engine.name != FLOATS or turn % 3 == 0:
                    engine.seconds[clip].append(engine.hear(clip)["seconds"])
    for engine in all_engines:
        engine.close()


def cpu():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", text)[1]
    model = re.search(r"model\s*: (\d+)", text)[1]
    family = re.search(r"cpu family\s*: (\d+)", text)[1]
    flags = set(re.search(r"flags\s*: (.*)", text)[1].split())
    has = ", ".join(flag for flag in INSTRUCTIONS if flag in flags)
    return f"{name} (family {family}, model {model}), {os.cpu_count()} CPUs; of {', '.join(INSTRUCTIONS)} it has {has}"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(results, rounds, versions):
    times, memory, errors = [], [], []
    for all_engines in results:
        peer = next(engine for engine in all_engines if engine.name == PEER)
        for engine in all_engines:
            row = [str(engine.threads), engine.name]
            for clip in TIMED:
                row += [cell(engine, clip), f"{middle(peer, clip) / middle(engine, clip):.1f}×"]
            times.append(row)
            memory.append([*row[:2], f"{engine.load:.2f}", f"{engine.idle:.0f}", f"{engine.peak:.0f}"])
    for engine in results[0]:
        errors.append([engine.name, *(str(engine.errors[clip]) for clip in SAID), str(sum(engine.errors.values()))])
    heads = [head for length in TIMED.values() for head in (f"{length} clip", "faster than peer")]
    today = datetime.date.today()
    return f"""# Speed of speech to text

`./dev bench` wrote this page on {today.day} {today:%B %Y}: {rounds} rounds, the engines in turns, Whisper
base, language given, greedy, from samples to text. Seconds: median (least–most).

CPU: {cpu()}. Load of the machine at the end: {os.getloadavg()[0]:.1f}. {versions}

{table(["threads", "engine", *heads], times)}

"int8, default" hears a short recording with 7 s of silence behind it in place of a whole window of
30 s. Where the text is doubtful then, it hears the whole window. "int8, 30 s windows" always does, as
the peer does: the same work. "f32, 30 s windows" is `--whisper-precision f32`.

Seconds to load the model, resident memory after that, and the most of the whole run, in MB:

{table(["threads", "engine", "load", "idle", "peak"], memory)}

Wrong words of {sum(len(words(said)) for said in SAID.values())} (`tests/data/speech`):

{table(["engine", *(clip.split(".")[0].split("-")[0] for clip in SAID), "all"], errors)}
"""


def main():
    hear, model, python = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 9
    show = "import faster_whisper as f, ctranslate2 as c; print(f'faster-whisper {f.__version__}, CTranslate2 {c.__version__}.')"
    versions = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.strip()
    results = []
    for threads in (1, 2):
        all_engines = list(engines(hear, model, python, threads))
        measure(all_engines, rounds)
        results.append(all_engines)
    print(page(results, rounds, versions), end="")


if __name__ == "__main__":
    main()
