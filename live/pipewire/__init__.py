"""One stream of this program in PipeWire's graph (a camera, a microphone), through libpipewire by ctypes.

The library is on every desktop that has PipeWire, so that nothing needs to be installed or compiled. It runs a thread
of its own; every call here holds its lock, so that buffers cannot vanish while they are filled. No callback runs in
the real-time thread. Structures and numbers: pipewire/stream.h and spa/ of PipeWire 0.3.
"""

from __future__ import annotations

import ctypes as c
import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.errors import NotAvailable
from live.pipewire import pods
from live.pipewire.library import Events, ParamChanged, Time, check_session, library

Bytes = npt.NDArray[np.uint8]

AUTOCONNECT, MAP_BUFFERS, DRIVER = 1 << 0, 1 << 2, 1 << 3
INTO, OUT_OF = 0, 1  # the program reads from the graph, or gives to it
_ERROR, _UNCONNECTED, _PAUSED, _STREAMING = -1, 0, 2, 3
_ANY = 0xFFFFFFFF
_HEADER_BYTES = 32
_HOOK_BYTES = 64  # struct spa_hook has 48
_CONNECT_S = 3.0


class Gone(Exception):
    """The stream, or all of PipeWire, is gone; a new stream may be opened later."""


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
        self._pw = library()
        self._layout, self._unit, self._stride, self._sequence = layout, unit, 0, 0
        self._context: Any = None
        self._stream: Any = None
        self.name = name
        self._events = Events(version=2, param_changed=ParamChanged(self._on_param))
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
        if (
            not self._stream
            or pw.pw_stream_connect(self._stream, direction, _ANY, flags | MAP_BUFFERS, *pods.pointers([offer])) < 0
        ):
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
        now = Time()
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
        if purpose != pods.FORMAT or not pod or self._layout is None:
            return
        size = struct.unpack("<I", c.string_at(pod, 4))[0]
        bytes_, self._stride = self._layout(pods.agreed_ids(c.string_at(pod, size + 8)))
        answers = [pods.buffers(bytes_, self._stride), pods.header(_HEADER_BYTES)]
        self._pw.pw_stream_update_params(self._stream, *pods.pointers(answers))
