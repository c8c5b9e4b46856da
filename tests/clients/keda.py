"""What an autoscaler reads of the pools: for each stage, the sum of num_pending + num_ack_pending
over its consumers (docs/contract.md, Pools), from the monitoring port of nats-server.

    python tests/clients/keda.py http://127.0.0.1:8222 [ACCOUNT]

KEDA's nats-jetstream scaler takes that sum of one consumer for each trigger. Where a consumer is
missing it takes the last sequence of the stream instead, every message that there ever was; so does
this.
"""

import json
import re
import sys
import urllib.request

STAGES = {"AUDIO": "transcribe", "TEXT": "paint"}


def consumers(detail: dict, stage: str) -> list:
    """The consumers of the default pool."""
    mine = re.compile(f"{stage}(_[0-9]+)?")
    return [one for one in detail.get("consumer_detail") or [] if mine.fullmatch(one["name"])]


def lags(monitor: str, account: str = "$G") -> dict:
    address = f"{monitor}/jsz?acc={account}&consumers=true&config=true"
    with urllib.request.urlopen(address, timeout=10) as answer:
        accounts = json.load(answer).get("account_details") or []
    found = {}
    for detail in (stream for account in accounts for stream in account.get("stream_detail") or []):
        stage = STAGES.get(detail["name"])
        mine = consumers(detail, stage) if stage else []
        if mine:
            found[stage] = sum(one["num_pending"] + one["num_ack_pending"] for one in mine)
        elif stage:
            found[stage] = detail["state"]["last_seq"]
    return found


if __name__ == "__main__":
    print(json.dumps(lags(*sys.argv[1:])))
