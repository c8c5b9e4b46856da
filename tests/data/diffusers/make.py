"""Makes tiny random models in the diffusers layout and records what diffusers computes with them.

    python make.py          # needs diffusers==0.42.1, transformers, torch (CPU); writes beside itself

Three models, together covering what the loader promises: `sd1` (convolution projections, quick_gelu,
vocab.json + merges.txt, old attention names, `text_model.` prefix), `sd2` (linear projections,
v-prediction, gelu, pad "!", list of heads, `.fp16` variant, latents that do not divide evenly) and
`odd` (other block order, uneven layers, sharded bf16 files, no attention in the VAE's middle,
no quantisation convolutions, shift, plain mid block). Weights are rounded to the stored type first,
so the references are exact for them. `samplers.py` records the schedulers.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import CLIPTextConfig, CLIPTextModel

import samplers

HERE = Path(__file__).parent
PROMPTS = [
    "A red CAT, 2 dogs!",
    "Über den  Bergen: 山水, mist & flowing water under the moon; it's a river's bend.",
]
MERGES = ["a t</w>", "c at</w>", "t h", "th e</w>", "r e", "re d</w>", "m o", "mo o", "moo n</w>", "' s</w>"]
BOS, EOS = "<|startoftext|>", "<|endoftext|>"


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes, in CLIP's order ("!" is id 0)."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in kept]
    return [chr(byte) for byte in kept] + [chr(256 + index) for index in range(len(others))]


def make_tokenizer(folder, pad, as_json):
    """A CLIP byte-pair tokenizer with a handful of merges."""
    letters = byte_alphabet()
    words = [*letters, *(letter + "</w>" for letter in letters), *(merge.replace(" ", "") for merge in MERGES)]
    vocab = {word: index for index, word in enumerate([*words, BOS, EOS])}
    folder.mkdir(parents=True)
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    specials = [
        dict(id=vocab[word], content=word, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
        for word in (BOS, EOS)
    ]
    layout = dict(
        version="1.0",
        added_tokens=specials,
        normalizer=dict(
            type="Sequence",
            normalizers=[
                dict(type="NFC"),
                dict(type="Replace", pattern=dict(Regex=r"\s+"), content=" "),
                dict(type="Lowercase"),
            ],
        ),
        pre_tokenizer=dict(
            type="Sequence",
            pretokenizers=[
                dict(type="Split", pattern=dict(Regex=pattern), behavior="Removed", invert=True),
                dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False),
            ],
        ),
        model=dict(type="BPE", unk_token=EOS, end_of_word_suffix="</w>", vocab=vocab, merges=MERGES),
    )
    text = json.dumps(layout)
    if as_json:
        (folder / "tokenizer.json").write_text(text)
    else:
        (folder / "vocab.json").write_text(json.dumps(vocab))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]) + "\n")
    names = dict(bos_token=BOS, eos_token=EOS, unk_token=EOS)
    written = dict(content=pad, lstrip=False, normalized=True, rstrip=False, single_word=False)
    (folder / "special_tokens_map.json").write_text(json.dumps(dict(names, pad_token=written)))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(names, tokenizer_class="CLIPTokenizer")))
    return Tokenizer.from_str(text), vocab[pad]


def randomise(model, dtype, seed):
    """Norms and biases away from their neutral start, then everything rounded to `dtype`."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data += 0.2 * noise
        else:
            spread = 1.2 / parameter[0].numel() ** 0.5
            parameter.data = spread * torch.randn(parameter.shape, generator=generator)
        parameter.data = parameter.data.to(dtype).float()
    return model.eval()


