"""Records what make.py does not: adaptations, the tiny decoder, weighted prompts, models told the guidance, and
the names of the original code. Needs diffusers 0.42.1, transformers 5.23.0, peft and torch (CPU).

    python extras.py ../diffusers .        # the tiny models; where to write (this folder)
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors.torch import load_file, save_file

import make

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "query": "q", "key": "k", "value": "v", "proj_attn": "proj_out",
             "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


# --- names of the original code --------------------------------------------------------------------


def replaced(name, table):
    for old, new in table.items():
        if name.startswith(old + "."):
            return new + name[len(old):]
    return name


def unet_name(name, layers, levels, attended):
    parts = name.split(".")
    if parts[0] in ("conv_in", "conv_norm_out", "conv_out"):
        return {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}[parts[0]] + "." + parts[1]
    if parts[0] == "time_embedding":
        return f"time_embed.{0 if parts[1] == 'linear_1' else 2}.{parts[2]}"
    if parts[0] == "mid_block":
        rest = ".".join(parts[3:])
        if parts[1] == "attentions":
            return f"middle_block.1.{rest}"
        return f"middle_block.{2 * int(parts[2])}.{replaced(rest, RESNET)}"
    level, kind, rest = int(parts[1]), parts[2], ".".join(parts[4:])
    if parts[0] == "down_blocks":
        first = 1 + level * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.op.{parts[-1]}"
        side = "input_blocks"
    else:
        first = level * (layers + 1)
        if kind == "upsamplers":
            return f"output_blocks.{first + layers}.{2 if attended[levels - 1 - level] else 1}.conv.{parts[-1]}"
        side = "output_blocks"
    index = first + int(parts[3])
    return f"{side}.{index}.1.{rest}" if kind == "attentions" else f"{side}.{index}.0.{replaced(rest, RESNET)}"


def vae_name(name, levels):
    parts = name.split(".")
    if len(parts) == 2 or parts[1] in ("conv_in", "conv_out"):
        return name
    if parts[1] == "conv_norm_out":
        return f"{parts[0]}.norm_out.{parts[2]}"
    shortcut = lambda rest: replaced(rest, {"conv_shortcut": "nin_shortcut"})
    if parts[1] == "mid_block":
        if parts[2] == "resnets":
            return f"{parts[0]}.mid.block_{int(parts[3]) + 1}.{shortcut('.'.join(parts[4:]))}"
        return f"{parts[0]}.mid.attn_1.{replaced('.'.join(parts[4:]), ATTENTION)}"
    level = int(parts[2])
    way, level = ("down", level) if parts[1] == "down_blocks" else ("up", levels - 1 - level)
    if parts[3] == "resnets":
        return f"{parts[0]}.{way}.{level}.block.{parts[4]}.{shortcut('.'.join(parts[5:]))}"
    return f"{parts[0]}.{way}.{level}.{way}sample.conv.{parts[-1]}"


def open_clip_name(name):
    name = name.removeprefix("text_model.")
    for old, new in (
        ("embeddings.token_embedding.weight", "token_embedding.weight"),
        ("embeddings.position_embedding.weight", "positional_embedding"),
        ("final_layer_norm.", "ln_final."),
    ):
        if name.startswith(old):
            return new + name[len(old):]
    layer, rest = name.removeprefix("encoder.layers.").split(".", 1)
    block = f"transformer.resblocks.{layer}."
    for projection in ("q_proj", "k_proj", "v_proj"):
        if rest.startswith(f"self_attn.{projection}."):
            return f"{block}attn.in_proj_{rest.rsplit('.', 1)[1]}"
    return block + replaced(rest, OPEN_CLIP)


def names(folder, variant, open_clip):
    """From part/name in the folder to the name in one file, as diffusers' own converters confirm it."""
    config = json.loads((folder / "unet/config.json").read_text())
    vae_config = json.loads((folder / "vae/config.json").read_text())
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    attended = [kind.startswith("Cross") for kind in reversed(config["up_block_types"])]
    read = lambda part, stem: load_file(folder / f"{part}/{stem}{variant}.safetensors")
    unet, vae = read("unet", "diffusion_pytorch_model"), read("vae", "diffusion_pytorch_model")
    text = read("text_encoder", "model")
    table = {f"unet/{key}": "model.diffusion_model." + unet_name(key, layers, levels, attended) for key in unet}
    table |= {f"vae/{key}": "first_stage_model." + vae_name(key, len(vae_config["block_out_channels"])) for key in vae}
    prefix = "cond_stage_model.model." if open_clip else "cond_stage_model.transformer."
    table |= {f"text_encoder/{key}": prefix + (open_clip_name(key) if open_clip else key) for key in text}

    whole = {}
    for part, tensors in (("unet", unet), ("vae", vae), ("text_encoder", text)):
        for key in sorted(tensors, key=lambda key: (key.replace(".k_proj", ".r_proj").replace(".v_proj", ".s_proj"))):
            name = table[f"{part}/{key}"]
            whole[name] = torch.cat([whole[name], tensors[key]]) if name in whole else tensors[key]
    check = lambda found, wanted: [key for key, value in wanted.items() if key not in found or not torch.equal(
        found[key].reshape(value.shape), value)]
    wrong = check(convert_ldm_unet_checkpoint(dict(whole), config), unet)
    modern = {}
    for key, value in vae.items():
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
            key = key.replace(f"attentions.0.{old}.", f"attentions.0.{new}.")
        modern[key] = value
    wrong += check(convert_ldm_vae_checkpoint(dict(whole), vae_config), modern)
    if open_clip:
        class Text:
            class config:
                hidden_size = text[next(key for key in text if key.endswith("final_layer_norm.weight"))].shape[0]

        wrong += check(strip(convert_open_clip_checkpoint(Text, dict(whole))), strip(text))
    else:
        wrong += check(strip(convert_ldm_clip_checkpoint(dict(whole))), strip(text))
    assert not wrong, wrong
    return table


