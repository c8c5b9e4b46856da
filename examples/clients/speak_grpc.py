# Speaks a recording into pictures over gRPC, with shanshui.proto beside it: python3 speak_grpc.py http://127.0.0.1:8080 hello.wav
import json
import sys

import grpc

door, recording = sys.argv[1:]
pb, services = grpc.protos_and_services("shanshui.proto")
jobs = services.JobsStub(grpc.insecure_channel(door.removeprefix("http://")))
with open(recording, "rb") as sound:
    pieces = iter(lambda: sound.read(1 << 16), b"")
    job = jobs.SubmitRecording(pb.RecordingPart(sound=piece) for piece in pieces)
for event in jobs.Follow(pb.FollowRequest(id=job.id)):
    print(event.kind, json.loads(event.json)["data"].get("text", ""))
for picture in jobs.Get(pb.GetRequest(id=job.id)).pictures:
    with open(f"picture-{picture.index}.png", "wb") as file:
        for part in jobs.Picture(pb.PictureRequest(id=job.id, index=picture.index)):
            file.write(part.bytes)
