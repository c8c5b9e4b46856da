"""Jobs of one model together and one after the other: pictures and recordings, by turns, in one run.

`batch.py TOGETHER DRAW HEAR MODEL [ROUNDS]` prints a page of Markdown; `./dev bench batch` writes it to
docs/bench-batch.md.
"""

import datetime
import pathlib
import statistics
import sys

from engine import Engine, cpu, load, table

JOBS = (1, 2, 4, 8)
SPEECH = pathlib.Path(__file__).parent.parent / "data" / "speech"
CLIPS = {"jfk.flac": "11 s", "mountains.wav": "3 s"}
# Pictures in one step of the shape of Stable Diffusion 1.5, at this side of the latents.
PICTURES, SIDE = (1, 2, 4), 32


def ask_by_turns(engine, questions, rounds):
    """Answers by question. The first of each, which warms it up, does not count."""
    answers = {question: [] for question in questions}
    for question in questions:
        engine.ask(question)
    for turn in range(rounds):
        for question in questions if turn % 2 == 0 else questions[::-1]:
            answers[question].append(engine.ask(question))
    engine.close()
    return answers


def middle(answers, field="seconds"):
    return statistics.median(answer[field] for answer in answers)


def jobs(together, kind, threads, rounds):
    engine = Engine(kind, threads, [together, kind])
    questions = [f"{count}{how}" for count in JOBS for how in ("", " together")]
    answers = ask_by_turns(engine, questions, rounds)
    for count in JOBS:
        alone, company = answers[str(count)], answers[f"{count} together"]
        pairs = [one["seconds"] / other["seconds"] for one, other in zip(alone, company)]
        yield [
            kind, str(threads), str(count), f"{middle(alone):.2f}", f"{middle(company):.2f}",
            f"{statistics.median(pairs):.2f}× ({min(pairs):.2f}–{max(pairs):.2f})",
            f"{middle(alone, 'worked') / max(middle(company, 'worked'), 0.01):.2f}×",
            f"{middle(alone, 'mean'):.2f}", f"{middle(company, 'mean'):.2f}",
        ]


def steps(draw, kind, threads, rounds):
    engine = Engine(kind, threads, [draw, "unet", kind])
    answers = ask_by_turns(engine, [f"{SIDE}x{pictures}" for pictures in PICTURES], rounds)
    each = [middle(answers[f"{SIDE}x{pictures}"]) / pictures for pictures in PICTURES]
    return [kind, str(threads), *(f"{seconds:.2f}" for seconds in each), f"{each[0] / each[-1]:.2f}×"]


def recordings(hear, model, threads, rounds):
    engine = Engine("hear", threads, [hear, model, "int8"])
    lines = {(clip, count): "\t".join([str(SPEECH / clip)] * count) for clip in CLIPS for count in JOBS}
    answers = ask_by_turns(engine, list(lines.values()), rounds)
    for clip, name in CLIPS.items():
        texts = {text for count in JOBS for answer in answers[lines[clip, count]] for text in answer["text"].split("\n")}
        each = [middle(answers[lines[clip, count]]) / count for count in JOBS]
        yield [name, str(threads), *(f"{seconds:.2f}" for seconds in each), f"{each[0] / each[-1]:.2f}×", str(len(texts))]


def main():
    together, draw, hear, model = sys.argv[1:5]
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 5
    kinds, threads = ("bf16", "f32"), (1, 2)
    rows = [row for kind in kinds for count in threads for row in jobs(together, kind, count, rounds)]
    heard = [row for count in threads for row in recordings(hear, model, count, rounds)]
    large = [steps(draw, "bf16", count, min(rounds, 3)) for count in threads]
    today = datetime.date.today()
    print(f"""# Jobs together

`./dev bench batch` wrote this page on {today.day} {today:%B %Y}: {rounds} rounds, by turns. Jobs come at once.
Seconds: median.

CPU: {cpu()}. Load of the machine at the end: {load()}.

Jobs of one picture of the model that ships:

{table(["", "threads", "jobs", "one after the other", "together", "faster", "work of the processors",
        "a job's end, one after the other", "together"], rows)}

"Faster" is the median of the rounds' ratios (least–most). A job's end is the mean over the jobs.

One UNet step with guidance in the shape of Stable Diffusion 1.5, side of the latents {SIDE}, seconds a picture:

{table(["", "threads", *(f"{pictures} together" for pictures in PICTURES), "faster"], large)}

Recordings by Whisper base in int8, English, our default windows; seconds a recording:

{table(["", "threads", *(f"{count} together" for count in JOBS), "faster", "different texts"], heard)}
""", end="")


main()
