"""One stream of this program in PipeWire's graph (a camera, a microphone), through libpipewire by ctypes.

The library is on every desktop that has PipeWire, so that nothing needs to be installed or compiled. It runs a thread of
its own; every call here holds its lock, so that buffers cannot vanish while they are filled. No callback runs in the
real-time thread. Structures and numbers: pipewire/stream.h, spa/buffer/buffer.h and spa/pod/pod.h of PipeWire 0.3.
"""

from __future__ import annotations

import ctypes as c
import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.errors import NotAvailable

Bytes = npt.NDArray[np.uint8]

AUTOCONNECT, MAP_BUFFERS, DRIVER = 1 << 0, 1 << 2, 1 << 3
INTO, OUT_OF = 0, 1  # the program reads from the graph, or gives to it
_ERROR, _UNCONNECTED, _PAUSED, _STREAMING = -1, 0, 2, 3
_ANY = 0xFFFFFFFF
_ENUM_FORMAT, _FORMAT, _BUFFERS, _META = 3, 4, 5, 6
_HEADER_BYTES = 32
_HOOK_BYTES = 64  # struct spa_hook has 48
_CONNECT_S = 3.0


class Gone(Exception):
    """The stream, or all of PipeWire, is gone; a new stream may be opened later."""


class _Chunk(c.Structure):
    _fields_ = (("offset", c.c_uint32), ("size", c.c_uint32), ("stride", c.c_int32), ("flags", c.c_int32))


class _Data(c.Structure):
    _fields_ = (
        ("type", c.c_uint32), ("flags", c.c_uint32), ("fd", c.c_int64), ("mapoffset", c.c_uint32),
        ("maxsize", c.c_uint32), ("data", c.c_void_p), ("chunk", c.POINTER(_Chunk)),
    )  # fmt: skip


class _Meta(c.Structure):
    _fields_ = (("type", c.c_uint32), ("size", c.c_uint32), ("data", c.c_void_p))


class _SpaBuffer(c.Structure):
    _fields_ = (
        ("n_metas", c.c_uint32), ("n_datas", c.c_uint32), ("metas", c.POINTER(_Meta)), ("datas", c.POINTER(_Data)),
    )  # fmt: skip


class _Buffer(c.Structure):
    _fields_ = (
        ("buffer", c.POINTER(_SpaBuffer)), ("user_data", c.c_void_p), ("size", c.c_uint64), ("requested", c.c_uint64),
    )  # fmt: skip


_ParamChanged = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32, c.c_void_p)


class _Events(c.Structure):
    _fields_ = (
        ("version", c.c_uint32), ("destroy", c.c_void_p), ("state_changed", c.c_void_p),
        ("control_info", c.c_void_p), ("io_changed", c.c_void_p), ("param_changed", _ParamChanged),
        ("add_buffer", c.c_void_p), ("remove_buffer", c.c_void_p), ("process", c.c_void_p), ("drained", c.c_void_p),
        ("command", c.c_void_p), ("trigger_done", c.c_void_p),
    )  # fmt: skip


class _Time(c.Structure):
    _fields_ = (
        ("now", c.c_int64), ("num", c.c_uint32), ("denom", c.c_uint32), ("ticks", c.c_uint64), ("delay", c.c_int64),
        ("queued", c.c_uint64), ("buffered", c.c_uint64), ("queued_buffers", c.c_uint32),
        ("avail_buffers", c.c_uint32),
    )  # fmt: skip


