"""Renders every overlay and checks it.

    python tests/cluster/manifests.py KUBECTL PROGRAM [--schemas]

One line for each overlay and group of rules; ends with 1 when one is broken. Then it breaks the objects on
purpose, in one way for each rule, and every rule must notice.
"""

import copy
import re
import sys

from broken import WAYS
from forms import FORMS, references
from program import PROGRAM, Program
from rendered import EXTRA, OVERLAYS, ROOT, of, render
from safety import SAFETY


def secrets() -> dict:
    """The Secrets that docs/kubernetes.md has the operator make, from the files of deploy/secrets.sh."""
    page = (ROOT / "docs/kubernetes.md").read_text().replace("\\\n", " ")
    script = (ROOT / "deploy/secrets.sh").read_text()
    users = re.search(r"^users=\((.*)\)", script, re.M)[1].split()
    keys = {
        "nats.env": {f"SHANSHUI_{user.upper().replace('-', '_')}_PASSWORD" for user in users},
        "s3.env": set(re.findall(r"(SHANSHUI_S3_\w+)=%s", script)),
        "gateway.env": set(re.findall(r"(SHANSHUI_GATEWAY_\w+)=%s", script)),
    }
    found = {}
    for name, how, file in re.findall(r"create secret generic (\S+) --from-(env-file|file)=secrets/(\S+)", page):
        found[name] = keys[file] if how == "env-file" else {file}
    return found


def lines(objects: list, program, schemas) -> list:
    """Each group of rules with its faults."""
    known = secrets()
    groups = [
        ("forms", [fault for rule in FORMS for fault in rule(objects)] + list(references(objects, known))),
        ("safety", [fault for rule in SAFETY for fault in rule(objects)]),
        ("program", [fault for rule in PROGRAM for fault in rule(objects, program)]),
    ]
    return [("schemas", list(schemas(objects)))] + groups if schemas else groups


def missing(program, faults: list) -> list:
    """Faults that only say that the program has no `gateway` yet."""
    return [one for one in faults if one.endswith("the program has no command gateway")]


def main(kubectl: str, path: str, *more: str) -> bool:
    schemas = None
    if "--schemas" in more:
        from schemas import faults as schemas
    program = Program(path)
    ok = True
    for overlay in [*OVERLAYS, *EXTRA]:
        objects = render(kubectl, overlay)
        for group, faults in lines(objects, program, schemas):
            later = missing(program, faults)
            faults = [one for one in faults if one not in later]
            ok &= not faults
            note = f"  ({later[0]})" if later else ""
            print(f"{'FAIL' if faults else 'ok'}  kubernetes: {overlay}: {group}, {len(objects)} objects{note}")
            print(*(f"      {fault}" for fault in faults), sep="\n", end="\n" if faults else "")
    return ok & notices(render(kubectl, "three-servers"), program, schemas)


def notices(objects: list, program, schemas) -> bool:
    """Whether every way to break the objects is noticed."""
    before = {fault for _, faults in lines(objects, program, schemas) for fault in faults}
    blind = []
    ways = [way for way in WAYS if schemas or not way.schema]
    for way in ways:
        broken = copy.deepcopy(objects)
        way.change(broken)
        if broken == objects:
            blind.append(f"{way.name}: changes nothing")
            continue
        groups = [("schemas", schemas(broken))] if way.schema else lines(broken, program, None)
        after = {fault for _, faults in groups for fault in faults}
        if not any(way.says in fault for fault in after - before):
            blind.append(f"{way.name}: nothing says {way.says!r}, but {sorted(after - before)}")
    print(f"{'FAIL' if blind else 'ok'}  kubernetes: {len(ways)} faults made on purpose are noticed")
    print(*(f"      {one}" for one in blind), sep="\n", end="\n" if blind else "")
    return not blind


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
