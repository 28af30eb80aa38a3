"""Each check on a machine that is well, and with each fault that it is there to find."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import platformdirs
import psutil
import pytest

from engines.errors import NotAvailable
from engines.plugins import Plugins
from engines.store import user_store
from live import v4l2
from live.doctor import cameras, engines, models, python
from live.doctor.finding import ok
from live.sources.camera import device as camera_device
from live.sources.camera import modes as camera_modes
from live.sources.camera import which
from live.sources.camera.modes import Mode
from live.v4l2 import Device


def states(findings):
    return [one.state for one in findings]


def the(state, findings):
    (one,) = [one for one in findings if one.state == state]
    assert state == "ok" or one.fix
    return one


# ---- python and processor


def test_python_and_its_packages_are_well_here():
    findings = list(python.packages())
    assert states(findings) == ["ok", "ok"]
    assert "Python 3." in findings[0].line


@pytest.mark.parametrize(
    ("requirement", "words", "fix"),
    [
        ("nosuchpackage>=1", "nosuchpackage is not installed", "pip install nosuchpackage"),
        ("numpy>=999", "numpy is too old", "pip install -U 'numpy>=999'"),
    ],
)
def test_a_package_that_is_missing_or_old_is_a_fault(monkeypatch, requirement, words, fix):
    monkeypatch.setattr(metadata, "requires", lambda _: [requirement, 'absent>=1; extra == "x"'])
    bad = the("fault", list(python.packages()))
    assert words in bad.line and bad.fix == fix


@pytest.mark.parametrize(
    ("error", "words"),
    [(ImportError("libGL.so.1: cannot open shared object"), "libGL.so.1"), (RuntimeError("half\ninstalled"), "half")],
)
def test_a_package_that_does_not_load_is_a_fault(monkeypatch, error, words):
    def load(name):
        raise error

    monkeypatch.setattr(python.importlib, "import_module", load)
    bad = python.package_trouble("opencv-python", "4")
    assert bad.state == "fault" and words in bad.line and "installed" not in bad.line and bad.fix


def test_not_installed_as_a_package_is_said(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert "not installed" in the("note", list(python.packages())).line


def test_the_processor_is_named():
    assert all("core" in one.line or "instructions" in one.line or "memory" in one.line for one in python.processor())


def test_a_weak_machine_is_noted(monkeypatch):
    monkeypatch.setattr(python, "_cpu", lambda: ("Old", {"sse2"}))
    monkeypatch.setattr("engines.choose.cores", lambda: 1)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2e8, total=4e9))
    told = " ".join(one.line for one in python.processor() if one.state == "note")
    assert "no AVX2" in told and "one core" in told and "0.2 GB" in told


# ---- graphics and runtimes


@pytest.fixture
def pci(tmp_path, monkeypatch):
    """Puts these display controllers on the bus."""
    monkeypatch.setattr(engines, "_PCI", tmp_path)
    monkeypatch.setattr(engines.Path, "exists", lambda self: False)

    def plug(*vendors):
        for vendor in vendors:
            card = tmp_path / vendor
            card.mkdir()
            (card / "class").write_text("0x030000\n")
            (card / "vendor").write_text(vendor + "\n")

    return plug


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A stand-in for the tool: what it prints and how it ends."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(text, status=0):
        tool = folder / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
        tool.chmod(0o755)

    return make


@pytest.fixture
def libcuda(monkeypatch):
    """A stand-in for the driver's library."""

    def make(version=12040, status=0, error=None):
        class Library:
            def __init__(self, name, mode=0):
                if error:
                    raise OSError(error)

            def cuInit(self, flags):  # noqa: N802
                return status

            def cuDriverGetVersion(self, reference):  # noqa: N802
                reference._obj.value = version
                return 0

        monkeypatch.setattr(ctypes, "CDLL", Library)

    return make


def test_without_an_nvidia_card_there_is_nothing_to_fix(pci, nvidia_smi):
    pci("0x8086", "0x1002")
    assert list(engines.graphics()) == [ok("no NVIDIA GPU; others: AMD, Intel")]


def test_a_card_without_a_driver(pci, nvidia_smi, monkeypatch):
    pci("0x10de")
    monkeypatch.setattr(engines, "_version", lambda _: "1")
    monkeypatch.setattr(engines, "_cuda_of_onnx_runtime", lambda version: ok(version))
    assert "without NVIDIA's driver" in the("note", engines.graphics()).line


def test_a_card_that_is_well(pci, nvidia_smi, libcuda, monkeypatch):
    pci("0x10de")
    nvidia_smi("NVIDIA H100, 550.54, 81559 MiB")
    libcuda()
    monkeypatch.setattr(engines, "_version", lambda package: "10.1" if package == "tensorrt" else "")
    findings = list(engines.graphics())
    assert states(findings) == ["ok", "ok"]
    assert "H100" in findings[0].line and "CUDA 12.4" in findings[1].line


