"""Proxies before nats-server and the store that note when which message passes: where the time of a job goes."""

import asyncio
import collections
import re
import statistics
import threading
import time

class Wire:
    """Two proxies in a thread; `lines` holds (time, what) in the order seen."""

    def __init__(self, nats: int, s3: int) -> None:
        self.lines, self.loop, ready = [], asyncio.new_event_loop(), threading.Event()

        async def open_both() -> None:
            self.nats = await self.listen(nats, self.nats_line)
            self.s3 = await self.listen(s3, self.s3_line)
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

    @staticmethod
    def nats_line(line: bytes) -> str | None:
        if line.startswith((b"PUB ", b"HPUB ", b"MSG ", b"HMSG ")):
            words = line.decode("latin-1").split(" ")
            return f"{words[0].removeprefix('H')} {words[1]}"
        return None

    @staticmethod
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


def stories(lines: list) -> list:
    """When each thing happens to each job, from its first delivery on; jobs come one at a time."""
    all_jobs = []
    for at, what in lines:
        if not (name := named(what)):
            continue
        if name.startswith("the first worker has"):
            all_jobs.append((at, {}))
        if all_jobs:
            began, story = all_jobs[-1]
            story.setdefault(f"{name} again" if name in story else name, at - began)
    return [story for _, story in all_jobs]


def phases(lines: list, jobs: int) -> tuple[list, str]:
    """Rows of the table, in the order of time, and how often a job asks NATS and the store."""
    seen = collections.defaultdict(list)
    for story in stories(lines):
        for name, offset in story.items():
            seen[name].append(offset)
    middle = {name: statistics.median(offsets) for name, offsets in seen.items() if len(offsets) > jobs // 2}
    # What is heard of a job after its end makes nobody wait.
    end = middle["event done is published"]
    order = sorted((at, name) for name, at in middle.items() if at <= end and "is asked for" not in name)
    rows = []
    for (at, name), (after, _) in zip(order, order[1:] + [(end, "")]):
        rows.append([name, f"{at * 1e3:.2f}", f"{(after - at) * 1e3:.2f}", f"{(after - at) / end:.0%}"])
    counts = collections.Counter(named(what) for _, what in lines if what.startswith(("PUB", "PUT")))
    return rows, "; ".join(f"{name}: {count / jobs:.1f}" for name, count in counts.most_common() if name)