def strip(tensors):
    return {key.removeprefix("text_model."): value for key, value in tensors.items()}


# --- pictures --------------------------------------------------------------------------------------


def lora(unet, text, path):
    """A kohya file for some layers of both networks, one of them a convolution."""
    generator = torch.Generator().manual_seed(7)
    tensors = {}

    def add(start, module, rank, alpha):
        weight = module.weight
        down = torch.randn((rank, *weight.shape[1:]), generator=generator)
        up = torch.randn((weight.shape[0], rank, *(1 for _ in weight.shape[2:])), generator=generator)
        spread = 0.5 / weight[0].numel() ** 0.5
        tensors[f"{start}.lora_down.weight"], tensors[f"{start}.lora_up.weight"] = (down * spread).half(), up.half()
        tensors[f"{start}.alpha"] = torch.tensor(alpha)

    for name, module in unet.named_modules():
        if name.endswith(("attn1.to_q", "attn2.to_k", "attn2.to_out.0", "ff.net.2", "proj_in")):
            add("lora_unet_" + name.replace(".", "_"), module, 2, 1.0)
    for name, module in text.named_modules():
        if name.endswith(("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1")):
            add("lora_te_text_model_" + name.removeprefix("text_model.").replace(".", "_"), module, 3, 3.0)
    save_file(tensors, path)


def tiny(path):
    torch.manual_seed(8)
    model = AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(2, 1), latent_channels=4,
    )
    model.half().save_pretrained(path)
    file = path / "diffusion_pytorch_model.safetensors"
    decoder = {key: value for key, value in load_file(file).items() if key.startswith("decoder.")}
    save_file(decoder, file, metadata={"format": "pt"})


