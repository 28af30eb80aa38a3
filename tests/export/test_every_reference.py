"""Every reference model, whatever family it is of: recognised by one reader only, and a graph that TensorRT takes."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from engines.runtimes._trt_graph import fit
from export.folder import find
from export.graph import Graph
from export.trained import READERS

ARCHIVES = Path(__file__).parent / "reference"
# "seeded" ones are recipes without weights; "layers" are single layers, not swaps.
NAMES = sorted(
    path.name.removesuffix(".tar.xz")
    for path in ARCHIVES.glob("*.tar.xz")
    if not path.name.startswith("seeded") and "layers" not in path.name
)


def test_none_is_left_out():
    assert len(NAMES) >= 30


@pytest.mark.parametrize("name", NAMES)
def test_one_reader_claims_it(reference, name):
    claims = [reader for reader in READERS.names() if READERS.load(reader).recognise(reference(name)) is not None]
    assert len(claims) == 1


@pytest.mark.parametrize("name", NAMES)
def test_tensorrt_has_every_operator_of_it(reference, name):
    """Its parser's own table of operators, in bytes in and out; checked without a GPU."""
    trained = find(reference(name), {}).trained
    graph = Graph(fused=True)
    data = graph.finish(**trained.build(graph))
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    assert fit(data, name)
