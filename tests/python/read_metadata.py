"""Reads pictures' metadata as a stranger would: with the public reader sd-parsers, and Pillow.

    read_metadata.py PICTURE...     prints one JSON object a line

Fields that the picture does not have are null. `receipt` is our own second chunk.
"""

import json
import sys

from PIL import ExifTags, Image
from sd_parsers import ParserManager


def receipt_of(image):
    if image.format == "PNG":
        return image.text.get("shanshui")
    note = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.MakerNote, b"")
    name, _, text = note.partition(b"\0")
    return text.decode() if name == b"shanshui" else None


def read(path, image):
    found = ParserManager().parse(image)
    if found is None:
        raise SystemExit(f"{path}: sd-parsers finds no metadata")
    sampler = found.samplers[0]
    return {
        "format": image.format,
        "size": image.size,
        "generator": found.generator.value,
        "prompt": sampler.prompts[0].value if sampler.prompts else None,
        "negative": sampler.negative_prompts[0].value if sampler.negative_prompts else None,
        "sampler": sampler.name,
        "model": sampler.model.name if sampler.model else None,
        "model_hash": sampler.model.hash if sampler.model else None,
        "parameters": sampler.parameters,
        "rest": found.metadata,
        "receipt": receipt_of(image),
    }


if __name__ == "__main__":
    # All of them stay: sd-parsers keeps what it last found by the address of the image, and gives it for the next one
    # that lies there.
    images = [Image.open(path) for path in sys.argv[1:]]
    for path, image in zip(sys.argv[1:], images):
        image.load()
        print(json.dumps(read(path, image), ensure_ascii=True, default=str))
