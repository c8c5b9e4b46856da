"""Stage 2: tokenizer, and the text encoder taught to tell from a caption every fact of its scene.

A text encoder that already knows what the words mean is what lets a small UNet bind them within minutes."""
import argparse
import json
import random
from pathlib import Path

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from . import captions, common, scenes, tok

WIDTH, LAYERS, HEADS = 192, 2, 4


def build(t) -> CLIPTextModel:
    bos, eos = t.token_to_id(tok.BOS), t.token_to_id(tok.EOS)
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=t.get_vocab_size(), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        max_position_embeddings=tok.LENGTH, projection_dim=WIDTH, bos_token_id=bos, eos_token_id=eos, pad_token_id=eos)).to(common.DEVICE)


def labels(m) -> list[str]:
    """The facts as strings: what the encoder must tell from the words."""
    out = [f"{k}={m[k]}" for k in ("time", "cel", "style", "count", "size", "pos", "rel", "unknown", "alone")]
    out += [f"land={x}" for x in m["land"]] + [f"ext={x}" for x in m["ext"]]
    for i, (key, colour) in enumerate(m["objs"]):
        out += [f"object={key}", f"object{i}={key}"]
        if colour:
            out += [f"colour={colour}", f"{key} is {colour}", f"colour{i}={colour}"]
    return out


def pairs(n: int, seed: int):
    """Captions with their facts. Only text, so they are made in thousands a second, none twice."""
    for i in range(n):
        r = random.Random(seed * 7_368_787 + i)
        m = scenes.facts(r, r.random() < 0.15)
        yield captions.caption(r, m), labels(m)


def dataset(t, names, n, seed):
    texts, facts = zip(*pairs(n, seed))
    y = torch.zeros(n, len(names), dtype=torch.bool)
    for i, f in enumerate(facts):
        y[i, [names[x] for x in f if x in names]] = True
    return tok.encode(t, texts), y


def logits(model, head, ids, eos):
    """Read at the first end token: causal attention has seen the whole caption there."""
    z = model(ids).last_hidden_state
    at = (ids == eos).int().argmax(1)
    return head(z[torch.arange(len(ids), device=ids.device), at])


@torch.no_grad()
def recall(model, head, ids, y, eos, names):
    """Of the objects named in held-out captions, the share told; and of those told, the share named."""
    cols = [i for x, i in names.items() if x.startswith("object=")]
    p = torch.cat([logits(model, head, ids[k:k + 256].to(common.DEVICE), eos) > 0 for k in range(0, len(ids), 256)]).cpu()[:, cols]
    y = y[:, cols]
    return float((p & y).sum() / y.sum()), float((p & y).sum() / p.sum().clamp(min=1))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--minutes", type=float)
    p.add_argument("--steps", type=int)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--captions", type=int, default=120_000)
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--seed", type=int, default=2)
    p = p.parse_args()
    common.setup(p.seed)
    texts, facts = zip(*pairs(p.captions // 2, p.seed))
    t = tok.train(texts, p.out / "tokenizer")
    names = {x: i for i, x in enumerate(sorted({x for f in facts for x in f}))}
    ids, y = dataset(t, names, p.captions, p.seed)
    held = dataset(t, names, 2000, p.seed + 1)
    print("vocabulary", t.get_vocab_size(), "labels", len(names), "longest", int((ids != t.token_to_id(tok.EOS)).sum(1).max()), flush=True)
    model, eos = build(t), t.token_to_id(tok.EOS)
    head = torch.nn.Linear(WIDTH, len(names)).to(common.DEVICE)
    params = [*model.parameters(), *head.parameters()]
    opt = torch.optim.AdamW(params, p.lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    budget, step, mean = common.Budget(p.minutes, p.steps), 0, None
    while (f := budget.progress(step)) < 1:
        for g in opt.param_groups:
            g["lr"] = p.lr * min(1, (step + 1) / 100) * common.cosine(f, 0.1)
        k = torch.randint(0, len(ids), (p.batch,))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits(model, head, ids[k].to(common.DEVICE), eos), y[k].float().to(common.DEVICE), reduction="sum") / p.batch
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        step += 1
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 250 == 0:
            r, q = recall(model, head, *held, eos, names)
            print(f"text {budget.spent:.0f}s step {step} loss {mean:.3f} recall {r:.3f} precision {q:.3f}", flush=True)
    r, q = recall(model, head, *held, eos, names)
    model.save_pretrained(p.out / "text")
    (p.out / "text.json").write_text(json.dumps({"steps": step, "samples": step * p.batch, "recall": r, "precision": q}))
    print(f"text done {step * p.batch} samples, recall {r:.3f} precision {q:.3f}", flush=True)


if __name__ == "__main__":
    main()
