"""The SDK of OpenAI, unchanged, against the gateway: one line PASS for each promise that holds."""

import asyncio
import base64
import hmac
import os
import pathlib
import urllib.request
import warnings

import openai

warnings.simplefilter("ignore", DeprecationWarning)
speech = pathlib.Path(os.environ["SPEECH"])
client = openai.OpenAI(base_url=os.environ["DOOR"], api_key="none", max_retries=0)


def check(name, holds, seen=""):
    print("PASS" if holds else "FAIL", name, "" if holds else seen, flush=True)


def raises(name, kind, call, param=None):
    try:
        check(name, False, call())
    except kind as error:
        check(name, param is None or error.param == param, f"{error} {getattr(error, 'param', None)}")


def hears():
    with open(speech / "cat.wav", "rb") as recording:
        words = client.audio.transcriptions.create(model="whisper-1", file=recording, language="en")
    check("words", "cat" in words.text and words.usage.seconds > 0, words)
    sound = (speech / "cat.wav").read_bytes()
    for form, start in (("text", "a cat"), ("srt", "1\n00:00"), ("vtt", "WEBVTT")):
        got = client.audio.transcriptions.create(model="gpt-transcribe", file=sound, response_format=form)
        check(f"words as {form}", got.strip().lower().startswith(start.lower()), got)
    long = client.audio.transcriptions.create(
        model="whisper-1", file=sound, response_format="verbose_json", timestamp_granularities=["segment"]
    )
    segment = long.segments[0]
    check("language in full", long.language == "english" and long.duration > 1, long)
    check("segments", 0 <= segment.start < segment.end <= long.duration + 1 and segment.tokens, segment)
    timed = client.audio.transcriptions.create(
        model="whisper-1", file=sound, response_format="verbose_json", timestamp_granularities=["word"]
    )
    cat = next(word for word in timed.words if word.word.lower() == "cat")
    check("times of words", 0 <= cat.start < cat.end < timed.words[-1].end <= timed.duration and not timed.segments, timed)
    events = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound, stream=True))
    spoken = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    check("words as they come", events[-1].type == "transcript.text.done" and events[-1].text == spoken, events)
    # The model of this test reads English alone; another test has a translation.
    raises("a translation", openai.BadRequestError, lambda: client.audio.translations.create(model="whisper-1", file=sound))


def paints():
    small = {"size": "64x64", "extra_body": {"steps": 2, "seed": 7}}
    made = client.images.generate(prompt="a boat", n=2, model="gpt-image-1", **small)
    pictures = [base64.b64decode(one.b64_json) for one in made.data]
    check("pictures", len(pictures) == 2 and all(one.startswith(b"\x89PNG") for one in pictures), len(pictures))
    check("their size", made.size == "64x64" and made.created > 1.7e9 and made.usage.total_tokens == 0, made.size)
    by_address = client.images.generate(prompt="a boat", response_format="url", **small).data[0].url
    with urllib.request.urlopen(by_address) as answer:
        check("a picture by its address", answer.read().startswith(b"\x89PNG"), by_address)
    jpeg = client.images.generate(prompt="a boat", output_format="jpeg", **small).data[0]
    check("another format", base64.b64decode(jpeg.b64_json).startswith(b"\xff\xd8"), "")
    events = list(client.images.generate(prompt="a boat", stream=True, partial_images=2, **small))
    last = events[-1]
    check("a picture as it comes", last.type == "image_generation.completed" and last.usage is not None, last.type)


def refuses():
    sound = (speech / "silence.wav").read_bytes()
    create = client.audio.transcriptions.create
    raises("silence", openai.UnprocessableEntityError, lambda: create(model="whisper-1", file=sound))
    raises("an unknown model", openai.NotFoundError, lambda: create(model="parrot", file=sound), "model")
    wrong = lambda: create(model="whisper-1", file=sound, language="klingon")
    raises("an unknown language", openai.BadRequestError, wrong, "language")
    raises("a wrong size", openai.BadRequestError, lambda: client.images.generate(prompt="a", size="64"), "size")
    raises("too many", openai.BadRequestError, lambda: client.images.generate(prompt="a", n=1000), "n")
    names = [model.id for model in client.models.list()]
    check("models", "whisper-1" in names and client.models.retrieve("whisper-1").owned_by == "shanshui", names)
    raises("no such model", openai.NotFoundError, lambda: client.models.retrieve("org/parrot"), "model")


async def hangs_up():
    """A job that its caller has named goes on: another caller may wait for it."""
    impatient = openai.AsyncOpenAI(base_url=os.environ["DOOR"], api_key="none", max_retries=0)
    key = os.urandom(8).hex()
    # The gateway names a job after this header and the hash of the API key, of which there is none here.
    place = "/jobs/" + hmac.new(bytes(32), key.encode(), "sha256").hexdigest()[:32]
    headers = {"Idempotency-Key": key}
    long = impatient.images.generate(prompt="a river", n=8, extra_body={"steps": 100}, extra_headers=headers)
    try:
        await asyncio.wait_for(long, 2)
        check("a caller that hangs up", False, "it was answered")
    except TimeoutError:
        await asyncio.sleep(1)
        state = (await impatient.get(place, cast_to=object))["state"]
        check("a caller that hangs up", state in ("queued", "running", "done"), state)
        if state != "done":
            await impatient.delete(place, cast_to=object)


hears()
paints()
refuses()
asyncio.run(hangs_up())
