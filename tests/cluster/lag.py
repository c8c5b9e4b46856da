"""KEDA's reading of the queues, done again against a real nats-server with the streams that `shanshui streams
apply` made, and the number of workers that its HPA would ask for.

    python tests/cluster/lag.py KUBECTL PROGRAM NATS_SERVER

As KEDA 2.20 reads (pkg/scalers/nats_jetstream_scaler.go): /jsz of the account, num_pending + num_ack_pending of
the consumer; among several servers, the one of the consumer's leader. A consumer that is missing is an error, and
the ScaledObject falls back. The triggers, the formula and the target are those of deploy/kubernetes.
"""

import asyncio
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request

import nats

from rendered import ROOT, of, render

FAULTS = []


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(port: int, path: str) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


class Servers:
    """nats-servers as deploy/kubernetes configures them: nats.conf, and what the pods add."""

    def __init__(self, program: str, component: str, count: int) -> None:
        self.folder = tempfile.mkdtemp(prefix="shanshui-lag-")
        self.clients, self.monitors, self.routes = ([free() for _ in range(count)] for _ in range(3))
        users = re.findall(r"\$(SHANSHUI_\w+_PASSWORD)", (ROOT / "deploy/nats.conf").read_text())
        routes = {f"ROUTE_{i}": f"nats://route:pr@127.0.0.1:{port}" for i, port in enumerate(self.routes)}
        self.env = {**os.environ, **{user: "pw" for user in users}, **routes, "SHANSHUI_ROUTE_PASSWORD": "pr"}
        self.running = [self.start(program, component, index) for index in range(count)]

    def start(self, program: str, component: str, index: int):
        folder = f"{self.folder}/nats-{index}"
        os.makedirs(folder)
        here = {4222: self.clients, 8222: self.monitors, 6222: self.routes}
        for file in (ROOT / "deploy/nats.conf", ROOT / "deploy/kubernetes" / component / "server.conf"):
            text = file.read_text()
            for port, ports in here.items():
                text = re.sub(rf"(: \"0\.0\.0\.0:|http_port: ){port}", rf"\g<1>{ports[index]}", text)
            with open(f"{folder}/{file.name}", "w", encoding="utf-8") as copy:
                copy.write(text)
        env = {**self.env, "POD_NAME": f"nats-{index}", "SHANSHUI_NATS_STORE": f"{folder}/store"}
        with open(f"{folder}/log", "wb") as log:
            return subprocess.Popen([program, "-c", f"{folder}/server.conf"], env=env, stdout=log, stderr=log)

    def lag(self, trigger: dict) -> int:
        """What KEDA reads for one trigger; an error where it would report one."""
        about = trigger["metadata"]
        path = f"/jsz?acc={about['account']}&consumers=true&config=true"
        found = get(self.monitors[0], path)
        places = [self.monitors[0]]
        if found.get("meta_cluster", {}).get("cluster_size", 0) > 1:
            places = [self.named(host) for host in self.hosts()]
        for place in places:
            lag = self.read(get(place, path), about, len(places) > 1, place)
            if lag is not None:
                return lag
        raise LookupError(f"consumer {about['consumer']} not found")

    def hosts(self) -> list:
        """The names of the servers: of the clients' addresses, else of the routes."""
        about = get(self.monitors[0], "/varz")
        return about.get("connect_urls") or about["cluster"]["urls"]

    def named(self, host: str) -> int:
        """In a cluster, the first label of a host before the address of the service; here, a port."""
        return self.monitors[self.routes.index(int(host.rpartition(":")[2]))]

    def read(self, answer: dict, about: dict, leader_only: bool, place: int):
        for account in answer.get("account_details") or []:
            for stream in (one for one in account.get("stream_detail") or [] if one["name"] == about["stream"]):
                for one in stream.get("consumer_detail") or []:
                    mine = not leader_only or self.monitors.index(place) == int(one["cluster"]["leader"][-1])
                    if one["name"] == about["consumer"] and mine:
                        return one["num_pending"] + one["num_ack_pending"]
        return None

    def stop(self) -> None:
        for one in self.running:
            one.terminate()
        for one in self.running:
            one.wait(30)
        shutil.rmtree(self.folder)


