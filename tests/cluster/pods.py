"""The pods of deploy/kubernetes for `podman kube play`, which knows Pods, ConfigMaps, Secrets and claims.

    python tests/cluster/pods.py KUBECTL SECRETS FOLDER

Renders the base with a store in the cluster and without KEDA, and writes into FOLDER one file for each workload:
its pod template with what it refers to. What podman cannot do is changed: the claims of a StatefulSet become claims,
a Deployment has one pod, and there are no probes (podman leaves them to systemd) and no published ports.
"""

import base64
import json
import pathlib
import re
import subprocess
import sys

import yaml

from manifests import secrets
from rendered import KUBERNETES, WORKLOADS, containers, of, pod, settings

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


def made(kept: pathlib.Path, folder: pathlib.Path) -> dict:
    """The Secrets, as `kubectl create secret` would make them of the files of deploy/secrets.sh.

    podman 4.3 reads variables from a secret of its own, which is JSON: NAME.json. It hands out files of a Secret
    without decoding them, so those come as ConfigMaps: the answer."""
    files = {}
    for name, keys in secrets().items():
        if single := {key: (kept / key).read_text() for key in keys if (kept / key).exists()}:
            files[name] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": single}
            continue
        lines = [line.partition("=") for file in kept.glob("*.env") for line in file.read_text().splitlines()]
        data = {key: base64.b64encode(value.encode()).decode() for key, _, value in lines if key in keys}
        (folder / f"{name}.json").write_text(json.dumps(data))
    return files


def claim_of(name: str, spec: dict) -> dict:
    about = {"name": name, "annotations": OWNER}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": about, "spec": spec}


def one_pod(thing: dict, shared: dict) -> list:
    """A workload's pod, and its claims."""
    name, spec = thing["metadata"]["name"], pod(thing)
    claims = []
    for claim in thing["spec"].get("volumeClaimTemplates", []):
        title = f"{name}-{claim['metadata']['name']}"
        claims.append(claim_of(title, claim["spec"]))
        spec.setdefault("volumes", []).append(
            {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": title}}
        )
    for volume in spec.get("volumes", []):
        if secret := volume.pop("secret", None):
            volume["configMap"] = {"name": secret["secretName"]}
        if "emptyDir" in volume:
            # podman calls the folder by the volume's name, for all pods; this makes one of each pod's own.
            claims.append(claim_of(f"{name}-{volume['name']}", {"accessModes": ["ReadWriteOnce"]}))
            volume.pop("emptyDir")
            volume["persistentVolumeClaim"] = {"claimName": f"{name}-{volume['name']}"}
    # podman publishes every port on this machine; within its network none of it is needed.
    for one in containers(thing):
        # Of the containers that run before others, podman 4.3 does not fill in $(NAME).
        known = shared | {variable["name"]: variable["value"] for variable in one.get("env", []) if "value" in variable}
        one["args"] = [re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], word) for word in one.get("args", [])]
        one.pop("ports", None)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            one.pop(probe, None)
    about = {
        "name": name,
        "labels": thing["spec"]["template"]["metadata"]["labels"],
        # podman may try to remove the others while they still run.
        "annotations": {"io.podman.annotations.init.container.type": "always"},
    }
    return [*claims, {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}]


def main(kubectl: str, kept: str, target: str) -> None:
    folder = pathlib.Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    objects = render(kubectl, folder)
    maps, shared = of(objects, "ConfigMap"), settings(objects)
    for thing in maps:
        thing["metadata"].pop("namespace")
    maps += made(pathlib.Path(kept), folder).values()
    for thing in of(objects, *WORKLOADS):
        (folder / f"{thing['metadata']['name']}.yaml").write_text(yaml.safe_dump_all([*maps, *one_pod(thing, shared)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
