"""gRPC's own client, with stubs made of the .proto, against the gateway: one line PASS for each promise that holds."""

import hashlib
import importlib
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

import grpc
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from grpc_tools import protoc

door, proto = os.environ["DOOR"], pathlib.Path(os.environ["PROTO"])
speech = pathlib.Path(os.environ["SPEECH"])
Code = grpc.StatusCode
made = tempfile.mkdtemp()
protoc.main(["", f"-I{proto.parent}", f"--python_out={made}", f"--grpc_python_out={made}",
             f"--descriptor_set_out={made}/set", proto.name])
sys.path.insert(0, made)
pb = importlib.import_module("shanshui_pb2")
stubs = importlib.import_module("shanshui_pb2_grpc")
SMALL = dict(width=64, height=64, steps=2, count=1, seed=2**64 - 1)


def check(name, holds, seen=""):
    print("PASS" if holds else "FAIL", name, "" if holds else seen, flush=True)


def key(word):
    return [("authorization", f"Bearer {word}")]


ANNA, BEN = key("key of anna"), key("key of ben")


def channel():
    # Channels with the same options share a connection, which has a limit of its own.
    return grpc.insecure_channel(door, options=[("grpc.use_local_subchannel_pool", 1)])


jobs = stubs.JobsStub(channel())


def refused(call, *arguments, **more):
    """Code, field and reason of a refusal, and the whole of it."""
    try:
        answer = call(*arguments, **{"metadata": ANNA, "timeout": 60, **more})
        answer = list(answer) if hasattr(answer, "__next__") else answer
        return None, None, None, answer
    except grpc.RpcError as error:
        rich = rpc_status.from_call(error)
        field = reason = None
        for detail in rich.details if rich else []:
            for kind in (error_details_pb2.BadRequest, error_details_pb2.ErrorInfo):
                one = kind()
                if detail.Unpack(one):
                    if kind is error_details_pb2.BadRequest:
                        field = one.field_violations[0].field
                    else:
                        reason = one.reason
        return error.code(), field, reason, error


def text(words="a boat", **settings):
    picture = pb.PictureSettings(**{**SMALL, **settings.pop("picture", {})})
    return pb.SubmitRequest(text=words, settings=pb.Settings(picture=picture, **settings))


def follow(job, after=0):
    return list(jobs.Follow(pb.FollowRequest(id=job, after=after), metadata=ANNA, timeout=120))


def describes():
    database = ProtoReflectionDescriptorDatabase(channel())
    services = set(database.get_services())
    check("services", {"shanshui.v1.Jobs", "grpc.health.v1.Health"} <= services, services)
    own = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(made, "set").read_bytes()).file[0]
    told = database.FindFileContainingSymbol("shanshui.v1.Jobs")
    check("reflection tells the .proto: after a change make shanshui.binpb again with protoc", told == own, told)
    health = health_pb2_grpc.HealthStub(channel())
    check("health", health.Check(health_pb2.HealthCheckRequest(service="shanshui.v1.Jobs")).status == 1)
    code = refused(health.Check, health_pb2.HealthCheckRequest(service="x"))[0]
    check("no such service", code == Code.NOT_FOUND, code)
    for service, state in (("", 1), ("shanshui.v1.Jobs", 1), ("x", 3)):
        watch = health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=10)
        check(f"watched: {service}", next(watch).status == state)
        watch.cancel()
    code = refused(channel().unary_unary("/shanshui.v1.Jobs/Sing"), b"")[0]
    check("no such call", code == Code.UNIMPLEMENTED, code)


def paints():
    sent = jobs.Submit(text(labels={"from": "grpc"}), metadata=ANNA)
    check("a text is a job", sent.state == "queued" and sent.HasField("place"), sent)
    events = follow(sent.id)
    kinds = [event.kind for event in events]
    check("followed to its end", kinds[0] in ("queued", "accepted") and kinds[-1] == "done" and "picture" in kinds, kinds)
    check("events are CloudEvents", all(json.loads(event.json)["specversion"] == "1.0" for event in events))
    kept = [event.sequence for event in events if event.sequence]
    again = [event.sequence for event in follow(sent.id, kept[1])]
    check("resumed", again == kept[2:], (kept, again))
    check("over", follow(sent.id, kept[-1]) == [])
    job = jobs.Get(pb.GetRequest(id=sent.id), metadata=ANNA)
    picture = job.pictures[0]
    holds = (job.state, job.lane, job.labels["from"], picture.seed) == ("done", "anna", "grpc", 2**64 - 1)
    check("document", holds and json.loads(job.receipt_json)["objects"] and job.stages[-1].stage == "paint", job)
    parts = list(jobs.Picture(pb.PictureRequest(id=sent.id), metadata=ANNA))
    whole = b"".join(part.bytes for part in parts)
    same = hashlib.sha256(whole).hexdigest() == picture.sha256 == parts[0].info.sha256
    check("picture", same and len(whole) == parts[0].info.length and parts[0].info.type == "image/png", parts[0])
    code, field, *_ = refused(jobs.Picture, pb.PictureRequest(id=sent.id, index=7))
    check("no such picture", (code, field) == (Code.NOT_FOUND, "index"), (code, field))
    page = jobs.List(pb.ListRequest(limit=1), metadata=ANNA)
    check("a page of the list", len(page.jobs) == 1 and page.HasField("next"), page)
    code, field, *_ = refused(jobs.List, pb.ListRequest(limit=0))
    check("a page of nothing", (code, field) == (Code.INVALID_ARGUMENT, "limit"), (code, field))
    told = json.loads(jobs.Capabilities(pb.CapabilitiesRequest(), metadata=ANNA).json)
    check("capabilities", told["caller"] == {"name": "anna", "lane": "anna"}, told)
    return sent.id


