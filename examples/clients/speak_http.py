# Speaks a recording into pictures: python3 speak_http.py http://127.0.0.1:8080 hello.wav
import json
import sys
import time
import urllib.request

door, recording = sys.argv[1:]
headers = {"Content-Type": "audio/wav", "Prefer": "wait=60"}
with open(recording, "rb") as sound:
    request = urllib.request.Request(door + "/v1/jobs", sound.read(), headers)
try:
    job = json.load(urllib.request.urlopen(request))
except urllib.request.HTTPError as refused:
    sys.exit(refused.read().decode())
while job["state"] in ("queued", "running"):
    time.sleep(1)
    job = json.load(urllib.request.urlopen(door + job["links"]["self"]))
print(job["state"], (job["error"] or {}).get("reason") or (job["transcript"] or {}).get("text"))
for picture in job["pictures"]:
    name = f"picture-{picture['index']}.png"
    urllib.request.urlretrieve(door + picture["url"], name)
    print(name, "seed", picture["seed"])
