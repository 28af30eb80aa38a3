"""What several tests need: frames that sinks accept, the shipped portraits, a finder that is opened once."""

from __future__ import annotations

import sys
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from live import frame as values
from live.finders.mediapipe_mesh import MediapipeMesh
from live.frame import SafeFrame
from live.personas import SAMPLE_PORTRAITS, open_persona
from live.trace import Trace
from tests import pipewire_session
from tests.clips import write_clip
from tests.gpu_doubles import GpuDoubles
from tests.live.marks.call import sample
from tests.model_server import WHY_NOT, ModelServer, installed

# Checkpoints of the original programs with random weights, and their outputs.
REFERENCE = Path(__file__).parent / "export" / "reference"


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory):
    """The tests' own cache and data: nothing of the user's is read or changed, commands run by tests included."""
    patch = pytest.MonkeyPatch()
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
    patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    yield
    patch.undo()


@pytest.fixture
def doubled_gpu(tmp_path, monkeypatch):
    """An imagined NVIDIA GPU with its libraries, on which the runtime tensor_rt opens; no plans are kept yet."""
    gpu = GpuDoubles()
    own = [f"engines.runtimes.{name}" for name in ("tensor_rt", "_trt_build")]
    with monkeypatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(tmp_path / name))
        for name, module in {**dict.fromkeys(own), **gpu.modules}.items():
            patch.setitem(sys.modules, name, module)
        for name in own:
            del sys.modules[name]
        yield gpu


@pytest.fixture
def safe_frame():
    """Makes a frame as the guard would; the picture is copied, since a safe one is read-only."""

    def make(image, position_s=0.0, state="live"):
        trace = Trace(0) if state in ("live", "bare") else None
        return SafeFrame(values._GUARDS_KEY, np.array(image, np.uint8), state, position_s, trace)

    return make


@pytest.fixture(scope="module")
def pipewire(tmp_path_factory):
    """A private PipeWire session, in which parts opened by this process live too."""
    if not pipewire_session.installed():
        pytest.skip(pipewire_session.WHY_NOT)
    session = pipewire_session.PipeWireSession(tmp_path_factory.mktemp("run"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_RUNTIME_DIR", "PIPEWIRE_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
            patch.setenv(name, session.environment[name])
        yield session
    session.stop()


@pytest.fixture(scope="session")
def finder():
    """The default finder, opened."""
    part = MediapipeMesh(engine="onnx_runtime:cpu:fp32")  # so that figures do not hang on what is fastest here
    part.open()
    yield part
    part.close()


@pytest.fixture(scope="session")
def portrait(finder):
    """The first shipped portrait as a persona."""
    return open_persona(str(sorted(SAMPLE_PORTRAITS.glob("*.jpg"))[0]), finder)


@pytest.fixture(scope="session")
def two_seconds(tmp_path_factory):
    """A file with the first two seconds of the sample clip: 60 pictures, 1280x720, a face in each."""
    return write_clip(tmp_path_factory.mktemp("clip") / "two_seconds.mp4", sample(0, 60), fps=30)


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Starts a real model server on loopback for these models {name: ONNX bytes}; all are killed at the end."""
    if not installed():
        pytest.skip(WHY_NOT)
    servers = []

    def start(models):
        servers.append(ModelServer(tmp_path_factory.mktemp("served"), models))
        return servers[-1].start()

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """reference("dfl1_h64") is the folder of that model; it is shared, so copy it before changing anything."""

    @cache
    def unpack(name):
        folder = tmp_path_factory.mktemp("reference")
        with tarfile.open(REFERENCE / f"{name}.tar.xz", "r:xz") as archive:
            archive.extractall(folder, filter="data")
        return folder / name

    return unpack
