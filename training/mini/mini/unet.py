"""Stage 4: the diffusion model, on latents cached in memory; the text encoder stays as stage 2 left it."""
import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel

from . import captions, common, tok, vocab

CHANNELS, ATTENTION, HEADS, GROUPS = (64, 96, 144), (False, True, True), 4, 8
SCHEDULE = dict(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing",
                clip_sample=False, set_alpha_to_one=True, steps_offset=1)
RECAPTIONS = 4  # wordings a scene
HELD = 512


def build(channels=CHANNELS, width=192) -> UNet2DConditionModel:
    """`attention_head_dim` is the number of heads, as in SD 1.x. Plain attention: flash is slow backwards on CPU."""
    model = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=channels, norm_num_groups=GROUPS,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in ATTENTION),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(ATTENTION)),
        cross_attention_dim=width, attention_head_dim=HEADS)
    return prepare(model)


def prepare(model):
    if common.DEVICE == "cpu":
        model.set_attn_processor(AttnProcessor())
    return common.patch_norms(model).to(common.DEVICE)


@torch.no_grad()
def latents(data: Path, run: Path) -> torch.Tensor:
    """Encodes every 64 px picture once; kept beside the data."""
    path = data / "z.pt"
    if not path.exists():
        vae, x, out = common.patch_norms(AutoencoderKL.from_pretrained(run / "vae64")).to(common.DEVICE).eval(), np.load(data / "x64.npy", mmap_mode="r"), []
        for k in range(0, len(x), 128):
            with common.autocast():
                out.append(vae.encode(common.to_float(x[k:k + 128]).to(common.DEVICE)).latent_dist.mean.half().cpu())
        torch.save(torch.cat(out), path)
    return torch.load(path)


def wordings(data: Path, t, seed: int):
    """Scenes' facts and RECAPTIONS tokenised captions of each, the first as drawn."""
    facts = [json.loads(line) for line in open(data / "scenes.jsonl")]
    rows = [tok.encode(t, [m["caption"] for m in facts])]
    for k in range(1, RECAPTIONS):
        r = random.Random(seed + k)
        rows.append(tok.encode(t, [captions.caption(r, m) for m in facts]))
    return facts, torch.stack(rows, 1)


def lessons(folders, run: Path, t, seed: int):
    """Latents, facts and wordings of every folder, one after the other; the last scenes of the last are held out."""
    told = [wordings(folder, t, seed) for folder in folders]
    return torch.cat([latents(f, run) for f in folders]), [m for facts, _ in told for m in facts], torch.cat([ids for _, ids in told])


def pool(m) -> int:
    """Easy single objects, single objects, several, landscapes."""
    return 3 if not m["objs"] else 2 if len(m["objs"]) > 1 or m["count"] > 1 else 0 if m["fixed"] else 1


class Draw:
    """Picks training samples from four pools."""

    def __init__(self, facts, held: int, seed: int):
        pools = [[], [], [], []]
        for i, m in enumerate(facts[:-held]):
            if all(key in vocab.CORE for key, _ in m["objs"]):
                pools[pool(m)].append(i)
        self.pools, self.rng = [np.array(p) for p in pools], np.random.default_rng(seed)
        self.queue = [np.empty(0, int)] * 4
        print("pools", [len(p) for p in pools], flush=True)

    def batch(self, n: int, shares):
        out = []
        for k, count in enumerate(self.rng.multinomial(n, shares)):
            while len(self.queue[k]) < count:
                self.queue[k] = np.concatenate([self.queue[k], self.rng.permutation(self.pools[k])])
            out.append(self.queue[k][:count])
            self.queue[k] = self.queue[k][count:]
        return torch.from_numpy(np.concatenate(out))


def shares(p: float):
    """Of the four pools: easy objects at first, then the rest; landscapes are learned soonest and fade."""
    early, middle, late = (0.64, 0, 0, 0.36), (0.25, 0.25, 0.15, 0.35), (0.35, 0.34, 0.17, 0.14)
    return early if p < 0.2 else middle if p < 0.45 else late


def alphas() -> torch.Tensor:
    return DDIMScheduler(**SCHEDULE).alphas_cumprod.to(common.DEVICE)


def timestep_density(ac: torch.Tensor) -> torch.Tensor:
    """Min-SNR-5 weights of v-prediction plus a floor, used as sampling density rather than as loss weights:
    the same expected gradient with less variance."""
    snr = ac / (1 - ac)
    return torch.minimum(snr, torch.tensor(5.0)) / (snr + 1) + 0.25


