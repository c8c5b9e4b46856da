"""What the measurements of speech and of pictures share: programs that answer, and pages of Markdown."""

import json
import os
import pathlib
import re
import subprocess

INSTRUCTIONS = ["avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"]


class Engine:
    """A program that reads a line and answers with a line of JSON, with so many threads."""

    def __init__(self, name, threads, command, **more):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), **more)
        self.name, self.threads = name, threads
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

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        return self.answer()

    def memory(self, field):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1000

    def close(self):
        self.peak = self.memory("VmHWM")
        self.process.stdin.close()
        self.process.wait()


def cpu():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", text)[1]
    model = re.search(r"model\s*: (\d+)", text)[1]
    family = re.search(r"cpu family\s*: (\d+)", text)[1]
    flags = set(re.search(r"flags\s*: (.*)", text)[1].split())
    has = ", ".join(flag for flag in INSTRUCTIONS if flag in flags)
    return f"{name} (family {family}, model {model}), {os.cpu_count()} CPUs; of {', '.join(INSTRUCTIONS)} it has {has}"


def load():
    """Of the machine at the end: other work makes all engines slower, but not alike."""
    return f"{os.getloadavg()[0]:.1f}"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
