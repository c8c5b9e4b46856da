"""Stage 7: the shipped folder, fp16, in the layout of a Stable Diffusion pipeline."""
import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

INDEX = {
    "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0", "feature_extractor": [None, None], "image_encoder": [None, None],
    "requires_safety_checker": False, "safety_checker": [None, None], "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}


def weights(source: Path, target: Path, rename=lambda k: k) -> int:
    tensors = {rename(k): v.half().contiguous() if v.is_floating_point() else v for k, v in load_file(source).items() if not k.endswith("position_ids")}
    assert all(torch.isfinite(v).all() for v in tensors.values() if v.is_floating_point()), f"{source}: not finite in fp16"
    save_file(tensors, target, metadata={"format": "pt"})
    return target.stat().st_size


def config(source: Path, target: Path, **changes) -> None:
    c = json.loads(source.read_text()) | changes
    c.pop("_name_or_path", None)
    target.write_text(json.dumps(c, indent=2, sort_keys=True) + "\n")


def text_key(k: str) -> str:
    """transformers 5 saves without the prefix that every SD 1.x text encoder has."""
    return k if k.startswith("text_model.") else "text_model." + k


def export(run: Path, out: Path, settings: dict) -> None:
    for name in ("text_encoder", "unet", "vae", "scheduler", "tokenizer"):
        (out / name).mkdir(parents=True, exist_ok=True)
    model = "diffusion_pytorch_model.safetensors"
    size = weights(run / "unet" / model, out / "unet" / model)
    size += weights(run / "vae128" / model, out / "vae" / model)
    size += weights(run / "text" / "model.safetensors", out / "text_encoder" / "model.safetensors", text_key)
    config(run / "unet" / "config.json", out / "unet" / "config.json")
    config(run / "vae128" / "config.json", out / "vae" / "config.json")
    config(run / "text" / "config.json", out / "text_encoder" / "config.json", architectures=["CLIPTextModel"], torch_dtype="float16", dtype="float16")
    config(run / "scheduler" / "scheduler_config.json", out / "scheduler" / "scheduler_config.json")
    for f in (run / "tokenizer").iterdir():
        shutil.copy(f, out / "tokenizer" / f.name)
    (out / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    (out / "shanshui.json").write_text(json.dumps(settings, indent=2) + "\n")
    print(f"{out}: {size / 1e6:.1f} MB of weights")


def check(out: Path, settings: dict) -> None:
    """The stock pipeline must load the folder and draw."""
    from diffusers import StableDiffusionPipeline
    pipe = StableDiffusionPipeline.from_pretrained(out, safety_checker=None, requires_safety_checker=False, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a cat", num_inference_steps=settings["steps"], guidance_scale=settings["guidance"], generator=torch.Generator().manual_seed(1)).images[0]
    assert picture.size == (settings["width"], settings["height"]), picture.size
    print("stock pipeline draws", picture.size)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("run", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--guidance", type=float, default=3.0)
    p.add_argument("--sampler", default="ddim")
    p = p.parse_args()
    settings = {"width": 128, "height": 128, "steps": p.steps, "guidance": p.guidance, "sampler": p.sampler, "languages": ["en"]}
    export(p.run, p.out, settings)
    check(p.out, settings)


if __name__ == "__main__":
    main()
