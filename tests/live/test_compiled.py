"""Compiled functions: their code is kept where it can be, and where it cannot they work all the same."""

from __future__ import annotations

import pytest
from numba import types
from numba.core import caching

from live import compiled as module
from live.compiled import compiled


@pytest.fixture
def nowhere(monkeypatch):
    """As if neither the source's folder nor the user's cache could be written to."""
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    module._say.cache_clear()


def twice(x):
    return 2 * x


@pytest.mark.parametrize("signature", [None, types.int64(types.int64)])
def test_without_a_folder_for_it_a_function_works_and_that_is_said_once(nowhere, caplog, signature):
    assert [compiled(signature)(twice)(n) for n in (1, 2)] == [2, 4]
    (line,) = [record.message for record in caplog.records if record.name == "doppelcam.compiled"]
    assert "cannot be kept" in line and "NUMBA_CACHE_DIR" in line


def test_with_one_it_is_kept_and_nothing_is_said(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    assert compiled()(twice)(3) == 6
    assert list(tmp_path.rglob("*.nbi")) and not caplog.records


def test_what_cannot_be_compiled_is_an_error(nowhere):
    with pytest.raises(Exception, match="nonsense"):
        compiled(types.int64(types.int64))(lambda x: nonsense(x))  # noqa: F821
