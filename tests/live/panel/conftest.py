"""A panel on the sample clip, served on a free port; its show runs on a thread of its own."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from live.panel.server import Panel
from live.run import read_run

SOON_S = 60.0


def sample_run(*pairs, **flags):
    repeat, engine = "sources.sample.repeat=true", "onnx_runtime:cpu:fp32"  # so that nothing is measured first
    return read_run(None, [repeat, *pairs], {"source": "sample", "face": "sample:joel", "engine": engine, **flags})


def until(condition, seconds=SOON_S):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@contextmanager
def served(run, port=0, *, remote=False):
    panel = Panel(run, remote=remote)
    panel.url = panel.open(port)
    thread = threading.Thread(target=panel.show.work)
    thread.start()
    try:
        yield panel
    finally:
        panel.show.end()
        thread.join(SOON_S)
        panel.close()
        assert not thread.is_alive()


def say(panel, method, path, body=None, **more):
    """What the panel answers: its status and its JSON."""
    answer = httpx.request(method, panel.url + path, json=body, timeout=SOON_S, **more)
    return answer.status_code, answer.json()


def live(panel):
    """Wait for swapped pictures."""
    until(lambda: panel.show.state()["trouble"] or (panel.show.state()["figures"] or {"fps": 0})["fps"] > 0)
    assert panel.show.state()["trouble"] is None


@pytest.fixture(scope="module")
def idle():
    """A panel that nobody has started."""
    with served(sample_run()) as panel:
        yield panel


@pytest.fixture(scope="module")
def panel():
    """A panel that is live."""
    with served(sample_run()) as made:
        made.show.start()
        live(made)
        yield made
