"""Files of strangers: what numbers and text are is read, every attack is refused in one line, nothing is executed."""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
import struct
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import ModelError
from export import h5_probe, safe_files
from export.safe_files import load_pickle, open_h5, read_array, read_zip

WITHOUT_FIXTURES_NEW = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def load(tmp_path):
    """load(bytes) is what `load_pickle` makes of a file of them."""

    def load(data):
        path = tmp_path / "x.npy"
        path.write_bytes(data)
        return load_pickle(path)

    return load


# ---- pickles


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", ">f4", "int32", "uint8", "bool", "S3", "U2", ">U2"])
def test_arrays_come_as_they_were(load, dtype, protocol):
    array = np.array([[0, 1], [1, 0]]).astype(dtype)
    for made in (array, array.T, np.asfortranarray(array), array[:0], array[0, 0]):
        got, numpy_s = load(pickle.dumps({"a": [made]}, protocol=protocol))["a"][0], pickle.loads(pickle.dumps(made))
        assert got.dtype == numpy_s.dtype and got.shape == made.shape and np.array_equal(got, made)


def test_plain_values_come_as_they_were(load):
    noted = {
        "iter": 5,
        "options": {"a": True, "b": None, "c": "wf", "d": 0.5},
        "loss": [[0.5, 1.0], (1,)],
        "x": b"\xff",
    }
    for protocol in range(2, 6):
        assert load(pickle.dumps(noted, protocol=protocol)) == noted


def test_the_names_of_numpy_1_and_of_numpy_2_are_known(load):
    data = pickle.dumps(np.arange(3), protocol=2)
    assert b"numpy._core" in data or b"numpy.core" in data
    for name in (b"numpy.core", b"numpy._core"):
        named = data.replace(b"numpy._core", name).replace(b"numpy.core", name)
        assert load(named).tolist() == [0, 1, 2]


class Runs:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(mark):
    """Each would make the file `mark` in pickle.load."""
    import builtins
    import os
    import subprocess

    yield "os.system", Runs(os.system, f"touch {mark}")
    yield "builtins.eval", Runs(builtins.eval, f"open({str(mark)!r}, 'w')")
    yield "builtins.exec", Runs(builtins.exec, f"open({str(mark)!r}, 'w')")
    yield "builtins.getattr", Runs(builtins.getattr, np.ndarray, "tofile")
    yield "subprocess.Popen", Runs(subprocess.Popen, ["touch", str(mark)])
    yield "io.open", Runs(io.open, str(mark), "w")
    yield "numpy.load", Runs(np.load, str(mark))
    yield "numpy.memmap", Runs(np.memmap, str(mark), "uint8", "w+", 0, (4,))


def test_no_call_is_made(load, tmp_path):
    mark = tmp_path / "mark"
    for name, attack in attacks(mark):
        for protocol in range(6):
            alone = pickle.dumps(attack, protocol=protocol)
            among = pickle.dumps({"options": {"deep": [[({"er": attack},)]]}, "w": np.zeros(3)}, protocol=protocol)
            for data in (alone, among):
                with pytest.raises(ModelError, match=rf"x\.npy: it wants to run \w+\.{name.split('.')[1]}") as caught:
                    load(data)
                assert "do not use this file" in caught.value.hint
    assert not mark.exists()
    pickle.loads(pickle.dumps(Runs(open, str(mark), "w"))).close()
    assert mark.exists()  # which is what the attacks are after


@pytest.mark.parametrize(
    "text",
    [
        b"cnumpy\ncore.multiarray._reconstruct\n.",  # a name that walks on from what is allowed
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
        b"cnumpy.core.numeric\n_frombuffer\n.",
        b"cnumpy\nload\n.",
        b"cnumpy._core.multiarray\nfromfile\n.",
        b"c__builtin__\neval\n.",
        b"c_codecs\ndecode\n.",
    ],
)
def test_names_beside_those_of_arrays_are_refused(load, text):
    with pytest.raises(ModelError, match="it wants to run"):
        load(text)


def test_nothing_outlives_a_pickle(load):
    for name in ("_codecs\nencode", "numpy.core.multiarray\n_reconstruct", "numpy\ndtype"):
        state = "(N(dS'__defaults__'\n(S'rot13'\ntsS'left'\nI1\nstb"  # sets attributes of what was found
        with contextlib.suppress(ModelError):
            load(f"c{name}\n{state}.".encode())
    assert safe_files._encode.__defaults__ == ("latin1",)
    assert not any(hasattr(found, "left") for found in safe_files._ALLOWED.values())


