"""Plugins: a folder is a registry; what cannot be imported says why and what to install."""

from __future__ import annotations

import itertools
import sys

import pytest

from engines.errors import BadInput, NotAvailable
from engines.plugins import Plugins, import_failure

_numbers = itertools.count()


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Makes a registry from {file name without .py: source}."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(**files):
        package = f"plugins_for_a_test_{next(_numbers)}"
        folder = tmp_path / package
        folder.mkdir()
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(text)
        made.append(package)
        return Plugins("gadget", package)

    yield make
    for name in [n for n in sys.modules if n.partition(".")[0] in made]:
        del sys.modules[name]


def test_names_are_sorted_file_names_without_private_ones(plugins):
    assert plugins(beta="", alpha_two="", _hidden="").names() == ["alpha_two", "beta"]


def test_names_import_nothing(plugins):
    kind = plugins(loud="raise SystemExit('imported')")
    assert kind.names() == ["loud"]


def test_the_class_is_the_file_name_in_camel_case(plugins):
    kind = plugins(video_file="class VideoFile: pass\nclass Other: pass")
    assert kind.load("video_file").__name__ == "VideoFile"


def test_a_near_miss_is_suggested(plugins):
    with pytest.raises(BadInput, match="there is no gadget called 'windw'") as caught:
        plugins(window="", camera="").load("windw")
    assert caught.value.hint == "did you mean 'window'?"


def test_without_a_near_miss_all_are_named(plugins):
    with pytest.raises(BadInput) as caught:
        plugins(window="", camera="").load("qqq")
    assert "camera, window" in caught.value.hint


@pytest.mark.parametrize("name", ["", "_hidden", "__init__", "os.path", "../window", "window.py"])
def test_only_names_of_the_folder_are_loaded(plugins, name):
    with pytest.raises(BadInput):
        plugins(window="class Window: pass", _hidden="class Hidden: pass").load(name)


def test_a_missing_package_is_named_with_pip(plugins):
    kind = plugins(part="import surely_no_such_package.sub\nclass Part: pass")
    with pytest.raises(NotAvailable, match=r"gadget 'part'.*surely_no_such_package is not installed") as caught:
        kind.load("part")
    assert caught.value.hint == "pip install surely_no_such_package"


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        ("onnxruntime", "cpu"),
        ("openvino", "openvino"),
        ("tensorrt", "nvidia"),
        ("pycuda", "nvidia"),
    ],
)
def test_a_missing_package_of_an_extra_names_the_extra(plugins, monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NotAvailable, match=package) as caught:
        plugins(part=f"import {package}\nclass Part: pass").load("part")
    assert caught.value.hint == f'pip install "doppelcam[{extra}]"'


@pytest.mark.parametrize(
    ("text", "library", "hint"),
    [
        ("libGL.so.1: cannot open shared object file: No such file or directory", "libGL.so.1", "apt install libgl1"),
        ("libgomp.so.1: cannot open shared object file", "libgomp.so.1", "dnf install libgomp"),
        ("libcuda.so.1: cannot open shared object file", "libcuda.so.1", "install the NVIDIA driver"),
        ("libxcb.so.1: cannot open shared object file", "libxcb.so.1", "apt install libxcb1"),
    ],
)
def test_a_missing_system_library_is_named_with_its_package(plugins, text, library, hint):
    with pytest.raises(NotAvailable, match=library) as caught:
        plugins(part=f"raise ImportError({text!r})").load("part")
    assert hint in caught.value.hint


def test_the_hint_for_a_driver_names_no_package_manager():
    assert "apt" not in import_failure("x", ImportError("libcuda.so.1: cannot open shared object file")).hint


def test_another_import_error_is_told_as_it_is(plugins):
    with pytest.raises(NotAvailable, match="numpy is too old"):
        plugins(part="raise ImportError('numpy is too old')").load("part")


def test_why_not_is_none_for_what_works(plugins):
    assert plugins(part="class Part: pass").why_not("part") is None


def test_why_not_gives_the_import_failure(plugins):
    error = plugins(part="import surely_no_such_package").why_not("part")
    assert isinstance(error, NotAvailable) and "surely_no_such_package" in error.message


def test_why_not_asks_the_part_itself(plugins):
    text = (
        "from engines.errors import NotAvailable\nclass Part: pass\n"
        "def available():\n    raise NotAvailable('no device', hint='plug it in')\n"
    )
    error = plugins(part=text).why_not("part")
    assert isinstance(error, NotAvailable) and (error.message, error.hint) == ("no device", "plug it in")


def test_why_not_of_an_available_part_is_none(plugins):
    assert plugins(part="class Part: pass\ndef available(): pass").why_not("part") is None


def test_why_not_of_an_unknown_name(plugins):
    assert isinstance(plugins(part="class Part: pass").why_not("prt"), BadInput)