def v_loss(model, ac, z, states, t, noise):
    a = ac[t].view(-1, 1, 1, 1)
    x, v = a.sqrt() * z + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * z
    with common.autocast():
        p = model(x, t, states).sample
    return ((p.float() - v) ** 2).mean((1, 2, 3))


@torch.no_grad()
def validate(model, ac, z, states):
    """EMA loss with the right captions, and how much worse with another scene's: what the words are worth."""
    n, g = len(z), torch.Generator().manual_seed(5)
    t, e = torch.linspace(20, 980, n).long().to(z.device), torch.randn(z.shape, generator=g).to(z.device)
    run = lambda s: float(torch.cat([v_loss(model, ac, z[k:k + 64], s[k:k + 64], t[k:k + 64], e[k:k + 64]) for k in range(0, n, 64)]).mean())
    right = run(states)
    return right, run(states.roll(1, 0)) - right


def save(run: Path, model, ema, name="unet"):
    ema.swap()
    model.save_pretrained(run / name)
    ema.swap()
    DDIMScheduler(**SCHEDULE).save_pretrained(run / "scheduler")


def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--more", type=Path, nargs="*", default=[], help="folders of further scenes")
    p.add_argument("--run", type=Path, required=True, help="folder with vae64, text and tokenizer; receives unet")
    p.add_argument("--minutes", type=float)
    p.add_argument("--steps", type=int)
    p.add_argument("--batch", type=int, default=32 if common.DEVICE == "cpu" else 256)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--decay-from", type=float, default=0.45, help="progress at which the cosine starts")
    p.add_argument("--shares", type=float, nargs=4, help="of easy objects, objects, pairs, landscapes; else by progress")
    p.add_argument("--ema", type=float, default=0.9993)
    p.add_argument("--every", type=int, default=500, help="steps between checkpoints")
    p.add_argument("--seed", type=int, default=3)
    return p.parse_args()


def main():
    a = options()
    common.setup(a.seed)
    t = tok.load(a.run / "tokenizer")
    text = CLIPTextModel.from_pretrained(a.run / "text").to(common.DEVICE).eval().requires_grad_(False)
    z, facts, ids = lessons([*a.more, a.data], a.run, t, a.seed)
    null, ac = tok.encode(t, [""])[0], alphas()
    with torch.no_grad():
        held_states = text(ids[-HELD:, 0].to(common.DEVICE)).last_hidden_state
    held = z[-HELD:].float().to(common.DEVICE)
    model = build()
    ema = common.Ema(model.parameters(), a.ema)
    opt = torch.optim.AdamW(model.parameters(), a.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    check, step, spent, log = a.run / "unet.pt", 0, 0.0, []
    if state := common.load(check):
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        ema.shadow, step, spent, log = state["ema"], state["step"], state["spent"], state["log"]
    budget, draw, density, mean = common.Budget(a.minutes, a.steps, spent), Draw(facts, HELD, a.seed + step), timestep_density(ac), None
    print("unet", sum(p.numel() for p in model.parameters()), "parameters, from step", step, flush=True)
    stop = common.stop_flag()
    while (p := budget.progress(step)) < 1 and not stop:
        for g in opt.param_groups:
            g["lr"] = a.lr * min(1, (step + 1) / 200) * common.cosine(p, a.decay_from, 0.01)
        k = draw.batch(a.batch, a.shares or shares(p))
        i = ids[k, torch.randint(0, RECAPTIONS, (len(k),))]
        i[torch.rand(len(k)) < 0.1] = null  # for classifier-free guidance
        with torch.no_grad():
            states = text(i.to(common.DEVICE)).last_hidden_state
        zb = z[k].float().to(common.DEVICE)
        loss = v_loss(model, ac, zb, states, torch.multinomial(density, len(k), replacement=True), torch.randn_like(zb)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        step += 1
        ema.update(step)
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        if step % a.every == 0 or budget.progress(step) >= 1 or stop:
            ema.swap()
            right, gain = validate(model, ac, held, held_states)
            ema.swap()
            log.append((round(budget.spent), step, round(mean, 4), round(right, 4), round(gain, 4)))
            print(f"unet {budget.spent:.0f}s {p:.3f} step {step} loss {mean:.4f} held {right:.4f} gain {gain:.4f} "
                  f"{step * a.batch / budget.spent:.0f}/s", flush=True)
            common.save_atomic(dict(model=model.state_dict(), opt=opt.state_dict(), ema=ema.shadow, step=step, spent=budget.spent, log=log), check)
            save(a.run, model, ema)
    print("unet done", step, step * a.batch, "samples", flush=True)


if __name__ == "__main__":
    main()
