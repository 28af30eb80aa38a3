"""The accuracy gate: a way of running a model is refused unless it answers as plain fp32 does."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from engines.card import ModelCard
from engines.engine import Array, TensorSpec
from engines.errors import ModelError

LEAST_PSNR_DB = 40.0
_LARGEST_PROBES = 256 << 20  # bytes
_MADE_UP = 4  # sets of made-up inputs where the card brings no probes

Feeds = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far one way of running a model is off: `worst` absolute error, `psnr_db` of the worst output.

    PSNR is taken over the range that the fp32 output spans. `refused` says why it may not be used; empty: it may.
    """

    worst: float
    psnr_db: float
    refused: str = ""


def probes(card: ModelCard, inputs: tuple[TensorSpec, ...]) -> list[Feeds]:
    """Inputs to compare answers on: the card's own probes, else made up. Raises ModelError for probes that do not fit.

    Made up are smooth random pictures, as nets of pictures expect them: u8 over 0..255, floats over -1..1.
    """
    if card.probes is not None:
        try:
            return read_probes(BytesIO(card.read_file(card.probes)), inputs)
        except ValueError as error:
            raise ModelError(f"the probes of model {card.name!r} cannot be used: {error}") from error
    rng = np.random.default_rng(0)
    return [{spec.name: _smooth(rng, spec) for spec in inputs} for _ in range(_MADE_UP)]


def read_probes(file: BytesIO, inputs: tuple[TensorSpec, ...]) -> list[Feeds]:
    """Sets of inputs from an .npz with a stack [n, ...] for each input. Raises ValueError for what is no such file.

    The file may be a stranger's: nothing is unpickled, and a small file that unpacks into a huge one is refused.
    """
    try:
        if sum(entry.file_size for entry in zipfile.ZipFile(file).infolist()) > _LARGEST_PROBES:
            raise ValueError(f"it unpacks to more than {_LARGEST_PROBES >> 20} MB")
        file.seek(0)
        with np.load(file, allow_pickle=False) as held:
            stacks = {spec.name: held[spec.name] for spec in inputs if spec.name in held}
    except (OSError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"not an .npz file ({error})") from error
    for spec in inputs:
        stack = stacks.get(spec.name)
        if stack is None or stack.shape[1:] != spec.shape or stack.dtype != spec.dtype or not len(stack):
            raise ValueError(f"no stack of {spec}")
    count = min(len(stack) for stack in stacks.values())
    return [{name: stack[k] for name, stack in stacks.items()} for k in range(count)]


def _smooth(rng: np.random.Generator, spec: TensorSpec) -> Array:
    if spec.dtype == np.bool_:
        return np.ones(spec.shape, bool)
    wave = np.zeros(spec.shape)
    for axis, size in enumerate(spec.shape):
        shape = [1] * len(spec.shape)
        shape[axis] = size
        steps = np.linspace(0, rng.uniform(2, 8), size) + rng.uniform(0, 6)
        wave = wave + np.sin(steps).reshape(shape)
    wave = wave / max(1, len(spec.shape)) + rng.normal(0, 0.05, spec.shape)
    if np.issubdtype(spec.dtype, np.integer):
        return np.clip(wave * 127.5 + 127.5, 0, min(255, np.iinfo(spec.dtype).max)).astype(spec.dtype)
    return np.clip(wave, -1, 1).astype(spec.dtype)


def judge(card: ModelCard, wanted: list[Feeds], got: list[Feeds]) -> Verdict:
    """Compare answers to the same probes, those of fp32 first. An output's tolerance on the card replaces the PSNR."""
    worst, least = 0.0, np.inf
    refused = ""
    for name in wanted[0]:
        reference = np.stack([np.asarray(answer[name], np.float64) for answer in wanted])
        answers = np.stack([np.asarray(answer[name], np.float64) for answer in got])
        bad = ~np.isfinite(answers) & np.isfinite(reference)
        if bad.any():
            return Verdict(np.inf, 0.0, f"{name}: {int(bad.sum())} values are not numbers")
        error = np.nan_to_num(np.abs(answers - reference))
        span = float(np.nan_to_num(reference).max() - np.nan_to_num(reference).min())
        noise = float(np.sqrt((error**2).mean()))
        psnr = np.inf if noise == 0 else float(20 * np.log10(max(span, 1e-12) / noise))
        worst, least = max(worst, float(error.max())), min(least, psnr)
        tolerance = card.tolerance.get(name)
        if tolerance is not None:
            if error.max() > tolerance:
                refused = refused or f"{name}: off by {error.max():.3g}, the card allows {tolerance:g}"
        elif psnr < LEAST_PSNR_DB and error.max() > 1e-5:
            refused = refused or f"{name}: PSNR {psnr:.1f} dB, {LEAST_PSNR_DB:g} are needed"
    return Verdict(worst, least, refused)
