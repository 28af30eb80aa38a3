"""`doppelcam models lower` as a user runs it: a form is made and measured, or one clear line says why not."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from engines.card import read_card
from engines.door import RUNTIMES, candidates
from engines.errors import BadInput, DoppelcamError, ModelError
from engines.store import user_store
from live.cli import app
from tests.engines.models import convolutions, folder_of

pytestmark = pytest.mark.skipif(RUNTIMES.why_not("onnx_runtime") is not None, reason="onnxruntime is not installed")


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch, tmp_path):
    for name in ("DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))


def lower(*args):
    done = CliRunner().invoke(app, ["models", "lower", *map(str, args)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def probes(tmp_path):
    waves = np.sin(np.linspace(0, 9, 16 * 3 * 16 * 16)).reshape(16, 1, 3, 16, 16)
    np.savez(tmp_path / "probes.npz", picture=waves.astype(np.float32))
    return tmp_path / "probes.npz"


def test_a_model_of_the_users_gets_an_int8_form_that_runs(tmp_path, probes):
    folder_of(tmp_path / "given", convolutions(), name="mine", tolerance={"y": 0.5})
    user_store().add_folder(tmp_path / "given", "mine")
    done = lower("mine", "int8", "--probes", probes)
    assert done.exit_code == 0 and "mine has an int8 form now" in done.output and "PSNR" in done.output
    card = user_store().card("mine")
    assert not any(user_store().check("mine").values())
    assert any(way.precision == "int8" for way in candidates(card))


def test_a_model_folder_by_its_path(tmp_path, probes):
    folder_of(tmp_path / "here", convolutions())
    assert lower(tmp_path / "here", "fp16", "--probes", probes).exit_code == 0
    assert "onnx_fp16" in read_card(tmp_path / "here").files


@pytest.mark.parametrize(
    ("args", "kind", "words"),
    [
        (["face_mesh", "int8"], BadInput, "came with doppelcam"),
        (["nobody", "int8"], BadInput, "there is no model 'nobody'"),
        (["here", "int4"], BadInput, "int8 or fp16"),
        (["strict", "int8"], ModelError, "without losing too much"),
    ],
)
def test_what_cannot_be_is_told(tmp_path, monkeypatch, probes, args, kind, words):
    folder_of(tmp_path / "here", convolutions())
    folder_of(tmp_path / "strict", convolutions(), tolerance={"y": 1e-7})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=words):
        lower(*args, "--probes", probes)


def test_probes_must_be_given_and_be_probes(tmp_path):
    folder_of(tmp_path / "here", convolutions())
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(DoppelcamError, match="holds no probes"):
        lower(tmp_path / "here", "int8", "--probes", tmp_path / "text.npz")
