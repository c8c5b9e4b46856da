"""Records what Hugging Face's Whisper answers, for workers/transcribe/tests/whisper.rs.

    python make.py FOLDER OUT.json

FOLDER is a CTranslate2 folder as `./dev models` fetches it (.cache/models/whisper-base); its
weights are read here by a second, independent reader, so that a wrong name or order shows.
Needs torch, transformers, numpy. Recorded with torch 2.x and transformers 5 on a CPU in f32.
"""

import json
import pathlib
import struct
import sys
import wave

import numpy as np
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

SPEECH = pathlib.Path(__file__).parent.parent / "speech"
TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def variables(path):
    data, at = path.read_bytes(), 0

    def number(form):
        nonlocal at
        value = struct.unpack_from("<" + form, data, at)[0]
        at += struct.calcsize(form)
        return value

    def name():
        nonlocal at
        length = number("H")
        at += length
        return data[at - length : at - 1].decode()

    number("I"), name(), number("I")
    found = {}
    for _ in range(number("I")):
        key, shape = name(), None
        shape = [number("I") for _ in range(number("B"))]
        kind, length = TYPES[number("B")], number("I")
        values = np.frombuffer(data, kind, length // kind().itemsize, at)
        found[key] = torch.from_numpy(values.reshape(shape).astype(np.float32))
        at += length
    return found


def state(v):
    """CTranslate2's variables under the names of transformers."""
    out = {}

    def linear(source, *targets):
        parts = zip(v[source + "/weight"].chunk(len(targets)), v[source + "/bias"].chunk(len(targets)))
        for target, (weight, bias) in zip(targets, parts):
            out[target + ".weight"] = weight
            if not target.endswith("k_proj"):
                out[target + ".bias"] = bias

    def norm(source, target):
        out[target + ".weight"], out[target + ".bias"] = v[source + "/gamma"], v[source + "/beta"]

    for conv in ("conv1", "conv2"):
        linear(f"encoder/{conv}", f"model.encoder.{conv}")
    out["model.decoder.embed_tokens.weight"] = out["proj_out.weight"] = v["decoder/embeddings/weight"]
    for side in ("encoder", "decoder"):
        out[f"model.{side}.embed_positions.weight"] = v[f"{side}/position_encodings/encodings"]
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        for layer in range(sum(key.startswith(side) and key.endswith("ffn/linear_0/bias") for key in v)):
            s, t = f"{side}/layer_{layer}", f"model.{side}.layers.{layer}"
            norm(s + "/self_attention/layer_norm", t + ".self_attn_layer_norm")
            linear(s + "/self_attention/linear_0", *(f"{t}.self_attn.{x}_proj" for x in "qkv"))
            linear(s + "/self_attention/linear_1", t + ".self_attn.out_proj")
            if side == "decoder":
                norm(s + "/attention/layer_norm", t + ".encoder_attn_layer_norm")
                linear(s + "/attention/linear_0", t + ".encoder_attn.q_proj")
                linear(s + "/attention/linear_1", *(f"{t}.encoder_attn.{x}_proj" for x in "kv"))
                linear(s + "/attention/linear_2", t + ".encoder_attn.out_proj")
            norm(s + "/ffn/layer_norm", t + ".final_layer_norm")
            linear(s + "/ffn/linear_0", t + ".fc1")
            linear(s + "/ffn/linear_1", t + ".fc2")
    return out


def load(folder):
    v = variables(folder / "model.bin")
    vocabulary, width = v["decoder/embeddings/weight"].shape
    layers = sum(key.startswith("encoder") and key.endswith("ffn/linear_0/bias") for key in v)
    config = WhisperConfig(
        vocab_size=vocabulary, d_model=width, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=width // 64, decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width, num_mel_bins=v["encoder/conv1/weight"].shape[1],
    )
    model = WhisperForConditionalGeneration(config).float().eval()
    missing, unexpected = model.load_state_dict(state(v), strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    return model


def pattern():
    """A window that needs no sound: the same integers on both sides."""
    band, frame = np.mgrid[0:80, 0:3000]
    return ((band * 7919 + frame * 104729 + band * frame * 31) % 2003 / 2003 * 2 - 1).astype(np.float32)


def spoken(name):
    """Log-mel as openai/whisper makes it: silence after the sound is zero."""
    with wave.open(str(SPEECH / name)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    frames = len(samples) // 160
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=60)
    mel = extractor(samples, sampling_rate=16000, return_tensors="np").input_features[0][:, :frames]
    return np.pad(mel, ((0, 0), (0, 3000 - frames))).astype(np.float32)


def main():
    model = load(pathlib.Path(sys.argv[1]))
    start = 50257 + (model.config.vocab_size > 51864)
    cases = []
    for name in ("pattern", "mountains.wav", "librispeech-1995-1837-0001.wav"):
        window = pattern() if name == "pattern" else spoken(name)
        tokens = [start, start + 1, start + 101] if start == 50258 else [start]
        with torch.no_grad():
            logits = model(torch.from_numpy(window)[None], decoder_input_ids=torch.tensor([tokens])).logits[0, -1]
        top = logits.topk(20)
        sampled = list(range(0, len(logits), len(logits) // 63))[:64]
        cases.append({
            "window": name, "tokens": tokens,
            "top": [[int(i), round(float(x), 5)] for i, x in zip(top.indices, top.values)],
            "sampled": [[i, round(float(logits[i]), 5)] for i in sampled],
        })
    with open(sys.argv[2], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


main()