def weighted_states(pipe, pieces):
    """The states of pieces with weights, in one chunk: every state times its weight, the mean kept."""
    tokenizer, text = pipe.tokenizer, pipe.text_encoder
    ids, weights = [tokenizer.bos_token_id], [1.0]
    for words, weight in pieces:
        piece = tokenizer(words, add_special_tokens=False).input_ids
        ids, weights = ids + piece, weights + [weight] * len(piece)
    size = text.config.max_position_embeddings
    assert len(ids) < size
    ids += [tokenizer.eos_token_id] + [tokenizer.pad_token_id] * (size - 1 - len(ids))
    weights += [1.0] * (size - len(weights))
    states = text(torch.tensor([ids]))[0]
    weighted = states * torch.tensor(weights)[None, :, None]
    return weighted * states.mean() / weighted.mean()


def main():
    base, here = Path(sys.argv[1]), Path(sys.argv[2])
    work = Path(tempfile.mkdtemp())
    maker = make.Maker(base, work)
    maker.expected = here / "expected"
    ddim = DDIMScheduler

    for name, variant, open_clip in (("sd1", "", False), ("sd2", ".fp16", True)):
        table = names(base / name, variant, open_clip)
        (here / f"original-names-{name}.json").write_text(json.dumps(table, indent=0, sort_keys=True))

    folder = maker.model("lora", make.SD15_SCHEDULER)
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None)
    file = here / "lora.safetensors"
    lora(pipe.unet, pipe.text_encoder, file)
    pipe.load_lora_weights(str(here), weight_name=file.name)
    pipe.fuse_lora(lora_scale=0.8)
    pipe.unload_lora_weights()
    fused = work / "models/fused"
    shutil.copytree(folder, fused)
    pipe.unet.save_pretrained(fused / "unet")
    shutil.rmtree(fused / "text_encoder")
    pipe.text_encoder.save_pretrained(fused / "text_encoder")
    maker.paint("lora", fused, ddim)

    tiny(here / "tiny-decoder")
    folder = maker.model("taesd", make.SD15_SCHEDULER)
    paint_with = StableDiffusionPipeline.from_pretrained

    def with_tiny(*args, **more):
        pipe = paint_with(*args, **more)
        pipe.vae = AutoencoderTiny.from_pretrained(work / "tiny-full", torch_dtype=torch.float32)
        return pipe

    torch.manual_seed(8)
    whole = AutoencoderTiny.from_config(json.loads((here / "tiny-decoder/config.json").read_text())).half()
    whole.load_state_dict(load_file(here / "tiny-decoder/diffusion_pytorch_model.safetensors"), strict=False)
    whole.save_pretrained(work / "tiny-full")
    make.StableDiffusionPipeline.from_pretrained = with_tiny
    maker.paint("tiny-decoder", folder, ddim)
    make.StableDiffusionPipeline.from_pretrained = paint_with

    # A latent consistency model that is told the guidance, by eight numbers for each of eight channels.
    folder = maker.model("told", make.LCM_SCHEDULER)
    make.edit(folder / "unet/config.json", time_cond_proj_dim=8)
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    told = torch.tensor([[(row * 8 + column) % 5 - 2 for column in range(8)] for row in range(8)])
    tensors["time_embedding.cond_proj.weight"] = (told * 0.3).half()
    save_file(tensors, path, metadata={"format": "pt"})
    assert UNet2DConditionModel.from_pretrained(folder / "unet").time_embedding.cond_proj is not None
    maker.paint("told-guidance", folder, steps=4, guidance=8.5)

    # "a (red:1.4) cat, [the] moon" as the web UI splits and weighs it.
    folder = maker.model("weighted", make.SD15_SCHEDULER)
    pipe = paint_with(folder, torch_dtype=torch.float32, safety_checker=None)
    pieces = [("a ", 1.0), ("red", 1.4), (" cat, ", 1.0), ("the", 1 / 1.1), (" moon", 1.0)]
    states = weighted_states(pipe, pieces), weighted_states(pipe, [("", 1.0)])

    def with_states(*args, **more):
        pipe = paint_with(*args, **more)
        pipe.encode_prompt = lambda *_, **__: states
        return pipe

    make.StableDiffusionPipeline.from_pretrained = with_states
    maker.paint("weighted", folder, ddim)
    shutil.rmtree(work)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        main()
