"""Ways to break the objects of the overlay `three-servers`, and what must be said of each."""

from dataclasses import dataclass
from typing import Callable

from rendered import containers, of, pod


@dataclass
class Way:
    name: str
    says: str
    change: Callable
    schema: bool = False


def get(objects, kind, title):
    return next(one for one in of(objects, kind) if one["metadata"]["name"] == title)


def paint(objects):
    return get(objects, "Deployment", "paint")


def inside(objects, title="paint"):
    return pod(get(objects, "Deployment", title))["containers"][0]


def scaled(objects):
    return get(objects, "ScaledObject", "paint")["spec"]


def policy(objects, title):
    return get(objects, "NetworkPolicy", title)["spec"]


def variable(objects, wanted):
    return next(one for one in inside(objects)["env"] if one["name"] == wanted)


def route(objects):
    server = containers(get(objects, "StatefulSet", "nats"))[0]
    return next(one for one in server["env"] if one["name"] == "ROUTE_2")


def shared(objects):
    return next(one for one in of(objects, "ConfigMap") if one["metadata"]["name"].startswith("shanshui-"))["data"]


def put(way, **values):
    """A change that puts values into what `way` finds."""
    return lambda objects: way(objects).update(values)


FORMS = [
    Way("unknown kind", "no kind that is known", put(paint, kind="Deploymnt2")),
    Way("bad name", "no name for an object", lambda o: paint(o)["metadata"].update(name="Bad_Name")),
    Way("bad quantity", "12Gx is no quantity", lambda o: inside(o)["resources"]["limits"].update(memory="12Gx")),
    Way(
        "request above limit",
        "more memory than its limit",
        lambda o: inside(o)["resources"]["requests"].update(memory="9Gi"),
    ),
    Way("no limit", "no limit for memory", lambda o: inside(o)["resources"].pop("limits")),
    Way("port 99999", "is no port", lambda o: inside(o)["ports"][0].update(containerPort=99999)),
    Way("probe of no port", "which is not there", lambda o: inside(o)["livenessProbe"]["httpGet"].update(port="htpp")),
    Way(
        "service of no port",
        "has no port webb",
        lambda o: get(o, "Service", "gateway")["spec"]["ports"][0].update(targetPort="webb"),
    ),
    Way(
        "service of nobody",
        "selects nothing",
        lambda o: get(o, "Service", "gateway")["spec"]["selector"].update({"app.kubernetes.io/name": "gatewa"}),
    ),
    Way("dangling mount", "is no volume", lambda o: inside(o)["volumeMounts"][0].update(name="tmpp")),
    Way("volume for nobody", "that nothing mounts", lambda o: inside(o).update(volumeMounts=[])),
    Way("no such config", "is not there", lambda o: inside(o)["envFrom"][0]["configMapRef"].update(name="shanshui")),
    Way(
        "no such secret",
        "shanshui-s4 is not there",
        lambda o: inside(o)["envFrom"][1]["secretRef"].update(name="shanshui-s4"),
    ),
    Way(
        "no such key",
        "key PAINT, is not there",
        lambda o: variable(o, "SHANSHUI_NATS_PASSWORD")["valueFrom"]["secretKeyRef"].update(key="PAINT"),
    ),
    Way(
        "variable too late", "not set before it", lambda o: variable(o, "SHANSHUI_NATS_USER").update(value="$(NOBODY)")
    ),
    Way("latest", "no tag of its own", lambda o: inside(o).update(image="registry.example.com/shanshui:latest")),
    Way(
        "selector of others",
        "own pods",
        lambda o: paint(o)["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/name": "x"}),
    ),
    Way(
        "budget of nobody",
        "selects nothing",
        lambda o: get(o, "PodDisruptionBudget", "paint")["spec"]["selector"]["matchLabels"].update(
            {"app.kubernetes.io/name": "x"}
        ),
    ),
    Way(
        "policy of no port",
        "has no port clientt",
        lambda o: policy(o, "nats")["ingress"][0]["ports"][0].update(port="clientt"),
    ),
    Way("no such priority", "no such priority class", lambda o: pod(paint(o)).update(priorityClassName="x")),
]
SAFETY = [
    Way("root", "may run as root", lambda o: pod(paint(o))["securityContext"].pop("runAsNonRoot")),
    Way(
        "writable root",
        "its securityContext is not",
        lambda o: inside(o)["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    Way(
        "capability",
        "its securityContext is not",
        lambda o: inside(o)["securityContext"].update(capabilities={"drop": []}),
    ),
    Way("no seccomp", "no seccomp profile", lambda o: pod(paint(o))["securityContext"].pop("seccompProfile")),
    Way("token", "gets a token", lambda o: pod(paint(o)).pop("automountServiceAccountToken")),
    Way(
        "folder of the node",
        "is a folder of the node",
        lambda o: pod(paint(o))["volumes"][0].update(hostPath={"path": "/"}),
    ),
    Way(
        "password in the open",
        "stands in the manifest",
        lambda o: variable(o, "SHANSHUI_NATS_PASSWORD").update(value="geheim"),
    ),
    Way("open monitoring port", "reach the monitoring port", lambda o: policy(o, "nats")["ingress"][2].pop("from")),
    Way(
        "metadata service",
        "metadata service",
        lambda o: policy(o, "commands")["egress"][1]["to"][0]["ipBlock"].pop("except"),
    ),
    Way(
        "nothing closed", "closes everything first", lambda o: policy(o, "nothing-else").update(policyTypes=["Ingress"])
    ),
]
PROGRAM = [
    Way("no such command", "no command paintt", lambda o: inside(o).update(args=["paintt"])),
    Way("no such flag", "paint has no --sped", lambda o: inside(o)["args"].append("--sped")),
    Way(
        "no such variable",
        "paint reads no SHANSHUI_MODEL",
        lambda o: variable(o, "SHANSHUI_PICTURE_MODEL").update(name="SHANSHUI_MODEL"),
    ),
    Way("no such setting", "no command reads SHANSHUI_REPLICA", lambda o: shared(o).update(SHANSHUI_REPLICA="3")),
    Way(
        "wrong user",
        "has no user paint with",
        lambda o: variable(o, "SHANSHUI_NATS_PASSWORD")["valueFrom"]["secretKeyRef"].update(
            key="SHANSHUI_ADMIN_PASSWORD"
        ),
    ),
    Way("wrong replies", "lets nobody listen", lambda o: variable(o, "SHANSHUI_NATS_INBOX").update(value="_INBOX")),
    Way(
        "another nats.conf",
        "nats.conf differs",
        lambda o: [one["data"].update({"nats.conf": ""}) for one in of(o, "ConfigMap") if "nats.conf" in one["data"]],
    ),
    Way("short grace", "grace is less", lambda o: pod(paint(o)).update(terminationGracePeriodSeconds=120)),
    Way("long drain", "grace is less", lambda o: shared(o).update(SHANSHUI_DRAIN_SECONDS="600")),
    Way("one copy", "another number of copies", lambda o: shared(o).update(SHANSHUI_REPLICAS="1")),
    Way("a route to nobody", "the routes are", lambda o: route(o).update(value="nats://nobody:6222")),
    Way("a consumer less", "its consumers are not", lambda o: scaled(o)["triggers"].pop()),
    Way(
        "another stream",
        "its stream is not TEXT",
        lambda o: scaled(o)["triggers"][0]["metadata"].update(stream="AUDIO"),
    ),
    Way("another account", "no such account", lambda o: scaled(o)["triggers"][0]["metadata"].update(account="$G")),
    Way("a term less", "is not the sum", lambda o: scaled(o)["advanced"]["scalingModifiers"].update(formula="p0 + p1")),
    Way(
        "a service with an address",
        "no headless service",
        lambda o: get(o, "Service", "nats-headless")["spec"].pop("clusterIP"),
    ),
    Way(
        "another namespace",
        "no headless service",
        lambda o: get(o, "Service", "nats-headless")["metadata"].update(namespace="x"),
    ),
    Way("two owners", "KEDA has another", lambda o: paint(o)["spec"].update(replicas=1)),
    Way("scales nothing", "scales nothing", lambda o: scaled(o)["scaleTargetRef"].update(name="pain")),
    Way("no patience", "less than five minutes", lambda o: scaled(o).update(cooldownPeriod=10)),
]
SCHEMAS = [
    Way("misspelt field", "restrat", lambda o: pod(paint(o)).update(restrat=1), schema=True),
    Way("misspelt field of KEDA", "polingInterval", lambda o: scaled(o).update(polingInterval=5), schema=True),
    Way("text for a number", "maxReplicaCount", lambda o: scaled(o).update(maxReplicaCount=[1]), schema=True),
]
WAYS = FORMS + SAFETY + PROGRAM + SCHEMAS
