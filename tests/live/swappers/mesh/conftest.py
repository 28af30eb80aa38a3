"""What the tests of the mesh swap share: the topology that ships, another portrait, faces in other poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import live
from live.personas import open_persona
from live.swappers.mesh.shape import Calm, Skull

_FACE_MESH = Path(live.__file__).parent / "models" / "face_mesh"


@pytest.fixture(scope="session")
def uv():
    with np.load(_FACE_MESH / "topology.npz") as topology:
        return np.ascontiguousarray(topology["uv"], np.float32)


@pytest.fixture(scope="session")
def skull():
    with np.load(_FACE_MESH / "topology.npz") as topology:
        return Skull(topology["canonical"], topology["triangles"])


@pytest.fixture(scope="session")
def expressions():
    """The mean calm face [468, 3] and the ways in which faces move [k, 468, 3], in cm."""
    with np.load(_FACE_MESH / "expressions.npz") as file:
        return file["calm"], file["ways"]


@pytest.fixture(scope="session")
def calm(expressions):
    return Calm(*expressions)


@pytest.fixture(scope="session")
def other(finder):
    """A shipped portrait of somebody else than `portrait`."""
    return open_persona("sample:joel", finder)