def save(model, folder, dtype, **options):
    copy = type(model)(model.config) if isinstance(model, CLIPTextModel) else type(model).from_config(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(dtype).save_pretrained(folder, **options)


def rename(path, change):
    tensors = {change(key): value for key, value in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def chunks(tokenizer, prompts, positions, pad):
    """Token ids (prompts, chunks, positions): every chunk wrapped, padded, and as many for each prompt."""
    size = positions - 2
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    ids = [tokenizer.encode(prompt, add_special_tokens=False).ids for prompt in prompts]
    count = max(1, *(-(-len(row) // size) for row in ids))
    rows = [[row[index * size : (index + 1) * size] for index in range(count)] for row in ids]
    wrapped = [[[bos, *part, eos] for part in row] for row in rows]
    return torch.tensor([[part + [pad] * (positions - len(part)) for part in row] for row in wrapped])


def reference(path, parts, sizes):
    text, tokenizer, pad, unet, vae = parts
    generator = torch.Generator().manual_seed(5)
    positions = text.config.max_position_embeddings
    ids = chunks(tokenizer, PROMPTS, positions, pad)
    hidden = torch.cat([text(ids[:, index])[0] for index in range(ids.shape[1])], dim=1)
    latents = torch.randn((2, unet.config.in_channels, *sizes), generator=generator)
    timesteps = torch.tensor([999.0, 37.5])
    small = 0.3 * torch.randn((1, unet.config.in_channels, *sizes), generator=generator)
    scale, shift = vae.config.scaling_factor, vae.config.shift_factor or 0.0
    picture = vae.decode(small / scale + shift).sample / 2 + 0.5
    assert ((picture > 0) & (picture < 1)).float().mean() > 0.6, "too much is clipped to test anything"
    pixels = 2 * torch.rand((1, 3, 16, 24), generator=generator) - 1
    tensors = {
        "token_ids": ids.int(),
        "hidden": hidden,
        "latents": latents,
        "timesteps": timesteps,
        "prediction": unet(latents, timesteps, hidden).sample,
        "small_latents": small,
        "picture": picture.clamp(0, 1),
        "pixels": pixels,
        "encoded": (vae.encode(pixels).latent_dist.mean - shift) * scale,
    }
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, path, {"prompts": json.dumps(PROMPTS)})


def write_index(folder, scheduler):
    names = dict(
        _class_name="StableDiffusionPipeline",
        _diffusers_version="0.42.1",
        feature_extractor=[None, None],
        safety_checker=[None, None],
        scheduler=["diffusers", "DDIMScheduler"],
        text_encoder=["transformers", "CLIPTextModel"],
        tokenizer=["transformers", "CLIPTokenizer"],
        unet=["diffusers", "UNet2DConditionModel"],
        vae=["diffusers", "AutoencoderKL"],
    )
    (folder / "model_index.json").write_text(json.dumps(names, indent=1))
    scheduler.save_pretrained(folder / "scheduler")


def fresh(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def text_model(tokenizer, dtype, seed, **config):
    size = tokenizer.get_vocab_size()
    base = dict(vocab_size=size, bos_token_id=size - 2, eos_token_id=size - 1, max_position_embeddings=16)
    return randomise(CLIPTextModel(CLIPTextConfig(**base, **config)), dtype, seed)


def sd1():
    folder, half = fresh("sd1"), torch.float16
    tokenizer, pad = make_tokenizer(folder / "tokenizer", EOS, as_json=False)
    text = text_model(
        tokenizer, half, 1, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=2, cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        sample_size=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )
    unet, vae = randomise(unet, half, 2), randomise(vae, half, 3)
    save(text, folder / "text_encoder", half)
    rename(folder / "text_encoder/model.safetensors", lambda key: "text_model." + key.removeprefix("text_model."))
    save(unet, folder / "unet", half)
    save(vae, folder / "vae", half)
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    rename(
        folder / "vae/diffusion_pytorch_model.safetensors",
        lambda key: next((key.replace(new, name) for new, name in old.items() if new in key), key),
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    write_index(folder, scheduler)
    reference(folder / "reference.safetensors", (text, tokenizer, pad, unet, vae), (8, 12))


def sd2():
    folder, half = fresh("sd2"), torch.float16
    tokenizer, pad = make_tokenizer(folder / "tokenizer", "!", as_json=True)
    text = text_model(
        tokenizer, half, 4, hidden_size=24, intermediate_size=48, num_hidden_layers=3, num_attention_heads=3,
        hidden_act="gelu",
    )
    unet = UNet2DConditionModel(
        block_out_channels=(8, 8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=(1, 2, 4),
        cross_attention_dim=24, use_linear_projection=True, upcast_attention=True, sample_size=12,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16), norm_num_groups=4, layers_per_block=2, sample_size=48,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    )
    unet, vae = randomise(unet, half, 5), randomise(vae, half, 6)
    save(text, folder / "text_encoder", half, variant="fp16")
    save(unet, folder / "unet", half, variant="fp16")
    save(vae, folder / "vae", half, variant="fp16")
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1,
        prediction_type="v_prediction",
    )
    write_index(folder, scheduler)
    reference(folder / "reference.safetensors", (text, tokenizer, pad, unet, vae), (6, 10))


def odd():
    folder, brain = fresh("odd"), torch.bfloat16
    tokenizer, pad = make_tokenizer(folder / "tokenizer", EOS, as_json=True)
    text = text_model(
        tokenizer, brain, 7, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
    )
    unet = UNet2DConditionModel(
        in_channels=6, out_channels=6, block_out_channels=(8, 16), layers_per_block=(1, 2), norm_num_groups=2,
        attention_head_dim=(2, 4), cross_attention_dim=16, norm_eps=1e-6, transformer_layers_per_block=(1, 2),
        flip_sin_to_cos=False, freq_shift=1, center_input_sample=True, mid_block_type="UNetMidBlock2D",
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        sample_size=(8, 12),
    )
    vae = AutoencoderKL(
        block_out_channels=(4, 8, 8), norm_num_groups=2, layers_per_block=1, latent_channels=6, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        mid_block_add_attention=False, use_quant_conv=False, use_post_quant_conv=False,
        scaling_factor=0.3611, shift_factor=0.1159,
    )
    unet, vae = randomise(unet, brain, 8), randomise(vae, brain, 9)
    save(text, folder / "text_encoder", brain)
    save(unet, folder / "unet", brain, max_shard_size="60KB")
    save(vae, folder / "vae", brain)
    scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=False, timestep_spacing="trailing")
    write_index(folder, scheduler)
    reference(folder / "reference.safetensors", (text, tokenizer, pad, unet, vae), (8, 12))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        sd1()
        sd2()
        odd()
    samplers.record(HERE / "samplers.safetensors")
