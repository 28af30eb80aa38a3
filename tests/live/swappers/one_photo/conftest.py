"""What the tests of the one-photo swap share: the user's models with a recogniser and converters among them."""

from __future__ import annotations

import pytest

from engines.store import user_store
from live.swappers.one_photo import OnePhoto
from tests import one_photo_nets


@pytest.fixture(scope="session")
def _models(tmp_path_factory):
    """A data folder with the contract recogniser and converters, as if they had been added."""
    data = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(data))
        root = user_store().root
        for file_name in one_photo_nets.CONVERTERS:
            one_photo_nets.make_model(root / file_name[:-5], file_name, one_photo_nets.converter())
        name = one_photo_nets.RECOGNISER
        one_photo_nets.make_model(root / name[:-5], name, one_photo_nets.recogniser())
    return data


@pytest.fixture
def models(_models, monkeypatch):
    """The user has these models; files are not looked at in quarantine, which has tests of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(_models))
    monkeypatch.setattr("engines.door.admit", lambda card: None)
    return user_store()


@pytest.fixture
def add_enhancer(tmp_path):
    """add_enhancer(file name, kind) is the folder of a contract enhancer."""

    def add(file_name="gfpgan_1.4.onnx", kind="bright"):
        folder = tmp_path / f"{file_name[:-5]}-{kind}"
        if not folder.exists():
            one_photo_nets.make_model(folder, file_name, one_photo_nets.enhancer(file_name, kind))
        return str(folder)

    return add


@pytest.fixture
def wear(models, tmp_path, portrait):
    """Opens a swapper that wears the portrait by a contract model; `look` are its settings."""
    opened = []

    def open_one(file_name="hyperswap_1a_256.onnx", kind="same", persona=portrait, **look):
        data = one_photo_nets.swapper(file_name, kind)
        folder = one_photo_nets.make_model(tmp_path / f"{file_name[:-5]}-{len(opened)}", file_name, data)
        plain = {"engine": "onnx_runtime:cpu:fp32", "threads": 1, "front": False, "colour": "off"}
        swapper = OnePhoto(model=str(folder), **{**plain, **look})
        opened.append(swapper)
        swapper.open()
        swapper.wear(persona)
        return swapper

    yield open_one
    for swapper in opened:
        swapper.close()
