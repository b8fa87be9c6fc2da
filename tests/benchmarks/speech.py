"""Spoken digits as streams of audio, split by speaker: what the voice networks hear.

SPEECH names the folder `recordings/` of the GitHub repository
`Jakobovski/free-spoken-digit-dataset`: 3,000 recordings of six speakers at 8 kHz (CC BY-SA 4.0).
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

TRAINED = ("george", "jackson", "lucas", "nicolas")
UNHEARD = ("theo", "yweweler")
HELD = 5  # recordings 0 to 4 of each digit and speaker, the data set's own test part
RATE = 16_000
TEMPI = ((2, 1), (5, 3), (16, 9), (9, 4), (12, 5))  # to 16 kHz; the others change tempo and pitch
LOUDNESS = 10 ** (-30 / 20)  # root mean square, as `resemblyzer` normalises it


@cache
def streams(part: str) -> tuple[np.ndarray, ...]:
    """Return audio at 16 kHz, float32 in -1 to 1, one array for each speaker and tempo.

    part: "train" (four speakers at five tempi), "valid" (recordings of theirs that training lacks)
    or "test" (two speakers who are in no other part).
    """
    speakers = UNHEARD if part == "test" else TRAINED
    tempi = TEMPI if part == "train" else TEMPI[:1]
    rng = np.random.default_rng(0)
    return tuple(_stream(name, part, tempo, rng) for name in speakers for tempo in tempi)


def _stream(
    speaker: str, part: str, tempo: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    folder = Path(os.environ["SPEECH"])
    files = [
        file
        for file in sorted(folder.glob(f"*_{speaker}_*.wav"))
        if part == "test" or (int(file.stem.rpartition("_")[2]) < HELD) == (part == "valid")
    ]
    rng.shuffle(files)  # type: ignore[arg-type]
    pieces = [wavfile.read(file)[1].astype(np.float32) / 2**15 for file in files]
    audio = np.concatenate([resample_poly(piece, *tempo) for piece in pieces])
    return (audio * (LOUDNESS / np.sqrt(np.mean(audio**2)))).astype(np.float32)
