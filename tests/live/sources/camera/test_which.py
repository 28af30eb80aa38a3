"""Which camera a word means, that a virtual one is never taken by chance, and the same one after a replug."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engines.errors import BadInput, SourceLost
from live import v4l2
from live.sources.camera import which
from live.sources.camera.which import cameras, find, id_of, identity
from tests.live.sources.camera.fake_driver import exists


def usb(node, vendor, product, serial, index="0"):
    """Give this node a USB device in /sys, as deep as the kernel does."""
    place = v4l2.CLASS.parent / "usb" / node / "interface"
    place.mkdir(parents=True)
    for fact, value in (("idVendor", vendor), ("idProduct", product), ("serial", serial)):
        (place.parent / fact).write_text(value + "\n")
    folder = v4l2.CLASS / node
    folder.mkdir(parents=True)
    (folder / "index").write_text(index + "\n")
    (folder / "device").symlink_to(place)


def test_without_a_word_it_is_the_first_real_camera(machine):
    machine.loopback("/dev/video0", "doppelcam")
    machine.add("/dev/video2", "HD Webcam")
    machine.add("/dev/video4", "Other")
    assert find("").path == "/dev/video2"


def test_without_a_word_a_virtual_camera_is_taken_where_there_is_no_other(machine):
    machine.loopback("/dev/video5", "phone")
    assert find("").path == "/dev/video5"


def test_without_any_camera_it_is_said(machine):
    machine.loopback("/dev/video5", "doppelcam", fed=False)
    with pytest.raises(BadInput, match="no camera is connected"):
        find("")


def test_a_number_is_the_node_of_this_number(machine):
    machine.add("/dev/video0", "zero")
    machine.add("/dev/video12", "twelve")
    assert find("12").name == "twelve"


def test_a_number_never_means_a_virtual_camera_while_there_is_a_real_one(machine):
    machine.loopback("/dev/video0", "doppelcam")
    machine.add("/dev/video1", "HD Webcam")
    with pytest.raises(BadInput, match="virtual camera") as caught:
        find("0")
    assert "/dev/video1 (HD Webcam)" in caught.value.hint and "camera:/dev/video0" in caught.value.hint
    assert find("/dev/video0").name == "doppelcam"


def test_a_path_may_be_a_link(machine, tmp_path):
    machine.add("/dev/video3", "HD Webcam")
    (tmp_path / "front").symlink_to("/dev/video3")
    assert find(str(tmp_path / "front")).path == "/dev/video3"


def test_a_stable_id_is_found_and_named(machine, tmp_path):
    machine.add("/dev/video3", "HD Webcam")
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-Maker_HD-index0").symlink_to(tmp_path / "node")
    os.symlink("/dev/video3", tmp_path / "node")
    Path("/dev/video3")  # not there on this machine: the link dangles, as after unplugging
    with pytest.raises(BadInput, match="usb-Maker_HD-index0"):
        find("usb-Maker_HD-index0")
    assert id_of(find("3")) == "usb-Maker_HD-index0"


def test_a_stable_id_opens_its_camera(machine, tmp_path, monkeypatch):
    machine.add("/dev/video3", "HD Webcam")
    (tmp_path / "by-id").mkdir()
    link = tmp_path / "by-id" / "usb-Maker_HD-index0"
    link.symlink_to("/dev/video3")
    monkeypatch.setattr(Path, "exists", exists(str(link)))
    assert find("usb-Maker_HD-index0").path == "/dev/video3"


@pytest.mark.parametrize("word", ["Integrated Camera", "integrated", "CAMERA"])
def test_a_name_or_part_of_it_is_found(machine, word):
    machine.add("/dev/video0", "Integrated Camera")
    machine.add("/dev/video2", "Capture card")
    assert find(word).path == "/dev/video0"


def test_part_of_a_name_means_the_real_camera_and_a_whole_name_the_virtual_one(machine):
    machine.loopback("/dev/video0", "OBS Virtual Camera")
    machine.add("/dev/video2", "Integrated Camera")
    assert find("camera").path == "/dev/video2"
    assert find("obs virtual camera").path == "/dev/video0"
    assert find("obs").path == "/dev/video0"


def test_the_first_of_several_nodes_of_the_same_camera_is_taken(machine):
    machine.add("/dev/video2", "HD Webcam")
    machine.add("/dev/video4", "HD Webcam")
    assert find("webcam").path == "/dev/video2"


def test_an_exact_name_wins_over_one_that_contains_it(machine):
    machine.add("/dev/video0", "Webcam Pro")
    machine.add("/dev/video1", "Webcam")
    assert find("webcam").path == "/dev/video1"


def test_a_name_that_fits_several_is_refused_with_them(machine):
    for path, name in (("/dev/video0", "Webcam left"), ("/dev/video2", "Webcam right"), ("/dev/video4", "Card")):
        machine.add(path, name)
    with pytest.raises(BadInput, match="'webcam' fits several") as caught:
        find("webcam")
    assert "Webcam left" in caught.value.hint and "Webcam right" in caught.value.hint
    assert "Card" not in caught.value.hint


@pytest.mark.parametrize("word", ["phone", "/dev/video987", "987"])
def test_what_fits_none_is_refused_with_all(machine, word):
    machine.add("/dev/video0", "Webcam")
    with pytest.raises(BadInput, match="there is no camera") as caught:
        find(word)
    assert "/dev/video0 (Webcam)" in caught.value.hint


def test_nodes_that_give_no_pictures_are_no_cameras(machine, monkeypatch):
    machine.add("/dev/video1", "HD Webcam metadata", caps=0x00800000)
    machine.loopback("/dev/video2", "doppelcam", fed=False)
    assert cameras() == []
    monkeypatch.setattr(Path, "exists", exists("/dev/video1", "/dev/video2"))
    with pytest.raises(BadInput, match="not a camera that gives pictures"):
        find("/dev/video1")
    with pytest.raises(BadInput, match="nothing feeds the virtual camera"):
        find("/dev/video2")


def test_a_camera_that_may_not_be_asked_is_still_listed(machine):
    machine.add("/dev/video0", "Webcam", driver="", caps=0, trouble=PermissionError(errno.EACCES, "no"))
    assert [device.name for device in cameras()] == ["Webcam"]


def test_the_same_camera_is_found_under_another_number(machine):
    usb("video0", "046d", "082d", "ABC")
    known = identity(machine.add("/dev/video0", "HD Webcam"))
    machine.remove("/dev/video0")
    machine.add("/dev/video0", "Another", bus="usb-2")
    with pytest.raises(SourceLost, match="HD Webcam"):
        known.find()
    usb("video7", "046d", "082d", "ABC")
    machine.add("/dev/video7", "HD Webcam", bus="usb-9")
    assert known.find().path == "/dev/video7"


def test_another_camera_of_the_same_kind_is_not_the_same_camera(machine):
    usb("video0", "046d", "082d", "ABC")
    known = identity(machine.add("/dev/video0", "HD Webcam"))
    machine.remove("/dev/video0")
    usb("video2", "046d", "082d", "XYZ")
    machine.add("/dev/video2", "HD Webcam")
    with pytest.raises(SourceLost, match="not there"):
        known.find()


def test_of_two_that_cannot_be_told_apart_the_one_in_the_same_socket_is_taken_or_none(machine):
    known = identity(machine.add("/dev/video0", "HD Webcam", bus="usb-1"))
    machine.remove("/dev/video0")
    machine.add("/dev/video2", "HD Webcam", bus="usb-2")
    machine.add("/dev/video4", "HD Webcam", bus="usb-1")
    assert known.find().path == "/dev/video4"
    machine.remove("/dev/video4")
    machine.add("/dev/video6", "HD Webcam", bus="usb-3")
    with pytest.raises(SourceLost, match="several like it"):
        known.find()


def test_the_infrared_node_of_a_camera_is_not_taken_for_its_picture(machine):
    usb("video0", "046d", "082d", "ABC", index="0")
    known = identity(machine.add("/dev/video0", "HD Webcam"))
    machine.remove("/dev/video0")
    usb("video3", "046d", "082d", "ABC", index="2")
    machine.add("/dev/video3", "HD Webcam")
    with pytest.raises(SourceLost):
        known.find()


def test_this_process_is_among_the_holders_of_what_it_has_open():
    with open("/dev/null"):
        found, _ = v4l2.holders("/dev/null")
        assert os.getpid() in [process for process, _ in found]
    assert v4l2.holders("/dev/video987") == ([], False)


def test_the_links_that_are_asked_are_those_of_udev():
    assert [str(folder) for folder in which._LINKS] == ["/dev/v4l/by-id", "/dev/v4l/by-path"]
