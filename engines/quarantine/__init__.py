"""A stranger's model file is first opened in a process of its own, with little memory and little time.

Runtimes are C++ and trust what they read: a crafted file may crash them, hang them or fill the memory. Whatever
happens in there ends that process only, and is told as a ModelError. What passed is remembered by its sha256.
`child.py` says how far the process is limited, and what it is no wall against.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from engines.card import ModelCard
from engines.errors import ModelError, NotAvailable
from engines.own_file import write_own
from engines.plain_file import read_plain
from engines.quarantine.child import ask

if TYPE_CHECKING:  # ONNX takes a while to import, also in the processes that are started from here for other files
    from engines.quarantine.onnx_file import OnnxFile, Port

SECONDS = 20.0  # for any file; and for large ones:
SECONDS_PER_BYTE = 1 / 10e6
_MAX_ANSWER = _MAX_REMEMBERED = 1 << 20  # bytes
_HINT = "do not use this file; get the model from where it was published"


def admit(card: ModelCard) -> None:
    """Raise ModelError unless every ONNX file that a runtime may load for `card` is safe to load.

    Models that came with doppelcam pass at once, others when they passed before: then no model file is even opened.
    """
    if card.trusted:
        return
    for kind, name in card.files.items():
        if kind != "onnx" and not kind.startswith("onnx_"):  # see ModelCard.model; other formats have their own door
            continue
        wanted = card.sha256.get(name, "")
        if wanted in _remembered():
            continue
        file = inspect(card.folder / name)
        for port in file.inputs:
            if not port.static:
                raise ModelError(f"model {card.name!r}: input {port.name} is {port.shape}; static shapes are needed")
        if file.sha256 != wanted:
            card.read(kind)  # raises, and says what is wrong
            raise ModelError(f"{card.folder / name} changed while it was looked at")
        _remember(file.sha256)


def inspect(path: Path) -> OnnxFile:
    """What the ONNX file at `path` holds, found out in quarantine: checked; if its inputs are static, loaded and run.

    Raises ModelError: refused, crashed, hung, or took too much memory. NotAvailable: no process can be started.
    """
    from engines.quarantine.onnx_file import open_onnx

    with open_onnx(path) as file:
        seconds = SECONDS + os.fstat(file.fileno()).st_size * SECONDS_PER_BYTE
    try:
        ended = ask("engines.quarantine.first_load:answer", str(path.absolute()), str(int(seconds) + 1),
                    seconds=seconds, most_bytes=_MAX_ANSWER)  # fmt: skip
    except OSError as error:
        raise NotAvailable(f"the check of {path} could not be started: {error}") from error
    if ended.late:
        raise ModelError(f"{path}: loading and running it once takes more than {seconds:.0f} seconds", hint=_HINT)
    if ended.crash:
        raise ModelError(f"{path}: loading it {ended.crash}", hint=_HINT)
    if not ended.told:
        raise NotAvailable(
            f"the check of {path} could not be started: {sys.executable} ended with exit code {ended.code}",
            hint="install doppelcam again",
        )
    try:
        tree = json.loads(ended.told)
        if "file" in tree:
            return _file(tree["file"])
        problem = ModelError(_printable(tree["error"]), hint=_printable(tree["hint"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: loading it gives no answer that makes sense", hint=_HINT) from error
    raise problem


def _printable(text: str) -> str:
    """One line that does nothing to a terminal: a runtime's words may quote names out of the file."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:600])


def _file(tree: dict[str, Any]) -> OnnxFile:
    """The inverse of dataclasses.asdict, for what comes out of quarantine."""
    from engines.quarantine.onnx_file import OnnxFile, Port

    def ports(side: str) -> tuple[Port, ...]:
        return tuple(
            Port(str(port["name"]), str(port["dtype"]), None if port["shape"] is None else tuple(port["shape"]))
            for port in tree[side]
        )

    lists = {side: ports(side) for side in ("inputs", "outputs")}
    return OnnxFile(**{**tree, **lists, "domains": tuple(tree["domains"]), "operators": tuple(tree["operators"])})


def _memory() -> Path:
    """The list of what passed these checks: the number goes up when they get stricter."""
    return platformdirs.user_state_path("doppelcam") / "admitted-1"


def _remembered() -> frozenset[str]:
    """sha256 of every file that passed before; none when the list is not as `_remember` writes it.

    A plain list does, without a signature: nothing but a hash is taken from it, and who can write to a file that only
    the user can write to can already run programs as the user. A key to sign it with would lie beside it.
    """
    try:
        path = _memory()
        if hasattr(os, "getuid"):
            status = os.lstat(path)
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
                return frozenset()
        lines = read_plain(path, _MAX_REMEMBERED).decode("ascii").splitlines()
    except (OSError, ModelError, UnicodeDecodeError):
        return frozenset()
    whole = all(re.fullmatch("[0-9a-f]{64}", line) for line in lines)
    return frozenset(lines) if whole else frozenset()


def _remember(sha256: str) -> None:
    """Best effort: without a writable folder the file is checked again next time."""
    path = _memory()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_own(path, "".join(f"{line}\n" for line in sorted({*_remembered(), sha256})).encode("ascii"))
