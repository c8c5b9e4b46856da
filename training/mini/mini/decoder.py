"""Stage 3 and 6: the shipped VAE. The latent space of stage 1 is frozen; a 128 px decoder (f8) learns to draw
from the same 16x16x4 latents, then a 128 px encoder to reach them. The UNet stays as cheap as at 64 px,
and pictures get edges twice as fine."""
import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from . import common, vae

CHANNELS = (16, 32, 64, 96)
NOISE = 0.12  # std added to latents, in units of their own std: what a UNet gets wrong, the decoder forgives


def warm_start(big: AutoencoderKL, small: AutoencoderKL) -> int:
    """Copies what has the same name and shape; returns how many tensors."""
    theirs = small.state_dict()
    same = {k: v for k, v in theirs.items() if k in big.state_dict() and big.state_dict()[k].shape == v.shape}
    big.load_state_dict(same, strict=False)
    big.post_quant_conv.load_state_dict(small.post_quant_conv.state_dict())
    return len(same)


def pairs(z, x, n, rng, guesses=None):
    """Latents with the picture they stand for; half of them as guessed by the UNet where there are guesses
    (stage 5). Whole pictures: of a window, the border would have to be drawn but could not be judged."""
    which = rng.integers(0, len(z), n)
    latents = z[which].clone()
    for k in range(1, n if guesses is not None else 0, 2):
        j = rng.integers(0, len(guesses[0]))
        which[k], latents[k] = int(guesses[0][j]), guesses[1][j].float()
    return latents.to(common.DEVICE), common.to_float(np.stack([x[i] for i in which])).to(common.DEVICE)


class Critic(torch.nn.Module):
    """Patch discriminator; its features also measure likeness."""

    def __init__(self, width=24):
        super().__init__()
        conv = lambda i, o, s: torch.nn.utils.parametrizations.spectral_norm(torch.nn.Conv2d(i, o, 4, s, 1))
        self.layers = torch.nn.ModuleList([conv(3, width, 2), conv(width, 2 * width, 2), conv(2 * width, 3 * width, 1), conv(3 * width, 1, 1)])

    def forward(self, x):
        features = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.layers[-1](x), features


def likeness(r, x):
    """Sharp edges at two scales; L1 rather than squares, so that an edge is placed and not smeared."""
    loss = vae.reconstruction(r, x, mse=1.0)
    return loss + 0.5 * vae.reconstruction(F.avg_pool2d(r, 2), F.avg_pool2d(x, 2), mse=0.0)


def decoder_step(model, critic, z, x, weight):
    """-> loss for the decoder; the critic joins with `weight`."""
    z = z + NOISE * torch.rand(len(z), 1, 1, 1, device=z.device) * torch.randn_like(z)
    with common.autocast():
        r = model.decode(z).sample
    r = r.float()
    loss = likeness(r, x)
    if weight:
        with common.autocast():
            score, fake = critic(r)
            with torch.no_grad():
                _, real = critic(x)
        match = sum((a.float() - b.float()).abs().mean() for a, b in zip(fake, real))
        loss = loss + weight * (0.5 * match - 0.1 * score.float().mean())
    return loss, r.detach(), x


def critic_step(critic, opt, r, x):
    with common.autocast():
        loss = F.relu(1 - critic(x)[0].float()).mean() + F.relu(1 + critic(r)[0].float()).mean()
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    return float(loss)


@torch.no_grad()
def validate(model, z, x):
    r = torch.cat([model.decode(z[k:k + 16]).sample for k in range(0, len(z), 16)])
    sharp = lambda p: float(sum(e.abs().mean() for e in vae.edges(p)))
    return common.psnr(r, x), sharp(r.clamp(-1, 1)) / sharp(x)


def publish(run: Path) -> None:
    """The two halves may be trained at the same time; the shipped folder takes each from its own checkpoint."""
    model = vae.build(CHANNELS, 128)
    model.load_state_dict(common.load(run / "decoder.pt")["model"])
    model.load_state_dict(common.load(run / "encoder.pt") or {}, strict=False)
    model.save_pretrained(run / "vae128")


