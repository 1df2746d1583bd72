"""Decoded pictures that are kept: they are those of the files as they are now, or none."""

import errno
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from rszoo import data
from rszoo.data import decode_files as decoding
from rszoo.data import folder as folder_module
from rszoo.data import pixel_cache
from rszoo.data.decode_files import Decoded, decode_files, digests_of
from rszoo.data.image_files import Files
from rszoo.data.in_memory import InMemory
from rszoo.errors import DataError

SHAPE = (3, 5, 6)

# Of torch, where the machine has fewer cores than the test says.
MORE_THAN_CORES = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def save(path: Path, seed: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(Image.new(mode, (1, 1)).getbands())
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, channels), dtype=np.uint8)
    Image.frombytes(mode, (6, 5), noise.tobytes()).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of 10 pictures, without a split."""
    for name, seed in (("no", 0), ("yes", 100)):
        for number in range(10):
            save(tmp_path / "pictures" / name / f"{number:02}.bmp", seed + number)
    return tmp_path / "pictures"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, which is used however few the pictures are."""
    monkeypatch.setattr(folder_module, "CACHED_BYTES", 0)
    monkeypatch.setattr(decoding, "cores", lambda: 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rszoo" / "pixels"


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[Files]:
    """What was decoded, one entry each time."""
    found: list[Files] = []

    def counted(files: Files) -> Decoded:
        found.append(files)
        return decode_files(files)

    monkeypatch.setattr(folder_module, "decode_files", counted)
    return found


def load(folder: Path) -> InMemory:
    images = data.load(folder, "train")
    assert isinstance(images, InMemory)
    return images


def uncached(folder: Path) -> InMemory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_module, "CACHED_BYTES", 2**40)
        return load(folder)


def files_of(folder: Path) -> Files:
    return Files(paths=sorted(map(str, folder.rglob("*.bmp"))), shape=SHAPE)


def test_pictures_are_decoded_once(pictures: Path, cache: Path, times: list[Files]) -> None:
    first, second = load(pictures), load(pictures)
    assert len(times) == 1
    plain = uncached(pictures)
    for images in (first, second):
        assert torch.equal(images.pixels, plain.pixels)
        assert images.digest == plain.digest
    assert len(list(cache.iterdir())) == 1
    assert cache.stat().st_mode & 0o777 == 0o700


def test_few_pictures_are_not_kept(
    pictures: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "CACHED_BYTES", 16 * 90 + 1)
    load(pictures)
    assert not cache.exists()
    monkeypatch.setattr(folder_module, "CACHED_BYTES", 16 * 90)
    load(pictures)
    assert cache.exists()


def test_a_picture_changed_without_a_trace(pictures: Path, times: list[Files]) -> None:
    before = load(pictures)
    path = pictures / "yes" / "03.bmp"
    status = path.stat()
    save(path, seed=999)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    after = load(pictures)
    assert len(times) == 2
    changed = (before.pixels != after.pixels).flatten(1).any(1).nonzero()[:, 0].tolist()
    assert changed == [8 + 2]  # of the class, 00 and 05 are tested
    assert after.digest == uncached(pictures).digest


def test_two_pictures_that_change_places(pictures: Path) -> None:
    before = load(pictures)
    one, other = pictures / "no" / "01.bmp", pictures / "no" / "02.bmp"
    aside = one.rename(pictures / "aside")
    other.rename(one)
    aside.rename(other)
    after = load(pictures)
    assert torch.equal(after.pixels[:2], before.pixels[:2].flip(0))
    assert not torch.equal(after.pixels[:2], before.pixels[:2])


def test_a_picture_that_changes_between_digest_and_decoding(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pictures / "no" / "01.bmp"
    content = path.read_bytes()

    def changed(files: Files) -> Decoded:
        save(path, seed=999)
        return decode_files(files)

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "decode_files", changed)
        other = load(pictures)
    path.write_bytes(content)
    again = load(pictures)
    assert again.digest == uncached(pictures).digest
    assert again.digest != other.digest


