"""HTTP/2 by hand against a gateway without keys: one line PASS for each promise that holds."""

import os
import socket
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

host, port = os.environ["DOOR"].split(":")
STALL = float(os.environ.get("STALL", 0))


def check(name, holds, seen=""):
    print("PASS" if holds else "FAIL", name, "" if holds else seen, flush=True)


class Line:
    def __init__(self):
        self.socket = socket.create_connection((host, int(port)), 10)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, path="/v1/capabilities", authority=f"{host}:{port}", *more):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", authority), *more]
        self.h2.send_headers(stream, head, end_stream=True)
        return stream

    def answers(self, count, patience=10):
        """The status of each answer up to so many, by stream; None for a line that is hung up on."""
        told, end = {}, time.monotonic() + patience
        while len(told) < count and time.monotonic() < end:
            self.socket.settimeout(max(0.1, end - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                break
            if not data:
                return None
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    told[event.stream_id] = int(dict(event.headers)[b":status"])
                if isinstance(event, (h2.events.ConnectionTerminated,)):
                    return None
            self.flush()
        return told


def one(*arguments):
    line = Line()
    line.ask(*arguments)
    line.flush()
    return list((line.answers(1) or {"": "hung up"}).values())[0]


check("served", one() == 200, one())
check("the name of another host", one("/v1/capabilities", "evil.example") == 403)
disguised = ("host", f"{host}:{port}")
check("another host behind a good one", one("/v1/capabilities", "evil.example", disguised) in (400, 403, "hung up"))
check("a user before the host", one("/v1/capabilities", f"x@evil.example@{host}:{port}") in (400, 403, "hung up"))
check("nothing there", one("/nothing") == 404)

line = Line()
streams = [line.ask() for _ in range(50)]
line.flush()
told = line.answers(50)
check("many at a time", told and set(told.values()) == {200} and len(told) == 50, told)

# CVE-2023-44487: requests that are taken back at once.
line, start = Line(), time.monotonic()
try:
    for _ in range(20_000):
        stream = line.ask()
        line.h2.reset_stream(stream)
        if stream % 200 == 1:
            line.flush()
            line.socket.setblocking(False)
            try:
                line.h2.receive_data(line.socket.recv(65536))
            except BlockingIOError:
                pass
            line.socket.setblocking(True)
    hung = line.answers(1, 2) is None
except (ConnectionError, h2.exceptions.ProtocolError):
    hung = True
check("whoever takes thousands back is hung up on", hung, time.monotonic() - start)
check("others are served meanwhile", one() == 200)

# Headers without end (CVE-2024-27316, CONTINUATION).
raw = socket.create_connection((host, int(port)), 10)
raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4))
frame = (16384).to_bytes(3, "big") + b"\x01\x00" + (1).to_bytes(4, "big") + bytes(16384)
more = (16384).to_bytes(3, "big") + b"\x09\x00" + (1).to_bytes(4, "big") + bytes(16384)
try:
    raw.sendall(frame)
    for _ in range(2000):
        raw.sendall(more)
    raw.settimeout(5)
    while raw.recv(65536):
        pass
    hung = True
except TimeoutError:
    hung = False
except ConnectionError:
    hung = True
check("headers without end", hung)

if STALL:
    # Answers for which their client makes no room, beyond the 64 KiB that it begins with.
    line, start = Line(), time.monotonic()
    for _ in range(10):
        line.ask("/openapi.json")
    line.flush()
    hung = line.answers(11, STALL) is None
    took = time.monotonic() - start
    check("an answer that nobody takes", hung and 55 < took < 80, took)
