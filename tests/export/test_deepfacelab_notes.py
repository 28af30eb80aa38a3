"""DeepFaceLab's notes: from the pickle, else from the text, and nothing that is not of the expected kind."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import ModelError
from export.deepfacelab_notes import Notes, read_notes


def test_both_files_say_the_same(reference):
    folder = reference("dfl1_sae_df")
    data = read_notes(folder / "SAE")
    (other := folder.parent / "texts").mkdir()
    (other / "SAE_summary.txt").write_bytes((folder / "SAE_summary.txt").read_bytes())
    text = read_notes(other / "SAE")
    assert (data.file.name, text.file.name) == ("SAE_data.dat", "SAE_summary.txt")
    for notes in (data, text):
        assert (notes.iterations, notes.whole("ae_dims"), notes.flag("learn_mask")) == (1000, 16, True)
        assert (notes.one_of("archi", "df", "liae"), notes.flag("ca_weights")) == ("df", False)


def test_no_notes_are_no_error(tmp_path):
    notes = read_notes(tmp_path / "SAE")
    assert (notes.file, notes.iterations) == (None, None)
    assert (notes.whole("ae_dims"), notes.flag("learn_mask"), notes.one_of("archi", "df")) == (None, None, None)


def test_numbers_that_numpy_clipped_are_whole_too(tmp_path):
    (tmp_path / "SAE_data.dat").write_bytes(pickle.dumps({"iter": np.int64(7), "options": {"ae_dims": np.float32(16)}}))
    notes = read_notes(tmp_path / "SAE")
    assert (notes.iterations, notes.whole("ae_dims")) == (7, 16)


@pytest.mark.parametrize("value", ["16", 16.5, float("nan"), float("inf"), [16], b"16"])
def test_what_is_no_whole_number_is_told(tmp_path, value):
    with pytest.raises(ModelError, match=r"option ae_dims is .*; a whole number is expected"):
        Notes(tmp_path, {"ae_dims": value}).whole("ae_dims")


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text("=: \n0123456789abc", max_size=200).map(str.encode))
def test_any_text_is_read(tmp_path, text):
    (tmp_path / "SAE_summary.txt").write_bytes(text)
    assert read_notes(tmp_path / "SAE").iterations is None
