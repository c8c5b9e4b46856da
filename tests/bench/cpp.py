"""whisper.cpp as a program that reads names of recordings and says how long each took.

`cpp.py MODEL.ggml THREADS [short]`; the answers are those of workers/transcribe/examples/hear.rs. "short" gives it a
context of the sound and 7 s, as ours is.
"""

import json
import math
import sys
import time

start = time.perf_counter()
from faster_whisper import decode_audio
from pywhispercpp.model import Model

short = "short" in sys.argv[3:]
model = Model(sys.argv[1], n_threads=int(sys.argv[2]), redirect_whispercpp_logs_to=None, print_progress=False)
print(json.dumps({"load": time.perf_counter() - start}), flush=True)
for name in sys.stdin:
    samples = decode_audio(name.strip())
    # 50 positions a second; 1500 are the whole window, which 0 means.
    context = min(1500, math.ceil(len(samples) / 320) + 350) if short else 0
    start = time.perf_counter()
    segments = model.transcribe(samples, language="en", audio_ctx=context, single_segment=True, temperature_inc=0.0)
    text = "".join(segment.text for segment in segments).strip()
    print(json.dumps({"seconds": time.perf_counter() - start, "text": text}), flush=True)
