"""Array files: what they claim is compared with what they hold before any of it is read."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rszoo.data import array_files
from rszoo.data.array_files import read_arrays
from rszoo.errors import DataError


def npy(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    """Return the bytes of a file whose header claims an array of bytes of this shape."""
    file = io.BytesIO()
    values = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, values)
    return file.getvalue() + content


def archive(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(f"{name}.npy", content)
    return path


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was read"))


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / "x.npy", values)
    assert np.array_equal(read_arrays(tmp_path / "x.npy")[""], values)
    np.save(tmp_path / "x.npy", np.asfortranarray(values))
    assert np.array_equal(read_arrays(tmp_path / "x.npy")[""], values)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", a=values, empty=np.zeros((0, 3)), one=np.float32(3))
        read = read_arrays(tmp_path / "x.npz")
        assert sorted(read) == ["a", "empty", "one"]
        assert np.array_equal(read["a"], values)


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("claimed", [(6_400_000_000,), (17,), (15,), (10**12, 10**12)])
def test_a_claim_that_is_not_kept(tmp_path: Path, claimed: tuple[int, ...]) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(npy(claimed, bytes(16)))
    with pytest.raises(DataError, match=r"the array claims .* after its header, not the 16 bytes"):
        read_arrays(path)
    path = archive(tmp_path / "x.npz", good=npy((4,), bytes(4)), bad=npy(claimed, bytes(16)))
    with pytest.raises(DataError, match=r"bad.npy claims .* after its header, not the 16 bytes"):
        read_arrays(path)


@pytest.mark.usefixtures("unread")
def test_an_archive_that_is_larger_than_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {name: npy((5000,), bytes(5000)) for name in "ab"}
    path = archive(tmp_path / "x.npz", **entries)
    assert path.stat().st_size < 1000
    monkeypatch.setattr(array_files, "MOST_BYTES", 10_000)
    message = r"at most 1000 of 10,000 bytes together, not 2 of 10,256 bytes"
    with pytest.raises(DataError, match=message):
        read_arrays(path)
    monkeypatch.setattr(array_files, "MOST_BYTES", 10**6)
    monkeypatch.setattr(array_files, "MOST_ARRAYS", 1)
    with pytest.raises(DataError, match=r"at most 1 of .*, not 2 of"):
        read_arrays(path)


@pytest.mark.usefixtures("unread")
def test_an_archive_that_names_an_array_twice(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.npz", a=npy((1,), b"1"))
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("a.npy", npy((1,), b"2"))
    with pytest.raises(DataError, match="each name once, not one twice"):
        read_arrays(path)


@pytest.mark.usefixtures("unread")
def test_a_large_file_and_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "MOST_BYTES", 1000)
    (tmp_path / "x.npy").write_bytes(npy((2000,), bytes(2000)))
    with pytest.raises(DataError, match="expected a file of at most 1,000 bytes, got 2,1"):
        read_arrays(tmp_path / "x.npy")
    os.mkfifo(tmp_path / "y.npy")
    with pytest.raises(DataError, match="expected a file, got a pipe"):
        read_arrays(tmp_path / "y.npy")


@pytest.mark.parametrize(
    "content", [b"\x93NUMPY", b"\x93NUMPY\x01\0\xff\xff{", b"\x93NUMPY\x09\0", b"PK\x05\x06", b"x"]
)
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match="expected plain NumPy arrays without pickled objects"):
        read_arrays(tmp_path / "x.npy")
