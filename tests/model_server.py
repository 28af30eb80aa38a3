"""A real model server on loopback: MLServer in a process of its own, killed for sure at the end."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import onnx

WHY_NOT = "MLServer is not installed (it needs Python 3.12 or older): pip install mlserver"
_WORDS = {"float32": "FP32", "uint8": "UINT8"}


def installed():
    return importlib.util.find_spec("mlserver") is not None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ModelServer:
    """Serves ONNX models {name: bytes}; `address` is HOST:PORT. It can be killed and started again at that port."""

    def __init__(self, folder, models):
        self.folder, self._process = Path(folder), None
        self.port, self._http_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        (self.folder / "settings.json").write_text(
            json.dumps(
                {
                    "host": "127.0.0.1",
                    "grpc_port": self.port,
                    "http_port": self._http_port,
                    "metrics_endpoint": None,
                    "parallel_workers": 0,
                    "debug": False,
                }
            )
        )
        for name, data in models.items():
            self.write(name, data)

    def write(self, name, data):
        """Put this model into the folder that is served; a running server does not look at it again."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(data)
        graph = onnx.load_model_from_string(data).graph
        settings = {
            "name": name,
            "implementation": "tests.served_model.ServedModel",
            "parameters": {"uri": str(folder / "model.onnx")},
            "inputs": [_told(value) for value in graph.input],
            "outputs": [_told(value) for value in graph.output],
        }
        (folder / "model-settings.json").write_text(json.dumps(settings))

    def start(self):
        """Returns when all models are ready."""
        root = Path(__file__).parents[1]
        with (self.folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.served_model", "start", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError("MLServer did not start:\n" + (self.folder / "log.txt").read_text()[-2000:])
            time.sleep(0.05)
        return self

    def _ready(self):
        """Its models are loaded, and the gRPC side, which comes last, listens."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._http_port}/v2/health/ready", timeout=1) as answer:
                loaded = answer.status == 200
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return loaded
        except OSError:
            return False

    def kill(self):
        """At once, with all its children."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process.stdin.close()
        self._process = None


def _told(value):
    kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    shape = [size.dim_value or -1 for size in value.type.tensor_type.shape.dim]
    return {"name": value.name, "datatype": _WORDS[kind], "shape": shape}
