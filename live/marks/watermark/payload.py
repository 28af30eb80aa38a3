"""What the watermark says: which version wrote it, in which session, and in which hour that began."""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BYTES = 8
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Payload:
    """Nothing about a person: `session` is a random number of 24 bits that only the session's own record explains.

    `version` is (major, minor), at most (7, 31); `hour` counts from the beginning of 2026, UTC, modulo 65,536.
    """

    version: tuple[int, int]
    session: int
    hour: int

    @property
    def begun(self) -> datetime:
        """The hour in which the session began."""
        return _BEGIN + timedelta(hours=self.hour)

    def pack(self) -> bytes:
        """8 bytes: version 1, session 3, hour 2, and CRC-16/XMODEM of these six."""
        major, minor = self.version
        head = bytes([min(major, 7) << 5 | min(minor, 31)])
        body = head + (self.session & 0xFFFFFF).to_bytes(3, "big") + (self.hour & 0xFFFF).to_bytes(2, "big")
        return body + crc_hqx(body, 0).to_bytes(2, "big")


def unpack(data: bytes) -> Payload | None:
    """The payload in these 8 bytes; None where they are damaged."""
    body = data[:-2]
    # All zeros have the CRC zero: that is no payload.
    if len(data) != BYTES or not any(data) or crc_hqx(body, 0) != int.from_bytes(data[-2:], "big"):
        return None
    return Payload((body[0] >> 5, body[0] & 31), int.from_bytes(body[1:4], "big"), int.from_bytes(body[4:6], "big"))


def hour_of(moment: datetime) -> int:
    return int((moment - _BEGIN) / timedelta(hours=1)) & 0xFFFF
