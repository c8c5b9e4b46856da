"""Records what diffusers itself paints with models/mini from our noise, for workers/paint/tests/mini.rs.

    pip install -r ../../../training/mini/requirements.txt && python mini.py

To be run again whenever the weights change.
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

HERE = Path(__file__).parent
PROMPTS = ["high mountains and a river under a full moon", "a red apple on a green field"]
SEED = 42


def philox(counter, key):
    """Philox4x32-10 (Salmon et al., 2011) over arrays of uint64 that hold 32 bits."""
    (a, b, c, d), (low, high) = counter, key
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        left, right = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (right >> np.uint64(32)) ^ b ^ low, right & mask, (left >> np.uint64(32)) ^ d ^ high, left & mask
        low, high = (low + np.uint64(0x9E3779B9)) & mask, (high + np.uint64(0xBB67AE85)) & mask
    return a, b, c, d


def noise(seed, shape):
    """The start of picture 0, as workers/paint/src/noise.rs promises it."""
    blocks = np.arange(-(-int(np.prod(shape)) // 4), dtype=np.uint64)
    zero = np.zeros_like(blocks)
    words = philox((blocks, zero, zero, zero), (np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)))
    r1, a1, r2, a2 = (word.astype(np.float64) for word in words)
    values = []
    for radius, angle in ((r1, a1), (r2, a2)):
        radius = np.sqrt(-2 * np.log((radius + 0.5) / 2**32))
        values += [radius * np.cos(2 * np.pi * angle / 2**32), radius * np.sin(2 * np.pi * angle / 2**32)]
    return torch.from_numpy(np.stack(values, 1).ravel()[: int(np.prod(shape))].astype(np.float32)).reshape(shape)


def main():
    pipe = StableDiffusionPipeline.from_pretrained(HERE.parents[2] / "models/mini", torch_dtype=torch.float32)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    for number, prompt in enumerate(PROMPTS):
        latents = noise(SEED, (1, pipe.unet.config.in_channels, 16, 16))
        picture = pipe(prompt, num_inference_steps=16, guidance_scale=4.5, latents=latents, height=128, width=128)
        picture.images[0].save(HERE / f"mini-{number}.png")


main()
