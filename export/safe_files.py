"""Opens checkpoints from strangers: HDF5, pickles and zips that can only give numbers and text, within limits."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engines.errors import ModelError
from engines.plain_file import megabytes, open_plain, read_plain
from export.h5_probe import try_out

Numbers = NDArray[Any]

MAX_FILE = 4 << 30  # bytes; a checkpoint of both sides with its optimizer
MAX_ARRAY = 1 << 30  # bytes of one tensor
MAX_TEXT = 64 << 20  # bytes of a JSON text
_DEEPEST = 200
_PACKED = 200  # times that numbers get smaller by packing them, at most; more is a bomb

# ---- pickles: DeepFaceLab's .npy and .dat


def load_pickle(path: Path) -> Any:
    """What a pickle of plain Python values, NumPy arrays and NumPy scalars holds. Nothing in it is executed.

    Raises ModelError for anything else in it, naming it.
    """
    data = read_plain(path, MAX_FILE)
    try:
        return _Unpickler(_Whole(data)).load()
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from None
    except Exception as error:  # what a broken pickle makes the unpickler stumble over can be anything
        raise ModelError(f"{path} is no readable pickle: {error or type(error).__name__}") from error


class _Whole(io.BytesIO):
    """Gives all that is asked for or raises EOFError."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if size is not None and len(data) < size:
            raise EOFError("it ends too early")
        return data

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n"):
            raise EOFError("it ends too early")
        return line


class _Unpickler(pickle._Unpickler):
    """Finds numpy's array makers and nothing else.

    It is the one written in Python: the other makes room for as many notes as a number in the file says.
    """

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        found = _ALLOWED.get((module, name))
        if found is None:
            raise ModelError(
                f"it wants to run {module}.{name}, which no checkpoint needs",
                hint="do not use this file: it was made to run a program on your machine",
            )
        # Not the function itself: a pickle can set attributes, and those would stay.
        return (lambda *arguments: found(*arguments)) if callable(found) else found

    def persistent_load(self, pid: object) -> Any:
        raise ModelError(f"it refers to something outside of the file ({str(pid)[:60]})")


class _Dtype:
    """numpy.dtype as pickles call it: of plain numbers or text; of its state nothing but the byte order is taken."""

    def __init__(self, code: object, *_: object) -> None:
        self.dtype: np.dtype[Any] = np.dtype(str(code))
        if self.dtype.kind not in "biufUS":
            raise ModelError(f"it holds values of type {self.dtype}, which no checkpoint has")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def _reconstruct(kind: object, shape: object, typecode: object) -> Numbers:  # noqa: ARG001
    """numpy's own takes a shape, and would make room for it; pickles of arrays always give (0,) here."""
    if kind != _NDARRAY or shape != (0,):
        raise ModelError("it holds an array that numpy did not write")
    return np.ndarray.__new__(_Array, (0,), np.uint8)


class _Array(np.ndarray):
    """Takes its state only if it is that of numbers of a sane size, and all of them are there."""

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, fortran, raw = state
        sizes = tuple(int(n) for n in shape)
        if not isinstance(kind, _Dtype) or not isinstance(raw, bytes) or any(n < 0 for n in sizes):
            raise ModelError("it holds an array that numpy did not write")
        size = prod(sizes) * kind.dtype.itemsize
        if size != len(raw) or size > MAX_ARRAY:
            raise ModelError(f"it holds an array of {kind.dtype} {list(sizes)} in {megabytes(len(raw))}")
        held: Any = (version, sizes, kind.dtype, bool(fortran), raw)
        super().__setstate__(held)


def _scalar(kind: _Dtype, raw: bytes = b"") -> Any:
    return np.frombuffer(raw, kind.dtype, 1)[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How Python 2 protocols write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise ModelError(f"it encodes text as {encoding!r}")
    return text.encode("latin1")


_NDARRAY = "numpy.ndarray"  # stands for the class, which a pickle could call
_ALLOWED: dict[tuple[str, str], Callable[..., Any] | str] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}

# ---- HDF5: Keras weights and models


