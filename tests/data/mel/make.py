"""Records what OpenAI's own code makes of two recordings, for the test of our spectrogram.

    pip install openai-whisper==20250625 && python make.py     (needs ffmpeg too, for jfk.flac)

Each .bin holds little-endian float32: every tenth frame of log_mel_spectrogram, band after band.
The filter banks are whisper's own table, float32, each band's weights summed over all
frequencies and weighted by them: two numbers per band tell any wrong triangle.
"""

from pathlib import Path

import numpy as np
import torch
from whisper.audio import load_audio, log_mel_spectrogram, mel_filters

HERE = Path(__file__).parent
SPEECH = HERE.parent / "speech"


def main():
    for name in ["librispeech-1995-1837-0001.wav", "jfk.flac"]:
        audio = torch.from_numpy(load_audio(str(SPEECH / name)))
        for bins in [80, 128]:
            # As whisper.transcribe does it: 30 s of silence appended, 3000 frames less to use.
            mel = log_mel_spectrogram(audio, bins, padding=480_000)
            mel = mel[:, : mel.shape[1] - 3000]
            out = mel[:, ::10].numpy().astype("<f4")
            out.tofile(HERE / f"{Path(name).stem}-{bins}.bin")
            print(name, bins, mel.shape, out.shape, float(mel.min()), float(mel.max()))
    for bins in [80, 128]:
        filters = mel_filters("cpu", bins).numpy().astype("f8")
        sums = np.stack([filters.sum(1), filters @ np.arange(201)])
        sums.astype("<f4").tofile(HERE / f"filters-{bins}.bin")


main()
