"""A camera by number, name or device path, through OpenCV. Reading on the camera thread keeps only the newest frame."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from engines.errors import BadInput, NotAvailable, SourceLost
from live.frame import Captured, Format
from live.settings import setting
from live.trace import clock

_V4L = Path("/sys/class/video4linux")
# A kernel time stamp is believed when it lies so far before (or, by rounding, after) now.
_BELIEVED_MS = (-5.0, 500.0)


@dataclass
class Camera:
    """Source: a webcam. Asks for Motion JPEG, which most webcams need for 720p at 30 frames a second."""

    device: str = setting("0", "number, /dev/video path, or (part of) the camera's name", argument=True)
    width: int = setting(1280, "width asked for, in pixels", low=160, high=7680, step=16)
    height: int = setting(720, "height asked for, in pixels", low=120, high=4320, step=8)
    fps: int = setting(30, "frames a second asked for", low=1, high=240)
    pixel_format: str = setting("MJPG", "four letters: MJPG, YUYV ... or empty for the camera's own choice")

    _capture: cv2.VideoCapture | None = field(default=None, init=False, repr=False)
    _first_ns: int | None = field(default=None, init=False)
    _last_s: float = field(default=0.0, init=False)

    def open(self) -> Format:
        if len(self.pixel_format) not in (0, 4):
            raise BadInput(f"the pixel format {self.pixel_format!r} is not four letters", hint="for example MJPG")
        target = find_camera(self.device)
        cv2.utils.logging.setLogLevel(
            cv2.utils.logging.LOG_LEVEL_SILENT
        )  # OpenCV tells about every back end it tries; the error below says what matters
        backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(target, backend)
        if not capture.isOpened():
            capture.release()
            raise self._cannot_open(target)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if self.pixel_format:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*self.pixel_format))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self.height)
        capture.set(cv2.CAP_PROP_FPS, self.fps)
        ok, image = capture.read()
        if not ok or image is None:
            capture.release()
            raise NotAvailable(
                f"camera {self.device} opened but gives no picture",
                hint="close other programs that use it, or try another: doppelcam list",
            )
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        return Format(image.shape[1], image.shape[0], fps if 1 <= fps <= 240 else float(self.fps))

    def read(self) -> Captured:
        assert self._capture is not None, "open() comes first"
        ok, image = self._capture.read()
        now = clock()
        if not ok or image is None:
            raise SourceLost(f"camera {self.device} stopped giving pictures")
        captured_ns = self._caught_at(now)
        if self._first_ns is None:
            self._first_ns = captured_ns
        # A kernel time after one that was not believed may lie before it.
        self._last_s = max(self._last_s, (captured_ns - self._first_ns) / 1e9)
        return Captured(image, captured_ns, self._last_s)  # type: ignore[arg-type]

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
        self._capture = None

    def _caught_at(self, now_ns: int) -> int:
        """The kernel's time for the picture just read where it makes sense, else now."""
        assert self._capture is not None, "open() comes first"
        kernel_ns = int(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        low, high = _BELIEVED_MS
        return kernel_ns if low < (now_ns - kernel_ns) / 1e6 < high else now_ns

    def _cannot_open(self, target: int | str) -> Exception:
        cameras = list_cameras()
        offered = ", ".join(f"{path} ({name})" for path, name in cameras) or "none"
        path = Path(f"/dev/video{target}" if isinstance(target, int) else target)
        if sys.platform == "linux" and not path.exists():
            return BadInput(f"there is no camera {self.device}", hint=f"cameras here: {offered}")
        if sys.platform == "linux" and not _may_read(path):
            return BadInput(
                f"camera {path} may not be opened by this user",
                hint='add yourself to the group "video" and log in again: sudo usermod -aG video $USER',
            )
        return NotAvailable(
            f"camera {self.device} cannot be opened", hint=f"is another program using it? cameras here: {offered}"
        )


def list_cameras() -> list[tuple[str, str]]:
    """Device path and name of each camera node (Linux; elsewhere the system does not tell without a driver)."""
    cameras = []
    for node in sorted(_V4L.glob("video*"), key=lambda p: int(re.sub(r"\D", "", p.name) or 0)):
        try:
            cameras.append((f"/dev/{node.name}", (node / "name").read_text().strip()))
        except OSError:
            continue
    return cameras


def find_camera(device: str) -> int | str:
    """What OpenCV opens for a number, a path or a name. Raises BadInput when a name fits none or several."""
    if device.isdigit():
        return int(device)
    if device.startswith("/") or re.match(r"^[A-Za-z]:\\", device):
        return device
    fitting = [(path, name) for path, name in list_cameras() if device.lower() in name.lower()]
    exact = [(path, name) for path, name in fitting if name.lower() == device.lower()]
    fitting = exact or fitting
    # A webcam often has a second node for metadata with the same name: the first one gives the pictures.
    if len({name for _, name in fitting}) == 1:
        return fitting[0][0]
    offered = ", ".join(f"{path} ({name})" for path, name in fitting or list_cameras()) or "none"
    if fitting:
        raise BadInput(f"the camera name {device!r} fits several", hint=f"be more exact: {offered}")
    raise BadInput(f"there is no camera named {device!r}", hint=f"cameras here: {offered}")


def _may_read(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except PermissionError:
        return False
    except OSError:
        return True


def available() -> None:
    """Raises NotAvailable where the system lists no camera at all (only Linux tells)."""
    if sys.platform == "linux" and not list_cameras():
        raise NotAvailable("no camera is connected", hint="plug one in, or use --source sample")
