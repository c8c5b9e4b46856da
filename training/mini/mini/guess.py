"""Stage 5: what the UNet believes latents to be when it sees them through noise, in one step.

Such guesses are a little soft, as drawn latents are. A decoder that has learned from them too draws them crisp."""
import argparse
import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from . import common, tok
from .unet import alphas, latents, prepare

LOW, HIGH = 120, 420  # timesteps; beyond these the guess is another picture, not a softer one


@torch.no_grad()
def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--n", type=int, default=12_000)
    p.add_argument("--seed", type=int, default=5)
    a = p.parse_args()
    common.setup(a.seed)
    t = tok.load(a.run / "tokenizer")
    text = CLIPTextModel.from_pretrained(a.run / "text").to(common.DEVICE).eval()
    unet = prepare(UNet2DConditionModel.from_pretrained(a.run / "unet")).eval()
    z, ac = latents(a.data, a.run), alphas()
    said = [json.loads(line)["caption"] for line in open(a.data / "scenes.jsonl")]
    which = torch.randperm(len(z) - 512)[: a.n]
    out = []
    for k in range(0, len(which), 64):
        i = which[k:k + 64]
        x = z[i].float().to(common.DEVICE)
        when = torch.randint(LOW, HIGH, (len(i),), device=x.device)
        s = ac[when].view(-1, 1, 1, 1)
        noisy = s.sqrt() * x + (1 - s).sqrt() * torch.randn_like(x)
        with common.autocast():
            v = unet(noisy, when, text(tok.encode(t, [said[j] for j in i]).to(common.DEVICE)).last_hidden_state).sample
        out.append((s.sqrt() * noisy - (1 - s).sqrt() * v.float()).half().cpu())
    torch.save((which, torch.cat(out)), a.data / "guess.pt")
    print("guesses", len(which), "off by", float((torch.cat(out).float() - z[which].float()).pow(2).mean().sqrt()), flush=True)


if __name__ == "__main__":
    main()