def multiarray(shape, dtype="f4", state=None, kind="cnumpy\nndarray\n", made="(I0\nt"):
    """An array as protocol 0 writes it, with whatever in place of its shape, its state or what it is made of."""
    dtype = f"cnumpy\ndtype\n(S'{dtype}'\nI0\nI1\ntR"
    state = state if state is not None else f"(I1\n({''.join(f'I{n}' + chr(10) for n in shape)}t{dtype}I00\nS''\ntb"
    return f"cnumpy.core.multiarray\n_reconstruct\n({kind}{made}S'b'\ntR{state}.".encode()


HUGE = [
    multiarray((1 << 20, 1 << 20)),
    multiarray((1 << 60, 1 << 60)),
    multiarray((-1,)),
    multiarray((4,)),  # no bytes for them
    multiarray((0,), made="(I1000000000\nt"),
    multiarray((0,), kind="cnumpy\ndtype\n"),
    multiarray((0,), dtype="O"),
    multiarray((0,), dtype="V1000000000"),
    multiarray((0,), dtype="f4,O"),
    multiarray((0,), state="(I1\nI2\ntb"),
    multiarray((0,), state="Nb"),
    b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\nI0\nI1\ntRS'abcdefgh'\ntR.",
    b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntRS'abc'\ntR.",
    b"cnumpy\nndarray\n((I1000000000\nI1000\nttR.",  # an array of this size, without any bytes
    b"cnumpy\nndarray\n)\x81.",
    b"cnumpy\nndarray\n((I1000\nttR.",
    b"cnumpy\ndtype\n(S'f4,O'\ntR.",
    b"c_codecs\nencode\n(Vabc\nVrot13\ntR.",
    b"Pelsewhere\n.",
    b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a frame of that length
    b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",  # bytes of that length
    b"\x80\x09.",
    b"I1\n",
    b"",
]


@pytest.mark.parametrize("data", HUGE)
def test_no_room_is_made_for_what_is_not_there(load, data):
    with pytest.raises(ModelError, match=r"x\.npy") as caught:
        load(data)
    assert len(caught.value.message.splitlines()) == 1


@pytest.mark.parametrize("data", [pickle.dumps({"w": np.arange(64, dtype=np.float32)}, protocol=p) for p in (2, 4)])
def test_a_cut_pickle_is_told(load, data):
    for size in range(len(data)):
        with pytest.raises(ModelError, match=r"x\.npy is no readable pickle"):
            load(data[:size])


def test_numpy_s_own_format_is_told_apart(load):
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    with pytest.raises(ModelError, match="no readable pickle"):
        load(held.getvalue())


def test_depth_does_not_end_the_program(load):
    for data in (b"(" * 100_000 + b"." * 3, b"]" * 100_000 + b"a" * 99_999 + b"."):
        try:
            load(data)
        except ModelError as error:
            told = error.message
            assert "x.npy" in told


