"""Addresses as they may be shown: without passwords, stream keys and tokens."""

from __future__ import annotations

from urllib.parse import urlsplit

# Where the last part of the path is a key that lets anybody stream in the user's name.
_KEYED = ("rtmp", "rtmps", "rtmpt", "rtmpe", "srt")


def is_address(text: str) -> bool:
    return "://" in text


def shown(text: str) -> str:
    """`text` for names, logs, reports and errors. Addresses lose user, password, query, fragment, and for RTMP all but
    the first part of the path; anything else stays as it is. A leading `part:` stays: `stream:rtmp://...`.
    """
    if not is_address(text):
        return text
    head, _, rest = text.partition("://")
    prefix, _, scheme = head.rpartition(":")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return f"{head}://..."
    path = parts.path
    if scheme.lower() in _KEYED:
        steps = path.strip("/").split("/")
        path = "" if not steps[0] else f"/{steps[0]}/..." if len(steps) > 1 else f"/{steps[0]}"
    hidden = "?..." if parts.query or parts.fragment else ""
    return f"{f'{prefix}:' if prefix else ''}{scheme}://{host}{port}{path}{hidden}"