def train_decoder(a, model, z, x, held, guesses):
    critic = Critic().to(common.DEVICE)
    params = [*model.decoder.parameters(), *model.post_quant_conv.parameters()]
    opt = torch.optim.AdamW(params, a.lr, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    copt = torch.optim.AdamW(critic.parameters(), 4e-4, betas=(0.5, 0.99))
    check, step, spent = a.run / "decoder.pt", 0, 0.0
    if state := common.load(check):
        for thing, key in ((model, "model"), (critic, "critic"), (opt, "opt"), (copt, "copt")):
            thing.load_state_dict(state[key])
        step, spent = state["step"], state["spent"]
    budget, rng, mean = common.Budget(a.minutes, a.steps, spent), np.random.default_rng(a.seed + step), None
    stop = common.stop_flag()
    while (p := budget.progress(step)) < 1 and not stop:
        for g in opt.param_groups:
            g["lr"] = a.lr * min(1, (step + 1) / 100) * common.cosine(p, 0.3)
        weight = a.critic if p > a.critic_from else 0.0
        loss, r, real = decoder_step(model, critic, *pairs(z, x, a.batch, rng, guesses), weight)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        if p > a.critic_from - 0.04:
            critic_step(critic, copt, r, real)
        step += 1
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % a.every == 0 or budget.progress(step) >= 1 or stop:
            quality, sharp = validate(model, *held)
            print(f"decoder {budget.spent:.0f}s {p:.3f} step {step} loss {mean:.4f} psnr {quality:.2f} sharpness {sharp:.3f} "
                  f"{step * a.batch / budget.spent:.0f}/s", flush=True)
            common.save_atomic(dict(model=model.state_dict(), critic=critic.state_dict(), opt=opt.state_dict(), copt=copt.state_dict(),
                                    step=step, spent=budget.spent), check)
            publish(a.run)
    print("decoder done", step, step * a.batch, flush=True)


def train_encoder(a, model, z, x):
    """128 px picture -> the latents the 64 px encoder gave; its log-variance is set to a constant afterwards."""
    params = [*model.encoder.parameters(), *model.quant_conv.parameters()]
    opt = torch.optim.AdamW(params, a.lr, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    budget, step, rng, mean = common.Budget(a.minutes, a.steps), 0, np.random.default_rng(a.seed), None
    while (p := budget.progress(step)) < 1:
        for g in opt.param_groups:
            g["lr"] = a.lr * min(1, (step + 1) / 100) * common.cosine(p, 0.3)
        target, picture = pairs(z, x, a.batch, rng)
        with common.autocast():
            got = model.encode(picture).latent_dist.mean
        loss = F.smooth_l1_loss(got.float(), target, beta=0.2)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        step += 1
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % a.every == 0 or budget.progress(step) >= 1:
            print(f"encoder {budget.spent:.0f}s step {step} loss {mean:.4f}", flush=True)
    with torch.no_grad():
        model.quant_conv.weight[4:] = 0
        model.quant_conv.bias[4:] = -8.0
    common.save_atomic({k: v for k, v in model.state_dict().items() if k.startswith(("encoder.", "quant_conv."))}, a.run / "encoder.pt")
    publish(a.run)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("part", choices=["decoder", "encoder"])
    p.add_argument("--data", type=Path, required=True, help="folder with x128.npy and z.pt")
    p.add_argument("--run", type=Path, required=True, help="folder with vae64; receives vae128")
    p.add_argument("--minutes", type=float)
    p.add_argument("--steps", type=int)
    p.add_argument("--batch", type=int, default=6 if common.DEVICE == "cpu" else 64)
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--critic", type=float, default=0.15)
    p.add_argument("--critic-from", type=float, default=0.6)
    p.add_argument("--every", type=int, default=250)
    p.add_argument("--seed", type=int, default=4)
    a = p.parse_args()
    common.setup(a.seed)
    z, x = torch.load(a.data / "z.pt").float(), np.load(a.data / "x128.npy", mmap_mode="r")
    model = vae.build(CHANNELS, 128)
    if (a.run / "vae128").exists():
        model.load_state_dict(AutoencoderKL.from_pretrained(a.run / "vae128").state_dict())
    else:
        print("warm start:", warm_start(model, AutoencoderKL.from_pretrained(a.run / "vae64")), "tensors", flush=True)
    held = (z[-48:].to(common.DEVICE), common.to_float(x[-48:]).to(common.DEVICE))
    if a.part == "decoder":
        path = a.data / "guess.pt"
        train_decoder(a, model, z[:-512], x, held, torch.load(path) if path.exists() else None)
    else:
        train_encoder(a, model, z[:-512], x)


if __name__ == "__main__":
    main()
