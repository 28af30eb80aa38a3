"""Checks of model files, of the folders that doppelcam writes to, and of parts that may be missing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from engines.errors import DoppelcamError
from engines.store import Store, check_room, user_store
from live.doctor.finding import Finding, fault, in_short, note, ok
from live.models import shipped_names
from live.run import KINDS

_SHIPPED = Path(__file__).parents[1] / "models"
# They have checks of their own.
_ELSEWHERE = {("sources", "camera"), ("sinks", "virtual_camera")}
_AGAIN = "pip install --force-reinstall --no-deps doppelcam"


def models() -> Iterator[Finding]:
    """Every model file against the checksum on its card."""
    names = shipped_names()
    broken = _broken(Store(_SHIPPED), names)
    for name, why in broken.items():
        yield fault(f"the model {name}, which came with doppelcam, is {why}", _AGAIN)
    if not names:
        yield fault("the models that come with doppelcam are not there", _AGAIN)
    elif not broken:
        yield ok(f"{len(names)} models that came with doppelcam are whole")
    mine = user_store()
    names = mine.names()
    broken = _broken(mine, names)
    for name, why in broken.items():
        yield note(f"your model {name} is {why}", f"doppelcam models remove {name}   (then add or pull it again)")
    if names:
        yield ok(f"{len(names) - len(broken)} of your models are whole")


def _broken(store: Store, names: list[str]) -> dict[str, str]:
    """Which models are not as they were, and why."""
    broken = {}
    for name in names:
        try:
            wrong = [f"{what}: {file}" for file, what in store.check(name).items() if what]
        except DoppelcamError as error:
            wrong = [f"broken: {error.message}"]
        if wrong:
            broken[name] = ", ".join(wrong)
    return broken


def folders() -> Iterator[Finding]:
    """Can each folder be written to, and is there room."""
    kinds = {
        "models and settings": (platformdirs.user_data_dir, "XDG_DATA_HOME"),
        "what was measured and compiled": (platformdirs.user_cache_dir, "XDG_CACHE_HOME"),
        "what this machine decided": (platformdirs.user_state_dir, "XDG_STATE_HOME"),
    }
    for what, (where, variable) in kinds.items():
        folder = Path(where("doppelcam", appauthor=False))
        there = next(parent for parent in [folder, *folder.parents] if parent.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            why = error.strerror or in_short(error)
            yield fault(
                f"{folder}, for {what}, cannot be written to: {why}",
                f"sudo chown -R $USER {there}   (or set {variable})",
            )
            continue
        try:
            check_room(there, 200_000_000)
            yield ok(f"{folder}, for {what}")
        except DoppelcamError as error:
            yield note(error.message, error.hint)


def parts() -> Iterator[Finding]:
    """Sources, finders, swappers, blenders and sinks that cannot be used here, and why."""
    for section, kind in KINDS.items():
        good = []
        for name in kind.names():
            if (section, name) in _ELSEWHERE:
                continue
            try:
                error = kind.why_not(name)
            except Exception as failure:
                yield fault(f"the {kind.kind} {name} does not load: {in_short(failure)}", _AGAIN)
                continue
            if error is None:
                good.append(name)
            else:
                yield note(f"{kind.kind} {name}: {error.message}", error.hint)
        if good:
            yield ok(f"{section}: {', '.join(good)}")
