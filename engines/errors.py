"""Every error that doppelcam raises on purpose: one root, each with a hint that says what to do.

    DoppelcamError            message + hint; the command line prints both and exits with 2
    ├── BadInput              a flag, a settings key, a picture, a path that the user gave
    ├── NotAvailable          a part or runtime that cannot work here: missing package, library, device
    ├── ModelError            a model folder, card or model file that is broken or not what it says
    ├── EngineError           a runtime failed, or was fed the wrong tensors
    │   └── EngineLost        what runs the model went away; it is opened again with growing pauses
    ├── SourceLost            the camera went away while running; it is opened again with growing pauses
    ├── SinkLost              one output went away; it is opened again or dropped, the others go on
    └── LoopFailed            the loop had to stop: too many frames failed in a row, or a thread died

Foreign exceptions are translated where they are caught first: nobody above a part or a runtime sees them.
"""

_LONGEST = 2000  # letters of a message


def _line(text: str) -> str:
    """One line, not endless, with nothing that a terminal would obey: messages quote what strangers and users wrote."""
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


class DoppelcamError(Exception):
    """What was wrong (and what was expected) in `message`; what to do about it in `hint`."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        message, hint = _line(message), _line(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(DoppelcamError):
    """The user gave something that cannot be used."""


class NotAvailable(DoppelcamError):
    """A part or runtime that exists but cannot work on this machine as it is."""


class ModelError(DoppelcamError):
    """A model folder, card or file that is broken, or that is not what it claims to be."""


class EngineError(DoppelcamError):
    """A runtime failed while loading or running, or was fed tensors that the model does not take."""


class EngineLost(EngineError):
    """What ran the model went away (a server, a device); opening it again may help."""


class SourceLost(DoppelcamError):
    """The source stopped giving frames; opening it again may help."""


class SinkLost(DoppelcamError):
    """The sink stopped taking frames; `closed` says that the user closed it (no retry wanted)."""

    def __init__(self, message: str, *, hint: str = "", closed: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.closed = closed


class LoopFailed(DoppelcamError):
    """The loop cannot go on."""