@contextmanager
def open_h5(source: Path | bytes) -> Iterator[h5py.File]:
    """An HDF5 file, from disk or from a zip, that refers to nothing outside of itself. Raises ModelError."""
    name = str(source) if isinstance(source, Path) else "the HDF5 file inside"
    try:
        if isinstance(source, Path):
            with open_plain(source, MAX_FILE) as stream:
                try_out(source, name)
                with h5py.File(stream, "r") as file:
                    _demand_local(file, name)
                    yield file
        else:
            try_out(source, name)
            with h5py.File(io.BytesIO(source), "r") as file:
                _demand_local(file, name)
                yield file
    except ModelError as error:
        if isinstance(source, bytes) or name in error.message:  # who opens what is inside knows what it is called
            raise
        raise ModelError(f"{name}: {error.message}", hint=error.hint) from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{name} is no readable HDF5 file: {str(error).splitlines()[0]}") from error


def read_array(dataset: h5py.Dataset) -> Numbers:
    """The numbers of a dataset, as they are stored. Raises ModelError."""
    if not isinstance(dataset, h5py.Dataset):
        raise ModelError(f"{dataset.name} is a group; numbers are expected")
    if dataset.dtype.kind not in "biuf":
        raise ModelError(f"{dataset.name} is {dataset.dtype}; numbers are expected")
    if dataset.nbytes > min(MAX_ARRAY, _PACKED * max(dataset.id.get_storage_size(), 1 << 16)):
        raise ModelError(f"{dataset.name} unpacks to {megabytes(dataset.nbytes)}, which no checkpoint does")
    return np.asarray(dataset[()])


def read_texts(group: h5py.Group, name: str) -> list[str]:
    """The texts of an attribute; none if it is not there. Raises ModelError.

    Keras keeps long lists in parts, NAME0, NAME1 ..., and h5py 2 wrote bytes.
    """
    parts = [name] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(f"{name}{len(parts)}")
    texts = [text for part in parts for text in np.ravel(group.attrs[part]).tolist()]
    if not all(isinstance(text, str | bytes) for text in texts):
        raise ModelError(f"{name} of {group.name} must list names")
    return [text if isinstance(text, str) else text.decode("utf8", "replace") for text in texts]


def _demand_local(group: h5py.Group, name: str, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise ModelError(f"{name} nests its groups more than {_DEEPEST} deep")
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ModelError(f"{name}: {group.name}/{key} is a link, which no checkpoint needs")
        item = group[key]
        if isinstance(item, h5py.Group):
            _demand_local(item, name, depth + 1)
        elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise ModelError(f"{name}: {item.name} takes its numbers from another file")


# ---- zips: Keras 3's .keras


def read_zip(path: Path, *names: str) -> dict[str, bytes]:
    """These members of a zip. Raises ModelError: no zip, a member missing, unsafe names, more in it than should be."""
    try:
        with open_plain(path, MAX_FILE) as stream, zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
            for info in infos:
                parts = PurePosixPath(info.filename.replace("\\", "/")).parts
                if info.filename.startswith(("/", "\\")) or ".." in parts or ":" in info.filename:
                    raise ModelError(f"{path} holds {info.filename!r}, which points out of the archive")
            if len({info.filename for info in infos}) != len(infos):
                raise ModelError(f"{path} holds a name twice")
            held = {}
            for name in names:
                if name not in archive.namelist():
                    raise ModelError(f"{path} holds no {name}")
                info = archive.getinfo(name)
                limit = MAX_TEXT if name.endswith(".json") else MAX_FILE
                if info.file_size > min(limit, _PACKED * max(info.compress_size, 1 << 16)):
                    raise ModelError(f"{path}: {name} unpacks to {megabytes(info.file_size)}, which no checkpoint does")
                with archive.open(info) as member:
                    held[name] = member.read(info.file_size + 1)
                if len(held[name]) != info.file_size:
                    raise ModelError(f"{path}: {name} is not as long as the archive says")
            return held
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path} is no readable zip: {error}") from error
