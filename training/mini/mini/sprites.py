"""Rasterises the icons once, with their colour variants, into one small file.

Source: npm package @iconify-json/fluent-emoji (Microsoft Fluent Emoji, MIT)."""
import argparse
import io
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from . import vocab

SIZE = 192  # px


def hue_of(hsv, solid):
    """The dominant hue of the coloured pixels, in turns."""
    hist = np.histogram(hsv[..., 0][solid], 36, (0, 1), weights=(hsv[..., 1] * hsv[..., 2])[solid])[0]
    hist = hist + np.roll(hist, 1) + np.roll(hist, -1)
    return (hist.argmax() + 0.5) / 36


def recolour(a: np.ndarray, name: str) -> np.ndarray:
    """Turns only hues within about 58 degrees of the dominant one, so that a red apple's leaf stays green."""
    rgb = a[..., :3]
    hsv = np.asarray(Image.fromarray(rgb).convert("HSV"), np.float32) / 255
    solid = (a[..., 3] > 128) & (hsv[..., 1] > 0.22) & (hsv[..., 2] > 0.15)
    if solid.sum() < 50:
        return a
    away = (hsv[..., 0] - hue_of(hsv, solid) + 0.5) % 1 - 0.5
    m = np.clip((0.16 - np.abs(away)) / 0.04, 0, 1) * np.clip((hsv[..., 1] - 0.12) / 0.15, 0, 1)
    out = hsv.copy()
    if name == "black":
        out[..., 1] *= 0.15
        out[..., 2] *= 0.33
    elif name == "white":
        out[..., 1] *= 0.06
        out[..., 2] = np.clip(0.80 + 0.2 * out[..., 2], 0, 1)
    else:
        out[..., 0] = (vocab.COLOURS[name] + away * 0.25) % 1
        out[..., 1] = np.clip(out[..., 1] + 0.1, 0, 1)
        if name in ("yellow", "pink"):
            out[..., 2] = np.clip(out[..., 2] * 1.12 + 0.1, 0, 1)
        if name == "pink":
            out[..., 1] *= 0.6
    new = np.asarray(Image.fromarray((np.clip(out, 0, 1) * 255).astype(np.uint8), "HSV").convert("RGB"), np.float32)
    result = a.copy()
    result[..., :3] = (rgb * (1 - m[..., None]) + new * m[..., None]).astype(np.uint8)
    return result


def rasterise(icons: dict, name: str) -> np.ndarray:
    import resvg_py
    icon = icons["icons"].get(name) or icons["icons"][icons["aliases"][name]["parent"]]
    w, h = icon.get("width", icons.get("width", 32)), icon.get("height", icons.get("height", 32))
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {w} {h}" '
           f'width="{SIZE}" height="{SIZE}">{icon["body"]}</svg>')
    im = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE)))).convert("RGBA")
    return np.asarray(im.crop(im.getchannel("A").getbbox()))


class Sprites:
    """The drawings at any height, as premultiplied floats, each size made once."""

    def __init__(self, path: Path):
        with np.load(path) as z:
            self.full = {k: z[k] for k in z.files}

    @lru_cache(maxsize=None)
    def at(self, name: str, height: int) -> np.ndarray:
        a = self.full[name]
        scale = min(height / a.shape[0], 1.25 * height / a.shape[1])
        im = Image.fromarray(a).resize((max(4, round(a.shape[1] * scale)), max(4, round(a.shape[0] * scale))), Image.LANCZOS)
        out = np.asarray(im, np.float32).copy()
        out[..., :3] *= out[..., 3:] / 255
        return out


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("icons", type=Path, help="icons.json of the npm package")
    p.add_argument("out", type=Path)
    p = p.parse_args()
    icons, out = json.loads(p.icons.read_text()), {}
    for key, concept, colour in vocab.sprite_names():
        base = out[concept] if colour else rasterise(icons, vocab.CONCEPTS[concept]["icon"])
        out[key] = recolour(base, colour) if colour else base
    p.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(p.out, **out)
    print(len(out), "sprites of", len(vocab.CONCEPTS), "concepts", p.out)


if __name__ == "__main__":
    main()
