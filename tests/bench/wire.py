"""Notes which message passes when, of NATS and of the store: where the time of a job goes."""

import asyncio
import collections
import re
import socket
import statistics
import struct
import threading
import time

# Of packet(7) and socket(7).
OUTGOING, TIMESTAMPS = 4, 35
IP_AND_TCP = 40


class Capture:
    """Reads what passes over the loopback device, and slows nobody; `lines` holds (time, what) in the order seen.

    Needs the right to do so (root, or CAP_NET_RAW)."""

    def __init__(self, nats: int, s3: int) -> None:
        self.notes = {nats: nats_line, s3: s3_line}
        self.lines = []
        self.packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.packets.bind(("lo", 0))
        self.packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        self.packets.setsockopt(socket.SOL_SOCKET, TIMESTAMPS, 1)
        threading.Thread(target=self.read, daemon=True).start()

    def clear(self) -> None:
        self.lines.clear()

    def read(self) -> None:
        while True:
            packet, said, _, address = self.packets.recvmsg(1 << 17, 256)
            # The device shows each packet on its way out and on its way in.
            if address[2] != OUTGOING and said and len(packet) > IP_AND_TCP and packet[0] >> 4 == 4:
                seconds, nanos = struct.unpack("qq", said[0][2][:16])
                self.take(seconds + nanos / 1e9, packet)

    def take(self, now: float, packet: bytes) -> None:
        tcp = (packet[0] & 15) * 4
        body = packet[tcp + (packet[tcp + 12] >> 4) * 4 :]
        for port in struct.unpack("!HH", packet[tcp : tcp + 4]):
            if note := self.notes.get(port):
                self.lines += [(now, what) for line in body.split(b"\r\n") if (what := note(line))]


class Proxies:
    """Two proxies in a thread, where nothing may be captured; they cost about 0.1 ms a message."""

    def __init__(self, nats: int, s3: int) -> None:
        self.lines, self.loop, ready = [], asyncio.new_event_loop(), threading.Event()

        async def open_both() -> None:
            self.nats = await self.listen(nats, nats_line)
            self.s3 = await self.listen(s3, s3_line)
            ready.set()

        def run() -> None:
            asyncio.set_event_loop(self.loop)
            self.loop.create_task(open_both())
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        ready.wait()

    def clear(self) -> None:
        self.lines.clear()

    async def listen(self, port: int, note) -> int:
        async def joined(reader, writer) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(
                self.carry(reader, far_writer, note),
                self.carry(far_reader, writer, note),
                return_exceptions=True,
            )

        server = await asyncio.start_server(joined, "127.0.0.1", 0)
        return server.sockets[0].getsockname()[1]

    async def carry(self, reader, writer, note) -> None:
        while data := await reader.read(1 << 16):
            now = time.perf_counter()
            writer.write(data)
            for line in data.split(b"\r\n"):
                if what := note(line):
                    self.lines.append((now, what))
        writer.close()


def nats_line(line: bytes) -> str | None:
    """What a line is, its subject, and where an answer goes."""
    if line.startswith((b"PUB ", b"HPUB ", b"MSG ", b"HMSG ")):
        words = line.decode("latin-1").split(" ")
        sizes = 2 if words[0].startswith("H") else 1
        return " ".join([words[0].removeprefix("H"), *words[1 : len(words) - sizes]])
    return None


def s3_line(line: bytes) -> str | None:
    found = re.match(rb"(GET|PUT|HEAD|POST) \S+ HTTP|HTTP/1\.1 \d+", line)
    return found[0].decode().split(" HTTP")[0] if found else None


NAMES = [
    (r"MSG shanshui\.audio\.", "the first worker has the job"),
    (r"MSG shanshui\.text\.", "the second worker has the job"),
    (r"PUB \$JS\.ACK\.AUDIO", "the first worker acknowledges"),
    (r"PUB \$JS\.ACK\.TEXT", "the second worker acknowledges"),
    (r"PUB shanshui\.events\.\S+\.(\S+)", "event {} is published"),
    (r"PUB shanshui\.ended\.", "the last word is published"),
    (r"PUB shanshui\.text\.", "the next job is published"),
    (r"PUB \$JS\.API\.STREAM\.MSG\.GET\.(\w+)", "{} is read"),
    (r"PUB \$JS\.API\.CONSUMER\.MSG\.NEXT\.(AUDIO|TEXT)", "a consumer of {} is asked for a job"),
    (r"PUT", "the receipt is sent"),
    (r"HTTP", "the store has the receipt"),
]


