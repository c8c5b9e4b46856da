"""The queries of alerts and dashboards: each is PromQL, and names metrics and labels that a real page has.

python tests/cluster/queries.py PAGE              # PAGE: what /metrics of a real run said
python tests/cluster/queries.py PAGE PROMETHEUS   # besides, asks each of a Prometheus that scraped the run
"""

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

import promql_parser as promql
import yaml

from rendered import ROOT

# What Prometheus adds itself, and the labels that deploy/prometheus gives to each target.
OUTSIDE = {"up": {"job", "component", "instance"}}
TARGET = {"job", "component", "instance"}
GRAFANA = {"$__rate_interval": "5m", "$__range": "1h", "$price_paint": "1", "$price_transcribe": "1"}


def queries() -> list:
    """(where it stands, query)."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    found = [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    for path in sorted((ROOT / "deploy/grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            # Traces and logs have languages of their own.
            for target in (one for one in panel["targets"] if one["datasource"]["type"] == "prometheus"):
                text = target["expr"]
                for name, value in GRAFANA.items():
                    text = text.replace(name, value)
                found.append((f"{path.name}: {panel['title']}", text))
    return found


def selectors(tree) -> list:
    """Every selector below a node of the parsed query."""
    if isinstance(tree, promql.VectorSelector):
        return [tree]
    found = []
    for name in ("lhs", "rhs", "expr", "param", "vector_selector", "vs", "args"):
        below = getattr(tree, name, None)
        for one in below if isinstance(below, list) else [below]:
            found += selectors(one) if one is not None and not isinstance(one, (str, float, int)) else []
    return found


def page(text: str) -> dict:
    """Names with the labels and values that they have."""
    found = {}
    for name, labels in re.findall(r"^(\w+)(?:\{([^}]*)\})? ", text, re.M):
        values = found.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            values.setdefault(label, set()).add(value)
    return found


def outcomes() -> set:
    """What an attempt's outcome may be, from the worker."""
    source = (ROOT / "common/pipeline/src/worker/settle.rs").read_text()
    return set(re.findall(r'=> "([a-z-]+)",', source[source.index("fn outcome(") :]))


def faults(where: str, query: str, there: dict):
    try:
        tree = promql.parse(query)
    except ValueError as error:
        yield f"{where}: no PromQL: {error}"
        return
    found = selectors(tree)
    if len(found) != len(re.findall(r"\b(?:shanshui|process)_\w+|\bup\b", re.sub(r'"[^"]*"', '""', query))):
        yield f"{where}: only {len(found)} selectors were looked at"
    for one in found:
        if one.name not in there and one.name not in OUTSIDE:
            yield f"{where}: no page has {one.name}"
            continue
        known = there.get(one.name, {})
        for matcher in one.matchers.matchers:
            if matcher.name not in set(known) | OUTSIDE.get(one.name, set()) | TARGET:
                yield f"{where}: {one.name} has no label {matcher.name}"
            elif matcher.name in known:
                possible = known[matcher.name] | (outcomes() if matcher.name == "outcome" else set())
                yield from (
                    f"{where}: {matcher.name} is never {value}"
                    for value in matcher.value.split("|")
                    if value not in possible
                )


def ask(prometheus: str, query: str) -> list:
    address = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise ValueError(json.load(error)["error"]) from error


def asked(prometheus: str) -> bool:
    """Every query is answered; those of dashboards with numbers, but for what did not happen in the run."""
    empty, wrong, full = [], [], 0
    for where, query in queries():
        try:
            full += bool(ask(prometheus, query))
            empty += [where] if ".json" in where and not ask(prometheus, query) else []
        except ValueError as error:
            wrong.append(f"{where}: {error}")
    print(
        f"{'FAIL' if wrong else 'ok'}  prometheus: {len(queries())} queries answered, {full} with numbers; empty: {sorted(set(empty))}"
    )
    print(*(f"      {one}" for one in wrong), sep="\n", end="\n" if wrong else "")
    return not wrong and full > len(queries()) // 2


def main(path: str, prometheus: str = "") -> bool:
    with open(path, encoding="utf-8") as file:
        there = page(file.read())
    found = [fault for where, query in queries() for fault in faults(where, query, there)]
    print(
        f"{'FAIL' if found else 'ok'}  queries: {len(queries())} of alerts and dashboards, against {len(there)} names of a real page"
    )
    print(*(f"      {one}" for one in found), sep="\n", end="\n" if found else "")
    made_up = [
        ("made up", "sum(rate(x[5m])"),
        ("made up", 'rate(shanshui_jobs_total{outcome="donne"}[5m])'),
        ("made up", "shanshui_jobs"),
        ("made up", 'rate(shanshui_jobs_total{stge="paint"}[5m])'),
    ]
    blind = [query for where, query in made_up if not list(faults(where, query, there))]
    print(f"{'FAIL' if blind else 'ok'}  queries: {len(made_up)} wrong ones are noticed {blind or ''}")
    return not found and not blind and (not prometheus or asked(prometheus))


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