def hears():
    sound = (speech / "cat.wav").read_bytes()
    settings = pb.Settings(until="transcript", language="en")
    whole = jobs.Submit(pb.SubmitRequest(recording=sound, settings=settings), metadata=ANNA).id
    parts = [pb.RecordingPart(settings=settings)]
    parts += [pb.RecordingPart(sound=sound[at : at + 8000]) for at in range(0, len(sound), 8000)]
    pieces = jobs.SubmitRecording(iter(parts), metadata=ANNA).id
    for name, job in (("a recording", whole), ("a recording in pieces", pieces)):
        follow(job)
        words = jobs.Get(pb.GetRequest(id=job), metadata=ANNA).transcript
        check(name, "cat" in words.text.lower() and words.language == "en", words)


def repeats():
    once = ANNA + [("idempotency-key", f"once {time.time()}")]
    first, second = (jobs.Submit(text("a hill"), metadata=once).id for _ in range(2))
    check("sent twice, one job", first == second, (first, second))
    code, _, reason, _ = refused(jobs.Submit, text("a lake"), metadata=once)
    check("another job under the same key", (code, reason) == (Code.ALREADY_EXISTS, "name-used"), (code, reason))


def cancels():
    job = jobs.Submit(text(picture=dict(steps=150, width=512, height=512)), metadata=ANNA).id
    check("cancel", jobs.Cancel(pb.CancelRequest(id=job), metadata=ANNA).id == job)
    check("canceled", follow(job)[-1].kind == "canceled")
    code, _, reason, _ = refused(jobs.Cancel, pb.CancelRequest(id=job))
    check("canceled twice", (code, reason) == (Code.FAILED_PRECONDITION, "job-ended"), (code, reason))


def erases(job):
    for name, foreign, metadata in (("another lane's job", job, BEN), ("no job", "nobody", ANNA)):
        code = refused(jobs.Erase, pb.EraseRequest(id=foreign), metadata=metadata)[0]
        check(f"{name} is not erased", code == Code.NOT_FOUND, code)
    check("no key erases nothing", refused(jobs.Erase, pb.EraseRequest(id=job), metadata=[])[0] == Code.UNAUTHENTICATED)
    slow = jobs.Submit(text(picture=dict(steps=150, width=512, height=512)), metadata=ANNA).id
    code, field, reason, _ = refused(jobs.Erase, pb.EraseRequest(id=slow))
    check("a job in work", (code, field, reason) == (Code.FAILED_PRECONDITION, "id", "job-open"), (code, field, reason))
    jobs.Cancel(pb.CancelRequest(id=slow), metadata=ANNA)
    told = jobs.Erase(pb.EraseRequest(id=job), metadata=ANNA, timeout=60)
    check("erased", told.id == job and told.erased.objects > 1 and told.erased.events > 3, told)
    check("gone", refused(jobs.Get, pb.GetRequest(id=job))[0] == Code.NOT_FOUND)


def guards(job):
    one = pb.GetRequest(id=job)
    for name, metadata in (("no key", []), ("a wrong key", key("key of nobody")), ("no bearer", [("authorization", "x")])):
        codes = [
            refused(jobs.Get, one, metadata=metadata)[0],
            refused(jobs.Follow, pb.FollowRequest(id=job), metadata=metadata)[0],
            refused(jobs.SubmitRecording, iter([]), metadata=metadata)[0],
        ]
        check(name, codes == [Code.UNAUTHENTICATED] * 3, codes)
    for name, foreign in (("another lane's job", job), ("no job", "nobody"), ("no name of a job", "../x y"), ("", "")):
        codes = [
            refused(jobs.Get, pb.GetRequest(id=foreign), metadata=BEN)[0],
            refused(jobs.Cancel, pb.CancelRequest(id=foreign), metadata=BEN)[0],
            refused(jobs.Follow, pb.FollowRequest(id=foreign), metadata=BEN)[0],
            refused(jobs.Picture, pb.PictureRequest(id=foreign), metadata=BEN)[0],
        ]
        check(name or "the empty name", codes == [Code.NOT_FOUND] * 4, codes)
    listed = [job.id for job in jobs.List(pb.ListRequest(limit=100), metadata=BEN).jobs]
    check("another lane's list", job not in listed, listed)
    wrong = {
        "picture.steps": text(picture=dict(steps=0)),
        "picture.loras[0].name": text(picture=dict(loras=[pb.Lora(weight=1)])),
        "until": text(until="supper"),
        "deadline": text(deadline="soon"),
        "lane": text(lane="ben"),
        "id": text(id="mine"),
        "webhook": text(webhook="http://10.0.0.1/hook"),
        "audio": pb.SubmitRequest(),
        "text": pb.SubmitRequest(text="x" * 20_001),
    }
    for field, request in wrong.items():
        code, found, reason, error = refused(jobs.Submit, request)
        named = found is not None and found.split("[")[0] == field.split("[")[0]
        check(f"wrong {field}", named and (code, reason) == (Code.INVALID_ARGUMENT, "bad-input"), (code, found, error))
    rich = rpc_status.from_call(refused(jobs.Submit, wrong["picture.steps"])[3])
    check("a refusal says what is allowed", "allowed: a whole number" in rich.message, rich)


