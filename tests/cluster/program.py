"""What the manifests say, against what the program and nats.conf say."""

import json
import re
import subprocess

from rendered import ROOT, containers, name, of, pod, ports, selected, settings, WORKLOADS


class Program:
    """The commands and settings that the program has, from its own help."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.helps = {}
        self.steps = json.loads(self.ask("topology", "--declared", "--json"))["steps"]

    def ask(self, *arguments: str) -> str:
        return subprocess.run([self.path, *arguments], capture_output=True, text=True, check=True).stdout

    def help(self, command: tuple):
        if command not in self.helps:
            done = subprocess.run([self.path, *command, "--help"], capture_output=True, text=True, check=False)
            self.helps[command] = done.stdout if done.returncode == 0 else None
        return self.helps[command]

    def default(self, command: str, variable: str) -> str:
        found = re.search(rf"\[env:\s+{variable}=\]\s+\[default:\s+([^\]]+)\]", self.help((command,)))
        return found[1] if found else ""


def commands(thing: dict) -> list:
    """The program's containers in a workload, with the command of each; (`models`, `pull`) is one."""
    found = []
    for one in containers(thing):
        if "/shanshui:" in one["image"]:
            words = [word for word in one["args"] if re.fullmatch(r"[a-z]+", word)]
            found.append((one, tuple(words[:2] if words[0] in ("streams", "models") else words[:1])))
    return found


def known(objects, program):
    """Commands, flags and variables that there are. Yields what the program does not have as a fault."""
    shared = set(settings(objects))
    used = set()
    for thing in of(objects, *WORKLOADS):
        for one, command in commands(thing):
            text = program.help(command)
            if text is None:
                yield f"{name(thing)}: the program has no command {' '.join(command)}"
                continue
            flags = [word for word in one["args"] if word.startswith("--")]
            yield from (
                f"{name(thing)}: {' '.join(command)} has no {flag}"
                for flag in flags
                if not re.search(rf"{flag}\b(?!-)", text)
            )
            mine = {variable["name"] for variable in one.get("env", []) if variable["name"].startswith("SHANSHUI_")}
            there = set(re.findall(r"env:\s+(SHANSHUI_\w+)", text))
            yield from (f"{name(thing)}: {' '.join(command)} reads no {variable}" for variable in mine - there)
            used |= there & shared
    # Those of OpenTelemetry have no flags: every command reads them.
    traces = set(re.findall(r"`(OTEL_\w+)`", (ROOT / "docs/observability.md").read_text()))
    yield from (f"no command reads {variable}" for variable in sorted(shared - used - traces))


def logins(objects, program):
    """Users of nats.conf with the reply subjects that they may listen to."""
    server = (ROOT / "deploy/nats.conf").read_text()
    for thing in of(objects, *WORKLOADS):
        for one, command in commands(thing):
            values = {variable["name"]: variable for variable in one.get("env", [])}
            user = values.get("SHANSHUI_NATS_USER", {}).get("value")
            if not user or program.help(command) is None:
                continue
            password = values["SHANSHUI_NATS_PASSWORD"]["valueFrom"]["secretKeyRef"]["key"]
            if f"user: {user}, password: ${password}" not in server:
                yield f"{name(thing)}: nats.conf has no user {user} with {password}"
            if f'"{values["SHANSHUI_NATS_INBOX"]["value"]}.>"' not in server:
                yield f"{name(thing)}: nats.conf lets nobody listen to its replies"


def copied(objects, _program):
    server = (ROOT / "deploy/nats.conf").read_text()
    if all(one["data"].get("nats.conf") != server for one in of(objects, "ConfigMap")):
        yield "nats.conf differs: cp deploy/nats.conf deploy/kubernetes/base/nats.conf"


