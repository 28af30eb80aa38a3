"""Quarantine: what a stranger's file does in there is told in one line; what passed is not opened a second time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engines import quarantine
from engines.card import read_card
from engines.door import RUNTIMES, open_engine
from engines.errors import ModelError, NotAvailable
from engines.quarantine import admit, child, inspect
from tests.engines.models import folder_of
from tests.engines.quarantine.corpus import CASES, model, port

GOOD = model().SerializeToString()
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """Where admitted files are remembered: a new place for each test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "doppelcam" / "admitted-1"


@pytest.fixture
def card(tmp_path):
    return folder_of(tmp_path / "folder", GOOD)


@pytest.fixture
def inside(monkeypatch):
    """Another program inside the quarantine than the real one."""

    def put(code, seconds=10.0):
        monkeypatch.setattr(child, "START", code)
        monkeypatch.setattr(quarantine, "SECONDS", seconds)

    return put


def is_opened(card, monkeypatch):
    """Whether `admit` looks into the file, or passes it as it is."""
    looked = []
    monkeypatch.setattr(quarantine, "inspect", lambda path: looked.append(path) or inspect(path))
    admit(card)
    return bool(looked)


def test_every_malformed_file_is_refused_in_time_and_in_little_memory(tmp_path):
    if RUNTIMES.why_not("onnx_runtime") is not None:
        pytest.skip("onnxruntime is not installed: what only shows when a model is loaded does not show")
    command = [sys.executable, str(ROOT / "tests/engines/quarantine/corpus.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=True)
    told = json.loads(done.stdout)
    wrong = {name: line for name, line in told["refusals"].items() if not re.search(CASES[name][0], line)}
    assert not wrong
    assert len(told["refusals"]) == len(CASES) >= 30
    assert all(line.isprintable() and len(line) < 1000 for line in told["refusals"].values())
    assert told["peak_bytes"] < 1e9


def test_a_good_model_is_admitted_and_its_second_opening_costs_nothing(card, monkeypatch, memory):
    assert is_opened(card, monkeypatch)
    assert not is_opened(card, monkeypatch)
    assert memory.read_text() == card.sha256["onnx.onnx"] + "\n"
    assert memory.stat().st_mode & 0o777 == 0o600


def test_each_onnx_file_of_a_card_is_looked_at(tmp_path, memory):
    bad = CASES["a_cycle"][1]
    bad(tmp_path / "cycle.onnx")
    more = {"onnx_int8": (tmp_path / "cycle.onnx").read_bytes()}
    with pytest.raises(ModelError, match="cycle"):
        admit(folder_of(tmp_path / "folder", GOOD, more_files=more))
    assert len(memory.read_text().splitlines()) == 1


def test_what_came_with_doppelcam_passes_at_once(card, monkeypatch):
    assert not is_opened(replace(card, trusted=True), monkeypatch)


def test_a_card_without_model_files_passes(card):
    admit(replace(card, files={}))


def test_a_file_that_the_card_does_not_describe_is_refused(card, memory):
    (card.folder / "onnx.onnx").write_bytes(model(doc_string="another").SerializeToString())
    with pytest.raises(ModelError, match="sha256 differs"):
        admit(card)
    assert not memory.exists()


@pytest.mark.parametrize("text", ["", "no hash\n", "\xff", "0" * 64 + "\n" + "g" * 64, "{}", "\x00" * 64])
def test_a_damaged_memory_remembers_nothing(card, monkeypatch, memory, text):
    admit(card)
    memory.write_bytes(memory.read_bytes() + text.encode("latin-1") if text else b"")
    assert is_opened(card, monkeypatch)
    assert not is_opened(card, monkeypatch)  # and it is whole again


def test_a_memory_that_others_can_write_to_remembers_nothing(card, monkeypatch, memory):
    admit(card)
    memory.chmod(0o666)
    assert is_opened(card, monkeypatch)


def test_a_memory_behind_a_link_remembers_nothing(card, monkeypatch, memory):
    admit(card)
    memory.rename(memory.with_name("elsewhere"))
    memory.symlink_to("elsewhere")
    assert is_opened(card, monkeypatch)


def test_without_a_place_for_the_memory_models_are_admitted_all_the_same(card, monkeypatch, tmp_path):
    (tmp_path / "state").write_text("a file where a folder should be")
    assert is_opened(card, monkeypatch)
    assert is_opened(card, monkeypatch)


def test_the_door_admits_nobody_else(tmp_path):
    card = folder_of(tmp_path / "folder", b"PK\x03\x04 and so on")
    with pytest.raises(ModelError, match="zip archive"):
        open_engine(card, fallback=True)
    with pytest.raises(ModelError, match="zip archive"):
        open_engine(read_card(card.folder), "onnx_runtime:cpu:fp32")


def test_tells_what_a_file_holds(card):
    file = inspect(card.folder / "onnx.onnx")
    assert [(p.name, p.dtype, p.shape) for p in (*file.inputs, *file.outputs)] == [
        ("image", "float32", (1, 4)),
        ("y", "float32", (1, 4)),
    ]
    assert (file.opset, file.domains, file.operators, file.nodes, file.parameters) == (17, ("ai.onnx",), ("Mul",), 1, 4)
    assert file.sha256 == card.sha256["onnx.onnx"]


def test_open_shapes_can_be_looked_at_but_are_not_admitted(tmp_path):
    open_ended = model(inputs=[port("image", ["n", 4])], outputs=[port("y", ["n", 4])])
    card = folder_of(tmp_path / "folder", open_ended.SerializeToString())
    assert inspect(card.folder / "onnx.onnx").inputs[0].shape == (None, 4)
    with pytest.raises(ModelError, match="static shapes"):
        admit(card)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", r"crashes \(SIGABRT\)"),
        ("import os; os.kill(os.getpid(), 11)", r"crashes \(SIGSEGV\)"),
        ("import os; os.kill(os.getpid(), 9)", r"crashes \(SIGKILL\)"),
        ("import os; os.kill(os.getpid(), 24)", "takes too long"),
        ("print('hello')", "no answer that makes sense"),
        ("print('[' * 100000)", "no answer that makes sense"),
        ("print('{\"file\": {}}')", "no answer that makes sense"),
        ('print(\'{"file": {"inputs": 3}}\')', "no answer that makes sense"),
        ("print('[]')", "no answer that makes sense"),
        ('print(\'{"error": 3, "hint": 4}\')', "no answer that makes sense"),
        ("while True: print('x' * 1000000)", "crashes|no answer that makes sense"),
        ('print(\'{"error": "\\\\u001b[2Jred", "hint": ""}\')', r"^\?\[2Jred$"),
    ],
)
def test_whatever_happens_inside_is_one_clear_line(card, inside, code, words):
    inside(code)
    with pytest.raises(ModelError, match=words) as caught:
        admit(card)
    assert caught.value.message.isprintable()


