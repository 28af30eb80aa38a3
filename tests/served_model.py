"""MLServer as tests run it, and what it runs for each ONNX model. A program of its own, never imported by a test.

python -m tests.served_model start FOLDER
"""

from __future__ import annotations

import os
import sys
import threading

import onnxruntime
from mlserver import MLModel
from mlserver.cli import main
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class ServedModel(MLModel):
    """An ONNX file on ONNX Runtime with one thread."""

    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload):
        feeds = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        names = [node.name for node in self._session.get_outputs()]
        answers = self._session.run(names, feeds)
        outputs = [NumpyCodec.encode_output(name, array) for name, array in zip(names, answers, strict=True)]
        for output, array in zip(outputs, answers, strict=True):
            output.shape = list(array.shape)  # the codec makes [n, 1] of [n]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def _end_with_the_tests():
    """Whoever started this holds the other end of stdin, and lets go of it even when killed."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    main()
