"""Another face, put on while running: asked for from any thread, made on the finder's, worn on the swapper's."""

from __future__ import annotations

from collections.abc import Callable

from engines.errors import BadInput, DoppelcamError
from live.frame import Persona
from live.parts import Finder, Swapper
from live.trace import Ledger

Make = Callable[[Finder], Persona]
Failed = Callable[[DoppelcamError], None]


class Wardrobe:
    """Holds the wish until each thread has done its part. Until then, and if anything goes wrong, the old face stays:
    errors are noted in the ledger, and told to whoever wished.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._wish: tuple[Make, Swapper | None, Failed | None] | None = None
        self._ready: tuple[Persona, Swapper | None, Failed | None] | None = None

    def ask(self, make: Make, swapper: Swapper | None, now: Swapper, failed: Failed | None = None) -> None:
        """Any thread. BadInput: `swapper` is of the kind that lives on another thread than the one that is used now.

        `failed` is called, on one of the loop's threads, when the face cannot be worn after all.
        """
        if swapper is not None and swapper.drawn != now.drawn:
            raise BadInput("a face that is drawn and one that is made by a net are not exchanged while running")
        self._wish = make, swapper, failed

    def make(self, finder: Finder, check: Callable[[Persona], None]) -> None:
        """On the finder's thread, before each frame. `check` raises BadInput for a face that may not be worn here."""
        if self._wish is None or self._ready is not None:
            return
        (make, swapper, failed), self._wish = self._wish, None
        try:
            persona = make(finder)
            check(persona)
            self._ready = persona, swapper, failed
        except DoppelcamError as error:
            self._failed(error, failed)

    def change(
        self, swapper: Swapper, worn: Persona | None, open: Callable[[Swapper, Persona], None]
    ) -> tuple[Swapper, Persona | None]:
        """On the swapper's thread, before each frame: the swapper and the persona to go on with.

        `open` opens a swapper and lets it wear a persona.
        """
        if self._ready is None:
            return swapper, worn
        (persona, other, failed), self._ready = self._ready, None
        try:
            if other is None:
                swapper.wear(persona)
            else:
                swapper.close()
                open(other, persona)
            return other or swapper, persona
        except DoppelcamError as error:
            self._failed(error, failed)
        assert worn is not None, "something is worn already"
        (other or swapper).close()
        open(swapper, worn)
        return swapper, worn

    def _failed(self, error: DoppelcamError, failed: Failed | None) -> None:
        self._ledger.error(f"the face stays as it is: {error.message}")
        if failed is not None:
            failed(error)