OPCODES = [op.code.encode("latin1") for op in pickletools.opcodes]
PIECES = [
    *(b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\n_reconstruct\n"),
    *(b"cnumpy.core.multiarray\nscalar\n", b"c_codecs\nencode\n", b"cos\nsystem\n"),
    *(b"(I3\nt", b"S'f4'\n", b"I0\n", b"tR", b"b", b"\x81"),
]


@WITHOUT_FIXTURES_NEW
@given(st.lists(st.one_of(st.sampled_from(OPCODES), st.sampled_from(PIECES), st.binary(max_size=4)), max_size=30))
def test_random_pickles_give_values_or_a_model_error(load, parts):
    with_end = b"".join(parts) + b"."
    try:
        load(with_end)
    except ModelError as error:
        told = error.message
        assert "x.npy" in told


@WITHOUT_FIXTURES_NEW
@given(data=st.data(), protocol=st.sampled_from([2, 4]))
def test_damaged_pickles_give_values_or_a_model_error(load, data, protocol):
    whole = bytearray(pickle.dumps({"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int64(3)}, protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        load(bytes(whole))
    except ModelError as error:
        told = error.message
        assert "x.npy" in told


# ---- HDF5


@pytest.fixture
def h5(tmp_path):
    """h5(fill) is the path of an HDF5 file that `fill` was called with."""

    def make(fill):
        path = tmp_path / "x.h5"
        with h5py.File(path, "w") as file:
            fill(file)
        return path

    return make


def test_numbers_come_as_they_were_from_disk_and_from_memory(h5):
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)

    def fill(file):
        file.create_group("a/b")["w:0"] = numbers
        file["a/packed"] = file["a/b"].create_dataset("packed", data=numbers, compression="gzip")
        file.attrs["layer_names"] = ["a"]

    path = h5(fill)
    for source in (path, path.read_bytes()):
        with open_h5(source) as file:
            assert read_array(file["a/b/w:0"]).tolist() == numbers.tolist()
            assert read_array(file["a/packed"]).tolist() == numbers.tolist()
            with pytest.raises(ModelError, match="is a group; numbers are expected"):
                read_array(file["a/b"])


def external_link(file):
    file["a"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file):
    file["x"] = np.zeros(3)
    file["deep/a"] = h5py.SoftLink("/x")


def external_storage(file):
    file.create_dataset("a", (16,), "u1", external=[("/etc/passwd", 0, 16)])


def virtual_dataset(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
    file.create_virtual_dataset("deep/a", layout)


def endless_groups(file):
    group = file
    for _ in range(250):
        group = group.create_group("g")


def circle(file):
    file.create_group("a")["again"] = file["/"]


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (external_link, "a is a link"),
        (soft_link, "deep/a is a link"),
        (external_storage, "/a takes its numbers from another file"),
        (virtual_dataset, "/deep/a takes its numbers from another file"),
        (endless_groups, "more than 200 deep"),
        (circle, "more than 200 deep"),
    ],
)
def test_a_file_that_reaches_out_of_itself_is_refused(h5, fill, message):
    path = h5(fill)
    for source in (path, path.read_bytes()):
        with pytest.raises(ModelError, match=message), open_h5(source):
            pytest.fail("it was opened")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda file: file.create_dataset("a", data="text"), "a is object; numbers"),
        (lambda file: file.create_dataset("a", data=np.zeros(2, np.complex64)), "a is complex64; numbers"),
        (lambda file: file.create_dataset("a", data=np.zeros(2, [("x", "f4")])), "numbers are expected"),
        (lambda file: file.create_dataset("a", (1,), h5py.vlen_dtype(np.float32)), "a is object; numbers"),
        (lambda file: file.create_dataset("a", (1 << 20, 256), "f4", chunks=(1024, 256)), "unpacks to 1074 MB"),
        (lambda file: file.create_dataset("a", data=np.zeros(1 << 24), compression="gzip"), "unpacks to 134 MB"),
    ],
)
def test_what_is_no_numbers_or_a_bomb_is_refused(h5, fill, message):
    path = h5(fill)
    with pytest.raises(ModelError, match=rf"x\.h5: /.*{message}"), open_h5(path) as file:
        read_array(file["a"])


def test_what_goes_wrong_inside_is_a_model_error(h5):
    with pytest.raises(ModelError, match=r"x\.h5 is no readable HDF5 file"), open_h5(h5(lambda file: None)) as file:
        file["missing"]


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"\xff" * 200, b"PK\x03\x04"])
def test_no_hdf5_is_told(tmp_path, data):
    path = tmp_path / "x.h5"
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(ModelError, match="no readable HDF5 file"), open_h5(source):
            pytest.fail("it was opened")


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_hdf5_gives_numbers_or_a_model_error(h5, data):
    path = h5(lambda file: file.create_group("a").create_dataset("w", data=np.arange(40, dtype=np.float32)))
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(
        bytes(whole[: data.draw(st.integers(0, len(whole)))]) if data.draw(st.booleans()) else bytes(whole)
    )
    try:
        with open_h5(path) as file:
            assert read_array(file["a/w"]).dtype.kind in "biuf"
    except ModelError as error:
        told = error.message
        assert "x.h5" in told


# ---- zips


@pytest.fixture
def archive(tmp_path):
    """archive({name: bytes}, ...) is the path of a zip; several dictionaries may give a name twice."""

    def make(*members, **more):
        path = tmp_path / "x.keras"
        with zipfile.ZipFile(path, "w", **more) as file:
            for held in members:
                for name, data in held.items():
                    file.writestr(zipfile.ZipInfo(name) if not more else name, data)
        return path

    return make


