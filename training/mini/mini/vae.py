"""Stage 1: AutoencoderKL f4 at 64 px, which fixes the latent space (16x16x4) for everything after it."""
import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from . import common

CHANNELS = (24, 48, 96)
CROP = 32  # px; training on crops is 4x cheaper a step and the net has no attention, so crops tell all
KL, NOISE = 1e-3, 0.05


def build(channels=CHANNELS, sample_size=64) -> AutoencoderKL:
    """Norm groups of >= 4 channels: with one channel a group it is InstanceNorm and erases brightness."""
    n = len(channels)
    return common.patch_norms(AutoencoderKL(
        latent_channels=4, layers_per_block=1, block_out_channels=channels, norm_num_groups=channels[0] // 4,
        sample_size=sample_size, mid_block_add_attention=False, scaling_factor=1.0,
        down_block_types=("DownEncoderBlock2D",) * n, up_block_types=("UpDecoderBlock2D",) * n)).to(common.DEVICE)


def edges(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction(r, x, mse=2.0):
    """L1 + MSE + gradient L1: the last one is what keeps edges."""
    (gx, gy), (rx, ry) = edges(x), edges(r)
    return (r - x).abs().mean() + mse * ((r - x) ** 2).mean() + 0.5 * ((rx - gx).abs().mean() + (ry - gy).abs().mean())


def crops(images: np.ndarray, n: int, size: int, rng) -> torch.Tensor:
    out = np.empty((n, size, size, 3), np.uint8)
    height, width = images.shape[1:3]
    for k, i in enumerate(rng.integers(0, len(images), n)):
        y, x = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
        out[k] = images[i, y:y + size, x:x + size]
    return common.to_float(out).to(common.DEVICE)


def step_loss(model, x, rng, halves=0.25):
    with common.autocast():
        dist = model.encode(x).latent_dist
    mean, logvar = dist.mean.float(), dist.logvar.float()
    z = mean + (torch.exp(0.5 * logvar) + NOISE) * torch.randn_like(mean)
    target = x
    if rng.random() < halves:
        # A latent seen at half scale must decode to the picture at half scale: it keeps the latent
        # image-like (smooth), which is what a small diffusion model learns fastest.
        z, target = F.avg_pool2d(z, 2), F.avg_pool2d(x, 2)
    with common.autocast():
        r = model.decode(z).sample
    kl = 0.5 * (mean ** 2 + logvar.exp() - 1 - logvar).mean()
    rec = reconstruction(r.float(), target)
    return rec + KL * kl, rec


@torch.no_grad()
def validate(model, x):
    model.eval()
    z = model.encode(x).latent_dist.mean
    clean = common.psnr(model.decode(z).sample, x)
    noisy = common.psnr(model.decode(z + 0.15 * z.std() * torch.randn_like(z)).sample, x)
    model.train()
    return clean, noisy, float(z.std())


@torch.no_grad()
def fold(model, images: np.ndarray) -> None:
    """Folds per-channel normalisation into the two 1x1 convolutions (exact): latents become mean 0, std 1."""
    model.eval()
    z = torch.cat([model.encode(common.to_float(images[k:k + 100]).to(common.DEVICE)).latent_dist.mean
                   for k in range(0, len(images), 100)])
    mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
    q, p = model.quant_conv, model.post_quant_conv
    q.weight[:4] /= std.view(4, 1, 1, 1)
    q.bias[:4] = (q.bias[:4] - mean) / std
    q.bias[4:] -= 2 * std.log()
    p.bias += p.weight[:, :, 0, 0] @ mean
    p.weight *= std.view(1, 4, 1, 1)
    print("folded: mean", mean.tolist(), "std", std.tolist(), flush=True)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--data", type=Path, required=True, help="x64.npy: uint8 images, N x 64 x 64 x 3")
    a.add_argument("--out", type=Path, required=True)
    a.add_argument("--minutes", type=float)
    a.add_argument("--steps", type=int)
    a.add_argument("--batch", type=int, default=32)
    a.add_argument("--lr", type=float, default=2e-3)
    a.add_argument("--seed", type=int, default=1)
    a = a.parse_args()
    common.setup(a.seed)
    images = np.load(a.data, mmap_mode="r")
    held, images = common.to_float(images[-64:]).to(common.DEVICE), images[:-64]
    model = build()
    opt = torch.optim.AdamW(model.parameters(), a.lr, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    check, step, spent = a.out / "vae.pt", 0, 0.0
    if state := common.load(check):
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        step, spent = state["step"], state["spent"]
    budget, rng, mean = common.Budget(a.minutes, a.steps, spent), np.random.default_rng(a.seed + step), None
    while (p := budget.progress(step)) < 1:
        for group in opt.param_groups:
            group["lr"] = a.lr * min(1, (step + 1) / 60) * common.cosine(p, 0.2)
        loss, rec = step_loss(model, crops(images, a.batch, CROP, rng), rng, 0.25 if p < 0.65 else 0.0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        step += 1
        mean = rec.item() if mean is None else 0.98 * mean + 0.02 * rec.item()
        if step % 200 == 0:
            clean, noisy, std = validate(model, held)
            print(f"vae {budget.spent:.0f}s step {step} rec {mean:.4f} psnr {clean:.2f} noisy {noisy:.2f} "
                  f"std {std:.2f} {step * a.batch / budget.spent:.0f} crops/s", flush=True)
            common.save_atomic(dict(model=model.state_dict(), opt=opt.state_dict(), step=step, spent=budget.spent), check)
    fold(model, images[:2000])
    model.save_pretrained(a.out / "vae64")
    print("vae done", step, step * a.batch, validate(model, held), flush=True)


if __name__ == "__main__":
    main()
