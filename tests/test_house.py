"""The rules of the house that a machine can check: the top level, no stray words, what ships stays small."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("live", "engines", "export")


def tracked():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [Path(line) for line in done.stdout.splitlines()]


def test_the_top_level_is_as_agreed():
    allowed = {"pyproject.toml", "live", "engines", "export", "tests", "README.md", "LICENSE", "CHANGELOG.md"}
    assert {path.parts[0] for path in tracked() if not path.parts[0].startswith(".")} <= allowed


def test_every_module_says_what_it_is_for():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert path.read_text(encoding="utf-8").startswith('"""'), path


def test_no_file_swells():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= 380, f"{path} has {lines} lines"


def test_what_ships_fits_into_a_wheel_of_15_megabytes():
    size = sum((ROOT / path).stat().st_size for path in tracked() if path.parts[0] in PACKAGES)
    assert size < 15_000_000


def test_every_shipped_binary_has_its_licence_and_source_beside_it():
    for folder in ("live/models", "live/samples", "live/marks/badge"):
        assert (ROOT / folder / "README.md").is_file()
        assert list((ROOT / folder).glob("LICENSE-*"))


def test_no_extra_installs_two_onnx_runtimes():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for packages in extras.values():
        assert sum(package.startswith("onnxruntime") for package in packages) <= 1
