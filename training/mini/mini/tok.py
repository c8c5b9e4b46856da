"""A small byte-level BPE with CLIP's conventions, for CLIPTokenizer and for the `tokenizers` crate."""
import json
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LENGTH = 40  # tokens, start and end included
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def train(captions, out: Path, size: int = 1500) -> Tokenizer:
    t = Tokenizer(models.BPE(unk_token=EOS, continuing_subword_prefix="", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(captions, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, end_of_word_suffix="</w>", special_tokens=[BOS, EOS], min_frequency=3, show_progress=False))
    # CLIP knows every byte twice, bare and word-final. Without the second, an unseen final byte (a comma)
    # becomes unk, which is <|endoftext|>, in mid-sentence.
    j = json.loads(t.to_str())
    for c in alphabet:
        j["model"]["vocab"].setdefault(c + "</w>", len(j["model"]["vocab"]))
    t = Tokenizer.from_str(json.dumps(j))
    ends = [(EOS, t.token_to_id(EOS)), (BOS, t.token_to_id(BOS))]
    t.post_processor = processors.RobertaProcessing(*ends, trim_offsets=False, add_prefix_space=False)
    save(t, out)
    return t


def save(t: Tokenizer, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    t.save(str(out / "tokenizer.json"))
    model = json.loads((out / "tokenizer.json").read_text())["model"]
    (out / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    merges = [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]
    (out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    special = {"bos_token": BOS, "eos_token": EOS, "pad_token": EOS, "unk_token": EOS}
    (out / "special_tokens_map.json").write_text(json.dumps(special, indent=1))
    (out / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True, "add_prefix_space": False, **special}, indent=1))


def load(out: Path) -> Tokenizer:
    return Tokenizer.from_file(str(out / "tokenizer.json"))


def encode(t: Tokenizer, captions) -> torch.Tensor:
    """Padded with the end token, as CLIP's are."""
    end, rows = t.token_to_id(EOS), []
    for e in t.encode_batch(list(captions)):
        ids = e.ids if len(e.ids) <= LENGTH else e.ids[:LENGTH - 1] + [end]
        rows.append(ids + [end] * (LENGTH - len(ids)))
    return torch.tensor(rows)
