"""Tests in this folder run inside the bed: the tests of a file are handed to one guest, which runs pytest on them.

The guest's pytest writes its reports down, and they are told here as if the tests had run here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from live import sentinel
from tests.devices import kernel
from tests.devices.bed import CAMERA, find_bed

_SHARED = "DOPPELCAM_BED"  # set inside: the folder that both sides see
_BOOT_S, _TEST_S = 60, 240  # on a machine that is busy with other things
_DOPPELCAM = Path(sys.executable).with_name("doppelcam")
_told, _figures = {}, {}


def inside():
    return os.environ.get(_SHARED)


# ---- outside: carry the test into the bed


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            if not item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.long)
            item.add_marker(
                pytest.mark.timeout(3600)
            )  # the first one waits for the kernel and for all tests of its file


def pytest_runtest_protocol(item, nextitem):
    # pytest asks this of every test, not only of those in this folder.
    if inside() or item.get_closest_marker("outside") or Path(__file__).parent not in item.path.parents:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    if item.nodeid not in _told:
        _run(item)
    for report in _told[item.nodeid]:
        item.ihook.pytest_runtest_logreport(report=report)
        if report.when == "call":
            _figures[item.name] = dict(report.user_properties)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run(item):
    """Run all tests of this one's file that are wanted, and keep what is to be told of each."""
    config = item.config
    items = [one for one in item.session.items if one.path == item.path and not one.get_closest_marker("outside")]
    folder = config._tmp_path_factory.mktemp(item.path.stem)
    began = time.time()
    try:
        bed = find_bed()
    except kernel.Missing as missing:
        for one in items:
            _told[one.nodeid] = [_report(one, "skipped", (str(one.path), 0, f"Skipped: no test bed: {missing}"))]
        return
    # Without the other tests' conftest.py, which takes seconds to import in there.
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--confcutdir={Path(__file__).parent}"]
    command += ["-m", "", *(one.nodeid for one in items)]
    limit_s = _BOOT_S + _TEST_S * len(items)
    status, output = bed.run(command, folder, timeout_s=limit_s, environment={_SHARED: str(folder)})
    reports = folder / "reports.jsonl"
    for line in reports.read_text().splitlines() if reports.exists() else []:
        report = config.hook.pytest_report_from_serializable(config=config, data=json.loads(line))
        _told.setdefault(report.nodeid, []).append(report)
    for one in items:
        told = _told.setdefault(one.nodeid, [])
        if not any(report.when == "teardown" for report in told):
            said = f"the guest ended with status {status} after {time.time() - began:.0f} s\n{output[-6000:]}"
            told.append(_report(one, "failed", said))


def _report(item, outcome, said):
    return pytest.TestReport(item.nodeid, item.location, {}, outcome, said, "setup")


def pytest_terminal_summary(terminalreporter):
    for name, figures in _figures.items():
        for what, value in figures.items():
            terminalreporter.write_line(f"device bed: {name}: {what}: {value}")


# ---- inside


def pytest_runtest_logreport(report):
    if inside():
        from _pytest.reports import TestReport

        assert isinstance(report, TestReport)
        with Path(inside(), "reports.jsonl").open("a") as reports:
            reports.write(json.dumps({**report._to_json(), "$report_type": "TestReport"}) + "\n")


@pytest.fixture
def kept(request):
    """A folder of this test that outlives the guest, for pictures and reports."""
    folder = Path(inside(), request.node.name[:60])
    folder.mkdir()
    return folder


@pytest.fixture
def processes():
    """Programs that end with the test."""
    running = []
    yield running
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def feed(processes):
    """Starts the webcam at a device; it can be ended and started again."""

    def start(device=CAMERA):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.devices.feeder", str(device)], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    return start


class Doppelcam:
    """The command, running."""

    def __init__(self, args, log):
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen([str(_DOPPELCAM), *args], stdout=output, stderr=subprocess.STDOUT)

    def end(self, how=signal.SIGINT, within_s=60):
        """Exit status."""
        self.process.send_signal(how)
        return self.process.wait(within_s)

    def said(self):
        return self.log.read_text(errors="replace")


@pytest.fixture
def doppelcam(processes, kept):
    """Starts `doppelcam run` with the camera, the sample face and these arguments."""
    count = []

    def start(*args):
        count.append(args)
        command = ["run", "--source", f"camera:{CAMERA}", "--face", "sample", *map(str, args)]
        running = Doppelcam(command, kept / f"doppelcam{len(count)}.log")
        processes.append(running.process)
        return running

    yield start
    for running in processes:
        running.kill()
        running.wait()
    for path in sentinel.held():  # the next test finds the devices as they were
        assert sentinel.release(path)


@pytest.fixture
def look(request):
    """Opens a consumer on a device as soon as it can be read."""
    from tests.devices.consumer import Consumer

    opened = []

    def start(device, within_s=180):
        end = time.monotonic() + within_s
        while not readable(device):
            assert time.monotonic() < end, f"{device} cannot be read"
            time.sleep(0.02)
        opened.append(Consumer(device))
        return opened[-1]

    yield start
    for consumer in opened:
        consumer.close()


def readable(device):
    """Would a browser list it? It must announce CAPTURE and not OUTPUT."""
    from live import v4l2

    return v4l2.ask(str(device)).caps & (v4l2.CAP_CAPTURE | v4l2.CAP_OUTPUT) == v4l2.CAP_CAPTURE