@pytest.mark.parametrize(
    ("said", "cuda", "words"),
    [
        (("Failed to initialize NVML: Driver/library version mismatch", 18), {}, "version mismatch"),
        (("", 0), {}, "says nothing"),
        (("card", 0), {"version": 11080}, "CUDA 11.8; 12.0"),
        (("card", 0), {"status": 804}, "error 804"),
        (("card", 0), {"error": "libcuda.so.1: cannot open shared object file"}, "libcuda cannot be loaded"),
    ],
)
def test_a_driver_that_is_broken(pci, nvidia_smi, libcuda, monkeypatch, said, cuda, words):
    pci("0x10de")
    nvidia_smi(*said)
    libcuda(**cuda)
    monkeypatch.setattr(engines, "_version", lambda package: "10.1" if package == "tensorrt" else "")
    assert words in the("note", engines.graphics()).line


def test_a_card_that_nothing_uses(pci, nvidia_smi, libcuda, monkeypatch):
    pci("0x10de")
    nvidia_smi("card")
    libcuda()
    monkeypatch.setattr(engines, "_version", lambda _: "")
    assert "doppelcam[nvidia]" in the("note", engines.graphics()).fix


def test_a_library_of_cuda_that_is_missing_is_named(tmp_path, monkeypatch):
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").write_bytes(b"not a library")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: spec)

    def load(name, mode=0):
        raise OSError("libcublasLt.so.13: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert "libcublasLt.so.13 is missing" in engines._cuda_of_onnx_runtime("1.31").line
    monkeypatch.setattr(ctypes, "CDLL", lambda name, mode=0: None)
    assert engines._cuda_of_onnx_runtime("1.31").state == "ok"


def test_the_runtimes_of_this_machine_are_well():
    findings = list(engines.runtimes())
    assert "fault" not in states(findings)
    assert any(one.line.startswith("onnx_runtime 1.") for one in findings if one.state == "ok")


def test_without_any_runtime_it_cannot_run(monkeypatch):
    monkeypatch.setattr(Plugins, "why_not", lambda self, name: NotAvailable(f"{name} is gone", hint="pip install it"))
    assert 'pip install "doppelcam[cpu]"' in the("fault", list(engines.runtimes())).fix


def test_a_runtime_that_breaks_while_loading_is_noted_and_the_others_are_looked_at(monkeypatch):
    real = Plugins.why_not

    def why_not(self, name):
        if name == "openvino":
            raise RuntimeError("undefined symbol")
        return real(self, name)

    monkeypatch.setattr(Plugins, "why_not", why_not)
    findings = list(engines.runtimes())
    assert any("openvino does not load" in one.line for one in findings if one.state == "note")
    assert any(one.line.startswith("onnx_runtime") for one in findings if one.state == "ok")


def test_two_packages_of_onnx_runtime_are_noted(monkeypatch):
    real = engines._version
    monkeypatch.setattr(engines, "_version", lambda package: "1" if "onnxruntime" in package else real(package))
    assert any("overwrite each other" in one.line for one in engines.runtimes())


# ---- models, folders, other parts


def test_the_models_that_ship_are_whole():
    assert states(models.models())[0] == "ok"


def test_a_model_that_changed_is_a_fault_when_it_ships_and_a_note_when_it_is_yours(tmp_path, monkeypatch):
    shutil.copytree(models._SHIPPED, tmp_path / "shipped")
    monkeypatch.setattr(models, "_SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    user_store().add_folder(models._SHIPPED / "iris", "mine")
    assert "1 of your models are whole" in [one.line for one in models.models()]
    for file in (tmp_path / "shipped/iris/iris.onnx", tmp_path / "data/models/mine/iris.onnx"):
        file.chmod(0o644)
        file.write_bytes(b"cut")
    (tmp_path / "shipped/face_mesh/face_mesh.onnx").unlink()
    findings = list(models.models())
    assert [one.line for one in findings if one.state == "fault"] == [
        "the model face_mesh, which came with doppelcam, is missing: face_mesh.onnx",
        "the model iris, which came with doppelcam, is changed: iris.onnx",
    ]
    mine = the("note", findings)
    assert "your model mine is changed" in mine.line and "models remove mine" in mine.fix


def test_a_model_whose_card_is_broken_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path))
    (tmp_path / "models" / "odd").mkdir(parents=True)
    assert "your model odd is broken" in the("note", list(models.models())).line


def test_folders_that_can_be_written_to(tmp_path, monkeypatch):
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name / "not" / "made" / "yet"))
    assert states(models.folders()) == ["ok", "ok", "ok"]
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


