"""Files that the commands write (reports, sheets): refused early where they cannot be, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from engines.errors import BadInput


def check_target(path: Path, what: str) -> None:
    """Raise BadInput when `path` cannot be a file to write, before any work is done for it."""
    target = path.expanduser()
    if target.is_dir():
        raise BadInput(f"{what} {path} is a folder", hint="give the path of a file")
    if not target.parent.is_dir():
        raise BadInput(f"{what} {path} lies in no folder: {path.parent} does not exist")


def write_whole(path: Path, content: bytes, what: str) -> None:
    """Write under a temporary name beside the target, then rename. Raises BadInput and leaves nothing then."""
    target = path.expanduser()
    partial = target.with_name(f".{target.name}.part")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BadInput(f"{what} {path} cannot be written: {error.strerror}") from None
