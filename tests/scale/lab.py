"""A real nats-server, a real S3 server and the program under test, for measurements; nothing outlives them."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PDEATHSIG = 1
TICKS = os.sysconf("SC_CLK_TCK")


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def bound() -> None:
    """In a child: the kernel ends it when this process ends."""
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)


def start(command: list, env: dict | None = None, out=subprocess.DEVNULL) -> subprocess.Popen:
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=bound)


class Use:
    """CPU seconds and memory of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu(self) -> float:
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def mib(self) -> float:
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


class Lab:
    """nats-server, S3 and streams; `program` is shanshui, or a program with stages of its own.

    Objects lie in the folder `memory`, if there is one, and else beside what nats-server stores."""

    def __init__(self, program: str, apply: list | None = None, memory: str = "") -> None:
        self.program, self.folder = program, tempfile.mkdtemp(prefix="shanshui-scale-")
        there = memory if pathlib.Path(memory or "/nowhere").is_dir() else self.folder
        self.objects = tempfile.mkdtemp(prefix="shanshui-objects-", dir=there)
        self.port, self.monitor = free(), free()
        self.url, self.jsz = f"nats://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.monitor}"
        self.nats = None
        self.start_nats("always")
        self.s3 = self.start_s3()
        settings = {"SHANSHUI_NATS_URL": self.url, "SHANSHUI_S3_ENDPOINT": self.endpoint, "NO_COLOR": "1"}
        keys = {"SHANSHUI_S3_ACCESS_KEY": "tester", "SHANSHUI_S3_SECRET_KEY": "a-secret-of-the-tests"}
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("SHANSHUI_", "AWS_", "NATS_"))
        }
        self.env = {**plain, **settings, **keys, "SHANSHUI_S3_BUCKET": "shanshui"}
        self.run("streams", "apply", *(apply or []))

    def start_nats(self, sync: str) -> None:
        """Starts the server, or starts it anew with what it stored."""
        self.stop(self.nats)
        config = pathlib.Path(self.folder, "nats.conf")
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{self.folder}/nats", sync_interval: {sync} }}\n'
        )
        self.nats = start([os.environ["SHANSHUI_NATS_SERVER"], "-c", str(config)])
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.jsz}/healthz", timeout=5).read()
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("nats-server does not start")

    def start_s3(self) -> subprocess.Popen:
        """The S3 server of the tests in a process of its own."""
        command = [os.environ["SHANSHUI_SOAK"], "--store", f"{self.objects}/s3"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=bound)
        self.endpoint = "http://" + server.stdout.readline().split(" at ")[1].strip()
        return server

    def worker(self, *arguments: str, log: str | None = None, **settings: str) -> subprocess.Popen:
        out = open(log, "ab") if log else subprocess.DEVNULL
        return start([self.program, *arguments], {**self.env, **settings}, out)

    def run(self, *arguments: str) -> str:
        done = subprocess.run([self.program, *arguments], env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.returncode} {done.stdout}{done.stderr}")
        return done.stdout

    def asked(self, path: str) -> dict:
        with urllib.request.urlopen(f"{self.jsz}/{path}", timeout=30) as answer:
            return json.load(answer)

    @staticmethod
    def stop(process: subprocess.Popen | None) -> None:
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def end(self) -> None:
        self.stop(self.s3)
        self.stop(self.nats)
        for folder in (self.objects, self.folder):
            shutil.rmtree(folder, ignore_errors=True)


def machine(program: str) -> str:
    """Where and with what a measurement was made, as rows of a table."""
    said = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.strip()
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())[1]
    commit = os.environ.get("SHANSHUI_COMMIT") or said("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    rows = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {cpu}; load average at the end: {os.getloadavg()[2]:.1f}",
        "versions": f"{said(program, '--version')}, commit {commit}, "
        f"{said(os.environ['SHANSHUI_NATS_SERVER'], '--version')}",
    }
    return "| | |\n| --- | --- |\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items())
