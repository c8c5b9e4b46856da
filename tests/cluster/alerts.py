"""Every alert has a test that sees it fire and an entry in the runbook, and the runbook has no other."""

import re
import sys

import yaml

from rendered import ROOT


def main() -> bool:
    folder = ROOT / "deploy/prometheus"
    rules = [
        rule for group in yaml.safe_load((folder / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
    ]
    names = {rule["alert"] for rule in rules}
    tests = yaml.safe_load((folder / "alerts-test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case.get("exp_alerts")}
    quiet = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    entries = set(re.findall(r"^### (Shanshui\w+)$", (ROOT / "docs/operations.md").read_text(), re.M))
    faults = [
        f"{name}: {what}"
        for what, there in (
            ("no test sees it fire", fired),
            ("no test sees it quiet", quiet),
            ("no entry in docs/operations.md", entries),
        )
        for name in sorted(names - there)
    ]
    faults += [f"docs/operations.md: there is no alert {name}" for name in sorted(entries - names)]
    faults += [
        f"{rule['alert']}: its runbook is elsewhere"
        for rule in rules
        if rule["annotations"]["runbook"] != f"docs/operations.md#{rule['alert'].lower()}"
    ]
    print(f"{'FAIL' if faults else 'ok'}  alerts: {len(names)}, each with its tests and its entry in the runbook")
    print(*(f"      {one}" for one in faults), sep="\n", end="\n" if faults else "")
    return not faults


if __name__ == "__main__":
    sys.exit(not main())
