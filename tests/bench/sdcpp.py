"""stable-diffusion.cpp with the networks that `diffuse.py write FOLDER` wrote, as a program that reads sides of
the latents and says how long a step with guidance and a decode took.

`sdcpp.py FOLDER THREADS`. Its interface makes whole pictures alone: the times of the parts are those of its log.
"""

import contextlib
import io
import json
import os
import re
import sys
import time

# The library draws bars on the standard output.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
start = time.perf_counter()
from stable_diffusion_cpp import StableDiffusion

folder, threads = sys.argv[1:3]
PARTS = {"unet": r"sampling completed, taking ([\d.]+)s", "vae": r"latent 1 decoded, taking ([\d.]+)s"}


def quietly(work):
    """What `work` gives, and what it logged."""
    with contextlib.redirect_stderr(io.StringIO()) as log:
        return work(), log.getvalue()


model, _ = quietly(lambda: StableDiffusion(
    model_path=folder, n_threads=int(threads), vae_decode_only=True, diffusion_flash_attn=True, vae_conv_direct=False
))
print(json.dumps({"load": time.perf_counter() - start}), file=answers)
for line in sys.stdin:
    side = 8 * int(line)
    _, log = quietly(lambda: model.generate_image(
        prompt="a red cat", negative_prompt="grey", width=side, height=side, sample_steps=1, sample_method="euler",
        cfg_scale=7.5,
    ))
    print(json.dumps({part: float(re.search(words, log)[1]) for part, words in PARTS.items()}), file=answers)
