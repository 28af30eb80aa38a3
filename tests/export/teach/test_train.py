"""export/teach/train.py, course.py, write.py: it learns, goes on where it stopped, and what is written was learned."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra `teach`)")

from engines.card import read_card  # noqa: E402
from engines.engine import Variant  # noqa: E402
from engines.errors import BadInput, ModelError  # noqa: E402
from engines.runtimes.onnx_runtime import OnnxRuntime  # noqa: E402
from export.teach import write  # noqa: E402
from export.teach.course import best_of, run  # noqa: E402
from export.teach.nets import Student, Worn  # noqa: E402
from export.teach.pairs import SIZES  # noqa: E402
from export.teach.train import ByTeacher, typical  # noqa: E402
from export.teach.write import NET, write_engine  # noqa: E402
from tests.export.teach.toy import Steps, toy_pairs  # noqa: E402


@pytest.fixture(scope="module")
def pairs():
    return toy_pairs()


@pytest.fixture(scope="module")
def learned(pairs, tmp_path_factory):
    """A state, and all that was told."""
    state = tmp_path_factory.mktemp("teach") / "state.pt"
    told = []
    run(ByTeacher(pairs, 128), 10.0, state, told.append, clock=Steps())
    return state, told


def test_it_learns(learned):
    state, told = learned
    assert told[0].step == 0
    assert told[-1].best_db > told[0].psnr_db + 1
    assert told[-1].spent_s >= 10.0
    assert state.stat().st_mode & 0o777 == 0o600
    assert told[-1].preview.dtype == np.uint8
    assert told[-1].preview.shape[0] == 3 * 128


def test_it_goes_on_where_it_was_stopped(pairs, tmp_path):
    state, told = tmp_path / "state.pt", []
    run(ByTeacher(pairs, 128), 6.0, state, told.append, lambda: len(told) >= 2, clock=Steps())
    assert 0 < told[-1].spent_s < 3
    again = []
    run(ByTeacher(pairs, 128), 4.0, state, again.append, clock=Steps())
    assert again[0].step == told[-1].step
    assert again[-1].spent_s >= 4.0
    assert again[-1].step > told[-1].step
    assert again[-1].best_db >= told[-1].best_db, "what did best is kept"


def test_more_footage_goes_on_from_the_weights_with_another_exam(pairs, learned, tmp_path):
    state = tmp_path / "state.pt"
    state.write_bytes(learned[0].read_bytes())
    others, told = toy_pairs(seed=9), []
    run(ByTeacher(others, 128), 1.0, state, told.append, clock=Steps())
    assert told[0].step == learned[1][-1].step, "it goes on"
    assert told[0].spent_s == 0
    assert told[0].best_db == told[0].psnr_db, "what it did in another exam does not count"
    assert told[-1].spent_s >= 1.0


def test_it_stops_when_nothing_better_comes(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("export.teach.course._average", lambda *_: None)  # the one who is examined never learns
    told = []
    run(ByTeacher(pairs, 128), 400.0, tmp_path / "state.pt", told.append, clock=_fast())
    assert told[-1].spent_s < 250


def _fast():
    steps = Steps()
    return lambda: steps() * 100


@pytest.mark.parametrize("spoil", ["size", "damaged", "nothing"])
def test_a_state_that_is_no_use_is_told(pairs, learned, tmp_path, spoil):
    state = tmp_path / "state.pt"
    if spoil == "nothing":
        with pytest.raises(BadInput, match="nothing was trained"):
            best_of(state)
        return
    data = learned[0].read_bytes()
    state.write_bytes(data if spoil == "size" else data[: len(data) // 2])
    with pytest.raises(BadInput, match="begun with 128 px" if spoil == "size" else "damaged"):
        subject = ByTeacher(toy_pairs(6, 192), 192) if spoil == "size" else ByTeacher(pairs, 128)
        run(subject, 1.0, state, print)


def test_a_full_disk_is_told_and_leaves_what_was_there(pairs, tmp_path, monkeypatch):
    state = tmp_path / "state.pt"
    run(ByTeacher(pairs, 128), 0.5, state, lambda _: None, clock=Steps())
    before = state.read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("export.teach.course.torch.save", full)
    with pytest.raises(BadInput, match=r"cannot be written .* No space left"):
        run(ByTeacher(pairs, 128), 2.0, state, lambda _: None, clock=Steps())
    assert state.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_the_written_net_is_the_trained_one(pairs, learned, tmp_path):
    card = write_engine(learned[0], tmp_path / "me", "me", {"taught": {"teacher": "toy"}}, pairs.faces, {"a.txt": b"x"})
    assert read_card(tmp_path / "me").sha256 == card.sha256
    assert (card.facts["iterations"], card.facts["trained_s"]) == (learned[1][-1].step, 10)
    assert (card.family, card.facts["kind"], card.facts["taught"]) == ("personal", "trained", {"teacher": "toy"})
    worn = Worn(best_of(learned[0])[0]).eval()
    engine = OnnxRuntime(card, Variant("onnx_runtime"))
    face = np.ascontiguousarray(pairs.faces[3, 16:144, 16:144])
    got = engine.run({"face": face})
    with torch.no_grad():
        wanted = worn(torch.from_numpy(face))
    for name, plane in zip(("image", "face_mask", "front"), wanted, strict=True):
        assert np.abs(got[name].astype(int) - plane.numpy()).max() <= 1
    assert np.abs(got["image"][64, 64].astype(int) - face[64, 64, ::-1]).max() < 40, "blue, as the teacher has it"
    engine.close()


def test_nobody_is_seen_in_what_stays_in_the_folder(pairs, learned, tmp_path):
    write_engine(learned[0], tmp_path / "me", "me", {}, pairs.faces)
    with np.load(tmp_path / "me" / write.PROBES) as probes:
        faces = probes["face"]
    assert faces.shape[1:] == (128, 128, 3)
    spectrum = np.abs(np.fft.fft2(faces[0].mean(-1) - faces[0].mean()))
    assert spectrum[20:108, 20:108].max() < 0.02 * spectrum.max()


def test_a_net_that_changed_on_the_way_is_not_written(pairs, learned, tmp_path, monkeypatch):
    real = write._onnx
    monkeypatch.setattr(write, "_onnx", lambda worn, size: real(Worn(Student(size)).eval(), size))
    with pytest.raises(ModelError, match="the trained one's"):
        write_engine(learned[0], tmp_path / "me", "me", {}, pairs.faces)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays(pairs, learned, tmp_path):
    (tmp_path / "me").mkdir()
    with pytest.raises(BadInput, match="exists already"):
        write_engine(learned[0], tmp_path / "me", "me", {}, pairs.faces)


@pytest.mark.parametrize("size", SIZES)
def test_a_new_net_shows_what_it_began_with(size):
    net, target = Student(size).eval(), torch.rand(3, size, size)
    net.begin(target)
    with torch.no_grad():
        image, masks = net(torch.rand(1, 3, size, size))
    assert float((image[0] - target).abs().max()) < 0.03, "and a little of the wearer"
    assert masks.shape == (1, 2, size, size)


def test_the_net_file_is_small(learned, pairs, tmp_path):
    card = write_engine(learned[0], tmp_path / "me", "me", {}, pairs.faces)
    assert len(card.read_file(NET)) < 4 << 20


def test_it_begins_with_the_face_and_nothing_around_it():
    pairs = toy_pairs(12)
    pairs.targets[:, :20] = 255  # something of the wearer's room
    first = typical(pairs, 128).numpy().transpose(1, 2, 0) * 255
    face = pairs.masks[0, 16:144, 16:144] > 250
    assert np.abs(first[face] - pairs.targets[:, 16:144, 16:144][:, face].mean(0)).mean() < 30
    assert np.ptp(first[:8].reshape(-1, 3), axis=0).max() < 1
