"""`doppelcam bench swap`: what the work around the nets costs, for a face of 45 % of the picture's height."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from live.abreast import Abreast
from live.cli.screen import err, out

if TYPE_CHECKING:
    from live.frame import Face, Image, Patch, Persona
    from live.parts import Blender, Finder, Swapper

SIZES = ((1280, 720), (1920, 1080))
HEIGHT = 0.45  # of the picture: what other tools were measured with


def swap(
    face: Annotated[str, typer.Argument(help="Whose face is worn: as --face of run.")] = "sample",
    model: Annotated[str | None, typer.Option(help="The one-photo model that draws the face.")] = None,
    frames: Annotated[int, typer.Option(help="How many frames are timed.", min=5, max=10000)] = 60,
    engine: Annotated[str | None, typer.Option(help="What runs the nets, as of run.")] = None,
    net_ms: Annotated[
        float, typer.Option(help="Let a net take so long at least, by sleeping: a small one stands in for a large one.")
    ] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting, e.g. swappers.one_photo.front=false. May be repeated."),
    ] = None,
) -> None:
    """Time swap and blend, with what the nets take told apart, for one face and for three.

    Core: processor time around the nets. Waited: by how much longer a frame takes than its nets; less than that for
    several faces, since one is finished on a second thread while the next is begun.

    The face is 45 % as high as the picture. Measure with nothing else running: a busy machine lies.
    """
    import cv2

    from live.app import parts_of
    from live.personas import open_persona
    from live.run import read_run

    flags: dict[str, Any] = {"face": face, "model": model, "engine": engine, "sink": "null", "source": "sample"}
    parts = parts_of(read_run(None, set_ or [], flags))
    heads = ("picture", "faces", "core ms p50", "p95", "waited ms p50", "p95", "nets ms p50")
    table = Table(*heads, box=None, pad_edge=False)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for part in (parts.finder, parts.swapper, parts.blender):
            part.open()
        parts.swapper.wear(parts.persona(parts.finder))
        wearer = open_persona("sample", parts.finder)
        with err.status("measuring ..."):
            for width, height in SIZES:
                for count in (1, 3):
                    picture, faces = scene(wearer, parts.finder, width, height, count)
                    rows = around_the_nets(parts.swapper, parts.blender, picture, faces, frames, net_ms)
                    core, waited, nets = rows.T
                    cells = (np.median(core), np.percentile(core, 95), np.median(waited), np.percentile(waited, 95))
                    table.add_row(f"{width}x{height}", str(count), *(f"{one:.2f}" for one in (*cells, np.median(nets))))
    finally:
        cv2.setNumThreads(threads)
        for part in (parts.blender, parts.swapper, parts.finder):
            part.close()
    out.print(table)


def scene(
    wearer: Persona, finder: Finder, width: int, height: int, count: int, share: float = HEIGHT
) -> tuple[Image, list[Face]]:
    """A picture with so many faces side by side, each `share` of its height, and the faces as the finder sees them."""
    import cv2

    x0, y0, x1, y1 = wearer.face.box
    scale = share * height / (y1 - y0)
    picture = np.full((height, width, 3), 96, np.uint8)
    for k in range(count):
        at = np.array([width * (2 * k + 1) / (2 * count), height / 2]) - scale * np.array([x0 + x1, y0 + y1]) / 2
        room = slice(width * k // count, width * (k + 1) // count)
        placed = cv2.warpAffine(
            wearer.image, np.array([[scale, 0, at[0]], [0, scale, at[1]]]), (width, height),
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        picture[:, room] = placed[:, room]
    faces: list[Face] = []
    for _ in range(12):  # a finder may look for further faces only now and then
        faces = finder.find(picture, faces)
        for number, face in enumerate(faces, 1):
            face.track = number
        if len(faces) == count:
            return picture, faces
    raise RuntimeError(f"{len(faces)} faces were found where {count} are")


def around_the_nets(
    swapper: Swapper, blender: Blender, picture: Image, faces: list[Face], frames: int, net_ms: float = 0
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """float64 [frames, 3], milliseconds: what swap and blend take of a core without the nets, one face after the other;
    by how much longer they take than the nets, as the loop does it; and the nets. The parts are open.

    The first is what this thread spent on a core, which other programs do not lengthen by taking it away.
    """
    spent = [0.0, 0.0]  # in the nets: on this thread, by the clock
    engines = getattr(swapper, "engines", [])
    for engine in engines:
        setattr(engine, "run", _timed(engine.run, net_ms, spent))  # noqa: B010 - the type of a method
    abreast = Abreast()

    def one_by_one(image: Image) -> list[Patch]:
        return [swapper.swap(image, face) for face in faces]

    def as_the_loop(image: Image) -> list[Patch]:
        return abreast.swap(swapper, image, faces)

    def timed(swap: Callable[[Image], list[Patch]]) -> tuple[float, float, float]:
        image = picture.copy()
        spent[:] = [0.0, 0.0]
        thread, clock = time.thread_time(), time.perf_counter()
        for face, patch in zip(faces, swap(image), strict=True):
            blender.blend(image, face, patch)
        thread, clock = time.thread_time() - thread, time.perf_counter() - clock
        return (thread - spent[0]) * 1e3, (clock - spent[1]) * 1e3, spent[1] * 1e3

    try:
        alone, together = (np.array([timed(way) for _ in range(frames + 5)]) for way in (one_by_one, as_the_loop))
    finally:
        abreast.close()
        for engine in engines:
            del engine.run
    return np.hstack([alone[5:, :1], together[5:, 1:]])


def _timed(run: Callable[[Mapping[str, Any]], dict[str, Any]], at_least_ms: float, spent: list[float]) -> Any:
    def timed(feeds: Mapping[str, Any]) -> dict[str, Any]:
        thread, clock = time.thread_time(), time.perf_counter()
        try:
            answer = run(feeds)
            time.sleep(max(0.0, at_least_ms / 1e3 - (time.perf_counter() - clock)))
            return answer
        finally:
            spent[0] += time.thread_time() - thread
            spent[1] += time.perf_counter() - clock

    return timed
