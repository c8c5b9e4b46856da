"""A real run and its page of metrics: `shanshui up` does a recording, and a job that comes twice.

    SHANSHUI_MODELS=… python tests/cluster/page.py PROGRAM NATS_SERVER PAGE [PROMETHEUS]

Writes the page to the file PAGE. With PROMETHEUS, the program, one runs meanwhile and is asked every query.
"""

import asyncio
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import nats

import queries
from rendered import ROOT


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def wait(what: str, seconds: int, ready) -> None:
    for _ in range(seconds * 5):
        try:
            if ready():
                return
        except (OSError, RuntimeError):
            pass
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds} seconds")


class Run:
    def __init__(self, program: str, server: str) -> None:
        self.program, self.folder = program, pathlib.Path(tempfile.mkdtemp(prefix="shanshui-page-"))
        self.nats, self.http, self.watch, self.gateway = free(), free(), free(), free()
        self.running = []
        self.start(
            [
                program,
                "--data",
                str(self.folder / "data"),
                "up",
                "--nats-server",
                server,
                "--nats-port",
                str(self.nats),
                "--s3-port",
                "0",
                "--http",
                f"127.0.0.1:{self.http}",
                "--audit-seconds",
                "2",
                "--inbox",
                "inbox/",
                "--gateway",
                f"127.0.0.1:{self.gateway}",
                "--webhook-allow",
                "127.0.0.1",
            ],
            "up",
        )

    def start(self, command: list, name: str) -> None:
        with open(self.folder / f"{name}.log", "wb") as log:
            # Nobody takes traces there, which is a number of its own.
            environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
            self.running.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))

    def client(self, *arguments: str) -> None:
        command = [self.program, "--data", str(self.folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)

    def page(self) -> str:
        return get(f"http://127.0.0.1:{self.http}/metrics")

    def prometheus(self, program: str) -> None:
        """As compose.yaml runs it, but for the targets: here one process is all parts."""
        target = {"targets": [f"127.0.0.1:{self.http}"], "labels": {"component": "paint"}}
        jobs = [{"job_name": "shanshui", "static_configs": [target]}]
        rules = [str(ROOT / "deploy/prometheus/alerts.yaml")]
        config = {"global": {"scrape_interval": "1s"}, "rule_files": rules, "scrape_configs": jobs}
        (self.folder / "prometheus.yml").write_text(json.dumps(config))
        self.start(
            [
                program,
                f"--config.file={self.folder}/prometheus.yml",
                f"--storage.tsdb.path={self.folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{self.watch}",
                "--enable-feature=exemplar-storage",
            ],
            "prometheus",
        )

    def stop(self) -> None:
        for one in reversed(self.running):
            one.send_signal(signal.SIGTERM)
            one.wait(60)
        shutil.rmtree(self.folder)


async def twice(run) -> None:
    """A job whose record in the bucket is broken: the worker tries again, and the message comes a second time."""
    record = run.folder / "data/s3/shanshui/jobs/twice/paint.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")
    client = await nats.connect(f"nats://127.0.0.1:{run.nats}")
    job = {"id": "twice", "text": "a red apple", "attempts": 2}
    await client.jetstream().publish("shanshui.text.default", json.dumps(job).encode())
    # What a store tells of its bucket.
    told = {"action": "PutObject", "bucket": "shanshui", "object": {"key": "inbox/nothing.wav"}}
    await client.jetstream().publish("shanshui.intake.default", json.dumps(told).encode())
    await client.close()


class Gone(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(410)
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


def doors(run) -> None:
    """Two recordings that are dropped into the bucket, one with a wrong sidecar, and two jobs with receivers: one
    that is not there, and one that is gone for good."""
    inbox = run.folder / "data/s3/shanshui/inbox"
    inbox.mkdir(parents=True)
    shutil.copy(ROOT / "tests/data/speech/cat.wav", inbox / "cat.wav")
    (inbox / "wrong.json").write_text('{"picture": {"steps": 0}}')
    shutil.copy(ROOT / "tests/data/speech/cat.wav", inbox / "wrong.wav")
    gone = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gone)
    threading.Thread(target=gone.serve_forever, daemon=True).start()
    for port in (9, gone.server_port):
        job = {"text": "a red apple", "picture": {"steps": 2}, "webhook": f"http://127.0.0.1:{port}/"}
        address, head = f"http://127.0.0.1:{run.gateway}/v1/jobs", {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(address, json.dumps(job).encode(), head), timeout=10).close()


def exemplars(address: str) -> bool:
    """Whether Prometheus has single jobs with their traces: what a dashboard draws as points."""
    now = time.time()
    found = json.loads(
        get(f"{address}/api/v1/query_exemplars?query=shanshui_job_seconds_bucket&start={now - 600}&end={now + 60}")
    )
    labels = [one["labels"] for series in found["data"] for one in series["exemplars"]]
    good = bool(labels) and all(re.fullmatch("[0-9a-f]{32}", one["trace_id"]) and one["job"] for one in labels)
    print(f"{'ok' if good else 'FAIL'}  exemplars: Prometheus has {len(labels)} jobs with their traces")
    return good


def same_names(path: str) -> bool:
    """Whether the page that the quick check reads is still what a run says."""
    kept = pathlib.Path(__file__).with_name("page.txt")
    old, new = (queries.page(pathlib.Path(one).read_text(encoding="utf-8")) for one in (kept, path))
    differ = sorted(set(old) ^ set(new)) + sorted(key for key in set(old) & set(new) if set(old[key]) != set(new[key]))
    print(f"{'FAIL' if differ else 'ok'}  metrics: a run has the names and labels of {kept.name} {differ or ''}")
    return not differ


def main(program: str, server: str, path: str, prometheus: str = "") -> bool:
    run = Run(program, server)
    try:
        wait("shanshui up", 120, lambda: get(f"http://127.0.0.1:{run.http}/readyz"))
        if prometheus:
            run.prometheus(prometheus)
        asyncio.run(twice(run))
        doors(run)
        run.client("say", str(ROOT / "tests/data/speech/cat.wav"), "--no-wait")
        run.client("draw", "a red apple", "--steps", "2", "--out", str(run.folder))
        wait(
            "a job that comes twice, a spoken one, one from the bucket, a webhook, an audit of all",
            180,
            lambda: all(
                re.search(pattern, run.page(), re.M)
                for pattern in (
                    r"^shanshui_redelivered_total.* [1-9]",
                    r'standing="done"} 5$',
                    r'standing="failed"} 1$',
                    r'^shanshui_dead_jobs.stage="paint". 1$',
                    r"^shanshui_spans_lost_total [1-9]",
                    r'^shanshui_webhooks_total.outcome="again". [1-9]',
                    r'^shanshui_webhooks_total.outcome="given-up". [1-9]',
                    r"^shanshui_webhooks_oldest_seconds",
                    r'^shanshui_intake_objects_total.outcome="refused". [1-9]',
                    r"^shanshui_intake_events_total.* [1-9]",
                    r'^shanshui_intake_results_total.outcome="brought". 1$',
                    r'^shanshui_intake_listing_seconds_count.part="listing". [1-9]',
                )
            ),
        )
        time.sleep(10 if prometheus else 0)
        pathlib.Path(path).write_text(run.page(), encoding="utf-8")
        address = f"http://127.0.0.1:{run.watch}" if prometheus else ""
        return same_names(path) & queries.main(path, address) & (not prometheus or exemplars(address))
    finally:
        run.stop()


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
