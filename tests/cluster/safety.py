"""What a pod may do: the profile `restricted` of Kubernetes and more, and who may reach it."""

from rendered import containers, labels, name, of, pod, selects, WORKLOADS

CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def restricted(objects):
    for thing in of(objects, *WORKLOADS):
        inside = pod(thing)
        context = inside.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{name(thing)}: may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name(thing)}: no seccomp profile"
        if inside.get("automountServiceAccountToken") is not False:
            yield f"{name(thing)}: gets a token of the cluster"
        yield from (f"{name(thing)}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if inside.get(key))
        yield from (
            f"{name(thing)}: {volume['name']} is a folder of the node"
            for volume in inside.get("volumes", [])
            if "hostPath" in volume
        )
        for one in containers(thing):
            if one.get("securityContext") != CONTAINER:
                yield f"{name(thing)}/{one['name']}: its securityContext is not {CONTAINER}"
            for mount in one.get("volumeMounts", []):
                source = next((v for v in inside.get("volumes", []) if v["name"] == mount["name"]), {})
                if ("secret" in source or "configMap" in source) and not mount.get("readOnly"):
                    yield f"{name(thing)}/{one['name']}: may write to {mount['mountPath']}"


def no_secrets(objects):
    """Secrets come by reference only."""
    yield from (f"{name(thing)}: a secret in the manifest" for thing in of(objects, "Secret"))
    for thing in of(objects, *WORKLOADS):
        for one in containers(thing):
            for variable in one.get("env", []):
                value = variable.get("value") or ""
                hidden = any(word in variable["name"] for word in ("PASSWORD", "SECRET", "ACCESS_KEY", "TOKEN"))
                if hidden and value and not value.startswith("$("):
                    yield f"{name(thing)}/{one['name']}: {variable['name']} stands in the manifest"


def reach(objects):
    """Nobody reaches anybody but as listed; the monitoring port of NATS has two doors only."""
    policies = of(objects, "NetworkPolicy")
    closed = [
        one
        for one in policies
        if one["spec"]["podSelector"] == {}
        and not one["spec"].get("ingress")
        and not one["spec"].get("egress")
        and set(one["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    ]
    if not closed:
        yield "no NetworkPolicy closes everything first"
    for policy in policies:
        spec = policy["spec"]
        for rule in spec.get("ingress", []):
            wide = any(port["port"] in ("monitor", 8222) for port in rule.get("ports", [])) or not rule.get("ports")
            spaces = [peer.get("namespaceSelector", {}).get("matchLabels", {}) for peer in rule.get("from", [])]
            allowed = all(set(one.values()) <= {"keda", "monitoring"} and one for one in spaces) and spaces
            if wide and not allowed:
                yield f"{name(policy)}: more than KEDA and Prometheus reach the monitoring port"
        for rule in spec.get("egress", []):
            for peer in rule.get("to", [{}]):
                if not peer or not rule.get("ports"):
                    yield f"{name(policy)}: opens the way to everything"
                block = peer.get("ipBlock")
                if block and block["cidr"] == "0.0.0.0/0" and "169.254.0.0/16" not in block.get("except", []):
                    yield f"{name(policy)}: opens the way to the machine's metadata service"
    for thing in of(objects, *WORKLOADS):
        ways = [
            one
            for one in policies
            if one["spec"]["podSelector"]
            and one["spec"].get("egress")
            and selects(one["spec"]["podSelector"], labels(thing))
        ]
        if not ways and thing["metadata"]["name"] != "s3":
            yield f"{name(thing)}: can reach nothing"


SAFETY = [restricted, no_secrets, reach]
