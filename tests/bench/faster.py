"""faster-whisper as a program that reads names of recordings and says how long each took.

`faster.py MODEL THREADS [vad]`; the answers are those of workers/transcribe/examples/hear.rs.
"""

import json
import sys
import time

start = time.perf_counter()
from faster_whisper import WhisperModel, decode_audio

vad = "vad" in sys.argv[3:]
model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[2]))
print(json.dumps({"load": time.perf_counter() - start}), flush=True)
for name in sys.stdin:
    samples = decode_audio(name.strip())
    start = time.perf_counter()
    # Beam 1 and times, as we do; the thresholds and temperatures are its defaults, which are ours.
    segments, _ = model.transcribe(
        samples, language="en", beam_size=1, condition_on_previous_text=False, vad_filter=vad
    )
    text = "".join(segment.text for segment in segments).strip()
    print(json.dumps({"seconds": time.perf_counter() - start, "text": text}), flush=True)
