"""The cards that ship say what the conversion would write."""

from __future__ import annotations

from pathlib import Path

import pytest

import live
from engines.card import read_card
from engines.errors import ModelError

pytest.importorskip("onnx", reason="the readers need onnx: pip install onnx")
pytest.importorskip("tflite", reason="the TFLite reader needs tflite: pip install tflite")

from export.mediapipe import NETS, Net, write_models

MODELS = Path(live.__file__).parent / "models"


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.name)
def test_a_shipped_card_is_what_would_be_written(net: Net) -> None:
    card = read_card(MODELS / net.name)
    assert (card.name, card.family, card.facts) == (net.name, net.family, net.facts)
    assert net.file in card.source
    assert net.sha256[:8] in (MODELS / "README.md").read_text()


def test_another_file_than_the_expected_one_is_refused(tmp_path: Path) -> None:
    other = tmp_path / NETS[0].file
    other.parent.mkdir()
    other.write_bytes(b"TFL3")
    with pytest.raises(ModelError, match="sha256"):
        write_models(tmp_path, tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()
