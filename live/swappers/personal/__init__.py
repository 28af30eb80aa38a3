"""Wears a personal engine: a small net that was taught this wearer's face as this persona (`doppelcam teach`).

For each frame: the crop that it was taught with, the net, and its picture back into the frame (picture.py). Where the
wearer looks as in no lesson, or the net fails, the mesh swap stands in, which wears the face that the net was taught
(turn.py); it is opened along with the net, and draws only then.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from engines.engine import Engine
from engines.errors import BadInput, DoppelcamError, EngineLost, ModelError
from live.fit.detail import Noise
from live.fit.known import Known, look_of, read_known
from live.frame import Face, Image, Patch, Persona
from live.models import PERSONAL
from live.settings import setting
from live.swappers.mesh import Mesh
from live.swappers.personal.picture import Seen, Unusable, crossed, draw
from live.swappers.personal.turn import Turn
from live.swappers.trained.net import Net, open_net

_EVERY = 2  # frames between two looks at how the wearer looks
_RECENT = 30  # frames of others after which a face is not waited for
_FORGET = 300  # frames of others after which a face that was not seen is forgotten

_STANDS_IN, _OTHER = "the mesh swap stands in", "of net and mesh swap the other one draws"
_log = logging.getLogger("doppelcam.live")


@dataclass
class _Wearer:
    """What is remembered of one tracked face."""

    seen: Seen = field(default_factory=Seen)
    turn: Turn = field(default_factory=Turn)
    frames: int = 0
    used: int = 0


@dataclass
class Personal:
    """Swapper for personal engines made by `doppelcam teach`; the finder must give a mesh."""

    drawn: ClassVar[bool] = False
    wears_model: ClassVar[bool] = True
    needs_mesh: ClassVar[bool] = True

    reach: float = setting(
        1.0,
        "how far from the lessons the wearer may look before the mesh swap stands in; 1: as far as they were apart",
        low=0,
        high=10,
        step=0.1,
        live=True,
    )
    front: bool = setting(True, "hands and things in front of the face stay in front")
    engine: str = setting("auto", "what runs the nets: auto, or RUNTIME[:DEVICE][:PRECISION]")
    threads: int = setting(1, "threads of the personal net; 0: measured", low=0, high=64)
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one")

    spare = 0  # set by the loop, see Swapper
    stood_in = False  # see Swapper
    wants_irises = True  # see Swapper: the mesh swap looks at them
    _mesh: Mesh = field(default_factory=Mesh, init=False, repr=False)
    _net: Net | None = field(default=None, init=False, repr=False)
    _known: Known | None = field(default=None, init=False, repr=False)
    _noise: Noise | None = field(default=None, init=False, repr=False)
    _wearers: dict[int, _Wearer] = field(default_factory=dict, init=False, repr=False)
    _told: set[str] = field(default_factory=set, init=False, repr=False)
    _frames: int = field(default=0, init=False)

    def open(self) -> None:
        self._mesh = Mesh(front=self.front, engine=self.engine, fallback=self.fallback)
        self._mesh.open()
        self._noise = Noise()

    @property
    def engines(self) -> list[Engine]:
        return self._mesh.engines + ([] if self._net is None else [self._net.engine])

    def close(self) -> None:
        self._mesh.close()
        self._close_net()
        self._wearers = {}

    def wear(self, persona: Persona) -> None:
        """Raises BadInput for a persona that is no personal engine or has no portraits, else as open_net."""
        card = persona.model
        if card is None or card.family != PERSONAL:
            raise BadInput(f"{persona.name} is no personal engine", hint="doppelcam teach makes one; or swapper=auto")
        if not persona.views:
            raise BadInput(f"{persona.name} comes without the face that it was taught", hint="teach it again")
        self._close_net()
        self._known = read_known(card)
        self._net = open_net(card, self.engine, self.threads, self.fallback)
        if "face_mask" not in self._net.masks:
            raise ModelError(f"the net of model {card.name!r} gives no face_mask", hint="teach it again")
        self._mesh.wear(persona)
        self._wearers, self._told, self._frames = {}, set(), 0
        self.wants_irises = True  # it may be the mesh swap that draws the first frame

    def swap(self, image: Image, face: Face) -> Patch:
        if face.mesh is None:
            raise ValueError("a personal engine needs a finder that gives a mesh")
        wearer = self._remember(face.track)
        turn = wearer.turn
        if not face.missed and (wearer.frames % _EVERY == 1 or not face.track):
            assert self._known is not None, "wear() comes first"
            turn.look(self._known.far(look_of(image, face)), self.reach)
        asks_net, asks_mesh = turn.asks
        errors: list[Exception] = []
        net = self._by_net(image, face, wearer, errors) if asks_net else None
        mesh = self._by_mesh(image, face, errors) if asks_mesh or net is None else None
        if net is None and mesh is None and not asks_net:
            asks_net, net = True, self._by_net(image, face, wearer, errors)
        if net is None and mesh is None:
            self.stood_in = False
            raise errors[0]
        drew_mesh = mesh is not None if asks_mesh or (asks_net and net is None) else None
        share = turn.drew(net is not None if asks_net else None, drew_mesh)
        self.stood_in = share > 0
        recent = (one for one in self._wearers.values() if self._frames - one.used < _RECENT)
        self.wants_irises = any(one.turn.asks[1] for one in recent)
        if net is None or share == 1:
            assert mesh is not None, "one of the two drew"
            return mesh
        return net if mesh is None or share == 0 else crossed(net, mesh, share)

    def _by_net(self, image: Image, face: Face, wearer: _Wearer, errors: list[Exception]) -> Patch | None:
        assert self._net is not None and self._noise is not None, "wear() comes first"
        try:
            return draw(self._net, image, face, wearer.seen, self._noise, self.front)
        except EngineLost:  # the loop opens it again
            raise
        except Exception as error:
            self._note(error, errors)
            return None

    def _by_mesh(self, image: Image, face: Face, errors: list[Exception]) -> Patch | None:
        self._mesh.spare = self.spare
        try:
            return self._mesh.swap(image, face)
        except EngineLost:
            raise
        except Exception as error:
            self._note(error, errors)
            return None

    def _note(self, error: Exception, errors: list[Exception]) -> None:
        """Keep the error for the case that nobody can draw; say each once."""
        errors.append(error)
        line = error.message if isinstance(error, DoppelcamError) else str(error) or type(error).__name__
        if line not in self._told and len(self._told) < 20:
            self._told.add(line)
            _log.warning("%s: %s", line, _STANDS_IN if isinstance(error, Unusable) else _OTHER)

    def _remember(self, track: int) -> _Wearer:
        """The memory of this track; what was not used for long is forgotten."""
        self._frames += 1
        wearer = self._wearers.setdefault(track, _Wearer()) if track else _Wearer()
        wearer.used = self._frames
        wearer.frames += 1
        if len(self._wearers) > 8:
            self._wearers = {k: w for k, w in self._wearers.items() if self._frames - w.used < _FORGET}
        return wearer

    def _close_net(self) -> None:
        if self._net is not None:
            with suppress(DoppelcamError):
                self._net.engine.close()
        self._net = None
