"""The guard: what it lets pass, holds and covers, and that nobody else can make a safe frame."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import live
from live.align import CORE
from live.frame import Face, Format, Frame, Patch, SafeFrame
from live.guard import LOST, NO_FACE, NOT_COVERED, NOT_MARKED, Guard, covers_face, glimpse, still_bare
from live.trace import Ledger, Trace


def new_guard(**settings):
    guard = Guard(**settings)
    guard.open(Format(64, 48, 30.0), Ledger())
    return guard


def face(x=20.0, y=20.0):
    return Face(np.full((5, 2), (x, y), np.float32), None, 1.0)


def frame(position_s=0.0, faces=1, safe=True, lost=0, trouble=None, patches=None, marked=True):
    patch = Patch(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 255, np.uint8), 18, 18)
    count = faces if patches is None else patches
    return Frame(
        1,
        np.full((48, 64, 3), 7, np.uint8),
        position_s,
        Trace(0),
        [face()] * faces,
        [patch] * count,
        lost,
        trouble,
        safe,
        marked,
    )


def test_a_swapped_frame_passes_and_cannot_be_written_any_more():
    swapped = frame()
    shown = new_guard().judge(swapped)
    assert shown.state == "live"
    assert shown.image is swapped.image
    with pytest.raises(ValueError, match="read-only"):
        swapped.image[0] = 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (frame(trouble="the swap failed"), "the swap failed"),
        (frame(trouble="the blend failed", safe=True), "the blend failed"),
        (frame(safe=False), NOT_COVERED),
        (frame(marked=False), NOT_MARKED),
        (frame(faces=2, patches=1), NOT_COVERED),
        (frame(faces=0), NO_FACE),
        (frame(faces=1, lost=1), LOST),
    ],
)
def test_what_is_not_known_to_be_safe_becomes_a_cover_with_the_reason(bad, reason):
    guard = new_guard()
    shown = guard.judge(bad)
    assert shown.state == "cover"
    assert not np.shares_memory(shown.image, bad.image)
    assert guard._ledger.report()["covers"] == {reason: 1}


def test_a_missed_face_holds_the_last_safe_frame_then_covers():
    guard = new_guard(hold_ms=300)
    live_image = guard.judge(frame(1.0)).image
    states = [guard.judge(frame(1.0 + t, faces=0)) for t in (0.1, 0.29, 0.31, 5.0)]
    assert [s.state for s in states] == ["hold", "hold", "cover", "cover"]
    assert states[0].image is live_image


def test_a_failure_covers_at_once_and_is_not_held():
    guard = new_guard()
    guard.judge(frame(1.0))
    assert guard.judge(frame(1.01, trouble="the swap failed")).state == "cover"


def test_hold_keeps_the_last_safe_frame_as_long_as_there_is_no_face():
    guard = new_guard(on_no_face="hold")
    assert guard.judge(frame(0.0, faces=0)).state == "cover"  # nothing to hold yet
    guard.judge(frame(0.1))
    assert guard.judge(frame(100.0, faces=0)).state == "hold"
    assert guard.judge(frame(100.1, faces=0, trouble="the swap failed")).state == "cover"


def test_bare_pictures_are_shown_only_when_asked_for_and_only_after_a_while():
    guard = new_guard(on_no_face="show", hold_ms=300)
    states = [guard.judge(frame(t, faces=0)).state for t in (0.0, 0.2, 0.3, 0.4)]
    assert states == ["cover", "cover", "bare", "bare"]
    guard.judge(frame(0.5))
    assert guard.judge(frame(0.6, faces=0, lost=1)).state == "hold"
    assert guard.judge(frame(0.7, faces=0)).state == "hold"
    assert guard.judge(frame(1.0, faces=0)).state == "bare"


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 2), st.booleans(), st.integers(0, 2)), max_size=40
    ),
    st.sampled_from(["cover", "hold"]),
)
def test_whatever_comes_only_pictures_of_safe_frames_leave(script, on_no_face):
    guard = new_guard(on_no_face=on_no_face)
    safe_images = set()
    for i, (safe, faces, patches, trouble, lost) in enumerate(script):
        f = frame(i / 30, faces, safe, lost, "broken" if trouble else None, patches)
        if safe and faces and faces == patches and not trouble and not lost:
            safe_images.add(id(f.image))
        shown = guard.judge(f)
        keep_alive = f.image  # so that no id is used again
        script[i] = keep_alive
        assert shown.state == "cover" or id(shown.image) in safe_images


def test_only_the_guard_makes_safe_frames():
    with pytest.raises(PermissionError):
        SafeFrame(object(), np.zeros((2, 2, 3), np.uint8), "live", 0.0, None)
    root = Path(live.__file__).parent
    users = {p.relative_to(root).as_posix() for p in root.rglob("*.py") if re.search("_GUARDS_KEY", p.read_text())}
    assert users == {"frame.py", "guard.py"}


IMAGE = np.zeros((48, 64, 3), np.uint8)


def patch(alpha=255, x=10, y=10, size=(20, 20)):
    return Patch(np.zeros((*size, 3), np.uint8), np.full(size, alpha, np.uint8), x, y)


def test_a_patch_counts_as_cover_only_where_it_is_opaque_and_over_the_face():
    assert covers_face(face(), patch(), IMAGE)
    assert not covers_face(face(), patch(alpha=127), IMAGE)
    assert not covers_face(face(), patch(x=30), IMAGE)
    assert not covers_face(face(np.nan), patch(), IMAGE)


@pytest.mark.parametrize(
    "bad",
    [
        patch(x=-1),
        patch(x=50),
        patch(y=40),
        Patch(np.zeros((20, 20, 3), np.float32), np.full((20, 20), 255, np.uint8), 10, 10),
        Patch(np.zeros((20, 20, 3), np.uint8), np.full((20, 20), 1.0, np.float32), 10, 10),
        Patch(np.zeros((10, 20, 3), np.uint8), np.full((20, 20), 255, np.uint8), 10, 10),
        Patch(np.zeros((20, 20, 4), np.uint8), np.full((20, 20), 255, np.uint8), 10, 10),
    ],
)
def test_a_malformed_patch_never_counts_as_cover(bad):
    assert not covers_face(face(), bad, IMAGE)


def meshed_face():
    """A face whose core points, nine of them, lie in a row of the patch, two pixels apart from x = 12 on."""
    mesh = np.zeros((468, 3), np.float32)
    mesh[list(CORE), 0] = np.linspace(12, 28, len(CORE))
    mesh[list(CORE), 1] = 20
    return Face(face().points, mesh, 1.0)


def partly(covered, hidden, count=9):
    """A patch that covers the first `covered` core points and calls the last `hidden` of all hidden."""
    made = patch(alpha=0)
    made.alpha[:, : 1 + 2 * covered] = 255  # the patch begins at x = 10
    made.hidden = np.zeros_like(made.alpha)
    made.hidden[:, 1 + 2 * (count - hidden) :] = 255
    return made


def test_a_mesh_face_needs_three_quarters_of_its_core_covered():
    meshed = meshed_face()
    assert covers_face(meshed, patch(), IMAGE)
    assert not covers_face(meshed, patch(size=(20, 10)), IMAGE)
    meshed.mesh[list(CORE), 0] += 1000  # wholly outside the picture: nothing to cover
    assert covers_face(meshed, patch(), IMAGE)


@pytest.mark.parametrize(
    ("covered", "hidden", "enough"),
    [
        (9, 0, True), (7, 0, True), (6, 0, False),
        (6, 1, True), (6, 3, True),  # two of the three that are missing need not be covered
        (5, 4, True), (5, 2, False), (4, 5, True), (3, 6, True), (3, 5, True), (3, 4, False),
        (2, 7, False), (0, 9, False), (1, 9, False),  # less than a third covered is never enough
        (9, 9, True),  # covered all the same
    ],
)  # fmt: skip
def test_hidden_points_need_no_cover_but_a_third_of_all_does(covered, hidden, enough):
    assert covers_face(meshed_face(), partly(covered, hidden), IMAGE) == enough


def test_only_what_is_mostly_hidden_is_excused():
    faint = partly(5, 4)
    faint.hidden[faint.hidden > 0] = 127
    assert not covers_face(meshed_face(), faint, IMAGE)


def test_points_outside_the_patch_are_not_excused():
    narrow = patch(size=(20, 10))  # five of nine points; the others lie beside it
    narrow.hidden = np.full_like(narrow.alpha, 255)
    assert not covers_face(meshed_face(), narrow, IMAGE)


def test_without_a_mesh_the_nose_must_be_covered_hidden_or_not():
    covered, bare = patch(), patch(alpha=0)
    covered.hidden, bare.hidden = (np.full_like(bare.alpha, 255) for _ in range(2))
    assert covers_face(face(), covered, IMAGE) and not covers_face(face(), bare, IMAGE)


@pytest.mark.parametrize(
    "hidden",
    [
        np.zeros((20, 19), np.uint8),
        np.zeros((20, 20, 1), np.uint8),
        np.zeros((20, 20), bool),
        np.zeros((20, 20), np.float32),
        np.zeros((48, 64), np.uint8),
    ],
)
def test_a_patch_with_a_malformed_hidden_never_counts_as_cover(hidden):
    whole = patch()
    assert covers_face(meshed_face(), whole, IMAGE)
    whole.hidden = hidden
    assert not covers_face(meshed_face(), whole, IMAGE)


@given(st.integers(0, 9), st.integers(0, 9))
def test_hiding_more_never_makes_a_bare_face_pass(covered, hidden):
    if covered * 3 < 9:
        assert not covers_face(meshed_face(), partly(covered, hidden), IMAGE)
    if covered * 4 >= 3 * 9:
        assert covers_face(meshed_face(), partly(covered, hidden), IMAGE)


@pytest.mark.parametrize(
    ("change", "bare"),
    [
        (lambda face: face, True),
        (lambda face: face + 1, True),  # rounding
        (lambda face: np.clip(face.astype(int) + np.random.default_rng(1).integers(-3, 4, face.shape), 0, 255), True),
        (lambda face: face // 2, False),
        (lambda face: face + 5, False),
        (lambda face: face[::-1], False),
        (lambda face: np.full_like(face, 90), False),
    ],
    ids=["the same", "rounded", "noisy", "darker", "lighter", "upside down", "grey"],
)
def test_the_old_face_given_back_is_told(change, bare):
    image = np.random.default_rng(0).integers(20, 200, (120, 160, 3), np.uint8)
    alpha = np.zeros((61, 41), np.uint8)
    alpha[5:50, 5:35] = 255
    patch = Patch(np.zeros((61, 41, 3), np.uint8), alpha, 30, 20)
    before = glimpse(patch, image)
    where = image[25:70, 35:65]
    where[:] = change(where.copy())
    assert still_bare(patch, before, image) is bare


def test_where_nothing_is_covered_nothing_was_replaced():
    image = np.zeros((120, 160, 3), np.uint8)
    patch = Patch(np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), np.uint8), 0, 0)
    assert still_bare(patch, glimpse(patch, image), image)


class Stamp:
    """A mark that writes into the first pixel, and notes what it was told."""

    def __init__(self):
        self.fresh = []

    def open(self, format):
        self.opened = format

    def wear(self, persona):
        self.worn = persona.name

    def apply(self, image, position_s, fresh):
        image[0, 0] = 255
        self.fresh.append(fresh)

    def close(self):
        self.opened = None


def marking_guard(**settings):
    guard, stamp = Guard(**settings), Stamp()
    guard.open(Format(64, 48, 30.0), Ledger(), [stamp])
    return guard, stamp


def pass_through(guard, position_s, **more):
    f = frame(position_s, marked=False, **more)
    guard.mark(f)
    return guard.judge(f)


def test_every_picture_that_leaves_is_marked():
    guard, _ = marking_guard(on_no_face="show", hold_ms=0)
    for faces in (1, 0):
        shown = pass_through(guard, 1.0 + faces, faces=faces)
        assert shown.state in ("live", "bare")
        assert (shown.image[0, 0] == 255).all()


def test_marks_are_told_when_a_cover_was_shown_before():
    guard, stamp = marking_guard()
    pass_through(guard, 0.0)
    pass_through(guard, 0.1)
    guard.stand_in("camera lost")
    pass_through(guard, 0.2)
    pass_through(guard, 0.3, trouble="the swap failed")
    pass_through(guard, 0.4)
    pass_through(guard, 0.5, faces=0)  # held: what is shown is no cover
    pass_through(guard, 0.6)
    assert stamp.fresh == [True, False, True, False, True, False, False]


def test_a_cover_between_marking_and_judging_is_told_with_the_next_picture():
    guard, stamp = marking_guard()
    pass_through(guard, 0.0)
    late = frame(0.1, marked=False)
    guard.mark(late)
    guard.stand_in("waiting for a picture")
    guard.judge(late)
    pass_through(guard, 0.2)
    assert stamp.fresh == [True, False, True]


def test_only_the_guard_says_that_a_frame_is_marked():
    root = Path(live.__file__).parent
    users = {p.relative_to(root).as_posix() for p in root.rglob("*.py") if re.search(r"\.marked\s*=", p.read_text())}
    assert users == {"guard.py"}


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2)), max_size=30))
def test_whatever_comes_no_picture_leaves_unmarked(script):
    guard, _ = marking_guard(on_no_face="show", hold_ms=0)
    for i, (safe, marks, trouble, faces) in enumerate(script):
        f = frame(float(i), faces, safe, marked=False, trouble="broken" if trouble else None)
        if marks:
            guard.mark(f)
        shown = guard.judge(f)
        assert shown.state == "cover" or (shown.image[0, 0] == 255).all()
