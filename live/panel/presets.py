"""Presets: what is set, kept under a name as a profile (doppelcam.toml) in the user's config folder; and what the panel
starts with the next time.

`doppelcam run --profile` takes the same files. A name from a page is checked, and never a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import platformdirs
import tomli_w

from engines.errors import BadInput
from engines.own_file import OTHERS_WRITE, Unfit, read_own, write_own
from engines.store import check_name
from live.run import Run, run_of, tree_of
from live.settings import parse_toml

_MOST = 100
_MOST_BYTES = 64 << 10


def folder() -> Path:
    """Where presets lie, a file NAME.toml each."""
    return platformdirs.user_config_path("doppelcam") / "presets"


def listed() -> list[dict[str, str]]:
    """All presets as JSON: {name, why_not}, the latter with what is wrong with a file."""
    return [{"name": name, "why_not": _fault(name)} for name in _names()]


def opened(name: str) -> Run:
    """What was kept under this name. Raises BadInput: none, or a file that cannot be read or is wrong."""
    try:
        return _read(_path(name), f"the preset {name!r}")
    except FileNotFoundError:
        raise BadInput(f"there is no preset {name!r}", hint=f"there are: {', '.join(_names()) or 'none'}") from None


def save(name: str, run: Run, *, replace: bool = False) -> None:
    """Keep this run under a name, whole or not at all. Raises BadInput: a name that is taken, unless replaced."""
    path = _path(name)
    if len(_names()) >= _MOST and not path.exists():
        raise BadInput(f"there are {_MOST} presets already", hint="remove one")
    try:
        _write(path, run, replace)
    except FileExistsError:
        raise BadInput(f"there is a preset {name!r} already", hint="take another name, or replace it") from None


def remove(name: str) -> None:
    """Raises BadInput."""
    try:
        _path(name).unlink()
    except FileNotFoundError:
        raise BadInput(f"there is no preset {name!r}") from None
    except OSError as error:
        raise BadInput(f"the preset {name!r} cannot be removed: {error.strerror}") from error


def next_time() -> Path:
    """What `doppelcam panel` without flags starts with, where the file is there."""
    return platformdirs.user_config_path("doppelcam") / "panel.toml"


def kept() -> Run | None:
    """What shall be started with; None where nothing was kept. Raises BadInput for a file that is wrong."""
    try:
        return _read(next_time(), str(next_time()))
    except FileNotFoundError:
        return None


def keep(run: Run | None) -> None:
    """Start with this the next time; None: as it comes. Raises BadInput."""
    if run is not None:
        _write(next_time(), run, True)
        return
    try:
        next_time().unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{next_time()} cannot be removed: {error.strerror}") from error


def _names() -> list[str]:
    found = []
    for path in sorted(folder().glob("*.toml")):
        try:
            check_name(path.stem)
        except BadInput:
            continue
        found.append(path.stem)
    return found[:_MOST]


def _path(name: str) -> Path:
    check_name(name, "preset")
    return folder() / f"{name}.toml"


def _fault(name: str) -> str:
    try:
        opened(name)
    except BadInput as error:
        return error.message
    return ""


def _read(path: Path, what: str) -> Run:
    try:
        return run_of(parse_toml(read_own(path, _MOST_BYTES, OTHERS_WRITE), what))
    except FileNotFoundError:
        raise
    except (OSError, Unfit) as error:
        raise BadInput(f"{what} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _write(path: Path, run: Run, replace: bool) -> None:
    tree: dict[str, Any] = tree_of(run)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_own(path, tomli_w.dumps(tree).encode(), replace=replace)
    except FileExistsError:
        raise
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", hint="see XDG_CONFIG_HOME") from error
