"""The weights of a CTranslate2 Whisper as a file of whisper.cpp, with its blocks of eight bits (q8_0).

`ggml.py MODEL OUT`, in the environment of faster-whisper. The hub is not needed: both engines then have the same weights.
"""

import json
import pathlib
import struct
import sys

import numpy
from faster_whisper.feature_extractor import FeatureExtractor

MAGIC, F32, F16, Q8, MOSTLY_Q8, BLOCK = 0x67676D6C, 0, 1, 8, 7, 32
TYPES = {0: numpy.float32, 4: numpy.float16}
LAYER = {
    "self_attention/layer_norm": ["attn_ln"],
    "self_attention/linear_0": ["attn.query", "attn.key", "attn.value"],
    "self_attention/linear_1": ["attn.out"],
    "attention/layer_norm": ["cross_attn_ln"],
    "attention/linear_0": ["cross_attn.query"],
    "attention/linear_1": ["cross_attn.key", "cross_attn.value"],
    "attention/linear_2": ["cross_attn.out"],
    "ffn/layer_norm": ["mlp_ln"],
    "ffn/linear_0": ["mlp.0"],
    "ffn/linear_1": ["mlp.2"],
}
KINDS = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}


def variables(path: pathlib.Path) -> dict:
    """Name and numbers of each variable; the layout is told in workers/transcribe/src/whisper/ctranslate2.rs."""
    data, at, found = path.read_bytes(), 0, {}

    def take(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return value

    def name() -> str:
        nonlocal at
        length = take("<H")
        at += length
        return data[at - length : at - 1].decode()

    take("<I"), name(), take("<I")
    for _ in range(take("<I")):
        called = name()
        shape = [take("<I") for _ in range(take("<B"))]
        kind, length = take("<B"), take("<I")
        if kind in TYPES and shape:
            found[called] = numpy.frombuffer(data, TYPES[kind], length // TYPES[kind]().itemsize, at).reshape(shape)
        at += length
    return found


def renamed(called: str) -> tuple[list, str]:
    """The names that whisper.cpp has for a variable, which holds them one behind the other."""
    side, rest = called.split("/", 1)
    if rest == "position_encodings/encodings":
        return [f"{side}.positional_embedding"], ""
    if rest == "embeddings/weight":
        return ["decoder.token_embedding"], ".weight"
    module, kind = rest.rsplit("/", 1)
    if module == "layer_norm":
        return [f"{side}.ln_post" if side == "encoder" else f"{side}.ln"], f".{KINDS[kind]}"
    if module.startswith("conv"):
        return [f"{side}.{module}"], f".{KINDS[kind]}"
    layer, module = module.split("/", 1)
    number = layer.removeprefix("layer_")
    return [f"{side}.blocks.{number}.{name}" for name in LAYER[module]], f".{KINDS[kind]}"


def tensors(model: pathlib.Path) -> dict:
    found = {}
    for called, values in variables(model / "model.bin").items():
        if called.startswith(("encoder/", "decoder/")) and not called.endswith(("alignment_heads", "scale")):
            names, kind = renamed(called)
            for name, part in zip(names, numpy.split(values, len(names))):
                if not f"{name}{kind}".endswith(".key.bias"):
                    found[name + kind] = part.reshape(-1, 1) if name.endswith(("conv1", "conv2")) and kind == ".bias" else part
    return found


def eight_bits(values: numpy.ndarray) -> bytes:
    blocks = values.astype(numpy.float32).reshape(-1, BLOCK)
    scale = (numpy.abs(blocks).max(axis=1) / 127).astype(numpy.float16)
    by = numpy.where(scale > 0, scale, 1).astype(numpy.float32)[:, None]
    whole = numpy.rint(blocks / by).clip(-127, 127).astype(numpy.int8)
    return numpy.concatenate([scale[:, None].view(numpy.int8), whole], axis=1).tobytes()


def put(out, name: str, values: numpy.ndarray) -> None:
    plain = values.ndim < 2 or name.endswith((".bias", "positional_embedding"))
    kind = F32 if plain else Q8 if values.ndim == 2 else F16
    out.write(struct.pack("<iii", values.ndim, len(name), kind))
    out.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)) + name.encode())
    out.write(eight_bits(values) if kind == Q8 else values.astype(numpy.float32 if plain else numpy.float16).tobytes())


def words(model: pathlib.Path) -> list:
    """The tokens of text as bytes, in their order."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    byte_of = {chr(byte): byte for byte in visible} | {chr(256 + at): byte for at, byte in enumerate(hidden)}
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    ordered = sorted(vocabulary, key=vocabulary.get)
    return [bytes(byte_of[char] for char in word) for word in ordered if not word.startswith("<|")]


def main() -> None:
    model, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    found, filters = tensors(model), FeatureExtractor.get_mel_filters(16_000, 400, n_mels=80).astype(numpy.float32)
    (context, state), vocabulary = found["encoder.positional_embedding"].shape, found["decoder.token_embedding.weight"].shape[0]
    layers = sum(name.endswith("attn_ln.weight") and name.startswith("encoder") for name in found)
    length, heads = found["decoder.positional_embedding"].shape[0], state // 64
    sizes = [vocabulary, context, state, heads, layers, length, state, heads, layers, len(filters), MOSTLY_Q8]
    with out.with_suffix(".part").open("wb") as file:
        file.write(struct.pack("<12i", MAGIC, *sizes))
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        text = words(model)
        file.write(struct.pack("<i", len(text)) + b"".join(struct.pack("<i", len(word)) + word for word in text))
        for name, values in found.items():
            put(file, name, values)
    out.with_suffix(".part").rename(out)


if __name__ == "__main__":
    main()