def test_a_process_that_cannot_start_is_not_the_files_fault(card, inside):
    inside("raise SystemExit(3)")
    with pytest.raises(NotAvailable, match="exit code 3"):
        admit(card)


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(1000)",
        "import os; os.close(1); os.close(2)\nwhile True: pass",
        "import os, time\nif os.fork() == 0: time.sleep(1000)",  # its child holds the pipe
    ],
    ids=["asleep", "silent", "child"],
)
def test_what_hangs_is_ended_with_all_that_it_started(card, inside, code):
    inside(code, seconds=0.5)
    with pytest.raises(ModelError, match=r"takes more than|crashes \(SIGKILL\)"):
        admit(card)


def test_inside_there_is_no_room_no_file_and_nothing_of_the_users_environment(card, inside, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("SECRET", "x")
    inside(
        "import json, os, pathlib, sys; sys.path[:] = json.loads(sys.argv[1])\n"
        "from engines.quarantine.child import limit_memory, limit_rest\n"
        "from engines.quarantine.first_load import FLOOR_BYTES\n"
        "limit_rest(9); limit_memory(FLOOR_BYTES)\n"
        "told = [name for name in os.environ if name in ('PYTHONPATH', 'SECRET', 'HOME')]\n"
        "try: bytearray(1 << 30); told.append('memory')\n"
        "except MemoryError: pass\n"
        f"try: pathlib.Path({str(tmp_path / 'written')!r}).write_text('x'); told.append('file')\n"
        "except OSError: pass\n"
        "print(json.dumps({'error': f'told {told}', 'hint': ''}))"
    )
    with pytest.raises(ModelError, match=r"told \[\]"):
        admit(card)
