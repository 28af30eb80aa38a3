"""check_feeds: exactly what the model asks for goes in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.engine import TensorSpec, check_feeds
from engines.errors import EngineError

IMAGE = TensorSpec("image", (2, 3), np.dtype(np.uint8))
GAIN = TensorSpec("gain", (1,), np.dtype(np.float32))


def feeds(**changes):
    good = {"image": np.zeros((2, 3), np.uint8), "gain": np.zeros(1, np.float32)}
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def test_the_right_feeds_pass():
    assert check_feeds((IMAGE, GAIN), feeds()) is None


def test_a_missing_input_is_named():
    with pytest.raises(EngineError, match="gain"):
        check_feeds((IMAGE, GAIN), feeds(gain=None))


def test_nothing_fed():
    with pytest.raises(EngineError, match="nothing"):
        check_feeds((IMAGE, GAIN), {})


def test_a_misnamed_input_is_named_with_what_was_fed():
    with pytest.raises(EngineError, match=r"image.*\['gain', 'picture'\]"):
        check_feeds((IMAGE, GAIN), feeds(image=None, picture=np.zeros((2, 3), np.uint8)))


def test_one_input_too_many():
    with pytest.raises(EngineError, match="more"):
        check_feeds((IMAGE, GAIN), feeds(more=np.zeros(1)))


@pytest.mark.parametrize("shape", [(3, 2), (2,), (1, 2, 3), (2, 4), ()])
def test_a_wrong_shape_is_told_with_the_right_one(shape):
    with pytest.raises(EngineError, match=r"takes image: uint8\[2, 3\], it was fed uint8"):
        check_feeds((IMAGE, GAIN), feeds(image=np.zeros(shape, np.uint8)))


def test_a_wrong_dtype_is_told_with_the_right_one():
    with pytest.raises(EngineError, match=r"takes gain: float32\[1\], it was fed float64\[1\]"):
        check_feeds((IMAGE, GAIN), feeds(gain=np.zeros(1)))


@given(st.lists(st.integers(0, 4), max_size=3), st.sampled_from(["uint8", "float32", "int64"]))
def test_only_the_stated_shape_and_dtype_pass(shape, dtype):
    array = np.zeros(shape, dtype)
    if array.shape == IMAGE.shape and array.dtype == IMAGE.dtype:
        check_feeds((IMAGE,), {"image": array})
    else:
        with pytest.raises(EngineError):
            check_feeds((IMAGE,), {"image": array})
