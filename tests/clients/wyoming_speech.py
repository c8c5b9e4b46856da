"""The Wyoming library of Home Assistant against the gateway: one line PASS for each promise that holds."""

import asyncio
import contextlib
import os
import pathlib
import wave

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

host, port = os.environ["WYOMING"].rsplit(":", 1)
speech = pathlib.Path(os.environ["SPEECH"])


def check(name, holds, seen=""):
    print("PASS" if holds else "FAIL", name, "" if holds else seen, flush=True)


def client():
    return AsyncTcpClient(host, int(port))


async def answer(line):
    return await asyncio.wait_for(line.read_event(), 120)


async def say(line, frames, rate=16000, **wishes):
    await line.write_event(Transcribe(**wishes).event())
    form = dict(rate=rate, width=2, channels=1)
    await line.write_event(AudioStart(**form).event())
    for at in range(0, len(frames), 3200):
        await line.write_event(AudioChunk(audio=frames[at : at + 3200], **form).event())
    await line.write_event(AudioStop().event())


def frames(name):
    with wave.open(str(speech / name)) as sound:
        assert (sound.getsampwidth(), sound.getnchannels()) == (2, 1), sound.getparams()
        return sound.readframes(sound.getnframes()), sound.getframerate()


async def refused(name, code, *events):
    async with client() as line:
        for event in events:
            await line.write_event(event)
        told = await answer(line)
        check(name, told is not None and told.type == "error" and told.data["code"] == code, told)


async def broken(name, raw):
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(raw)
    try:
        told = await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        # It was hung up on before it had said all.
        told = b'"error"'
    writer.close()
    check(name, b'"error"' in told, told)


async def main():
    sound, rate = frames("cat.wav")
    async with client() as line:
        await line.write_event(Describe().event())
        info = Info.from_event(await answer(line))
        model = info.asr[0].models[0]
        check("info", {"en", "zh"} <= set(model.languages) and model.installed, info)
        await line.write_event(Ping(text="still there").event())
        pong = await answer(line)
        check("ping", Pong.is_type(pong.type) and pong.data["text"] == "still there", pong)
        await say(line, sound, rate, language="en", transcript_names=["Tom"])
        first = Transcript.from_event(await answer(line))
        check("words", "cat" in first.text.lower() and first.language == "en", first)
        await say(line, sound, rate)
        again = Transcript.from_event(await answer(line))
        check("another utterance on the same line", again.text == first.text, again)
        await say(line, bytes(32000))
        silence = Transcript.from_event(await answer(line))
        check("silence has no words", silence.text == "", silence)
        await say(line, sound, rate, language="klingon")
        told = await answer(line)
        check("no such language", told.type == "error" and told.data["code"] == "bad-input", told)
        await say(line, sound, rate)
        check("the line stays open", "cat" in Transcript.from_event(await answer(line)).text.lower())
    start = dict(rate=16000, width=2, channels=1)
    await refused("nothing said", "bad-input", AudioStart(**start).event(), AudioStop().event())
    await refused("stereo", "bad-input", AudioStart(rate=16000, width=2, channels=2).event())
    await refused("a rate of nothing", "bad-input", AudioStart(rate=0, width=2, channels=1).event())
    second = AudioChunk(audio=bytes(32000), **start).event()
    await refused("two minutes and more", "bad-input", AudioStart(**start).event(), *[second] * 121)
    await broken("another protocol", b"GET / HTTP/1.1\r\n\r\n")
    await broken("a payload of 4 GB", b'{"type": "audio-chunk", "payload_length": 4000000000}\n')
    await broken("a line without end", b"{" * 70_000)
    # Whoever goes in the middle leaves room for the next one, and so does a crowd that says nothing more.
    half = client()
    await half.connect()
    await half.write_event(AudioStart(**start).event())
    await half.disconnect()
    crowd = [client() for _ in range(40)]
    answers = []
    for line in crowd:
        await line.connect()
        await line.write_event(Event("ping"))
        answers.append(await answer(line))
    check("a crowd is served", all(told is not None for told in answers), answers)
    still = 0
    for line in crowd:
        with contextlib.suppress(ConnectionError):
            await line.write_event(Event("ping"))
            still += await answer(line) is not None
    check("no more callers than places", 0 < still <= 24, still)
    for line in crowd:
        with contextlib.suppress(ConnectionError):
            await line.disconnect()
    await asyncio.sleep(0.2)
    # Whoever is speaking stays, and others wait.
    speakers = [client() for _ in range(24)]
    for line in speakers:
        await line.connect()
        await line.write_event(AudioStart(**start).event())
        await line.write_event(Event("ping"))
        await answer(line)
    late = client()
    await late.connect()
    told = b""
    with contextlib.suppress(ConnectionError):
        await late.write_event(Event("ping"))
        told = await answer(late)
    check("nobody who is speaking makes room at once", not told, told)
    for line in speakers:
        await line.write_event(Event("ping"))
        check("still there", (await answer(line)) is not None) if line is speakers[0] else await answer(line)
        await line.disconnect()
    await asyncio.sleep(0.2)
    async with client() as line:
        await line.write_event(Event("ping"))
        check("places are free again", (await answer(line)) is not None)


asyncio.run(main())
