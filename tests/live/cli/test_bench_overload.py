"""`doppelcam bench overload` as a user runs it. Its bounds are tested on a clock of its own (test_pace.py)."""

from __future__ import annotations

import json

from tests.live.cli.test_bench import bench


def test_a_situation_is_run_and_told(tmp_path):
    done = bench("overload", "--only", "camera 60: find 20", "--seconds", 1.5, "--json", "o.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "o.json").read_text())
    assert row["situation"] in done.stdout
    assert row["out_of_order"] == 0
    assert row["age_p50"] >= 60 and row["dropped"] > 0


def test_the_work_may_keep_cores_busy(tmp_path):
    done = bench("overload", "--only", "light", "--seconds", 1, "--spin", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "light: find 10, swap 10" in done.stdout


def test_a_situation_that_is_not_known_is_told(tmp_path):
    done = bench("overload", "--only", "gone", cwd=tmp_path)
    assert done.returncode == 2
    assert "no situation is called 'gone'" in done.stderr and "find 20, swap 40" in done.stderr