def test_another_pillow_decodes_anew(
    pictures: Path, times: list[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(pictures)
    with monkeypatch.context() as patch:
        patch.setattr("PIL.__version__", "0.1")
        pixel_cache._software.cache_clear()
        load(pictures)
    pixel_cache._software.cache_clear()
    assert len(times) == 2
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    load(pictures)
    assert len(times) == 3


def test_what_decodes_is_part_of_the_key() -> None:
    folder, listed = Path(decoding.__file__).parent, pixel_cache._SOURCES
    sources = [(folder / name).read_text() for name in listed if name != "pixel_cache.py"]
    used = re.findall(r"from rszoo\.data\.(\w+) import", "".join(sources))
    assert {f"{name}.py" for name in used} <= {*listed}
    assert {"decode.py", "colours.py", "image_files.py"} <= {f"{name}.py" for name in used}


SIZE, BYTES = r"expected a file of 1,472 bytes or a little more, got ", "it is damaged"


@pytest.mark.parametrize(
    ("reason", "damaged"),
    [
        pytest.param(SIZE, lambda content: content[:-3], id="cut"),
        pytest.param(SIZE, lambda content: b"", id="empty"),
        pytest.param(SIZE, lambda content: content + bytes(2**25), id="much longer"),
        pytest.param(BYTES, lambda content: content[:-1], id="text cut"),
        pytest.param(BYTES, lambda content: content + b" ", id="longer"),
        pytest.param(BYTES, lambda content: b"0" * 32 + content[32:], id="digest"),
        pytest.param(
            BYTES,
            lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:],
            id="bit",
        ),
    ],
)
def test_a_damaged_file_is_made_again(
    pictures: Path,
    cache: Path,
    times: list[Files],
    reason: str,
    damaged: Callable[[bytes], bytes],
) -> None:
    expected = load(pictures)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damaged(whole))
    with pytest.warns(UserWarning, match=f"{reason}.*; the pictures are decoded again") as told:
        assert torch.equal(load(pictures).pixels, expected.pixels)
    assert str(told[0].message).startswith(f"{kept}: ")
    assert kept.read_bytes() == whole
    load(pictures)
    assert len(times) == 2


def test_several_processes_write_and_read_at_once(pictures: Path, cache: Path) -> None:
    files = files_of(pictures)
    decoded, digests = decode_files(files), digests_of(files)
    pixel_cache.keep(files, decoded)
    begin = threading.Barrier(4)

    def written() -> None:
        begin.wait()
        for _ in range(20):
            pixel_cache.keep(files, decoded)

    def read() -> None:
        begin.wait()
        for _ in range(100):  # a warning, of half a file, is an error
            found = pixel_cache.find(files, digests)
            assert found is not None
            assert np.array_equal(found.pixels, decoded.pixels)

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(each) for each in (written, written, read, read)]:
            future.result()
    assert len(list(cache.iterdir())) == 1


@pytest.fixture(params=["a file in its way", "a full disk", "no home"])
def no_cache(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*ignored: object) -> None:
        if request.param == "no home":
            raise RuntimeError("Could not determine home directory.")
        raise OSError(errno.ENOSPC, "No space left on device")

    if request.param == "a file in its way":
        (tmp_path / "cache").write_bytes(b"")
    elif request.param == "a full disk":
        monkeypatch.setattr(os, "replace", failing)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", failing)


@pytest.mark.usefixtures("no_cache")
def test_without_a_cache_pictures_are_decoded_each_time(
    pictures: Path, cache: Path, times: list[Files]
) -> None:
    expected = uncached(pictures).digest
    assert [load(pictures).digest for _ in range(2)] == [expected] * 2
    assert len(times) == 3
    assert not cache.is_dir() or not list(cache.iterdir())


