"""Connections of strangers against a gateway with keys: one line PASS for each promise that holds."""

import os
import socket
import time

import h2.config
import h2.connection
import h2.events

host, port = os.environ["DOOR"].split(":")
ANNA = ("authorization", "Bearer key of anna")
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def check(name, holds, seen=""):
    print("PASS" if holds else "FAIL", name, "" if holds else seen, flush=True)


class Line:
    def __init__(self):
        self.socket = socket.create_connection((host, int(port)), 10)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration())
        self.h2.initiate_connection()
        self.over, self.told, self.trailers = False, {}, {}
        self.flush()

    def flush(self):
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError:
            self.over = True

    def ask(self, path, *more, method="GET", end=True):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":path", path), (":authority", f"{host}:{port}"), *more]
        self.h2.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream

    def call(self, path, *more, message=None):
        """A call of gRPC whose client has not said all."""
        head = ("content-type", "application/grpc"), ("te", "trailers"), *more
        stream = self.ask(path, *head, method="POST", end=False)
        if message is not None:
            self.h2.send_data(stream, bytes([0]) + len(message).to_bytes(4, "big") + message)
            self.flush()
        return stream

    def hear(self, patience):
        """What has come after so many seconds at most, or at the next thing that comes."""
        self.socket.settimeout(patience)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if not data:
            self.over = True
            return False
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.told[event.stream_id] = dict(event.headers)
            if isinstance(event, h2.events.TrailersReceived):
                self.trailers[event.stream_id] = dict(event.headers)
            if isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return True

    def status(self, stream, patience=10):
        end = time.monotonic() + patience
        while stream not in self.told and not self.over and time.monotonic() < end:
            self.hear(max(0.05, end - time.monotonic()))
        return int(self.told.get(stream, {}).get(b":status", 0))

    def ended(self, stream, patience=10):
        """The code of gRPC that a call ends with."""
        end = time.monotonic() + patience
        while not self.over and time.monotonic() < end:
            found = self.trailers.get(stream, {}).get(b"grpc-status", self.told.get(stream, {}).get(b"grpc-status"))
            if found is not None:
                return int(found)
            self.hear(max(0.05, end - time.monotonic()))
        return None


def one(path, *more):
    line = Line()
    return line.status(line.ask(path, *more))


# Somebody with a key is there before the crowd comes, and has a request in work.
early = Line()
follows = early.ask("/v1/jobs/nobody", ANNA)
check("a caller", early.status(follows) == 404, early.told)

# Strangers keep requests in work by the hundred: more than one address may have.
crowd = []
for _ in range(50):
    line = Line()
    for _ in range(60):
        line.call(REFLECTION)
    crowd.append(line)
time.sleep(0.5)
check("a caller is served beside them", one("/v1/capabilities", ANNA) == 200)
check("a caller that was there is served", early.status(early.ask("/v1/capabilities", ANNA)) == 200, early.told)
check("a stranger has the page", one("/") == 200)
line = Line()
stream = line.call("/grpc.health.v1.Health/Check", message=b"")
line.h2.end_stream(stream)
line.flush()
check("a stranger asks for the health", line.ended(stream) == 0, line.told)

for media in ("application/grpc-web+proto", "application/grpcx", "text/plain"):
    line = Line()
    told = line.status(line.ask("/grpc.health.v1.Health/Check", ("content-type", media), method="POST"))
    check(f"no gRPC: {media}", told == 415, told)

# What a stranger sends is counted as nobody else's.
line = Line()
stream = line.call(REFLECTION)
for _ in range(40):
    if line.over or stream in line.trailers:
        break
    question = b"\x3a" + bytes([0x80 | (2000 & 0x7F), 2000 >> 7]) + b"x" * 2000
    try:
        line.h2.send_data(stream, bytes([0]) + len(question).to_bytes(4, "big") + question)
    except h2.exceptions.ProtocolError:
        break
    line.flush()
    line.hear(0.01)
code = line.ended(stream)
check("questions without end are cut off", code is not None, (code, line.told.get(stream), line.trailers))