def times(objects, program):
    """A pod is given longer than its drain takes; KEDA waits longer than a pod's grace."""
    for thing in of(objects, *WORKLOADS):
        for _, command in commands(thing):
            if program.help(command) and "SHANSHUI_DRAIN_SECONDS" in program.help(command):
                default = program.default(command[0], "SHANSHUI_DRAIN_SECONDS")
                drain = int(settings(objects).get("SHANSHUI_DRAIN_SECONDS", default))
                if pod(thing)["terminationGracePeriodSeconds"] < drain + 30:
                    yield f"{name(thing)}: its grace is less than half a minute above {drain} s of drain"
    for scaled in of(objects, "ScaledObject"):
        if (
            scaled["spec"]["cooldownPeriod"] < 2 * scaled["spec"]["pollingInterval"]
            or scaled["spec"]["cooldownPeriod"] < 300
        ):
            yield f"{name(scaled)}: scales to none after less than five minutes"


def servers(objects, _program):
    """Streams have as many copies as there are servers, and those find each other."""
    nats = next(one for one in of(objects, "StatefulSet") if one["metadata"]["name"] == "nats")
    count = nats["spec"]["replicas"]
    if int(settings(objects)["SHANSHUI_REPLICAS"]) != count:
        yield f"{count} nats-servers, and another number of copies"
    found = [one["value"] for one in containers(nats)[0]["env"] if one["name"].startswith("ROUTE_")]
    hosts = [f"@nats-{index}.nats-headless:{ports(nats)['routes']}" for index in range(count)] if count > 1 else []
    if [one.partition("@")[1] + one.partition("@")[2] for one in found] != hosts:
        yield f"the routes are {found}"


def scaling(objects, program):
    """Each ScaledObject reads what `streams apply` creates, all of it, and adds it up."""
    server = (ROOT / "deploy/nats.conf").read_text()
    deployments = {one["metadata"]["name"] for one in of(objects, "Deployment")}
    for scaled in of(objects, "ScaledObject"):
        spec, stage = scaled["spec"], scaled["metadata"]["name"]
        step = next((one for one in program.steps if one["stage"] == stage), None)
        if spec["scaleTargetRef"]["name"] not in deployments or not step:
            yield f"{name(scaled)}: scales nothing that is there"
            continue
        about = [one["metadata"] for one in spec["triggers"]]
        if [one["consumer"] for one in about] != step["consumers"]:
            yield f"{name(scaled)}: its consumers are not {step['consumers']}"
        if {one["stream"] for one in about} != {step["stream"]}:
            yield f"{name(scaled)}: its stream is not {step['stream']}"
        if any(not re.search(rf"^  {one['account']} \{{\n    jetstream: enabled", server, re.M) for one in about):
            yield f"{name(scaled)}: nats.conf has no such account with JetStream"
        modifiers = spec["advanced"]["scalingModifiers"]
        if modifiers["formula"].split(" + ") != [one["name"] for one in spec["triggers"]]:
            yield f"{name(scaled)}: its formula is not the sum of its triggers"
        if not 0 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] or spec["maxReplicaCount"] < 1:
            yield f"{name(scaled)}: more replicas at least than at most"
        yield from endpoints(objects, scaled, {one["natsServerMonitoringEndpoint"] for one in about})


def endpoints(objects, scaled, addresses):
    """A service without an address of its own, so that KEDA finds the leader among three servers."""
    for address in addresses:
        host, _, port = address.partition(":")
        for service in of(objects, "Service"):
            full = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local"
            bare = service["spec"].get("clusterIP") == "None"
            numbers = {str(one["port"]) for one in service["spec"]["ports"]}
            if host == full and bare and port in numbers and selected(objects, service["spec"]["selector"]):
                break
        else:
            yield f"{name(scaled)}: {address} is no headless service of this overlay"


def owners(objects, _program):
    """What KEDA scales has no number of its own, or each `kubectl apply` would set it back."""
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in of(objects, "ScaledObject")}
    for one in of(objects, "Deployment"):
        if one["metadata"]["name"] in scaled and "replicas" in one["spec"]:
            yield f"{name(one)}: has a number of replicas, and KEDA has another"


PROGRAM = [known, logins, copied, times, servers, scaling, owners]
