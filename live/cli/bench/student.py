"""`doppelcam bench student`: a personal engine beside its teacher, on clips that it was not taught with.

One that was taught by footage had no teacher: beside it stands the swap that one portrait gives.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from rich.markup import escape
from rich.table import Table

from engines.errors import BadInput
from live.cli.screen import err, out
from live.models import FOOTAGE

if TYPE_CHECKING:
    from engines.card import ModelCard
    from live.cli.bench.quality import Figures, Judge, Vector
    from live.frame import Format, Image, SafeFrame
    from live.parts import Finder
    from live.run import Run


def student(
    engine: Annotated[str, typer.Argument(help="The personal engine: its name, or its folder.")],
    clips: Annotated[list[str], typer.Argument(help="Clips of the same wearer that it was not taught with.")],
    recogniser: Annotated[
        str | None, typer.Option(help="Which recogniser says how like the persona it is; else the installed one.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, for both of them. May be given again.")
    ] = None,
) -> None:
    """Compare a personal engine with its teacher: likeness, expression, steadiness, sharpness, and what the net costs.

    Where the persona's footage taught it, it is compared with the mesh swap, which has the portrait alone.

    Each clip is swapped by both, without marks. to persona: cosine of the swapped face with the portrait (with a
    recogniser only). expression error: how far lips, lids and brows stray from the wearer's. flicker: 1 is as steady
    as the camera. sharpness: grey levels a pixel inside the face.
    """
    from live.app import opened_finder
    from live.models import PERSONAL
    from live.personas import choose, model_of
    from live.run import read_run

    card = model_of(engine)
    if card is None or card.family != PERSONAL:
        raise BadInput(f"{engine!r} is no personal engine", hint="doppelcam teach makes one")
    for clip in clips:
        if clip != "sample" and not Path(clip).expanduser().is_file():
            raise BadInput(f"there is no clip {clip}", hint="give a video's path")
    teacher, face = taught_by(card)
    model = card.facts["taught"].get("model")
    rows: dict[str, list[tuple[Figures, dict[str, Any]]]] = {"teacher": [], "student": []}
    with opened_finder() as finder:
        persona = choose(engine).open(finder)
        vector = _vector(recogniser)
        for clip in clips:
            flags = {"source": clip, "sink": "null", "fast": True}
            for who in rows:
                mine = {"face": engine} if who == "student" else {"face": face, "swapper": teacher, "model": model}
                with err.status(escape(f"{clip}: the {who} ...")):
                    rows[who].append(_judged(read_run(None, set_ or [], flags | mine), persona, finder, vector))
    out.print(_table(card, teacher, clips, rows))


def taught_by(card: ModelCard) -> tuple[str, str]:
    """The swapper that taught this personal engine, or that stands in for it where footage did, and the face, as
    `--face` takes it. Raises BadInput.
    """
    taught = card.facts.get("taught", {})
    teacher, face = taught.get("teacher"), taught.get("face", {})
    teacher = "mesh" if teacher == FOOTAGE else teacher
    if teacher not in ("mesh", "one_photo"):
        raise BadInput(f"{card.name!r} was taught by {teacher!r}: only mesh and one_photo are run again for this")
    if "sample" in face:
        return teacher, f"sample:{face['sample']}"
    if "pack" in face:
        return teacher, str(face["pack"])
    pictures = face.get("portraits") or []
    if len(pictures) != 1:
        raise BadInput(f"{card.name!r} was taught from {len(pictures)} pictures: only one is run again for this")
    return teacher, str(card.folder / str(pictures[0]))


def _vector(name: str | None) -> Vector | None:
    from engines.errors import NotAvailable
    from live.recogniser import Recogniser, recogniser_card

    try:
        net = Recogniser(recogniser_card(name or ""))
    except NotAvailable:
        if name:
            raise
        return None
    return lambda image, face: net.vector(image, face.points)


def _judged(run: Run, persona: Any, finder: Finder, vector: Vector | None) -> tuple[Figures, dict[str, Any]]:
    """The figures of this run, and the loop's report. Raises BadInput where no face was seen."""
    from live.app import loop_of, parts_of
    from live.cli.bench.excerpt import Excerpt
    from live.cli.bench.quality import Judge

    judge = Judge(persona, finder, vector)
    parts = parts_of(run)
    parts.marks = ()  # the figures are of the swap
    both = _Both(judge)
    parts.source = Excerpt(parts.source, see=lambda captured: both.wearers.append(captured.image.copy()))
    parts.sinks = {"judge": both}
    loop = loop_of(run, parts)
    loop.run()
    try:
        return judge.figures(), loop.ledger.report()
    except ValueError as error:
        raise BadInput(f"{run.source}: {error}") from None


@dataclass
class _Both:
    """Sink: gives the judge each picture with the wearer's; a run without real time shows one for each that came."""

    outgoing: ClassVar[bool] = False

    judge: Judge
    wearers: deque[Image] = field(default_factory=deque)

    def open(self, format: Format) -> None:
        pass

    def write(self, frame: SafeFrame) -> None:
        self.judge.add(self.wearers.popleft(), frame.image if frame.state == "live" else None)

    def close(self) -> None:
        pass


def _table(
    card: ModelCard, teacher: str, clips: list[str], rows: dict[str, list[tuple[Figures, dict[str, Any]]]]
) -> Table:
    taught = card.facts["taught"]
    heads = ("clip", "by", "to persona", "expression error", "flicker", "sharpness", "live", "mesh stood in")
    table = Table(*heads, box=None, pad_edge=False)
    for k, clip in enumerate(clips):
        for who, runs in rows.items():
            figures, report = runs[k]
            table.add_row(Path(clip).name, teacher if who == "teacher" else card.name, *_cells(figures, report, who))
        old, new = rows["teacher"][k][0], rows["student"][k][0]
        like = "-" if old.to_persona is None or new.to_persona is None else f"{new.to_persona / old.to_persona:.3f}"
        table.add_row(
            "", "ratio", like, f"{new.expression_error / old.expression_error:.2f}",
            f"{new.flicker / old.flicker:.2f}", f"{new.sharpness / old.sharpness:.2f}", "", "",
        )  # fmt: skip
    table.caption = (
        f"{card.facts['size']} px, taught {card.facts.get('trained_s', 0) / 60:.0f} minutes on "
        f"{taught.get('seconds', 0):.0f} s of footage; the net: {_net_ms(card)}"
    )
    if taught["teacher"] == FOOTAGE:
        table.caption += f"; no teacher: the {teacher} swap beside it wears the same face, of its portrait alone"
    return table


def _cells(figures: Figures, report: dict[str, Any], who: str) -> list[str]:
    like = "-" if figures.to_persona is None else f"{figures.to_persona:.3f}"
    frames = report["frames"]
    stood_in = f"{frames.get('stood_in', 0) / max(1, frames['processed']):.0%}" if who == "student" else ""
    return [
        like, f"{figures.expression_error:.4f}", f"{figures.flicker:.2f}", f"{figures.sharpness:.2f}",
        f"{frames['live']} of {frames['processed']}", stood_in,
    ]  # fmt: skip


def _net_ms(card: ModelCard) -> str:
    from engines.choose import measure, pick
    from engines.door import candidates, open_variant

    best = pick(measure(card, candidates(card, threads=1), open_variant))
    if best is None:
        return "runs nowhere here"
    with closing(open_variant(card, best.variant)):
        return f"{best.p50_ms:.2f} ms on {best.variant}"