def test_the_cache_is_bounded(
    pictures: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(number: int) -> Path:
        save(pictures / "no" / "01.bmp", seed=1000 + number)
        before = {*cache.iterdir()} if cache.exists() else set()
        load(pictures)
        (path,) = {*cache.iterdir()} - before
        os.utime(path, (number, number))
        return path

    first = at(1)
    size = first.stat().st_size
    other = cache / "notes.txt"
    other.write_bytes(bytes(3 * size))  # not ours
    left = cache / f".{first.name}.00000000.tmp"  # by one that was killed
    left.write_bytes(bytes(size))
    os.utime(left, (0, 0))
    monkeypatch.setattr(pixel_cache, "MOST_BYTES", 3 * size)
    second, third = at(2), at(3)
    assert {*cache.iterdir()} == {other, first, second, third}
    save(pictures / "no" / "01.bmp", seed=1001)
    load(pictures)  # the first is used again
    fourth = at(4)
    assert {*cache.iterdir()} == {other, first, third, fourth}


def test_odd_pictures_are_told_of_each_time(pictures: Path, tmp_path: Path) -> None:
    for number in (3, 7):
        (pictures / "no" / f"0{number}.bmp").unlink()
        save(pictures / "no" / f"0{number}.jpg", seed=number, mode="CMYK")
    for name in ("pictures", "pictures", "elsewhere"):
        place = pictures.rename(tmp_path / name)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            load(place)
        assert [str(each.message) for each in told] == [
            f"{place}/no/03.jpg: in CMYK, read by the plain formula, not as inks look; convert it "
            "to sRGB to certify what is seen (and 1 more pictures)"
        ]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process decodes")
@MORE_THAN_CORES
def test_several_processes_decode_as_one_does(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(pictures / "no" / "03.bmp", seed=3, mode="L")
    files = files_of(pictures)
    expected = decode_files(files)
    monkeypatch.setattr(decoding, "_PART_BYTES", 3 * 90)
    monkeypatch.setattr(decoding, "cores", lambda: 3)
    torch.manual_seed(0)
    after = torch.rand(1, generator=torch.Generator().manual_seed(0))
    found = decode_files(files)
    assert np.array_equal(found.pixels, expected.pixels)
    assert found.digests == expected.digests == digests_of(files)
    assert torch.equal(torch.rand(1), after)  # nothing was drawn

    for name in ("yes/02.bmp", "yes/09.bmp"):
        (pictures / name).write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        decode_files(files)
    path = pictures / "yes" / "02.bmp"
    assert str(caught.value) == (
        f"{path}: cannot be read as an image (cannot identify image file '{path}'); "
        "replace or remove the file"
    )


def _digest_of(folder: Path) -> str:
    return load(folder).digest


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process decodes")
@MORE_THAN_CORES
def test_a_daemon_decodes_by_itself(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_PART_BYTES", 3 * 90)
    monkeypatch.setattr(decoding, "cores", lambda: 3)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply(_digest_of, (pictures,))
    assert found == uncached(pictures).digest


#: Prints its workers, which decode parts that no pipe holds, and never takes one; then is killed.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from torch.utils.data import DataLoader
from rszoo.data import decode_files as decoding
from rszoo.data.image_files import Files

decoding.cores, decoding._PART_BYTES = lambda: 2, 2**18
paths = sorted(map(str, Path(sys.argv[1]).iterdir())) * 8
files = Files(paths=paths, shape=(3, 256, 256))
parts = iter(decoding._parts(files, [range(place, place + 1) for place in range(len(paths))]))
print(*(worker.pid for worker in parts._workers), flush=True)
time.sleep(0.5)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process decodes")
def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "0.bmp")
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with open(tmp_path / "told", "w+") as told:  # a pipe would wait for the workers
        subprocess.run(command, stdout=told, stderr=subprocess.DEVNULL, timeout=60, check=False)
        told.seek(0)
        workers = [int(word) for word in told.read().split()]
    assert len(workers) == 2
    until = time.monotonic() + 20
    while left := [worker for worker in workers if _runs(worker)]:
        if time.monotonic() > until:
            for worker in left:
                os.kill(worker, signal.SIGKILL)
            pytest.fail(f"{len(left)} workers are left")
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
