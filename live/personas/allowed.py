"""One of the user's faces as it is worn: its portraits, and whether it may still be worn."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from engines.errors import BadInput, DoppelcamError
from live.frame import View
from live.parts import Finder
from live.personas.pack import Pack
from live.personas.packs import Packs, now
from live.personas.portraits import straightest_first, view_of
from live.pictures import decoded

_LOOK_AGAIN_S = 1.0


def views_of(pack: Pack, finder: Finder) -> tuple[View, ...]:
    """Its portraits, the straightest first. `finder` is an opened one. Raises BadInput."""
    views = []
    for number, photo in enumerate(pack.photos, 1):
        image = decoded(photo)  # written by doppelcam, and signed
        if image is None:
            raise BadInput(f"portrait {number} of {pack.name!r} is damaged", hint="add it again")
        views.append(view_of(image, f"portrait {number} of {pack.name!r}", None, finder))
    return straightest_first(views)


@dataclass(slots=True)
class Allowed:
    """Why this face may not be worn any more, "" while it may: its time each time, whether it is still there, the same
    and not withdrawn each second.
    """

    packs: Packs
    pack: Pack
    _stamp: tuple[int, int] = field(init=False)
    _next_look: float = field(default=0.0, init=False)
    _gone: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._stamp = self._stamped()

    def __call__(self) -> str:
        seconds = time.monotonic()
        if seconds >= self._next_look:
            self._next_look = seconds + _LOOK_AGAIN_S
            self._gone = self._look()
        return self._gone or self.pack.why_not(now())

    def _look(self) -> str:
        if not self.packs.path(self.pack.name).exists():
            return "this face was removed"
        try:
            if self._stamp != (stamp := self._stamped()):
                again = self.packs.open(self.pack.name)
                if (again.photos, again.model_print) != (self.pack.photos, self.pack.model_print):
                    return "this face was replaced by another"
                self.pack, self._stamp = again, stamp
            withdrawn = self.packs.is_withdrawn(self.pack)
        except DoppelcamError as error:
            return error.message
        return "the consent for this face was withdrawn" if withdrawn else ""

    def _stamped(self) -> tuple[int, int]:
        """What changes when the face is another, though it is called the same."""
        try:
            found = self.packs.path(self.pack.name).stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino
