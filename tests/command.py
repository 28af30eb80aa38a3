"""The command `doppelcam` as a user types it: here, in the tests' own process, which saves a start of Python a case."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryFile

import pytest

from live.cli import main, screen

# For what only a process of its own shows: signals, the end of it, and that what is needed is imported.
COMMAND = [sys.executable, "-c", "from live.cli import main; main()"]


@dataclass(frozen=True)
class Done:
    """How it ended: as subprocess.run() tells it."""

    returncode: int
    stdout: str
    stderr: str


def doppelcam(*args, cwd, stdin="", columns=80):
    """Run `doppelcam ARGS` in this folder. What libraries in C print is caught too; a bug's exception comes through."""
    with ExitStack() as undo, pytest.MonkeyPatch.context() as patch:
        keys, out, err = (undo.enter_context(TemporaryFile("w+", encoding="utf-8", buffering=1)) for _ in range(3))
        keys.write(stdin)
        keys.seek(0)
        for number, (name, file) in enumerate((("stdin", keys), ("stdout", out), ("stderr", err))):
            patch.setattr(sys, name, file)
            before = os.dup(number)
            undo.callback(os.close, before)
            undo.callback(os.dup2, before, number)
            os.dup2(file.fileno(), number)
        for console in (screen.out, screen.err):
            patch.setattr(console, "width", columns)
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["doppelcam", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        texts = []
        for file in (out, err):
            file.flush()
            file.seek(0)
            texts.append(file.read())
    return Done(code, *texts)
