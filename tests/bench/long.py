"""Long recordings, ours beside faster-whisper with and without its voice activity detection.

`long.py HEAR MODEL PYTHON [ROUNDS]` prints a page of Markdown; `./dev bench long` writes it to docs/bench-long.md. The
recordings are made of tests/data/speech, one clip behind the other with pauses.
"""

import array
import datetime
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import wave

from engine import Engine, cpu, load, table
from whisper import HERE, SAID, SPEECH, word_errors, words

RATE, PAUSE = 16_000, 0.5
OURS, PEER, FILTERED = "ours, int8", "faster-whisper int8", "faster-whisper int8 with its VAD"


def samples(clip: str) -> array.array:
    command = ["ffmpeg", "-v", "error", "-i", str(SPEECH / clip), "-ar", str(RATE), "-ac", "1", "-f", "s16le", "-"]
    return array.array("h", subprocess.run(command, capture_output=True, check=True).stdout)


def hush(seconds: float, source: random.Random) -> array.array:
    """A quiet room: no recording holds nothing at all."""
    return array.array("h", (source.randint(-3, 3) for _ in range(int(seconds * RATE))))


def recording(folder: str, name: str, seconds: float, pause: float, source: random.Random) -> tuple:
    """A file of about so many seconds, and what is said in it."""
    clips, sound, said = [samples(clip) for clip in SAID], array.array("h"), []
    while len(sound) < seconds * RATE:
        for clip, text in zip(clips, SAID.values()):
            sound += clip + hush(pause, source)
            said += words(text)
            if len(sound) >= seconds * RATE:
                break
    path = pathlib.Path(folder, f"{name}.wav")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    return path, said, len(sound) / RATE


def engines(hear: str, model: str, python: str) -> list:
    peer = [python, str(HERE / "faster.py"), model, "1"]
    return [
        Engine(OURS, 1, [hear, model, "int8"]),
        Engine(PEER, 1, peer),
        Engine(FILTERED, 1, [*peer, "vad"]),
    ]


def measure(all_engines: list, clips: dict, rounds: int) -> dict:
    found = {}
    for turn in range(rounds):
        for engine in all_engines if turn % 2 == 0 else all_engines[::-1]:
            for name, (path, _, length) in clips.items():
                # The long one takes so long that it is heard once.
                if turn == 0 or length < 300:
                    answer = engine.ask(path)
                    seconds, _ = found.setdefault((name, engine.name), ([], answer["text"]))
                    seconds.append(answer["seconds"])
    for engine in all_engines:
        engine.close()
    return found


def rows(found: dict, clips: dict, all_engines: list) -> list:
    lines = []
    for name, (_, said, length) in clips.items():
        ours = statistics.median(found[name, OURS][0])
        for engine in all_engines:
            seconds, text = found[name, engine.name]
            middle = statistics.median(seconds)
            spread = f"{middle:.2f} ({min(seconds):.2f}–{max(seconds):.2f})" if len(seconds) > 1 else f"{middle:.2f}"
            wrong = word_errors(words(text), said)
            faster = "" if engine.name == OURS else f"{middle / ours:.1f}×"
            lines.append([f"{name}, {length:.0f} s", engine.name, spread, faster, f"{wrong} of {len(said)}"])
    return lines


def main() -> None:
    hear, model, python = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    source = random.Random(14)
    with tempfile.TemporaryDirectory() as folder:
        clips = {
            "30 s of speech": recording(folder, "short", 28, PAUSE, source),
            "the same with 2.5 min of silence": recording(folder, "pauses", 170, 30, source),
            "14 min of speech": recording(folder, "long", 840, PAUSE, source),
        }
        all_engines = engines(hear, model, python)
        found = measure(all_engines, clips, rounds)
    memory = [[engine.name, f"{engine.load:.2f}", f"{engine.idle:.0f}", f"{engine.peak:.0f}"] for engine in all_engines]
    today = datetime.date.today()
    text = (HERE / "long.md").read_text()
    print(
        text.format(
            date=f"{today.day} {today:%B %Y}",
            rounds=rounds,
            cpu=cpu(),
            load=load(),
            times=table(["recording", "engine", "seconds", "we are faster", "wrong words"], rows(found, clips, all_engines)),
            memory=table(["engine", "load, s", "idle, MB", "peak, MB"], memory),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
