"""The pods of deploy/kubernetes for `podman kube play`, which knows Pods, ConfigMaps, Secrets and claims.

    python tests/cluster/pods.py KUBECTL SECRETS FOLDER

Renders the base with a store in the cluster and without KEDA, and writes into FOLDER one file for each workload:
its pod template as it is, with what it refers to. Only what podman cannot do is changed: a StatefulSet's claims
become claims, and a deployment has one pod.
"""

import base64
import json
import pathlib
import subprocess
import sys

import yaml

from manifests import secrets
from rendered import KUBERNETES, WORKLOADS, of, pod

# The user of all pods owns their disks: podman reads this in place of fsGroup.
OWNER = {"volume.podman.io/uid": "65532", "volume.podman.io/gid": "65532"}


def render(kubectl: str, folder: pathlib.Path) -> list:
    place = KUBERNETES / "overlays/.play"
    place.mkdir(exist_ok=True)
    components = [f"../../components/{name}" for name in ("s3", "without-keda")]
    about = {"kind": "Kustomization", "namespace": "shanshui", "resources": ["../../base"], "components": components}
    try:
        (place / "kustomization.yaml").write_text(yaml.safe_dump(about))
        done = subprocess.run([kubectl, "kustomize", str(place)], capture_output=True, text=True, check=True)
    finally:
        (place / "kustomization.yaml").unlink()
        place.rmdir()
    (folder / "rendered.yaml").write_text(done.stdout)
    return list(yaml.safe_load_all(done.stdout))


def made(kept: pathlib.Path, folder: pathlib.Path) -> None:
    """The Secrets, as `kubectl create secret` would make them of the files of deploy/secrets.sh.

    podman 4.3 reads variables from a secret of its own, which is JSON, and files from an object."""
    files = []
    for name, keys in secrets().items():
        single = [key for key in keys if (kept / key).exists()]
        lines = [line.partition("=") for file in kept.glob("*.env") for line in file.read_text().splitlines()]
        data = {key: (kept / key).read_text() for key in single} or {key: value for key, _, value in lines if key in keys}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        if single:
            files.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})
        else:
            (folder / f"{name}.json").write_text(json.dumps(data))
    (folder / "secrets.yaml").write_text(yaml.safe_dump_all(files))


def one_pod(thing: dict) -> list:
    """A workload's pod, and its claims."""
    name, spec = thing["metadata"]["name"], pod(thing)
    claims = []
    for claim in thing["spec"].get("volumeClaimTemplates", []):
        title = f"{name}-{claim['metadata']['name']}"
        about = {"name": title, "annotations": OWNER}
        claims.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": about, "spec": claim["spec"]})
        spec.setdefault("volumes", []).append(
            {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": title}})
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            # podman 4.3 crashes where this is not said.
            volume["secret"].setdefault("optional", False)
    about = {"name": name, "labels": thing["spec"]["template"]["metadata"]["labels"]}
    return [*claims, {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}]


def main(kubectl: str, kept: str, target: str) -> None:
    folder = pathlib.Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    objects = render(kubectl, folder)
    maps = of(objects, "ConfigMap")
    for thing in maps:
        thing["metadata"].pop("namespace")
    made(pathlib.Path(kept), folder)
    for thing in of(objects, *WORKLOADS):
        (folder / f"{thing['metadata']['name']}.yaml").write_text(yaml.safe_dump_all([*maps, *one_pod(thing)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
