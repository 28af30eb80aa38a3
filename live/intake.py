"""The way into the loop: opens the source, and makes a frame of each picture: numbered, sized, its trace begun."""

from __future__ import annotations

from dataclasses import replace

import cv2

from engines.errors import SourceLost
from live.frame import Captured, Format, Frame
from live.mailbox import Closed
from live.parts import EndOfSource, NothingYet, Parts
from live.spans import Spans
from live.trace import Ledger, Trace


class Intake:
    """Used on the camera thread. `format` is what the sinks are opened for, whatever the camera does later; `waiting`
    says what the source waits for, if it does.
    """

    def __init__(self, parts: Parts, ledger: Ledger, spans: Spans) -> None:
        self._parts, self._ledger, self._spans = parts, ledger, spans
        self.format: Format | None = None
        self.waiting: str | None = None
        self._number = 0

    def open(self) -> None:
        held, sound = self._parts.session, self._parts.sound
        format = replace(self._parts.source.open(), session=0 if held is None else held.number)
        self.format = format if sound is None else replace(format, sound=sound.track)

    def read(self) -> Frame | None:
        """The next frame; None: there is none yet, ask again. Raises Closed at the source's end, and SourceLost."""
        try:
            with self._spans("read", self._number + 1):
                captured = self._parts.source.read()
        except EndOfSource:
            raise Closed from None
        except NothingYet as wait:
            self.waiting = str(wait)
            return None
        except SourceLost:
            self._ledger.count("source_lost")
            raise
        self.waiting = None
        self._ledger.count("captured")
        return self._admit(captured)

    def _admit(self, captured: Captured) -> Frame:
        assert self.format is not None, "an opened source has a format"
        image = captured.image
        if image.shape[:2] != (self.format.height, self.format.width):
            image = cv2.resize(image, (self.format.width, self.format.height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        self._number += 1
        return Frame(self._number, image, captured.position_s, Trace(captured.captured_ns, self._number))
