"""A microphone, a virtual one that gives its sound as late as the picture is shown, and a track for recordings."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from engines.errors import BadInput, NotAvailable, SourceLost
from live.pipewire import AUTOCONNECT, INTO, OUT_OF, Bytes, Gone, Stream, pods
from live.pipewire.library import check_session
from live.settings import setting
from live.sound import Samples
from live.sound.tape import Head, Line, Tape
from live.trace import clock

RATE, CHANNELS = 48_000, 2
_FRAME_BYTES = 4 * CHANNELS
_BLOCK = 480
_POLL_S = 0.004
_LATE_S = 0.5
# spa/param/format.h, spa/param/audio/raw.h
_MEDIA, _SUBTYPE, _FORMAT, _RATE, _CHANNELS = 1, 2, 0x10001, 0x10003, 0x10004
_AUDIO, _RAW, _F32 = 1, 1, 0x11B


@dataclass
class Microphone:
    """The microphone `device` (auto: the system's choice) through PipeWire, and the virtual one that it feeds."""

    device: str = setting("auto", "the microphone: auto, or (part of) its name")
    extra_ms: float = setting(
        0, "added to the picture's measured age: what camera and receiving program take", low=-500, high=2000, step=5
    )
    virtual: str = setting("doppelcam microphone", "the virtual microphone's name; empty: none")
    buffer_ms: float = setting(
        20, "sound ready for the virtual microphone: more where it crackles", low=10, high=200, step=5
    )

    _source: Stream | None = field(default=None, init=False, repr=False)
    _way_out: _VirtualMicrophone | None = field(default=None, init=False, repr=False)
    _tape: Tape = field(default_factory=lambda: Tape(RATE, CHANNELS), init=False, repr=False)

    @property
    def track(self) -> MicrophoneTrack:
        return MicrophoneTrack(self._tape)

    def open(self) -> None:
        properties = {
            "media.type": "Audio", "media.category": "Capture", "media.role": "Communication",
            "node.name": "doppelcam.listens", "node.description": "doppelcam", "node.latency": f"{_BLOCK}/{RATE}",
        }  # fmt: skip
        check_session()
        target = choose_microphone(self.device, self.virtual)
        if target is not None:
            properties["target.object"] = target
        try:
            self._source = Stream("the microphone", INTO, properties, _OFFER, AUTOCONNECT)
            if self.virtual:
                self._way_out = _VirtualMicrophone(self.virtual, self._tape, self.buffer_ms)
        except BaseException:
            self.close()
            raise

    def step(self, delay_ms: float) -> None:
        assert self._source is not None, "open() comes first"
        try:
            self._listen(self._source)
            if self._way_out is not None:
                self._way_out.feed(delay_ms + self.extra_ms)
        except Gone as error:
            raise SourceLost(f"the sound is gone: {error}") from None
        time.sleep(_POLL_S)

    def _listen(self, source: Stream) -> None:
        came = []
        while (data := source.take()) is not None:
            came.append(data[: len(data) // _FRAME_BYTES * _FRAME_BYTES].view(np.float32).reshape(-1, CHANNELS))
        if came:
            delay_ns, _, now_ns = source.times()
            newest_ns = len(came[-1]) * 10**9 // RATE
            # The delay is that of a block's first sample; a device that tells none gives its block when it is full.
            self._tape.write(np.concatenate(came), now_ns - max(delay_ns - newest_ns, 0))

    def close(self) -> None:
        if self._way_out is not None:
            self._way_out.close()
        if self._source is not None:
            self._source.close()
        self._source = self._way_out = None


class _VirtualMicrophone:
    """Gives the tape's sound to whoever listens, so that what is heard now was caught `delay_ms` ago."""

    def __init__(self, name: str, tape: Tape, ahead_ms: float) -> None:
        properties = {
            "media.class": "Audio/Source", "node.name": name.replace(" ", "."), "node.description": name,
            "node.latency": f"{_BLOCK}/{RATE}", "node.virtual": "true", "priority.session": "100",
        }  # fmt: skip
        self._tape, self._ahead = tape, int(ahead_ms * RATE / 1000)
        self._stream = Stream(f"the virtual microphone {name!r}", OUT_OF, properties, _OFFER, 0, unit=_FRAME_BYTES)
        self._forget()

    def _forget(self) -> None:
        """Nobody listens any more: the next one begins anew."""
        self._line, self._head, self._given = Line(RATE), Head(self._tape), 0

    def feed(self, delay_ms: float) -> None:
        if not self._stream.streaming:
            self._forget()
            return
        _, waiting, now_ns = self._stream.times()
        if self._given:
            self._line.observe(self._given - waiting, now_ns)
        while waiting < self._ahead:
            heard_ns = self._line.time_at(self._given) if self._line.known else clock() + waiting * 1e9 / RATE
            caught = self._tape.index_at(heard_ns - delay_ms * 1e6)
            if caught is None or not (count := self._stream.put(partial(self._fill, caught))):
                return
            self._given += count
            waiting += count

    def _fill(self, caught: float, inside: Bytes, wanted: int) -> int:
        """Sound from that place of the tape on, as much as the graph takes in a round."""
        count = min(wanted or _BLOCK, len(inside) // _FRAME_BYTES)
        # What was not caught yet cannot be given: a picture that is faster than the sound stays ahead of it.
        sound = self._head.read(count, min(caught, self._tape.end - count - 2.0))
        inside[: count * _FRAME_BYTES] = sound.reshape(-1).view(np.uint8)
        return count

    def close(self) -> None:
        self._stream.close()


@dataclass(frozen=True)
class MicrophoneTrack:
    """The microphone's sound for sinks that keep times: no delay is needed there."""

    tape: Tape

    def open(self) -> _TapeReader:
        return _TapeReader(self.tape)


class _TapeReader:
    def __init__(self, tape: Tape) -> None:
        self.rate, self.channels = tape.rate, tape.channels
        self._tape, self._head = tape, Head(tape)

    def read(self, at_s: float, count: int, zero_ns: int) -> Samples | None:
        at_ns = zero_ns + at_s * 1e9
        wanted = self._tape.index_at(at_ns)
        there = wanted is not None and wanted + count + 2 <= self._tape.end
        if not there and clock() - at_ns - count * 1e9 / self.rate < _LATE_S * 1e9:
            return None
        if wanted is None:
            return np.zeros((count, self.channels), np.float32)
        return self._head.read(count, wanted)

    def close(self) -> None: ...


def choose_microphone(device: str, own: str) -> str | None:
    """The node name of the one microphone that is meant; "auto": the system's own choice, but never `own`, the virtual
    one: it may well be the system's choice for other programs. None where PipeWire's tools are not there to ask.

    Raises BadInput for a name that fits none or several, NotAvailable when there is no microphone.
    """
    dump = _dump()
    if dump is None:
        return None if device == "auto" else device
    there = [m for m in microphones(dump) if m[1] != own]
    offered = ", ".join(description for _, description in there) or "none"
    if device == "auto":
        if not there:
            raise NotAvailable("no microphone is connected", hint="plug one in, or leave --sound away")
        names = [name for name, _ in there]
        usual = _default(dump)
        return usual if usual in names else names[0]
    fitting = [name for name, description in there if device.lower() in f"{name} {description}".lower()]
    exact = [name for name, description in there if device in (name, description)]
    if len(exact or fitting) != 1:
        what = "fits several microphones" if fitting else "is no microphone"
        raise BadInput(f"--sound {device!r} {what}", hint=f"microphones here: {offered}")
    return (exact or fitting)[0]


def microphones(dump: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Node name and description of each, the system's preferred first, from what pw-dump tells."""
    nodes = [item["info"].get("props") or {} for item in dump if str(item.get("type")).endswith(":Node")]
    sources = [node for node in nodes if str(node.get("media.class", "")).startswith("Audio/Source")]
    sources.sort(key=lambda node: -int(node.get("priority.session", 0)))
    return [(node["node.name"], node.get("node.description") or node["node.name"]) for node in sources]


def _default(dump: list[dict[str, Any]]) -> str | None:
    """The node name of the system's chosen microphone."""
    for item in dump:
        for entry in item.get("metadata") or ():
            if entry.get("key") == "default.audio.source" and isinstance(entry.get("value"), dict):
                return str(entry["value"].get("name"))
    return None


def _dump() -> list[dict[str, Any]] | None:
    """Everything in the graph, None where pw-dump is not there or does not answer."""
    if shutil.which("pw-dump") is None:
        return None
    try:
        told = subprocess.run(["pw-dump"], capture_output=True, timeout=5, check=True).stdout
        return list(json.loads(told))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


_OFFER = pods.media(
    {
        _MEDIA: pods.ident(_AUDIO),
        _SUBTYPE: pods.ident(_RAW),
        _FORMAT: pods.ident(_F32),
        _RATE: pods.number(RATE),
        _CHANNELS: pods.number(CHANNELS),
    }
)
