"""Several faces in one picture: while one is begun, those before it are finished on a second thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from live.frame import Face, Image, Patch
from live.parts import Swapper


class Abreast:
    """Used on the swapper's thread. The second thread starts when there are two faces for the first time."""

    def __init__(self) -> None:
        self._second = ThreadPoolExecutor(1, "finish")

    def swap(self, swapper: Swapper, image: Image, faces: list[Face]) -> list[Patch]:
        """A patch for each of the faces, in their order; `image` is left alone.

        Raises what the swapper raises. Either way nobody works on the picture any more when this is over.
        """
        if len(faces) < 2:
            return [swapper.swap(image, face) for face in faces]
        *others, last = faces
        halves: list[tuple[Callable[[], Patch], Future[Patch]]] = []
        try:
            for face in others:
                rest = begun(swapper, image, face)
                halves.append((rest, self._second.submit(rest)))
            patches = [begun(swapper, image, last)()]
            for rest, other in reversed(halves):
                # What the second thread has not come to, on a busy machine, is done here.
                patches.append(rest() if other.cancel() else other.result())
            return patches[::-1]
        finally:
            wait([other for _, other in halves if not other.cancel()])

    def close(self) -> None:
        self._second.shutdown()


def begun(swapper: Swapper, image: Image, face: Face) -> Callable[[], Patch]:
    """The face as far as it must be made on the swapper's thread; what comes back makes the rest (see Swapper)."""
    if hasattr(swapper, "begin"):
        rest: Callable[[], Patch] = swapper.begin(image, face)
        return rest
    patch = swapper.swap(image, face)
    return lambda: patch
