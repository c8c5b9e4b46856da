"""Speech to text, ours beside faster-whisper's: same weights, clips and threads, in turns, in one run.

`whisper.py HEAR MODEL PYTHON GGML [ROUNDS]` prints a page of Markdown; `./dev bench` writes it to docs/bench.md. GGML is
where the same weights are put for whisper.cpp.
"""

import datetime
import pathlib
import re
import statistics
import subprocess
import sys

from engine import Engine, cpu, load, table

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
OURS, WHOLE, FLOATS, PEER = "int8, default", "int8, 30 s windows", "f32, 30 s windows", "faster-whisper int8"
# Instructions beyond AVX2 are kept from both.
OURS_2, WHOLE_2, PEER_2 = f"{OURS}, AVX2", f"{WHOLE}, AVX2", f"{PEER}, AVX2"
CPP, CPP_SHORT = "whisper.cpp q8_0", "whisper.cpp q8_0, audio_ctx"
# Measured on 30 November 2026 (AMD EPYC, family 26) with register-only loops and common/kernels/examples/speed.rs.
BOUNDS = """What bounds one thread, on an AMD EPYC of family 26 (30 November 2026). A multiplication and its
addition are two operations, G are thousands of millions a second:

- AVX-512: `vpdpbusd` with registers alone makes 1,085 G. A product of 1,500 rows makes 850 to 930 G,
  with 512 inputs as with 2,048. About an eighth of the time goes into bias, residual and the way
  back to floats. Attention to 1,500 positions makes 660 G: a third of its time is the softmax.
- AVX-512, each word: one row meets 47 MB of weights, more than the third cache keeps. They take
  0.9 ms, which is 52 GB/s. A loop that only reads reaches 45 to 60 GB/s over 48 MB, and 110 GB/s
  over 16 MB.
- AVX2: two `vpmaddwd` a cycle would make 270 G. A product of 48 rows makes 210 G, since sums and
  the widening of weights take more than half of the vector units. Bytes by `vpmaddubsw` are no
  quicker: they have 7 bits, and the text needs two of them."""
CAPPED = {"CT2_FORCE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


class Hearer(Engine):
    """One that answers the name of a recording with seconds and words."""

    def __init__(self, name, threads, command, **more):
        super().__init__(name, threads, command, **more)
        self.errors, self.texts = {}, {}
        self.seconds = {clip: [] for clip in TIMED}

    def hear(self, clip):
        return self.ask(SPEECH / clip)


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


def engines(hear, model, python, ggml, threads):
    yield Hearer(OURS, threads, [hear, model, "int8"])
    yield Hearer(WHOLE, threads, [hear, model, "int8", "whole"])
    yield Hearer(FLOATS, threads, [hear, model, "f32", "whole"])
    peer = [python, str(HERE / "faster.py"), model, str(threads)]
    yield Hearer(PEER, threads, peer)
    if threads == 1:
        yield Hearer(OURS_2, threads, [hear, model, "int8"], SHANSHUI_KERNELS="avx2")
        yield Hearer(WHOLE_2, threads, [hear, model, "int8", "whole"], SHANSHUI_KERNELS="avx2")
        yield Hearer(PEER_2, threads, peer, **CAPPED)
        cpp = [python, str(HERE / "cpp.py"), ggml, str(threads)]
        yield Hearer(CPP, threads, cpp)
        yield Hearer(CPP_SHORT, threads, [*cpp, "short"])


def measure(all_engines, rounds):
    for engine in all_engines:
        for clip, said in SAID.items():
            engine.texts[clip] = engine.hear(clip)["text"]
            engine.errors[clip] = word_errors(words(engine.texts[clip]), words(said))
    for turn in range(rounds):
        order = all_engines if turn % 2 == 0 else all_engines[::-1]
        for clip in TIMED:
            for engine in order:
                # These take so long that fewer rounds of them will do.
                if engine.name not in (FLOATS, CPP, CPP_SHORT) or turn % 3 == 0:
                    engine.seconds[clip].append(engine.hear(clip)["seconds"])
    for engine in all_engines:
        engine.close()


def page(results, rounds, versions):
    times, memory, errors = [], [], []
    for all_engines in results:
        named = {engine.name: engine for engine in all_engines}
        for engine in all_engines:
            peer = named[PEER_2 if engine.name in (OURS_2, WHOLE_2, PEER_2) else PEER]
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

CPU: {cpu()}. Load of the machine at the end: {load()}. {versions}

{table(["threads", "engine", *heads], times)}

"int8, default" hears a short recording with 6.4 to 7 s of silence behind it in place of a whole
window of 30 s. Where the text is doubtful then, it hears the whole window. "int8, 30 s windows"
always does, as the peer does: the same work. "f32, 30 s windows" is `--whisper-precision f32`.

{BOUNDS}

Seconds to load the model, resident memory after that, and the most of the whole run, in MB:

{table(["threads", "engine", "load", "idle", "peak"], memory)}

Wrong words of {sum(len(words(said)) for said in SAID.values())} (`tests/data/speech`):

{table(["engine", *(clip.split(".")[0].split("-")[0] for clip in SAID), "all"], errors)}
"""


def main():
    hear, model, python, ggml = sys.argv[1:5]
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 9
    if not pathlib.Path(ggml).exists():
        subprocess.run([python, str(HERE / "ggml.py"), model, ggml], check=True)
    show = "import faster_whisper as f, ctranslate2 as c; import importlib.metadata as m; print(f'faster-whisper {f.__version__}, CTranslate2 {c.__version__}, pywhispercpp', m.version('pywhispercpp') + '.')"
    versions = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.strip()
    results = []
    for threads in (1, 2):
        all_engines = list(engines(hear, model, python, ggml, threads))
        measure(all_engines, rounds)
        results.append(all_engines)
    print(page(results, rounds, versions), end="")


if __name__ == "__main__":
    main()