# What is called: name -> (result, arguments). Handles are plain pointers.
_P, _U, _I = c.c_void_p, c.c_uint32, c.c_int
_CALLS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "pw_init": (None, (_P, _P)),
    "pw_log_set_level": (None, (_I,)),
    "pw_thread_loop_new": (_P, (c.c_char_p, _P)),
    "pw_thread_loop_destroy": (None, (_P,)),
    "pw_thread_loop_get_loop": (_P, (_P,)),
    "pw_thread_loop_start": (_I, (_P,)),
    "pw_thread_loop_stop": (None, (_P,)),
    "pw_thread_loop_lock": (None, (_P,)),
    "pw_thread_loop_unlock": (None, (_P,)),
    "pw_properties_new_string": (_P, (c.c_char_p,)),
    "pw_context_new": (_P, (_P, _P, c.c_size_t)),
    "pw_context_connect": (_P, (_P, _P, c.c_size_t)),
    "pw_context_destroy": (None, (_P,)),
    "pw_stream_new": (_P, (_P, c.c_char_p, _P)),
    "pw_stream_add_listener": (None, (_P, c.c_char_p, c.POINTER(_Events), _P)),
    "pw_stream_connect": (_I, (_P, _I, _U, _I, c.POINTER(_P), _U)),
    "pw_stream_destroy": (None, (_P,)),
    "pw_stream_get_state": (_I, (_P, c.POINTER(c.c_char_p))),
    "pw_stream_update_params": (_I, (_P, c.POINTER(_P), _U)),
    "pw_stream_dequeue_buffer": (c.POINTER(_Buffer), (_P,)),
    "pw_stream_queue_buffer": (_I, (_P, c.POINTER(_Buffer))),
    "pw_stream_trigger_process": (_I, (_P,)),
    "pw_stream_get_time_n": (_I, (_P, c.POINTER(_Time), c.c_size_t)),
}


@cache
def _library() -> Any:
    """libpipewire, started. Raises NotAvailable."""
    try:
        library = c.CDLL("libpipewire-0.3.so.0")
        for name, (result, arguments) in _CALLS.items():
            call = getattr(library, name)
            call.restype, call.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise NotAvailable(
            f"PipeWire is not to be had here ({error})",
            hint="it needs PipeWire 0.3.50 or newer: Debian / Ubuntu: apt install pipewire wireplumber",
        ) from None
    library.pw_init(None, None)
    library.pw_log_set_level(0)  # what goes wrong is told by us
    return library


def check_session() -> None:
    """Raises NotAvailable when no PipeWire runs for this user, and says what is missing."""
    _library()
    name = os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0"
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR")
    if not folder and not name.startswith("/"):
        raise NotAvailable(
            "no PipeWire session is in reach: XDG_RUNTIME_DIR is not set",
            hint="run doppelcam as the user who is logged in at the desktop, not by sudo or ssh",
        )
    if not (Path(folder or "/") / name).exists():
        raise NotAvailable(
            f"no PipeWire runs for this user (there is no {name} in {folder or '/'})",
            hint="systemctl --user start pipewire wireplumber",
        )


# ---- formats, as PipeWire writes them ("pods")


