"""libpipewire by ctypes: its structures, its calls, and whether a session of the user's is in reach."""

from __future__ import annotations

import ctypes as c
import os
from functools import cache
from pathlib import Path
from typing import Any

from engines.errors import NotAvailable


class Chunk(c.Structure):
    _fields_ = (("offset", c.c_uint32), ("size", c.c_uint32), ("stride", c.c_int32), ("flags", c.c_int32))


class Data(c.Structure):
    _fields_ = (
        ("type", c.c_uint32), ("flags", c.c_uint32), ("fd", c.c_int64), ("mapoffset", c.c_uint32),
        ("maxsize", c.c_uint32), ("data", c.c_void_p), ("chunk", c.POINTER(Chunk)),
    )  # fmt: skip


class Meta(c.Structure):
    _fields_ = (("type", c.c_uint32), ("size", c.c_uint32), ("data", c.c_void_p))


class SpaBuffer(c.Structure):
    _fields_ = (
        ("n_metas", c.c_uint32), ("n_datas", c.c_uint32), ("metas", c.POINTER(Meta)), ("datas", c.POINTER(Data)),
    )  # fmt: skip


class Buffer(c.Structure):
    _fields_ = (
        ("buffer", c.POINTER(SpaBuffer)), ("user_data", c.c_void_p), ("size", c.c_uint64), ("requested", c.c_uint64),
    )  # fmt: skip


ParamChanged = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32, c.c_void_p)


class Events(c.Structure):
    _fields_ = (
        ("version", c.c_uint32), ("destroy", c.c_void_p), ("state_changed", c.c_void_p),
        ("control_info", c.c_void_p), ("io_changed", c.c_void_p), ("param_changed", ParamChanged),
        ("add_buffer", c.c_void_p), ("remove_buffer", c.c_void_p), ("process", c.c_void_p), ("drained", c.c_void_p),
        ("command", c.c_void_p), ("trigger_done", c.c_void_p),
    )  # fmt: skip


class Time(c.Structure):
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
    "pw_stream_add_listener": (None, (_P, c.c_char_p, c.POINTER(Events), _P)),
    "pw_stream_connect": (_I, (_P, _I, _U, _I, c.POINTER(_P), _U)),
    "pw_stream_destroy": (None, (_P,)),
    "pw_stream_get_state": (_I, (_P, c.POINTER(c.c_char_p))),
    "pw_stream_update_params": (_I, (_P, c.POINTER(_P), _U)),
    "pw_stream_dequeue_buffer": (c.POINTER(Buffer), (_P,)),
    "pw_stream_queue_buffer": (_I, (_P, c.POINTER(Buffer))),
    "pw_stream_trigger_process": (_I, (_P,)),
    "pw_stream_get_time_n": (_I, (_P, c.POINTER(Time), c.c_size_t)),
}


@cache
def library() -> Any:
    """libpipewire, started. Raises NotAvailable."""
    try:
        pipewire = c.CDLL("libpipewire-0.3.so.0")
        for name, (result, arguments) in _CALLS.items():
            call = getattr(pipewire, name)
            call.restype, call.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise NotAvailable(
            f"PipeWire is not to be had here ({error})",
            hint="it needs PipeWire 0.3.50 or newer: Debian / Ubuntu: apt install pipewire wireplumber",
        ) from None
    pipewire.pw_init(None, None)
    pipewire.pw_log_set_level(0)  # what goes wrong is told by us
    return pipewire


def check_session() -> None:
    """Raises NotAvailable when no PipeWire runs for this user, and says what is missing."""
    library()
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
