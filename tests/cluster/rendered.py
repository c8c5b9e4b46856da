"""The objects of an overlay as kubectl renders them, and ways to look into them."""

import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
WORKLOADS = {"Deployment", "StatefulSet", "Job"}


# Components that no overlay takes: each is rendered on top of one.
EXTRA = {"gpu + traces": ("gpu", "traces")}


def render(kubectl: str, overlay: str) -> list:
    folder = KUBERNETES / "overlays" / overlay
    if overlay in EXTRA:
        below, component = EXTRA[overlay]
        folder = KUBERNETES / "overlays" / f".{component}"
        folder.mkdir(exist_ok=True)
        about = {"resources": [f"../{below}"], "components": [f"../../components/{component}"]}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump({"kind": "Kustomization", **about}))
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if overlay in EXTRA:
        (folder / "kustomization.yaml").unlink()
        folder.rmdir()
    if done.returncode:
        raise ValueError(f"overlay {overlay} does not render: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def name(thing: dict) -> str:
    return f"{thing['kind']}/{thing['metadata']['name']}"


def of(objects: list, *kinds: str) -> list:
    return [thing for thing in objects if thing["kind"] in kinds]


def pod(thing: dict) -> dict:
    """The pod of a workload."""
    return thing["spec"]["template"]["spec"]


def labels(thing: dict) -> dict:
    return thing["spec"]["template"]["metadata"]["labels"]


def containers(thing: dict) -> list:
    return pod(thing).get("initContainers", []) + pod(thing)["containers"]


def ports(thing: dict) -> dict:
    """Number and name of every port of a workload's pod, both as keys."""
    found = [port for one in containers(thing) for port in one.get("ports", [])]
    return {port["name"]: port["containerPort"] for port in found} | {port["containerPort"]: 1 for port in found}


def settings(objects: list) -> dict:
    """The ConfigMap that all commands share."""
    return next(one["data"] for one in of(objects, "ConfigMap") if one["metadata"]["name"].startswith("shanshui-"))


def selects(selector: dict, having: dict) -> bool:
    """Whether a label selector takes something with these labels."""
    plain = "matchLabels" not in selector and "matchExpressions" not in selector
    wanted = selector if plain else selector.get("matchLabels", {})
    if any(having.get(key) != value for key, value in wanted.items()):
        return False
    return all(having.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", []))


def selected(objects: list, selector: dict) -> list:
    return [thing for thing in of(objects, *WORKLOADS) if selects(selector, labels(thing))]