def test_a_folder_that_cannot_be_written_to_is_a_fault(monkeypatch):
    def refuse(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(models.tempfile, "TemporaryFile", refuse)
    findings = list(models.folders())
    assert states(findings) == ["fault"] * 3
    assert "Read-only file system" in findings[0].line and "XDG_DATA_HOME" in findings[0].fix


def test_a_full_disk_is_noted(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    findings = list(models.folders())
    assert states(findings) == ["note"] * 3 and "only 1 MB are free" in findings[0].line


def test_parts_that_cannot_be_used_are_noted_with_their_hint(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    real = Plugins.why_not

    def why_not(self, name):
        if name == "feather":
            raise RuntimeError("a broken installation")
        return real(self, name)

    monkeypatch.setattr(Plugins, "why_not", why_not)
    findings = list(models.parts())
    assert any("sink window" in one.line and one.fix for one in findings if one.state == "note")
    assert "a broken installation" in the("fault", findings).line


# ---- cameras


@pytest.fixture
def machine(monkeypatch):
    """A machine with these video nodes, who holds them, and the modes of its cameras."""
    made = SimpleNamespace(devices=[], holders={}, modes=[Mode("MJPG", 1280, 720, 30.0)])
    monkeypatch.setattr(v4l2, "devices", lambda: made.devices)
    monkeypatch.setattr(v4l2, "holders", lambda path: (made.holders.get(path, []), False))
    monkeypatch.setattr(cameras, "modes_of", lambda device, wish: made.modes)
    monkeypatch.setattr(cameras.sys, "platform", "linux")
    return made


WEBCAM = Device("/dev/video0", "Webcam", "uvcvideo", "usb-1", v4l2.CAP_CAPTURE)


def test_no_camera_is_a_note(machine):
    assert "no camera" in the("note", cameras.cameras()).line


def test_a_camera_that_is_well(machine):
    machine.devices = [WEBCAM]
    assert list(cameras.cameras()) == [ok("/dev/video0 (Webcam) gives 1280x720 at 30 (MJPG)")]


def test_a_camera_that_may_not_be_opened_is_a_fault(machine):
    machine.devices = [Device("/dev/video0", "Webcam", trouble=PermissionError(errno.EACCES, "denied"))]
    assert "usermod -aG video" in the("fault", cameras.cameras()).fix


def test_a_camera_that_is_slow_or_gives_nothing_or_is_in_use_is_noted(machine):
    machine.devices = [WEBCAM]
    machine.modes = [Mode("YUYV", 1280, 720, 10.0)]
    assert "at best 1280x720 at 10" in the("note", cameras.cameras()).line
    machine.modes = []
    assert "gives nothing" in the("note", cameras.cameras()).line
    machine.modes = [Mode("MJPG", 1280, 720, 30.0)]
    machine.holders = {"/dev/video0": [(4, "zoom"), (os.getpid(), "doppelcam")]}
    assert "open in zoom (process 4)" in the("note", cameras.cameras()).line


def test_virtual_cameras_are_no_cameras_here(machine):
    machine.devices = [Device("/dev/video9", "doppelcam", v4l2.LOOPBACK, "x", v4l2.CAP_CAPTURE)]
    assert "no camera is connected" in the("note", cameras.cameras()).line


def test_elsewhere_cameras_are_told_only_by_opening_them(machine, monkeypatch):
    monkeypatch.setattr(cameras.sys, "platform", "darwin")
    assert states(cameras.cameras()) == ["ok"]


def test_a_missing_virtual_camera_is_a_note_with_its_hint(machine, monkeypatch):
    error = NotAvailable("no virtual camera", hint="sudo modprobe v4l2loopback")
    monkeypatch.setattr(Plugins, "why_not", lambda self, name: error)
    assert "modprobe" in the("note", cameras.virtual_cameras()).fix


@pytest.mark.parametrize(("caps", "count"), [("N,N,N", 1), ("Y,N", 0)])
def test_a_virtual_camera_that_browsers_do_not_see_is_noted(machine, monkeypatch, tmp_path, caps, count):
    monkeypatch.setattr(Plugins, "why_not", lambda self, name: None)
    monkeypatch.setattr(cameras, "_PARAMETERS", tmp_path)
    (tmp_path / "exclusive_caps").write_text(caps + "\n")
    machine.devices = [Device("/dev/video9", "doppelcam", v4l2.LOOPBACK, "x", v4l2.CAP_CAPTURE)]
    machine.holders = {"/dev/video9": [(7, "obs")]}
    findings = list(cameras.virtual_cameras())
    assert ok("/dev/video9 (doppelcam) is open in obs (process 7)") in findings
    assert states(findings).count("note") == count


def test_the_checks_ask_the_same_code_as_the_camera_itself():
    assert cameras.cannot_open is camera_device.cannot_open
    assert cameras.find_cameras is which.cameras
    assert cameras.best is camera_modes.best
    assert Path(models._SHIPPED).name == "models"
