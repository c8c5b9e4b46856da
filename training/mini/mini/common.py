"""What every stage shares: device, seeds, the CPU speed patch, budgets, checkpoints, EMA."""
import math
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def setup(seed: int, threads: int | None = None) -> None:
    """Seeds everything. `threads`: torch threads; the environment's OMP_NUM_THREADS otherwise."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if threads or os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(threads or int(os.environ["OMP_NUM_THREADS"]))
    torch.set_flush_denormal(True)


def autocast(on: bool = True):
    """bf16 mixed precision on either device."""
    return torch.autocast(DEVICE, torch.bfloat16, enabled=on)


def patch_norms(model: torch.nn.Module) -> torch.nn.Module:
    """GroupNorm always in fp32, NCHW: on CPU the bf16 and channels_last kernels are about 8x slower."""
    if DEVICE != "cpu":
        return model

    def forward(self, x):
        return F.group_norm(x.float().contiguous(), self.num_groups, self.weight, self.bias, self.eps)

    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = forward.__get__(module)
    return model


class Budget:
    """How far a stage has come, in [0, 1]: by minutes of training time (kept across restarts) or by steps."""

    def __init__(self, minutes: float | None, steps: int | None, spent: float = 0.0):
        assert (minutes is None) != (steps is None), "give minutes or steps"
        self.minutes, self.steps, self.before, self.start = minutes, steps, spent, time.time()

    @property
    def spent(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self.before + time.time() - self.start

    def progress(self, step: int) -> float:
        return min(1.0, step / self.steps if self.steps else self.spent / (60 * self.minutes))


def cosine(progress: float, start: float = 0.0, floor: float = 0.02) -> float:
    """Learning-rate factor: 1 until `start`, then half a cosine down to `floor`."""
    if progress < start:
        return 1.0
    x = (progress - start) / (1 - start)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * x))


def stop_flag() -> list:
    """Empty until SIGTERM or SIGINT asks to stop: the loop then saves and leaves."""
    asked = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: asked.append(number))
    return asked


def save_atomic(state: dict, path: Path) -> None:
    """A run killed while it saves must still find the previous checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    torch.save(state, part)
    os.replace(part, path)


def load(path: Path) -> dict | None:
    return torch.load(path, map_location=DEVICE, weights_only=False) if path.exists() else None


class Ema:
    """Exponential moving average of parameters, with a warm-up so that early averages are not the start."""

    def __init__(self, params, decay: float):
        self.params, self.decay = list(params), decay
        self.shadow = [p.detach().clone() for p in self.params]

    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (20 + step))
        torch._foreach_lerp_(self.shadow, [p.data for p in self.params], 1 - decay)

    def swap(self) -> None:
        """Exchanges averages and live weights; call again to undo."""
        for p, s in zip(self.params, self.shadow):
            live = p.data.clone()
            p.data.copy_(s)
            s.copy_(live)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """dB, for images in [-1, 1]."""
    mse = ((a.clamp(-1, 1) - b) ** 2).mean((1, 2, 3)).clamp_min(1e-10)
    return float((10 * torch.log10(4 / mse)).mean())


def to_float(u8: np.ndarray) -> torch.Tensor:
    """NHWC bytes -> NCHW in [-1, 1]."""
    return torch.from_numpy(np.array(u8)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(x: torch.Tensor) -> np.ndarray:
    """NCHW in [-1, 1] -> NHWC bytes."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
