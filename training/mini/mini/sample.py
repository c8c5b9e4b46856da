"""Draws from a run folder or an exported one, and lays pictures out as a labelled sheet."""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from PIL import Image, ImageDraw, ImageFont
from transformers import CLIPTextModel

from . import common, tok
from .unet import prepare

PROMPTS = [
    "Paint high mountains and a river under a full moon.", "High mountains and flowing water.", "Mountains and a river at sunset.",
    "An ink wash painting of mountains and a river.", "Draw me a red apple on a green field.", "A cat sitting under a yellow star.",
    "a black cat in the snow at night", "a dog on the beach", "a panda in the forest", "a lion in the desert at sunset",
    "a rocket in space", "an astronaut among the stars", "a blue car in the city", "a red house on a hill", "a castle under a crescent moon",
    "a sailboat on the sea under a full moon", "a whale under water", "a yellow butterfly in a meadow", "an owl under the stars",
    "a penguin and a snowman in the snow", "a purple umbrella in the rain", "two balloons in the sky", "three red roses on a white background",
    "a small white rabbit on the left in a green field", "a big strawberry on a pink background", "a horse to the right of a tree",
    "a house next to a pine tree in the snow", "a green dragon in the mountains", "a pagoda in the mountains at sunset", "a lotus on the water",
    "a shan shui painting of a waterfall", "an ink painting of a horse", "the sea at sunset", "a snowy forest at night", "a city at night with a full moon",
    "a rainbow", "a birthday cake and a gift", "a teapot next to a cup of tea", "Draw me a wonderful accordion.", "Please paint the philosopher's dream."]
SAMPLERS = {
    "ddim": lambda c: DDIMScheduler.from_config(c),
    "dpm++2m": lambda c: DPMSolverMultistepScheduler.from_config(c, algorithm_type="dpmsolver++", solver_order=2),
}


class Painter:
    """`vae`: name of the VAE folder inside the run."""

    def __init__(self, folder: Path, unet="unet", vae="vae128", text="text"):
        exported = (folder / "model_index.json").exists()
        unet, vae, text = ("unet", "vae", "text_encoder") if exported else (unet, vae, text)
        self.text = CLIPTextModel.from_pretrained(folder / text, torch_dtype=torch.float32).to(common.DEVICE).eval()
        self.unet = prepare(UNet2DConditionModel.from_pretrained(folder / unet, torch_dtype=torch.float32)).eval()
        self.vae = common.patch_norms(AutoencoderKL.from_pretrained(folder / vae, torch_dtype=torch.float32)).to(common.DEVICE).eval()
        self.tok, self.config = tok.load(folder / "tokenizer"), json.loads((folder / "scheduler" / "scheduler_config.json").read_text())

    @torch.no_grad()
    def latents(self, prompts, steps=20, guidance=3.0, seed=0, sampler="ddim"):
        states = self.text(tok.encode(self.tok, [""] * len(prompts) + list(prompts)).to(common.DEVICE)).last_hidden_state
        schedule = SAMPLERS[sampler](self.config)
        schedule.set_timesteps(steps)
        x = torch.randn(len(prompts), 4, 16, 16, generator=torch.Generator().manual_seed(seed)).to(common.DEVICE)
        for t in schedule.timesteps:
            with common.autocast():
                free, led = self.unet(torch.cat([x, x]), t.to(common.DEVICE), states).sample.float().chunk(2)
            x = schedule.step(free + guidance * (led - free), t, x).prev_sample
        return x

    @torch.no_grad()
    def __call__(self, prompts, batch=20, **how):
        """Pictures NCHW in [-1, 1]; a batch shares one generator, so a sheet is one seed's draw."""
        out, seed = [], how.pop("seed", 0)
        for k in range(0, len(prompts), batch):
            z = self.latents(prompts[k:k + batch], seed=seed + k, **how)
            out.append(torch.cat([self.vae.decode(z[j:j + 8]).sample.clamp(-1, 1) for j in range(0, len(z), 8)]))
        return torch.cat(out)


def sheet(pictures, prompts, path: Path, columns=8, size=128) -> None:
    rows, line = -(-len(prompts) // columns), 11
    cell_w, cell_h = size + 8, size + 3 * line + 6
    page = Image.new("RGB", (columns * cell_w, rows * cell_h), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=10)
    for k, (picture, prompt) in enumerate(zip(common.to_bytes(pictures), prompts)):
        x, y = k % columns * cell_w + 4, k // columns * cell_h + 2
        im = Image.fromarray(picture)
        page.paste(im if size == im.width else im.resize((size, size), Image.LANCZOS), (x, y))
        words, text = prompt.split(), [""]
        for w in words:
            if pen.textlength(f"{text[-1]} {w}", font=font) > size:
                text.append("")
            text[-1] = f"{text[-1]} {w}".strip()
        for n, words in enumerate(text[:3]):
            pen.text((x, y + size + 1 + n * line), words, fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path, optimize=True)


def drawn_by(program: Path, prompts, seed: int) -> torch.Tensor:
    """The same prompts as a user has them: each by `draw`, from the instance that `up` runs here."""
    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        for k, prompt in enumerate(prompts):
            file = Path(folder) / f"{k}.png"
            subprocess.run([program, "draw", prompt, "--count", "1", "--seed", str(seed), "--output", file], check=True)
            pictures.append(torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1) / 127.5 - 1)
    return torch.stack(pictures)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("folder", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--guidance", type=float, default=3.0)
    p.add_argument("--sampler", choices=list(SAMPLERS), default="ddim")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--size", type=int, default=128, help="px shown a picture")
    p.add_argument("--vae", default="vae128")
    p.add_argument("--prompt", action="append")
    p.add_argument("--program", type=Path, help="have `shanshui` draw them, which must be up; steps and guidance are the model's")
    p = p.parse_args()
    prompts = p.prompt or PROMPTS
    if p.program:
        return sheet(drawn_by(p.program, prompts, p.seed), prompts, p.out, size=p.size)
    pictures = Painter(p.folder, vae=p.vae)(prompts, steps=p.steps, guidance=p.guidance, seed=p.seed, sampler=p.sampler)
    if pictures.shape[-1] == 64:
        pictures = torch.nn.functional.interpolate(pictures, scale_factor=2, mode="bicubic")
    sheet(pictures, prompts, p.out, size=p.size)


if __name__ == "__main__":
    main()