def workers(spec: dict, servers: Servers, current: int):
    """How many workers KEDA and its HPA would have run: (what is read, how many)."""
    try:
        read = {one["name"]: servers.lag(one) for one in spec["triggers"]}
    except LookupError as error:
        return str(error), spec["fallback"]["replicas"]
    modifiers = spec["advanced"]["scalingModifiers"]
    total = sum(read[name] for name in modifiers["formula"].split(" + "))
    if total <= float(modifiers["activationTarget"]):
        return total, spec["minReplicaCount"]
    target = float(modifiers["target"])
    wanted = math.ceil(total / target)
    # The HPA leaves a number alone that is within a tenth of right.
    if current and abs(total / (target * current) - 1) <= 0.1:
        wanted = current
    return total, min(max(wanted, 1), spec["maxReplicaCount"])


def say(case: str, seen, wanted) -> None:
    ok = seen == wanted
    if not ok:
        FAULTS.append(case)
    print(
        f"{'ok' if ok else 'FAIL'}  keda: {case}: reads {seen[0]}, {seen[1]} workers{'' if ok else f'; wanted {wanted}'}",
        flush=True,
    )


async def settle(spec, servers, current, wanted):
    """The monitoring port may be a moment behind."""
    for _ in range(50):
        seen = workers(spec, servers, current)
        if seen == wanted:
            break
        await asyncio.sleep(0.1)
    return seen


def apply(program: str, servers: Servers, *more: str) -> None:
    login = {"SHANSHUI_NATS_USER": "admin", "SHANSHUI_NATS_PASSWORD": "pw", "SHANSHUI_NATS_INBOX": "_INBOX_admin"}
    env = {**os.environ, **login, "SHANSHUI_NATS_URL": f"nats://127.0.0.1:{servers.clients[0]}"}
    # The bucket is another matter: without a store the command says so after the streams are made.
    env |= {"SHANSHUI_S3_ENDPOINT": f"http://127.0.0.1:{free()}", "SHANSHUI_S3_WAIT_SECONDS": "0"}
    env |= {
        "SHANSHUI_S3_ACCESS_KEY": "a",
        "SHANSHUI_S3_SECRET_KEY": "b",
        "SHANSHUI_S3_OPERATION_SECONDS": "2",
        "SHANSHUI_S3_ATTEMPT_SECONDS": "2",
    }
    done = subprocess.run([program, "streams", "apply", *more], env=env, capture_output=True, text=True, check=False)
    if "paint_3" not in done.stdout + done.stderr:
        raise RuntimeError(f"streams apply: {done.stdout}{done.stderr}")


async def connect(servers: Servers, user: str):
    address = f"nats://127.0.0.1:{servers.clients[0]}"
    return await nats.connect(
        address, user=user, password="pw", inbox_prefix=f"_INBOX_{user}".encode(), max_reconnect_attempts=50
    )


async def fetch(client, consumer: str):
    sub = await client.jetstream().pull_subscribe_bind(consumer, "TEXT")
    return (await sub.fetch(1, timeout=5))[0]


