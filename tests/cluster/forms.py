"""What an API server refuses and a schema lets pass: names, quantities, ports, mounts, selectors, references.

Each rule takes the objects of an overlay and yields a sentence for each fault.
"""

import re

from rendered import containers, labels, name, of, pod, ports, selected, WORKLOADS

KINDS = {
    "v1": {"Namespace", "ConfigMap", "Service"},
    "apps/v1": {"Deployment", "StatefulSet"},
    "batch/v1": {"Job"},
    "policy/v1": {"PodDisruptionBudget"},
    "networking.k8s.io/v1": {"NetworkPolicy"},
    "scheduling.k8s.io/v1": {"PriorityClass"},
    "keda.sh/v1alpha1": {"ScaledObject"},
    "monitoring.coreos.com/v1": {"PodMonitor"},
}
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|Ki|Mi|Gi|Ti|M|G|T)?")
UNITS = {"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
IMAGE = re.compile(r"[a-z0-9.-]+(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")


def kinds(objects):
    for thing in objects:
        if thing["kind"] not in KINDS.get(thing["apiVersion"], ()):
            yield f"{name(thing)}: {thing['apiVersion']} is no kind that is known here"
    seen = [name(thing) for thing in objects]
    yield from (f"{one}: twice" for one in set(seen) if seen.count(one) > 1)


def names(objects):
    for thing in objects:
        if not LABEL.fullmatch(thing["metadata"]["name"]):
            yield f"{name(thing)}: no name for an object"
    for thing in of(objects, *WORKLOADS):
        for one in containers(thing) + pod(thing).get("volumes", []):
            if not LABEL.fullmatch(one["name"]):
                yield f"{name(thing)}: {one['name']} is no name for a container or volume"


def amount(text) -> float:
    found = QUANTITY.fullmatch(str(text))
    if not found:
        raise ValueError(f"{text} is no quantity")
    return float(found[1]) * UNITS.get(found[2], 1)


def quantities(objects):
    for thing in of(objects, *WORKLOADS):
        for one in containers(thing):
            wanted, limits = one["resources"].get("requests", {}), one["resources"].get("limits", {})
            try:
                over = [key for key in wanted if key in limits and amount(wanted[key]) > amount(limits[key])]
                [amount(value) for value in [*wanted.values(), *limits.values()]]
            except ValueError as fault:
                yield f"{name(thing)}/{one['name']}: {fault}"
                continue
            yield from (f"{name(thing)}/{one['name']}: asks for more {key} than its limit" for key in over)
            if "memory" not in limits:
                yield f"{name(thing)}/{one['name']}: no limit for memory"
        for volume in pod(thing).get("volumes", []):
            if volume.get("emptyDir") is not None and "sizeLimit" not in volume["emptyDir"]:
                yield f"{name(thing)}: {volume['name']} has no limit"


def port_numbers(objects):
    for thing in of(objects, *WORKLOADS):
        for one in containers(thing):
            for port in one.get("ports", []):
                if not 0 < port["containerPort"] < 65536 or not PORT_NAME.fullmatch(port["name"]):
                    yield f"{name(thing)}: {port} is no port"
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = one.get(kind, {})
                target = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
                if target is not None and target not in ports(thing):
                    yield f"{name(thing)}: {kind} asks port {target}, which is not there"
    for service in of(objects, "Service"):
        behind = selected(objects, service["spec"]["selector"])
        if not behind:
            yield f"{name(service)}: selects nothing"
        for port in service["spec"]["ports"]:
            yield from (
                f"{name(service)}: {name(one)} has no port {port['targetPort']}"
                for one in behind
                if port["targetPort"] not in ports(one)
            )


def mounts(objects):
    for thing in of(objects, *WORKLOADS):
        claims = thing["spec"].get("volumeClaimTemplates", [])
        there = {one["name"] for one in pod(thing).get("volumes", [])} | {one["metadata"]["name"] for one in claims}
        used = {mount["name"] for one in containers(thing) for mount in one.get("volumeMounts", [])}
        yield from (f"{name(thing)}: {one} is mounted and is no volume" for one in used - there)
        yield from (f"{name(thing)}: {one} is a volume that nothing mounts" for one in there - used)
        for one in containers(thing):
            paths = [mount["mountPath"] for mount in one.get("volumeMounts", [])]
            yield from (f"{name(thing)}: {path} is mounted twice" for path in set(paths) if paths.count(path) > 1)


def references(objects, secrets):
    """`secrets`: each Secret that the operator makes, with its keys."""
    maps = {one["metadata"]["name"]: set(one["data"]) for one in of(objects, "ConfigMap")}
    classes = {one["metadata"]["name"] for one in of(objects, "PriorityClass")}
    for thing in of(objects, *WORKLOADS):
        if pod(thing).get("priorityClassName") not in classes:
            yield f"{name(thing)}: no such priority class"
        asked = [
            (maps, volume["configMap"]["name"], None)
            for volume in pod(thing).get("volumes", [])
            if "configMap" in volume
        ]
        asked += [
            (secrets, volume["secret"]["secretName"], None)
            for volume in pod(thing).get("volumes", [])
            if "secret" in volume
        ]
        for one in containers(thing):
            for source in one.get("envFrom", []):
                asked += [(maps, source["configMapRef"]["name"], None)] if "configMapRef" in source else []
                asked += [(secrets, source["secretRef"]["name"], None)] if "secretRef" in source else []
            for source in (variable.get("valueFrom", {}) for variable in one.get("env", [])):
                for where, kind in ((maps, "configMapKeyRef"), (secrets, "secretKeyRef")):
                    asked += [(where, source[kind]["name"], source[kind]["key"])] if kind in source else []
        for where, wanted, key in asked:
            if wanted not in where or key not in where[wanted] | {None}:
                yield f"{name(thing)}: {wanted}{f', key {key},' if key else ''} is not there"


def variables(objects):
    """Kubernetes replaces $(NAME) in a value only by variables of `env` that stand before it."""
    for thing in of(objects, *WORKLOADS):
        for one in containers(thing):
            before = set()
            for variable in one.get("env", []):
                for wanted in re.findall(r"\$\((\w+)\)", variable.get("value") or ""):
                    if wanted not in before:
                        yield f"{name(thing)}/{one['name']}: {variable['name']} names {wanted}, which is not set before it"
                if variable["name"] in before:
                    yield f"{name(thing)}/{one['name']}: {variable['name']} is set twice"
                before.add(variable["name"])


def images(objects):
    for thing in of(objects, *WORKLOADS):
        sources = [one["image"] for one in containers(thing)]
        sources += [one["image"]["reference"] for one in pod(thing).get("volumes", []) if "image" in one]
        for image in sources:
            found = IMAGE.fullmatch(image)
            if not found or not (found[2] or found[3]) or found[2] == ":latest":
                yield f"{name(thing)}: the image {image} has no registry, or no tag of its own"


def selectors(objects):
    for thing in of(objects, "Deployment", "StatefulSet"):
        if thing not in selected(objects, thing["spec"]["selector"]):
            yield f"{name(thing)}: does not select its own pods"
        for rule in pod(thing).get("topologySpreadConstraints", []):
            if thing not in selected(objects, rule["labelSelector"]):
                yield f"{name(thing)}: spreads other pods than its own"
        service = thing["spec"].get("serviceName")
        if service and service not in {one["metadata"]["name"] for one in of(objects, "Service")}:
            yield f"{name(thing)}: no service {service}"
    for budget in of(objects, "PodDisruptionBudget", "PodMonitor"):
        if not selected(objects, budget["spec"]["selector"]):
            yield f"{name(budget)}: selects nothing"
    for policy in of(objects, "NetworkPolicy"):
        yield from open_ports(objects, policy)


def open_ports(objects, policy):
    mine = selected(objects, policy["spec"]["podSelector"])
    if not mine:
        yield f"{name(policy)}: selects nothing"
    rules = [(rule, rule.get("from", []), mine) for rule in policy["spec"].get("ingress", [])]
    rules += [(rule, rule.get("to", []), None) for rule in policy["spec"].get("egress", [])]
    for rule, peers, targets in rules:
        there = [one for peer in peers if "podSelector" in peer for one in selected(objects, peer["podSelector"])]
        if any("podSelector" in peer for peer in peers) and not there:
            yield f"{name(policy)}: a rule selects nothing"
        for port in rule.get("ports", []):
            for one in there if targets is None else targets:
                if isinstance(port["port"], str) and port["port"] not in ports(one):
                    yield f"{name(policy)}: {name(one)} has no port {port['port']}"


FORMS = [kinds, names, quantities, port_numbers, mounts, variables, images, selectors]
