"""The promises: what a Source, Finder, Swapper, Blender and Sink must do. One file a part, in the folder of its kind.

Every part is a dataclass whose fields are its settings. Runtime state is made in `open()` and freed in `close()`;
a part is opened, used and closed on one thread, `close()` may be called after a failed `open()`, and a closed part
may be opened again. A part knows pictures; never threads, settings files or other parts. A part that runs models shows
them as `engines` while it is open, and has the settings `engine` and `fallback` (see engines/door.py); when one of
them is lost (EngineLost), the part is closed and opened again, and a swapper wears its persona again.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from engines.plugins import Plugins
from live.frame import Captured, Face, Format, Image, Patch, Persona, SafeFrame

SOURCES = Plugins("source", "live.sources")
FINDERS = Plugins("finder", "live.finders")
SWAPPERS = Plugins("swapper", "live.swappers")
BLENDERS = Plugins("blender", "live.blenders")
SINKS = Plugins("sink", "live.sinks")


class EndOfSource(Exception):
    """A source that has an end came to it. Not an error."""


class Source(Protocol):
    """Where pictures come from."""

    def open(self) -> Format:
        """Raises BadInput or NotAvailable; SourceLost where trying again later may help."""

    def read(self) -> Captured:
        """Block for the next picture. Raises EndOfSource at the end, SourceLost when it went away."""

    def close(self) -> None: ...


class Finder(Protocol):
    """Finds faces, and follows those of the frame before."""

    def open(self) -> None: ...

    def find(self, image: Image, previous: list[Face]) -> list[Face]:
        """All faces, best first. A face that continues one of `previous` carries its `track`, a new one 0.

        `image` is left alone. Faces of `previous` that are not there any more are left out.
        """

    def close(self) -> None: ...


class Swapper(Protocol):
    """Makes the new face. `drawn`: by drawing pixels, not by a net; it then lives on the pixels thread, beside the
    finder's nets instead of behind them. `wears_model`: a trained model, else portraits. `needs_mesh`: a face without
    one cannot be drawn over.
    """

    @property
    def drawn(self) -> bool: ...

    wears_model: ClassVar[bool]
    needs_mesh: ClassVar[bool]

    def open(self) -> None: ...

    def wear(self, persona: Persona) -> None:
        """Prepare this persona's face. May be called again while open."""

    def swap(self, image: Image, face: Face) -> Patch:
        """The persona's face for the place of `face`; `image` is left alone."""

    def close(self) -> None: ...


class Blender(Protocol):
    """Sets the new face into the picture."""

    def open(self) -> None: ...

    def blend(self, image: Image, face: Face, patch: Patch) -> None:
        """Change `image` in place, nothing outside the patch."""

    def close(self) -> None: ...


class Sink(Protocol):
    """Where pictures go."""

    def open(self, format: Format) -> None:
        """Raises BadInput or NotAvailable; leaves nothing behind when it fails."""

    def write(self, frame: SafeFrame) -> None:
        """Show the frame, whose image is read-only and shared with other sinks. May be slow. Raises SinkLost."""

    def close(self) -> None:
        """Finish what was written, so that it can be used."""