async def cases(spec: dict, servers: Servers, deliveries: int) -> None:
    admin, worker = await connect(servers, "admin"), await connect(servers, "paint")
    say("no job", await settle(spec, servers, 0, (0, 0)), (0, 0))
    for index in range(13):
        lane = ["default", "a", "b", "tenant-1"][index % 4]
        await admin.jetstream().publish(f"shanshui.text.{lane}", f"job {index}".encode())
    say("13 jobs in four lanes, of four consumers", await settle(spec, servers, 0, (13, 7)), (13, 7))
    held = [await fetch(worker, name) for name in ("paint", "paint_1", "paint_2", "paint_3")]
    say("4 of them in work", await settle(spec, servers, 7, (13, 7)), (13, 7))
    await held[0].nak(delay=3600)
    say("1 of them delayed for an hour", await settle(spec, servers, 7, (13, 7)), (13, 7))
    for message in held[1:]:
        await message.ack_sync()
    say("3 done", await settle(spec, servers, 7, (10, 5)), (10, 5))
    for name in ("paint", "paint_1", "paint_2", "paint_3"):
        while (await worker.jetstream().consumer_info("TEXT", name)).num_pending:
            await (await fetch(worker, name)).ack_sync()
    say("1 left, which is delayed: no worker goes", await settle(spec, servers, 5, (1, 1)), (1, 1))
    await exhaust(admin, worker, deliveries)
    say("1 more that used up its deliveries: nobody counts it", await settle(spec, servers, 1, (1, 1)), (1, 1))
    await admin.close()
    await worker.close()


async def exhaust(admin, worker, deliveries: int) -> None:
    """A message that no consumer counts any more, though it lies in its stream: the reconciler's task."""
    await admin.jetstream().publish("shanshui.text.a", b"poison")
    names = ("paint_1", "paint_2", "paint_3")
    about = {name: await worker.jetstream().consumer_info("TEXT", name) for name in names}
    mine = next(name for name in names if about[name].num_pending)
    for _ in range(deliveries):
        await (await fetch(worker, mine)).nak()
    try:
        # The server gives up when somebody asks for the message once more.
        await fetch(worker, mine)
    except nats.errors.TimeoutError:
        return
    raise RuntimeError(f"delivered more than {deliveries} times")


def wrong_names(spec: dict, servers: Servers) -> None:
    """What KEDA makes of names that are not there: an error, and the fallback; never the greatest number."""
    for key, value in (("consumer", "paint_9"), ("stream", "TXT"), ("account", "$G")):
        changed = json.loads(json.dumps(spec))
        changed["triggers"][0]["metadata"][key] = value
        falls_back(f"{key} {value} is missing", changed, servers)


def falls_back(case: str, spec: dict, servers: Servers) -> None:
    read, count = workers(spec, servers, 3)
    say(f"{case}: it falls back", ("an error" if isinstance(read, str) else read, count), ("an error", 1))


async def three(spec: dict, program: str, server: str) -> None:
    """Three servers with three copies of each stream: the leader of each consumer is asked."""
    servers = Servers(server, "components/three-servers", 3)
    try:
        await ready(servers)
        apply(program, servers, "--replicas", "3")
        admin = await connect(servers, "admin")
        for index in range(9):
            await admin.jetstream().publish(f"shanshui.text.lane-{index}", b"a job")
        wanted = (9, 5)
        say("three servers, 9 jobs in nine lanes", await settle(spec, servers, 0, wanted), wanted)
        await admin.close()
    finally:
        servers.stop()


async def ready(servers: Servers) -> None:
    for _ in range(300):
        try:
            if all(get(port, "/healthz")["status"] == "ok" for port in servers.monitors):
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise RuntimeError("the nats-servers are not ready after 30 seconds")


async def main(kubectl: str, program: str, server: str) -> bool:
    # scalers of the base, as rendered
    specs = {one["metadata"]["name"]: one["spec"] for one in of(render(kubectl, "three-servers"), "ScaledObject")}
    servers = Servers(server, "base", 1)
    try:
        await ready(servers)
        falls_back("before `streams apply`", specs["paint"], servers)
        apply(program, servers, "--max-deliver", "7")
        await cases(specs["paint"], servers, 7)
        wrong_names(specs["paint"], servers)
    finally:
        servers.stop()
    await three(specs["paint"], program, server)
    return not FAULTS


if __name__ == "__main__":
    sys.exit(not asyncio.run(main(*sys.argv[1:])))
