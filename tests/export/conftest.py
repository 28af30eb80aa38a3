"""The reference models, unpacked: checkpoints of the original programs with random weights, and their outputs."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path

import pytest

ARCHIVES = Path(__file__).parent / "reference"


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """reference("dfl1_h64") is the folder of that model; it is shared, so copy it before changing anything."""

    @cache
    def unpack(name):
        folder = tmp_path_factory.mktemp("reference")
        with tarfile.open(ARCHIVES / f"{name}.tar.xz", "r:xz") as archive:
            archive.extractall(folder, filter="data")
        return folder / name

    return unpack