def _pod(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", len(body), kind) + body + b"\0" * (-len(body) % 8)


def ident(value: int) -> bytes:
    return _pod(3, struct.pack("<I", value))


def number(value: int) -> bytes:
    return _pod(4, struct.pack("<i", value))


def rectangle(width: int, height: int) -> bytes:
    return _pod(10, struct.pack("<II", width, height))


def fraction(value: Fraction) -> bytes:
    return _pod(11, struct.pack("<II", value.numerator, value.denominator))


def one_of(values: list[int]) -> bytes:
    """A choice among ids; the first is the favourite."""
    values = [values[0], *values]
    return _pod(19, struct.pack("<IIII", 3, 0, 4, 3) + struct.pack(f"<{len(values)}I", *values))


def between(usual: int, low: int, high: int) -> bytes:
    return _pod(19, struct.pack("<IIII", 1, 0, 4, 4) + struct.pack("<3i", usual, low, high))


def _object(kind: int, purpose: int, values: dict[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<II", key, 0) + value for key, value in values.items())
    return _pod(15, struct.pack("<II", kind, purpose) + body)


def media(values: dict[int, bytes]) -> bytes:
    """What is offered to the other side, by keys of spa/param/format.h."""
    return _object(0x40003, _ENUM_FORMAT, values)


def _agreed_ids(pod: bytes) -> dict[int, int]:
    """The ids in an agreed format: key -> value (spa/pod/pod.h)."""
    found, at = {}, 16
    while at + 16 <= len(pod):
        key, _, size, kind = struct.unpack_from("<IIII", pod, at)
        value = at + 16
        if kind == 19 and size >= 20:  # a choice of which one is left
            _, _, child_size, kind = struct.unpack_from("<IIII", pod, value)
            found_at = value + 16
        else:
            child_size, found_at = size, value
        if kind == 3 and child_size == 4:
            found[key] = struct.unpack_from("<I", pod, found_at)[0]
        at = value + (size + 7) // 8 * 8
    return found


class Stream:
    """A stream that is connected when it is made. Raises NotAvailable.

    `layout(ids)` is told the agreed format (key -> id) and answers the size of a buffer and the stride of its lines, in
    bytes. It runs on the library's thread. `unit`: bytes of what is counted, a sample of all channels.
    """

    def __init__(
        self,
        name: str,
        direction: int,
        properties: dict[str, str],
        offer: bytes,
        flags: int,
        layout: Callable[[dict[int, int]], tuple[int, int]] | None = None,
        unit: int = 1,
    ) -> None:
        check_session()
        self._pw = _library()
        self._layout, self._unit, self._stride, self._sequence = layout, unit, 0, 0
        self._context = self._stream = None
        self.name = name
        self._events = _Events(version=2, param_changed=_ParamChanged(self._on_param))
        self._hook = c.create_string_buffer(_HOOK_BYTES)
        self._loop = self._pw.pw_thread_loop_new(b"doppelcam-pipewire", None)
        try:
            self._connect(direction, properties, offer, flags)
            self._pw.pw_thread_loop_start(self._loop)
            self._wait()
        except BaseException:
            self.close()
            raise

    def _connect(self, direction: int, properties: dict[str, str], offer: bytes, flags: int) -> None:
        pw, loop = self._pw, self._pw.pw_thread_loop_get_loop(self._loop)
        # The configuration for programs that need to be in time, where there is one: with real-time priority.
        self._context = pw.pw_context_new(loop, self._properties({"config.name": "client-rt.conf"}), 0)
        self._context = self._context or pw.pw_context_new(loop, None, 0)
        core = pw.pw_context_connect(self._context, None, 0) if self._context else None
        self._stream = pw.pw_stream_new(core, self.name.encode(), self._properties(properties)) if core else None
        if self._stream:
            pw.pw_stream_add_listener(self._stream, self._hook, c.byref(self._events), None)
        if not self._stream or pw.pw_stream_connect(self._stream, direction, _ANY, flags | MAP_BUFFERS, *_pointers([offer])) < 0:
            raise NotAvailable("PipeWire does not answer", hint="systemctl --user restart pipewire wireplumber")

    def _properties(self, values: dict[str, str]) -> Any:
        """The library takes it over."""
        return self._pw.pw_properties_new_string(json.dumps(values).encode())

    def _wait(self) -> None:
        end = time.monotonic() + _CONNECT_S
        while self._state()[0] < _PAUSED:
            state, reason = self._state()
            if state in (_ERROR, _UNCONNECTED) or time.monotonic() > end:
                raise NotAvailable(
                    f"PipeWire does not take {self.name} ({reason or 'no answer'})",
                    hint="systemctl --user restart pipewire wireplumber",
                )
            time.sleep(0.005)

    def close(self) -> None:
        if self._loop is None:
            return
        self._pw.pw_thread_loop_stop(self._loop)
        if self._stream:
            self._pw.pw_stream_destroy(self._stream)
        if self._context:
            self._pw.pw_context_destroy(self._context)
        self._pw.pw_thread_loop_destroy(self._loop)
        self._stream = self._context = self._loop = None

    # ---- giving and taking

    def put(self, fill: Callable[[Bytes, int], int], pts_ns: int = 0) -> int:
        """Let `fill(inside, wanted)` write units into a free buffer and say how many; 0 while nobody takes any.

        `inside` must not be kept; `wanted` is how many units the other side would like, 0 where it does not say.
        Raises Gone.
        """
        with self._buffer() as got:
            if got is None:
                return 0
            buffer, data, inside = got
            units = fill(inside, int(buffer.contents.requested))
            chunk = data.chunk[0]
            chunk.offset, chunk.flags, chunk.size, chunk.stride = 0, 0, units * self._unit, self._stride or self._unit
            buffer.contents.size = units
            self._stamp(buffer.contents.buffer.contents, pts_ns)
            return units

    def take(self) -> Bytes | None:
        """A copy of what came, None when nothing did. Raises Gone."""
        with self._buffer() as got:
            if got is None:
                return None
            _, data, inside = got
            at, size = data.chunk[0].offset % max(data.maxsize, 1), min(data.chunk[0].size, data.maxsize)
            return inside[at : at + size].copy()

    def trigger(self) -> None:
        """As the driver of those who listen: let them run now."""
        with self._locked():
            self._pw.pw_stream_trigger_process(self._stream)

    @property
    def streaming(self) -> bool:
        """Is somebody at the other side? Raises Gone."""
        with self._locked():
            return self._alive() == _STREAMING

    def times(self) -> tuple[int, int, int]:
        """Of an audio stream: how late it is to or from the device, in ns; how many frames wait in it; its quantum's
        clock time in ns.
        """
        now = _Time()
        with self._locked():
            self._pw.pw_stream_get_time_n(self._stream, c.byref(now), c.sizeof(now))
        delay_ns = now.delay * 10**9 * now.num // now.denom if now.denom else 0
        return int(delay_ns), int(now.queued + now.buffered), int(now.now)

    # ---- inside

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._pw.pw_thread_loop_lock(self._loop)
        try:
            yield
        finally:
            self._pw.pw_thread_loop_unlock(self._loop)

    @contextmanager
    def _buffer(self) -> Iterator[tuple[Any, Any, Bytes] | None]:
        """A buffer that belongs to the caller until it is given back at the end. The lock is held all the time."""
        with self._locked():
            if self._alive() != _STREAMING:
                yield None
                return
            buffer = self._pw.pw_stream_dequeue_buffer(self._stream)
            if not buffer:
                yield None
                return
            try:
                data = buffer.contents.buffer.contents.datas[0]
                if not data.data:
                    yield None
                    return
                yield buffer, data, np.ctypeslib.as_array(c.cast(data.data, c.POINTER(c.c_uint8)), (data.maxsize,))
            finally:
                self._pw.pw_stream_queue_buffer(self._stream, buffer)

    def _alive(self) -> int:
        state, reason = self._state()
        if state in (_ERROR, _UNCONNECTED):
            raise Gone(reason or "PipeWire went away")
        return state

    def _state(self) -> tuple[int, str]:
        reason = c.c_char_p()
        state = self._pw.pw_stream_get_state(self._stream, c.byref(reason))
        return state, (reason.value or b"").decode(errors="replace")

    def _stamp(self, buffer: Any, pts_ns: int) -> None:
        self._sequence += 1
        for k in range(buffer.n_metas):
            meta = buffer.metas[k]
            if meta.type == 1 and meta.size >= _HEADER_BYTES:  # spa_meta_header
                c.memmove(meta.data, struct.pack("<IIqqQ", 0, 0, pts_ns, 0, self._sequence), _HEADER_BYTES)

    def _on_param(self, _: Any, purpose: int, pod: int | None) -> None:
        if purpose != _FORMAT or not pod or self._layout is None:
            return
        size = struct.unpack("<I", c.string_at(pod, 4))[0]
        bytes_, self._stride = self._layout(_agreed_ids(c.string_at(pod, size + 8)))
        answers = [
            _object(0x40004, _BUFFERS, {
                1: between(4, 2, 16), 2: number(1), 3: number(bytes_), 4: number(self._stride),
                6: _pod(19, struct.pack("<IIIIi", 4, 0, 4, 4, 1 << 2)),  # shared memory only
            }),
            _object(0x40005, _META, {1: ident(1), 2: number(_HEADER_BYTES)}),
        ]  # fmt: skip
        self._pw.pw_stream_update_params(self._stream, *_pointers(answers))


def _pointers(pods: list[bytes]) -> tuple[Any, int]:
    return (_P * len(pods))(*[c.cast(c.c_char_p(pod), _P) for pod in pods]), len(pods)
