"""The recipe of docs/operations.md, tried: a copy of queue and bucket, and both back on another disk.

    SHANSHUI_MODELS=… python tests/cluster/backup.py PROGRAM NATS_SERVER RCLONE

A job is done and two wait when the copy is made. The originals are deleted. On the copy the first job still has
its pictures, the two are done, `streams apply` changes nothing, and the audit compares every object.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from page import free, get, wait
from rendered import ROOT

KEYS = {"SHANSHUI_S3_ACCESS_KEY": "access", "SHANSHUI_S3_SECRET_KEY": "secret"}


class Machine:
    """nats-server with deploy/nats.conf and an S3 server, on a disk of their own."""

    def __init__(self, tools: tuple, disk: pathlib.Path) -> None:
        self.program, self.server, self.rclone = tools
        self.disk, self.running, self.nats, self.s3 = disk, {}, free(), free()
        config = (ROOT / "deploy/nats.conf").read_text()
        users = re.findall(r"\$(SHANSHUI_\w+_PASSWORD)", config)
        self.env = {
            **os.environ,
            **KEYS,
            **{user: "pw" for user in users},
            "SHANSHUI_NATS_PASSWORD": "pw",
            "SHANSHUI_NATS_URL": f"nats://127.0.0.1:{self.nats}",
            "SHANSHUI_NATS_STORE": str(disk / "nats"),
            "SHANSHUI_S3_ENDPOINT": f"http://127.0.0.1:{self.s3}",
            "SHANSHUI_DATA": str(disk / "none"),
            "RCLONE_CONFIG": str(disk / "no.conf"),
            "RCLONE_S3_PROVIDER": "Other",
            "RCLONE_S3_ENDPOINT": f"http://127.0.0.1:{self.s3}",
            "RCLONE_S3_ACCESS_KEY_ID": "access",
            "RCLONE_S3_SECRET_ACCESS_KEY": "secret",
        }
        (disk / "bucket").mkdir(parents=True)
        (disk / "nats.conf").write_text(config.replace("0.0.0.0:4222", f"127.0.0.1:{self.nats}"))

    def start_services(self) -> None:
        self.monitor = free()
        self.start("nats", self.server, "-c", str(self.disk / "nats.conf"), "-a", "127.0.0.1", "-m", str(self.monitor))
        self.start(
            "s3",
            self.rclone,
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{self.s3}",
            "--auth-key",
            "access,secret",
            str(self.disk / "bucket"),
        )
        wait("nats-server", 20, lambda: get(f"http://127.0.0.1:{self.monitor}/healthz"))

    def start(self, name: str, *command: str) -> None:
        with open(self.disk / f"{name}.log", "wb") as log:
            self.running[name] = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)

    def stop(self, *names: str) -> None:
        for name in names or list(reversed(self.running)):
            one = self.running.pop(name)
            one.send_signal(signal.SIGTERM)
            one.wait(90)

    def login(self, user: str) -> None:
        self.env |= {"SHANSHUI_NATS_USER": user, "SHANSHUI_NATS_INBOX": f"_INBOX_{user}"}

    def ask(self, user: str, *command: str) -> str:
        self.login(user)
        done = subprocess.run(
            [self.program, *command], env=self.env, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def work(self) -> None:
        self.login("paint")
        self.start("paint", self.program, "paint")

    def copy(self, source: str, target: str) -> None:
        subprocess.run([self.rclone, "copy", "--metadata", source, target], env=self.env, check=True, timeout=120)


def draw(machine: Machine, job: str, *more: str) -> None:
    how = more or ("--out", str(machine.disk / "pictures"))
    machine.ask("tenant-a", "draw", "a red apple", "--id", job, "--steps", "2", "--count", "1", *how)


def saved(machine: Machine, backup: pathlib.Path) -> None:
    """The queue first: what the bucket has beyond it does no harm."""
    machine.stop("nats")
    shutil.copytree(machine.disk / "nats", backup / "nats")
    machine.copy(":s3:shanshui", str(backup / "bucket"))


def restored(machine: Machine, backup: pathlib.Path) -> None:
    shutil.copytree(backup / "nats", machine.disk / "nats")
    machine.start_services()
    machine.copy(str(backup / "bucket"), ":s3:shanshui")


def main(*tools: str) -> None:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="shanshui-backup-"))
    old, new = Machine(tools, folder / "old"), Machine(tools, folder / "new")
    try:
        old.start_services()
        old.ask("admin", "streams", "apply")
        old.work()
        draw(old, "before")
        old.stop("paint")
        draw(old, "waits-1", "--no-wait")
        draw(old, "waits-2", "--no-wait")
        saved(old, folder / "backup")
        old.stop()
        shutil.rmtree(old.disk)
        restored(new, folder / "backup")
        changed = new.ask("admin", "streams", "apply")
        new.work()
        for job in ("before", "waits-1", "waits-2"):
            wait(
                f"job {job} on the copy", 120, lambda: re.search(r"\bdone\b", new.ask("tenant-a", "jobs", "show", job))
            )
        print("streams apply:", changed.strip() or "nothing changed")
        print(new.ask("reconcile", "audit", "--objects").strip().splitlines()[-1])
    finally:
        for one in (old, new):
            one.stop() if one.running else None
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
