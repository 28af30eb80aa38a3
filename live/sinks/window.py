"""A window on this screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import cv2

from engines.errors import NotAvailable, SinkLost
from live.frame import Format, SafeFrame
from live.settings import setting

_MOST = 1280, 720  # at first; the user may make it larger


@dataclass
class Window:
    """Sink: a window; it is closed with its button, Esc or q. Space covers all sinks, and shows them again."""

    outgoing: ClassVar[bool] = False

    title: str = setting("doppelcam", "the window's title", argument=True)

    _cover_key: Callable[[], None] = field(default=lambda: None, init=False, repr=False)
    _open: bool = field(default=False, init=False)
    _seen: bool = field(default=False, init=False)

    def open(self, format: Format) -> None:
        available()
        os.environ.setdefault("QT_LOGGING_RULES", "*=false")  # Qt warns about fonts that this window does not use
        try:
            cv2.namedWindow(self.title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            shrink = min(1.0, _MOST[0] / format.width, _MOST[1] / format.height)
            cv2.resizeWindow(self.title, round(format.width * shrink), round(format.height * shrink))
        except cv2.error as error:
            raise NotAvailable(
                f"no window can be opened: {error.err}", hint="is this OpenCV built without a GUI?"
            ) from None
        self._open, self._seen = True, False

    def bind(self, cover_key: Callable[[], None]) -> None:
        self._cover_key = cover_key

    def write(self, frame: SafeFrame) -> None:
        try:
            cv2.imshow(self.title, frame.image)
            key = cv2.pollKey() & 0xFF
            visible = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1
            # On a busy screen a new window may take a moment to appear: it has not been closed for that.
            self._seen = self._seen or visible
            closed = key in (27, ord("q")) or (self._seen and not visible)
        except cv2.error:  # asked about a window that is gone
            key, closed = 0xFF, True
        if key == ord(" "):
            self._cover_key()
        if closed:
            raise SinkLost("the window was closed", closed=True)

    def close(self) -> None:
        if self._open:
            self._open = False
            with suppress(cv2.error):  # the user may have closed it already
                cv2.destroyWindow(self.title)
                cv2.pollKey()


def available() -> None:
    """Raises NotAvailable where there is no screen.

    Asked before OpenCV is: its window library ends the whole program when it cannot reach the screen.
    """
    if sys.platform != "linux" or os.environ.get("WAYLAND_DISPLAY"):
        return
    display = os.environ.get("DISPLAY", "")
    hint = "use another sink, for example --sink swapped.mp4 or --sink virtual"
    if not display:
        raise NotAvailable("no window can be opened: there is no screen (DISPLAY is not set)", hint=hint)
    host, _, number = display.partition(":")
    if host in ("", "unix") and not Path(f"/tmp/.X11-unix/X{number.partition('.')[0]}").exists():
        raise NotAvailable(f"no window can be opened: there is no screen at DISPLAY={display}", hint=hint)
