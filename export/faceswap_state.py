"""What faceswap notes beside a model, MODEL_state.json: how long it was trained, and on which crop of the face."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engines.errors import BadInput, ModelError
from engines.plain_file import read_plain
from export.keras.settings import is_number, short

CENTRINGS = {"legacy": "legacy", "face": "face", "head": "fs_head"}  # and what live/align calls them
CROP_OPTION = f"the crop it was trained on, TYPE or TYPE:COVERAGE, of {', '.join(CENTRINGS)} and percent: face:87.5"

_MAX = 64 << 20  # bytes; it lists every session of training
# By faceswap's version: what a model is trained with if nobody changes it.
_CENTRING = {1: "legacy", 2: "face", 3: "face"}
_COVERAGE = {1: 68.75, 2: 87.5, 3: 100.0}
_BGR_ENCODERS = ("fs_original", "vgg16", "vgg19")


@dataclass(frozen=True, slots=True)
class State:
    """`path` is None where the file is missing. `config` are the settings that the model was made with."""

    path: Path | None = None
    held: Mapping[str, object] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)

    @property
    def iterations(self) -> int | None:
        value = self.held.get("iterations")
        return value if type(value) is int and value >= 0 else None

    def demand(self, name: str, found: object, also: object = None) -> None:
        """Raise ModelError where setting `name` is neither missing nor what was `found` in the net."""
        noted = self.config.get(name, self.held.get(name))
        if noted is not None and noted != found and noted != also:
            raise ModelError(
                f"{self.path} says {name}: {short(noted)}, but the model says {short(found)}",
                hint=f"files of two models are mixed up here: take them from one backup, or move {self.path} away",
            )


def read_state(path: Path | None) -> State:
    """Raises ModelError: it is no readable JSON of that kind."""
    if path is None:
        return State()
    try:
        held = json.loads(read_plain(path, _MAX))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is no readable JSON: {str(error)[:80]}", hint="take the one of a backup, or move it away"
        ) from None
    config = held.get("config", {}) if isinstance(held, dict) else None
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not what faceswap writes: an object with a config is expected")
    return State(path, held, config)


def crop_of(
    state: State, version: int, option: str | None
) -> tuple[tuple[str, str], dict[str, str | float], list[str]]:
    """The crop's name for live/align, its facts (coverage 0..1, vertical_offset in %, if it has one), and warnings.

    A model made before December 2020 notes no centring: it is legacy, of a template whose middle was not yet moved.
    Raises ModelError (the state has nonsense) and BadInput (the option has).
    """
    centring, coverage = _CENTRING[version], _COVERAGE[version]
    fit, warnings = "dfl51" if version == 1 else "faceswap", []
    if option is not None:
        centring, _, percent = option.partition(":")
        coverage, fit = _percent(percent, option) if percent else coverage, "faceswap"
        if centring not in CENTRINGS:
            raise BadInput(f"crop={option}: there is no {centring!r}", hint=f"crop: {CROP_OPTION}")
        if centring == "legacy" and version == 1:
            fit = "dfl51"
    elif state.path is None:
        warnings.append(
            f"there is no MODEL_state.json: the crop {centring}:{coverage:g}, faceswap {version}'s usual one, is "
            "assumed; crop= says another"
        )
    else:
        noted = state.config.get("centering")
        centring = "legacy" if noted is None else str(noted)
        fit = "dfl51" if noted is None else "faceswap"
        if centring not in CENTRINGS:
            raise ModelError(f"{state.path} says centering: {short(noted)}; {', '.join(CENTRINGS)} are known")
        if state.config.get("coverage") is None:
            warnings.append(f"{state.path} notes no coverage: {coverage:g} % is assumed; crop= says another")
        else:
            coverage = _number(state, "coverage", 1, 100)
            if version == 1:  # which cut a whole, even number of pixels out of its training pictures
                size = state.held.get("training_size")
                size = size if type(size) is int and 0 < size <= 4096 else 256
                coverage = 100 * (int(size * coverage / 100) // 2 * 2) / size
    facts: dict[str, str | float] = {"centering": centring, "coverage": coverage / 100}
    if option is None and state.config.get("vertical_offset"):
        facts["vertical_offset"] = _number(state, "vertical_offset", -100, 100)
    return (CENTRINGS[centring], fit), facts, warnings


def is_rgb(state: State, model: str, encoder: str | None) -> bool:
    """Whether the net wants RGB, which of all models only Phaze-A does, with most of its encoders.

    `encoder` is the name of the ready-made net in the model's encoder, if it has one, for where the state is missing.
    """
    if model != "phaze_a":
        return False
    noted = state.config.get("enc_architecture")
    if isinstance(noted, str):
        return noted not in _BGR_ENCODERS
    return encoder is not None and not encoder.startswith("vgg")


def _number(state: State, name: str, low: float, high: float) -> float:
    value = state.config.get(name)
    if not is_number(value) or not low <= value <= high:
        raise ModelError(f"{state.path} says {name}: {short(value)}; a number from {low} to {high} is expected")
    return float(value)


def _percent(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 1 <= value <= 100:
        raise BadInput(f"crop={option}: {text!r} is no coverage from 1 to 100", hint=f"crop: {CROP_OPTION}")
    return value