def named(what: str) -> str | None:
    for pattern, name in NAMES:
        if found := re.match(pattern, what):
            return name.format(*found.groups())
    return None


NATS, STORE, WORKER = "NATS", "the store", "the worker"
# What happens to a job of two stages, by what of it is seen last, and who works until the next.
CHAIN = [
    ("the first worker has the job", ["the first worker has the job"], WORKER),
    ("it publishes `accepted` and reads CANCELS", ["event accepted is published", "CANCELS is read"], NATS),
    ("both are answered", ["event accepted is published: answer", "CANCELS is read: answer"], WORKER),
    ("it publishes `started`; the stage runs", ["event started is published"], WORKER),
    ("it publishes `finished`", ["event finished is published"], NATS),
    ("the stream has it", ["event finished is published: answer"], WORKER),
    ("it publishes the next job", ["the next job is published"], NATS),
    ("the second worker has the job", ["the second worker has the job"], WORKER),
    ("it reads CANCELS, ENDS and EVENTS", ["CANCELS is read again", "ENDS is read", "EVENTS is read"], NATS),
    (
        "all are answered",
        ["CANCELS is read again: answer", "ENDS is read: answer", "EVENTS is read: answer"],
        WORKER,
    ),
    ("it publishes `started`; the stage runs", ["event started is published again"], WORKER),
    ("it sends the receipt, and publishes `finished` beside it", ["the receipt is sent"], STORE),
    ("the store has the receipt", ["the store has the receipt"], WORKER),
    ("it publishes the last word", ["the last word is published"], NATS),
    ("the stream has it", ["the last word is published: answer"], WORKER),
    ("it publishes `done`", ["event done is published"], ""),
]


def stories(lines: list) -> list:
    """When each thing happens to each job, from its first delivery on; jobs come one at a time."""
    all_jobs, asked = [], {}
    for at, what in lines:
        words = what.split(" ")
        name = f"{asked.pop(words[1])}: answer" if words[0] == "MSG" and words[1] in asked else named(what)
        if not name:
            continue
        if name.startswith("the first worker has"):
            all_jobs.append((at, {}))
        if all_jobs:
            began, story = all_jobs[-1]
            name = f"{name} again" if name in story else name
            story.setdefault(name, at - began)
        if words[0] == "PUB" and len(words) > 2:
            asked[words[2]] = name
    return [story for _, story in all_jobs]


# What bare has no counterpart of: for one stage, and for two.
ONE = {"accepted", "the receipt", "the last word"}
TWO = ONE | {"finished", "the reads"}


def waits(middle: list, which: set) -> str:
    """Milliseconds that a job waits for these, one after the other."""
    asked = {"accepted": 1, "finished": 4, "the reads": 8, "the receipt": 11, "the last word": 13}
    return f"{sum(middle[at + 1] - middle[at] for name, at in asked.items() if name in which) * 1e3:.1f}"


def phases(lines: list, jobs: int) -> dict:
    """Rows of the table, who works for which share of the time, how often a job asks NATS and the store, and
    what of the time is the price of the promises."""
    needed = {key for _, keys, _ in CHAIN for key in keys}
    whole = [story for story in stories(lines) if needed <= story.keys()]
    middle = [statistics.median(max(story[key] for key in keys) for story in whole) for _, keys, _ in CHAIN]
    rows, shares = [], collections.Counter()
    for (label, _, who), at, after in zip(CHAIN, middle, middle[1:] + middle[-1:]):
        share = (after - at) / middle[-1]
        shares[who] += share
        rows.append([label, f"{at * 1e3:.2f}", f"{(after - at) * 1e3:.2f}", f"{share:.0%}", who])
    spent = ", ".join(f"{who} {shares[who]:.0%}" for who in (WORKER, NATS, STORE))
    counts = collections.Counter(named(what) for _, what in lines if what.startswith(("PUB", "PUT")))
    asked = "; ".join(f"{name}: {count / jobs:.1f}" for name, count in counts.most_common() if name)
    return {"rows": rows, "who": spent, "counts": asked, "one": waits(middle, ONE), "two": waits(middle, TWO)}
