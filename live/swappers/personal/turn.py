"""Whose turn it is to draw one face, the net's or the mesh swap's: handed over slowly, and taken over at once.

Looks that the net never saw are handed over: the mesh swap draws some frames that nobody sees, in which it learns the
wearer's light and shape, then the one face fades into the other. A net or a mesh swap that fails is left out at once,
and is asked again later.
"""

from __future__ import annotations

from dataclasses import dataclass

AHEAD, FADE = 5, 9  # frames that the mesh swap draws unseen; frames in which one face becomes the other
AGAIN = 30  # frames after which one that failed is asked again
_PACE = 0.35  # how far the distance follows each look
_MOST = 3.0  # farther is no farther
_BACK = 0.75  # part of the reach within which a look must be to be called known again


@dataclass(slots=True)
class Turn:
    """`share` 0..1: how much of the mesh swap is in the picture. `far`: the smoothed distance of the looks."""

    share: float = 0.0
    far: float | None = None
    is_new: bool = False
    _ahead: int = 0
    _net_rests: int = 0
    _mesh_rests: int = 0

    def look(self, far: float, reach: float) -> None:
        """The face looks so far from what the net knows; beyond `reach` that is new to it."""
        far = min(far, _MOST)
        first = self.far is None
        self.far = far if self.far is None else self.far + (far - self.far) * _PACE
        self.is_new = self.far > reach * (_BACK if self.is_new else 1)
        if first and self.is_new:
            self.share = 1.0  # nobody has seen the other one yet

    @property
    def to_mesh(self) -> bool:
        """Shall the mesh swap be seen, soon or already?"""
        return (self.is_new or self._net_rests > 0) and self._mesh_rests == 0

    @property
    def asks(self) -> tuple[bool, bool]:
        """Who must draw the next frame: the net, the mesh swap."""
        return self.share < 1 or not self.to_mesh, self.share > 0 or self.to_mesh

    def drew(self, net: bool | None, mesh: bool | None) -> float:
        """Who drew this frame (True), failed (False), or was not asked (None): one drew. What `share` is shown."""
        to_mesh = self.to_mesh
        self._net_rests = AGAIN if net is False else max(0, self._net_rests - 1)
        self._mesh_rests = AGAIN if mesh is False else max(0, self._mesh_rests - 1)
        if net is False:
            self.share = 1.0
        elif mesh is False:
            self.share = 0.0
        elif to_mesh:
            self._ahead += 1
            if self._ahead > AHEAD:
                self.share = min(1.0, self.share + 1 / FADE)
        else:
            self._ahead = 0
            self.share = max(0.0, self.share - 1 / FADE)
        if self.share < 1e-6 or self.share > 1 - 1e-6:
            self.share = round(self.share)
        return self.share
