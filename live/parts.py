"""The promises: what a Source, Finder, Swapper, Blender, Mark and Sink must do. A file a part, in its kind's folder.

Every part is a dataclass whose fields are its settings. Runtime state is made in `open()` and freed in `close()`;
a part is opened, used and closed on one thread, `close()` may be called after a failed `open()`, and a closed part
may be opened again. A part knows pictures; never threads, settings files or other parts. A part that runs models shows
them as `engines` while it is open, and has the settings `engine` and `fallback` (see engines/door.py); when one of
them is lost (EngineLost), the part is closed and opened again, and a swapper wears its persona again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from engines.errors import BadInput
from engines.plugins import Plugins
from live.frame import Captured, Disclosure, Face, Format, Image, Patch, Persona, SafeFrame
from live.session import Session
from live.sound import Sound

SOURCES = Plugins("source", "live.sources")
FINDERS = Plugins("finder", "live.finders")
SWAPPERS = Plugins("swapper", "live.swappers")
BLENDERS = Plugins("blender", "live.blenders")
MARKS = Plugins("mark", "live.marks")
SINKS = Plugins("sink", "live.sinks")


class EndOfSource(Exception):
    """A source that has an end came to it. Not an error."""


class NothingYet(Exception):
    """A source has no picture at the moment, though nothing is wrong with it: its text says what it waits for."""


class Source(Protocol):
    """Where pictures come from."""

    def open(self) -> Format:
        """Raises BadInput or NotAvailable; SourceLost where trying again later may help."""

    def read(self) -> Captured:
        """Block for the next picture. Raises EndOfSource at the end, SourceLost when it went away.

        A source that may wait for long raises NothingYet every now and then, and is read again: the cover shows why.
        """

    def close(self) -> None: ...


class Finder(Protocol):
    """Finds faces, and follows those of the frame before.

    One that looks for irises may have an attribute `irises`, which the loop sets before each frame: false while no
    swapper looks at them. `catch_up` as for a Swapper.
    """

    def open(self) -> None: ...

    def find(self, image: Image, previous: list[Face]) -> list[Face]:
        """All faces, best first. A face that continues one of `previous` carries its `track`, a new one 0.

        `image` is left alone. Faces of `previous` that are not there any more are left out.
        """

    def close(self) -> None: ...


class Swapper(Protocol):
    """Makes the new face. `drawn`: by drawing pixels, not by a net; it then lives on the pixels thread, beside the
    finder's nets instead of behind them. `wears_model`: a trained model, else portraits. `needs_mesh`:
    a face without one cannot be drawn over.

    A swapper that has optional work may have an attribute `spare`, which the loop sets before each frame: 0 do all;
    from 1 on leave out what only makes it prettier (an enhancer), from 2 on look half as often at what lies in front,
    from 3 on follow the light half as often. Never is anything left out that covers the wearer's face.
    What it only makes prettier takes `extra_ms` in a frame in which it is done: where a frame has not that much time to
    spare, `spare` is not 0.

    `wants_irises`: whether it looks at Face.irises now; without that attribute it does. `stood_in`: whether in the last
    face another swapper was seen in its stead.

    One that learns from a frame for those to come may have a method `catch_up()`: the loop calls it when the frame is
    on its way; where nobody does, the next `swap` comes to the same.

    One that may be finished elsewhere has a method `begin(image, face) -> Callable[[], Patch]`: it does what needs
    nets, or what is remembered from frame to frame. What it gives is called once, on any thread, while the picture
    is as it was and the swapper open, and makes the patch of pixels alone.
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


class Mark(Protocol):
    """Says in the picture, to people or to programs, that it was modified. It holds nothing but memory: the guard opens
    and closes it, and applies it on the pixels thread, last of all that is done to a picture.
    """

    def open(self, format: Format) -> None: ...

    def wear(self, persona: Persona) -> None:
        """This face is worn from now on. Comes before the first `apply`."""

    def apply(self, image: Image, position_s: float, fresh: bool) -> None:
        """Change `image` in place. `fresh`: what was shown before it is a cover, or nothing."""

    def close(self) -> None: ...


class Sink(Protocol):
    """Where pictures go. `outgoing`: others can see them there, so that they must be told what they see.

    One that says `stays = True` is a device that other programs look at: it is opened before the nets are loaded,
    shows a cover while nothing else comes, and may outlive the loop.
    `timed = True`: each picture goes with its time, so that sound needs no delay there.
    """

    outgoing: ClassVar[bool]

    def open(self, format: Format) -> None:
        """Raises BadInput or NotAvailable; leaves nothing behind when it fails."""

    def write(self, frame: SafeFrame) -> None:
        """Show the frame, whose image is read-only and shared with other sinks. May be slow. Raises SinkLost."""

    def close(self) -> None:
        """Finish what was written, so that it can be used."""


@runtime_checkable
class Keyed(Protocol):
    """A sink on which somebody can press the key that covers."""

    def bind(self, cover_key: Callable[[], None]) -> None:
        """Call this when the key is pressed."""


@runtime_checkable
class Beating(Protocol):
    """A sink that stays, and wants to know that the loop lives although it has nothing new to show."""

    def beat(self) -> None: ...


@dataclass
class Parts:
    """The parts of one loop. `persona` is made with the finder, on the engine thread, before anything runs. `marks` are
    written into each picture, in this order; `reason` says why there is no label among them, where that was asked for.
    A `sound` is kept as late as the picture is.
    """

    source: Source
    finder: Finder
    swapper: Swapper
    blender: Blender
    sinks: dict[str, Sink]
    persona: Callable[[Finder], Persona]
    marks: Sequence[Mark] = ()
    session: Session | None = None
    reason: str = ""
    sound: Sound | None = None

    def check_told(self, name: str, disclosure: Disclosure) -> None:
        """Raise BadInput where others would see this face without the label, although nobody's consent is known."""
        if self.reason and disclosure == "unverified" and any(sink.outgoing for sink in self.sinks.values()):
            raise BadInput(
                f"nobody's consent to wear {name!r} is known: others see it only with the label in the picture",
                hint="leave disclosure at label, or see doppelcam faces add --help",
            )
