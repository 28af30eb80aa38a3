"""A recording (H.264 in mp4 or mkv), with the sound of the source or of a live microphone in step.

Written under another name beside the target and renamed when finished: what has the target's name is whole. An mkv can
be played even when doppelcam or the machine died meanwhile.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import av

from engines.errors import BadInput, DoppelcamError, NotAvailable, SinkLost
from live import credentials
from live.frame import Format, SafeFrame
from live.settings import setting
from live.sinks._encoded import Encoder, Feed, Timeline, even
from live.trace import clock

KINDS = {
    ".mp4": ("mp4", {"movflags": "+faststart+use_metadata_tags"}),
    ".mkv": ("matroska", {"cluster_time_limit": "1000", "flush_packets": "1"}),
}

_log = logging.getLogger("doppelcam.live")


@dataclass
class Recording:
    """Sink: a video file. Frames keep the times of the source, so a dropped frame makes no drift."""

    outgoing: ClassVar[bool] = True
    timed: ClassVar[bool] = True

    path: str = setting("doppelcam.mp4", "the file to write: .mp4, or .mkv, which survives a crash", argument=True)
    quality: int = setting(20, "x264's CRF: smaller is better and larger", low=0, high=51)
    preset: str = setting(
        "veryfast", "x264's effort", choices=("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")
    )

    sign: bool = setting(True, "sign the finished mp4 (Content Credentials), where c2pa-python is installed")
    certificate: str = setting(
        "", "your certificate chain (PEM) to sign with; empty: a self-made one, which is untrusted"
    )
    key: str = setting("", "its key (PEM, without a passphrase)")

    _signer: credentials.Signer | None = field(default=None, init=False, repr=False)
    _session: int = field(default=0, init=False)
    _encoder: Encoder | None = field(default=None, init=False, repr=False)
    _feed: Feed | None = field(default=None, init=False, repr=False)
    _first_s: float | None = field(default=None, init=False)
    _timeline: Timeline = field(default_factory=Timeline, init=False, repr=False)

    def open(self, format: Format) -> None:
        target = self._target()
        if target.is_dir() or not target.parent.is_dir():
            what = "is a folder" if target.is_dir() else f"lies in no folder: {target.parent} does not exist"
            raise BadInput(f"the recording {self.path} {what}", hint="give the path of a file in an existing folder")
        if target.suffix.lower() not in KINDS:
            raise BadInput(f"a recording's name ends in {' or '.join(KINDS)}, got {self.path}")
        self._first_s, self._timeline = None, Timeline()
        self._session = format.session
        self._signer = self._open_signer()
        kind, options = KINDS[target.suffix.lower()]
        container = None
        try:
            self._partial().touch()  # PyAV creates the file only with the first packet: too late for a clear error
            container = av.open(str(self._partial()), "w", format=kind, options=options)
            container.metadata[credentials.AIGC] = credentials.aigc_label(format.session)
            sound = format.sound.open() if format.sound else None
            options = {"crf": str(self.quality), "preset": self.preset}
            self._encoder = Encoder(
                container, even(format), format.fps, options, sound=(sound.rate, sound.channels) if sound else None
            )
            self._feed = Feed(self._encoder, even(format), sound)
        except BadInput:
            self._discard(container)
            raise
        except (av.FFmpegError, OSError, ValueError) as error:
            self._discard(container)
            fault = BadInput if isinstance(error, OSError) else NotAvailable
            raise fault(
                f"the recording {self.path} cannot be written: {_reason(error)}",
                hint="choose a place where you may write",
            ) from None

    def write(self, frame: SafeFrame) -> None:
        assert self._feed is not None, "open() comes first"
        captured_ns = None if frame.trace is None else frame.trace.stamps["captured"]
        self._timeline.note(frame.position_s, captured_ns, clock())
        if frame.position_s is None or self._timeline.zero_ns is None:
            return  # covers before the first picture have no place in the recording
        if self._first_s is None:
            self._first_s = frame.position_s
        try:
            at_s = frame.position_s - self._first_s
            self._feed.write(frame.image, at_s, frame.position_s, self._timeline.zero_ns)
        except (av.FFmpegError, OSError) as error:
            raise SinkLost(
                f"the recording {self.path} broke off: {_reason(error)}", hint="is the disk full?", closed=True
            ) from None

    def close(self) -> None:
        encoder, feed = self._encoder, self._feed
        self._encoder = self._feed = None
        if encoder is None or feed is None:
            return
        feed.close()
        if not feed.begun:
            self._discard(encoder)
            return
        try:
            encoder.finish()
            encoder.close()
            self._sign()
            self._partial().replace(self._target())
        except (av.FFmpegError, OSError) as error:
            raise SinkLost(
                f"the recording {self.path} could not be finished: {_reason(error)}", hint=self._rescue(encoder)
            ) from None

    def _rescue(self, encoder: Encoder) -> str:
        """Leave nothing that nobody can play; what to do."""
        if self._target().suffix.lower() == ".mkv" and self._partial().is_file():
            with suppress(av.FFmpegError, OSError, ValueError):
                encoder.close()
            return f"what was written so far can be played: {self._partial()}"
        self._discard(encoder)
        return "an .mkv keeps what was written so far, an .mp4 cannot"

    def _open_signer(self) -> credentials.Signer | None:
        if not self.sign or self._target().suffix.lower() != ".mp4":  # Content Credentials know no Matroska
            return None
        try:
            return credentials.Signer(self.certificate, self.key)
        except NotAvailable as error:
            if self.certificate:
                raise
            _log.info("%s: %s", error.message, error.hint)
            return None

    def _sign(self) -> None:
        if self._signer is None:
            return
        try:
            self._signer.sign(self._partial(), self._target().name, self._session)
        except DoppelcamError as error:  # what was recorded is not thrown away for that
            _log.warning("%s", error.message)

    def _target(self) -> Path:
        return Path(self.path).expanduser()

    def _partial(self) -> Path:
        """An unfinished mkv can be played and has a name that shows it; an unfinished mp4 cannot."""
        target = self._target()
        if target.suffix.lower() == ".mkv":
            return target.with_name(f"{target.stem}.part{target.suffix}")
        return target.with_name(f".{target.name}.part")

    def _discard(self, opened: Encoder | av.container.OutputContainer | None) -> None:
        if opened is not None:
            # A container that got no frame cannot write its index; it is thrown away anyhow.
            with suppress(av.FFmpegError, OSError, ValueError):
                opened.close()
        self._partial().unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
