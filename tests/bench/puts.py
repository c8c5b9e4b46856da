"""The least that a receipt costs: one kept connection, one signed PUT after the other (AWS Signature Version 4)."""

import datetime
import hashlib
import hmac
import http.client
import socket
import time

ACCESS, SECRET, REGION = "tester", "a-secret-of-the-tests", "us-east-1"
BODY = b'{"job":"0000000000000000","labels":{},"stages":{"paint":{"seconds":0.001}},"objects":[],"version":2}'


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def keyed(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed(host: str, path: str, body: bytes) -> dict:
    """The headers that a worker sends with a receipt."""
    now = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}"
    headers = {"content-type": "application/json", "host": host, "if-none-match": "*"}
    headers |= {"x-amz-content-sha256": sha256(body), "x-amz-date": now, "x-amz-meta-sha256": sha256(body)}
    names, lines = ";".join(headers), "".join(f"{name}:{value}\n" for name, value in headers.items())
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    request = f"PUT\n{path}\n\n{lines}\n{names}\n{sha256(body)}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = keyed(key, part)
    signature = keyed(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{sha256(request.encode())}").hex()
    credential = f"Credential={ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"
    return headers | {"authorization": f"AWS4-HMAC-SHA256 {credential}"}


def puts(endpoint: str, count: int) -> list:
    """Seconds of each PUT, of the answer too; signing is not counted."""
    host, seconds = endpoint.removeprefix("http://"), []
    connection = http.client.HTTPConnection(host)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(count):
        path = f"/shanshui/puts/{time.time_ns()}-{number}/receipt.json"
        headers = signed(host, path, BODY)
        began = time.perf_counter()
        connection.request("PUT", path, BODY, headers)
        answer = connection.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - began)
        if answer.status != 200:
            raise SystemExit(f"the store answers {answer.status}")
    connection.close()
    return seconds
