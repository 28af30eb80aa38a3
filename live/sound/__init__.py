"""Sound that belongs to the pictures: of a file, or of a microphone, kept as late as the picture is.

    microphone -> tape (which sample was caught when) -> virtual microphone, as late as the shown picture
                                                      -> recordings and streams, by time
    file       ---------------------------------------> recordings and streams, by time

Samples are f32 [n, channels] from -1 to 1.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""f32 [n, channels], -1 to 1."""


class SoundReader(Protocol):
    """One reader of a soundtrack; it may be used on one thread."""

    rate: int
    channels: int

    def read(self, at_s: float, count: int, zero_ns: int) -> Samples | None:
        """The sound of `count` samples from this position of the pictures on; None: not there yet, ask again.

        Positions grow from call to call. `zero_ns` is the clock time at which the picture's position is 0: a
        microphone's sound is found by it. Where there is no sound, there is silence.
        """

    def close(self) -> None: ...


class Soundtrack(Protocol):
    """What sinks with sound get with the format."""

    def open(self) -> SoundReader:
        """Each sink opens its own. Raises BadInput."""


class Sound(Protocol):
    """A live sound beside the pictures. It is opened, stepped and closed on one thread, as any part."""

    def open(self) -> None:
        """Raises BadInput or NotAvailable."""

    def step(self, delay_ms: float) -> None:
        """Move the sound that came meanwhile, `delay_ms` late; sleeps a little. Raises SourceLost."""

    def close(self) -> None: ...

    @property
    def track(self) -> Soundtrack: ...
