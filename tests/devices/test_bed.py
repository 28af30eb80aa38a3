"""The bed itself: it boots, it shows the devices, and a guest that hangs or fails is told."""

from __future__ import annotations

import pytest

from tests.devices import kernel
from tests.devices.bed import DEVICES, find_bed

pytestmark = pytest.mark.outside


@pytest.fixture(scope="module")
def bed():
    try:
        return find_bed()
    except kernel.Missing as missing:
        pytest.skip(f"no test bed: {missing}")


def test_the_guest_has_its_cameras(bed, tmp_path):
    status, output = bed.run(["sh", "-c", "cat /sys/class/video4linux/*/name"], tmp_path)
    assert status == 0
    assert {*DEVICES, "vivid-000-vid-cap"} <= set(output.split())


@pytest.mark.parametrize(("command", "expected"), [(["sh", "-c", "exit 7"], 7), (["no-such-program"], 127)])
def test_its_status_is_the_commands(bed, tmp_path, command, expected):
    assert bed.run(command, tmp_path)[0] == expected


def test_a_guest_that_hangs_is_ended(bed, tmp_path):
    assert bed.run(["sleep", "1000"], tmp_path, timeout_s=2)[0] == 124


def test_only_the_shared_folder_can_be_written_to(bed, tmp_path):
    (tmp_path / "shared").mkdir()
    script = f"echo yes > {tmp_path}/shared/it && ! touch {tmp_path}/../it && ! touch {kernel.__file__}"
    assert bed.run(["sh", "-c", script], tmp_path / "shared")[0] == 0
    assert (tmp_path / "shared" / "it").read_text() == "yes\n"