def test_members_come_as_they_were(archive):
    path = archive({"config.json": b"{}", "model.weights.h5": b"\0" * 9, "optimizer.pt": b"never read"})
    assert read_zip(path, "config.json", "model.weights.h5") == {"config.json": b"{}", "model.weights.h5": b"\0" * 9}
    with pytest.raises(ModelError, match=r"x\.keras holds no metadata\.json"):
        read_zip(path, "metadata.json")


@pytest.mark.parametrize(
    "name", ["../config.json", "a/../../b", "/etc/passwd", "\\windows\\x", "..\\x", "a\\..\\..\\b", "C:/x"]
)
def test_names_that_lead_out_are_refused(archive, name):
    with pytest.raises(ModelError, match="points out of the archive"):
        read_zip(archive({"config.json": b"{}", name: b"x"}), "config.json")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_given_twice_is_refused(archive):
    with pytest.raises(ModelError, match="holds a name twice"):
        read_zip(archive({"config.json": b"{}"}, {"config.json": b"[]"}), "config.json")


def test_a_bomb_is_not_unpacked(archive):
    path = archive({"config.json": b" " * 30_000_000}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match=r"config\.json unpacks to 30 MB, which no checkpoint does"):
        read_zip(path, "config.json")


def test_a_text_has_a_limit(archive, monkeypatch):
    monkeypatch.setattr(safe_files, "MAX_TEXT", 5)
    with pytest.raises(ModelError, match="unpacks to 6 bytes"):
        read_zip(archive({"config.json": b"{    }"}), "config.json")


def test_a_bomb_that_lies_about_its_size_is_cut_off(archive):
    path = archive({"config.json": b" " * 1_000_000}, compression=zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    assert data.count(struct.pack("<I", 1_000_000)) == 2  # once before the member, once in the directory
    path.write_bytes(data.replace(struct.pack("<I", 1_000_000), struct.pack("<I", 10)))
    with pytest.raises(ModelError, match=r"x\.keras"):
        read_zip(path, "config.json")


def test_encrypted_or_oddly_packed_members_are_told(archive):
    path = archive({"config.json": b"{}"})
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    for at, value in ((8, 1), (10, 99)):  # the flags, the method
        odd = bytearray(data)
        odd[directory + at] = odd[at - 2] = value
        path.write_bytes(odd)
        with pytest.raises(ModelError, match="no readable zip"):
            read_zip(path, "config.json")


@WITHOUT_FIXTURES_NEW
@given(data=st.data())
def test_damaged_zips_give_bytes_or_a_model_error(archive, data):
    path = archive(
        {"config.json": b'{"a": 1}', "model.weights.h5": bytes(range(200))}, compression=zipfile.ZIP_DEFLATED
    )
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(whole))
    try:
        assert read_zip(path, "config.json").keys() == {"config.json"}
    except ModelError as error:
        told = error.message
        assert "x.keras" in told


# ---- all of them


@pytest.mark.parametrize(
    "read", [load_pickle, lambda path: open_h5(path).__enter__(), lambda path: read_zip(path, "a")]
)
def test_only_plain_files_are_opened(tmp_path, read):
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name, kind in (("pipe", "a pipe"), ("link", "a link"), (".", "a directory"), ("gone", "No such file")):
        with pytest.raises(ModelError, match=kind):
            read(tmp_path / name)


def test_a_file_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_files, "MAX_FILE", 3)
    path = tmp_path / "x.npy"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(ModelError, match="the limit is 3 bytes"):
        load_pickle(path)


def test_a_note_with_a_huge_number_takes_no_room(tmp_path):
    import resource

    path = tmp_path / "a.npy"
    path.write_bytes(b"\x80\x02Nr" + (400_000_000).to_bytes(4, "little") + b".")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert load_pickle(path) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_an_hdf5_file_over_which_its_library_hangs_is_told(tmp_path, monkeypatch):
    """One bit of the heap that holds texts: from then on HDF5 looks for the second text for ever."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"a", b"b"]
    data = bytearray(path.read_bytes())
    size = data.index(b"GCOL") + 24
    assert data[size] == 1
    data[size] = 9
    path.write_bytes(data)
    monkeypatch.setattr(h5_probe, "SECONDS", 1.0)
    for source in (path, bytes(data)):
        with pytest.raises(ModelError, match="reading it takes more than 1 seconds"), open_h5(source):
            pass
