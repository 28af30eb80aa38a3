"""A camera on Windows and macOS, through OpenCV."""

from __future__ import annotations

import cv2

from engines.errors import BadInput, NotAvailable, SourceLost
from live.frame import Image
from live.sources.camera.modes import Mode


class OpencvCapture:
    """An open camera. `mode` is what it really gives."""

    def __init__(self, number: str, wish: Mode) -> None:
        """Raises BadInput and NotAvailable."""
        self.name = number or "0"
        if not self.name.isdigit():
            raise BadInput(f"there is no camera {number!r}", hint="here a camera is given by its number: 0, 1")
        # OpenCV tells about every back end it tries; the error below says what matters.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._capture = cv2.VideoCapture(int(self.name), cv2.CAP_ANY)
        if not self._capture.isOpened():
            self.close()
            raise NotAvailable(
                f"camera {self.name} cannot be opened",
                hint="is it plugged in, used by another program, or forbidden in the system's privacy settings?",
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        # Most webcams need Motion JPEG for 720p at 30 frames a second, and OpenCV cannot list what they offer.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*(wish.pixels or "MJPG")))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, wish.width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wish.height)
        self._capture.set(cv2.CAP_PROP_FPS, wish.fps)
        ok, image = self._capture.read()
        if not ok or image is None:
            self.close()
            raise NotAvailable(
                f"camera {self.name} opened but gives no picture",
                hint="close other programs that use it, or try another: camera:1",
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.mode = Mode(wish.pixels or "?", image.shape[1], image.shape[0], fps if 1 <= fps <= 240 else wish.fps)

    def read(self) -> tuple[Image, int | None]:
        """A fresh picture, and OpenCV's time for it in ns. Raises SourceLost."""
        ok, image = self._capture.read()
        if not ok or image is None:
            raise SourceLost(f"camera {self.name} stopped giving pictures")
        return image, int(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)  # type: ignore[return-value]

    def close(self) -> None:
        self._capture.release()