def attacks():
    before = len(jobs.List(pb.ListRequest(limit=100), metadata=ANNA).jobs)
    large = (pb.RecordingPart(sound=b"x" * 65536) for _ in range(20))
    code, _, reason, error = refused(jobs.SubmitRecording, large)
    check("too large in pieces", (code, reason) == (Code.OUT_OF_RANGE, "too-large"), error)
    code, _, reason, error = refused(jobs.Submit, pb.SubmitRequest(recording=b"x" * (1 << 20)))
    check("too large", (code, reason) == (Code.OUT_OF_RANGE, "too-large"), error)
    code = refused(jobs.Get, pb.GetRequest(id="x" * 70_000))[0]
    check("a large message", code == Code.OUT_OF_RANGE, code)
    many = text(labels={str(number): "x" * 100 for number in range(1000)})
    code, field, *_ = refused(jobs.Submit, many)
    check("large settings", (code, field) == (Code.INVALID_ARGUMENT, "settings"), (code, field))
    raw = channel().unary_unary("/shanshui.v1.Jobs/Submit")
    for name, garbage in (("no UTF-8", b"\x0a\x02\xff\xfe"), ("no message", b"\xff" * 40), ("cut", b"\x0a\x7fx")):
        code = refused(raw, garbage)[0]
        check(name, code == Code.INVALID_ARGUMENT, code)
    code, field, *_ = refused(jobs.SubmitRecording, iter([]))
    check("no sound", (code, field) == (Code.INVALID_ARGUMENT, "audio"), (code, field))
    late = [pb.RecordingPart(sound=b"x"), pb.RecordingPart(settings=pb.Settings())]
    code, field, *_ = refused(jobs.SubmitRecording, iter(late))
    check("settings behind the sound", (code, field) == (Code.INVALID_ARGUMENT, "settings"), (code, field))
    hung = threading.Event()

    def half():
        yield pb.RecordingPart(sound=b"x" * 1000)
        hung.wait(10)

    call = jobs.SubmitRecording.future(half(), metadata=ANNA)
    time.sleep(0.3)
    call.cancel()
    hung.set()
    after = len(jobs.List(pb.ListRequest(limit=100), metadata=ANNA).jobs)
    check("whoever hangs up sends no job", after == before, (before, after))


def crowd():
    """Two hundred followers of one job over four connections."""
    job = jobs.Submit(text(), metadata=ANNA).id
    streams = [
        stub.Follow(pb.FollowRequest(id=job), metadata=ANNA, timeout=120)
        for stub in [stubs.JobsStub(channel()) for _ in range(4)]
        for _ in range(50)
    ]
    ends = [[event.kind for event in stream][-1] for stream in streams]
    check("two hundred followers", ends == ["done"] * 200, ends)


def slow():
    def drip():
        yield pb.RecordingPart(sound=b"x")
        time.sleep(40)

    start = time.monotonic()
    code, _, reason, _ = refused(stubs.JobsStub(channel()).SubmitRecording, drip())
    within = 15 < time.monotonic() - start < 35
    check("a slow sender", within and (code, reason) == (Code.DEADLINE_EXCEEDED, "too-slow"), (code, reason))


def hurries():
    for _ in range(200):
        code, _, reason, error = refused(jobs.Submit, pb.SubmitRequest(), metadata=BEN)
        if code != Code.INVALID_ARGUMENT:
            break
    delay = error_details_pb2.RetryInfo()
    unpacked = any(detail.Unpack(delay) for detail in rpc_status.from_call(error).details)
    holds = (code, reason) == (Code.RESOURCE_EXHAUSTED, "rate-limit") and unpacked and delay.retry_delay.seconds > 0
    check("too many jobs", holds, (code, reason, error))


waiting = threading.Thread(target=slow)
waiting.start()
describes()
first = paints()
hears()
repeats()
cancels()
guards(first)
attacks()
crowd()
erases(first)
hurries()
waiting.join()
