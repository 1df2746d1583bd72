"""What a file is, by its first bytes: what cannot be read is called by its name."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from rszoo._reading import size_text

__all__ = ["SAFETENSORS", "TORCH", "Format", "format_of"]

Format = tuple[str, str]
"""What a file is, and what to do about it."""

TORCH: Format = ("a checkpoint of torch.save", "")
SAFETENSORS: Format = ("a safetensors file", "")

_AGAIN = "fetch it again"
_UNREADABLE: Format = ("an unreadable or truncated file", _AGAIN)
_UNPACK = "unpack it first"
_CONVERT = "save the network's state dict with PyTorch, or as safetensors"
_OTHER_PICKLE: Format = ("a pickle that torch.save did not write", _CONVERT)

_STARTS: tuple[tuple[bytes, Format], ...] = (
    (b"<", ("an HTML page", _AGAIN)),
    (b"version https://git-lfs", ("a Git LFS pointer", _AGAIN)),
    (b"\x89HDF\r\n\x1a\n", ("an HDF5 file, as Keras writes", _CONVERT)),
    (b"\x93NUMPY", ("an array of NumPy", _CONVERT)),
    (b"GGUF", ("a GGUF file", _CONVERT)),
    (b"{", ("a JSON text", "name that with the weights")),
    (b"\x1f\x8b", ("a gzip file", _UNPACK)),
    (b"BZh", ("a bzip2 file", _UNPACK)),
    (b"\xfd7zXZ\0", ("an xz file", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", ("a zstd file", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", ("a 7-Zip archive", _UNPACK)),
    (b"Rar!\x1a\x07", ("a RAR archive", _UNPACK)),
    (b"%PDF", ("a PDF document", _AGAIN)),
    (b"\x89PNG\r\n", ("a PNG picture", _AGAIN)),
    (b"\xff\xd8\xff", ("a JPEG picture", _AGAIN)),
    (b"\x7fELF", ("a program", _AGAIN)),
)

# What an archive is whose members have such an end.
_MEMBERS: tuple[tuple[str, Format], ...] = (
    ("/constants.pkl", ("a TorchScript archive", _CONVERT)),
    (".npy", ("an archive of NumPy arrays", _CONVERT)),
    (".weights.h5", ("a Keras archive", _CONVERT)),
    ("/data.pkl", TORCH),
)

# torch.save before PyTorch 1.6: a pickle (protocol 2 and later) that begins with this number.
_OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

_ARCHIVE = b"PK\x03\x04"
_LONGEST_HEADER = 100_000_000  # of safetensors, as its library has it
_LARGEST_PICKLE = 2**26
_SMALLEST_PICKLE = 64  # less holds no weights


def format_of(path: Path, size: int, *, most: int) -> Format:
    """Return what a file is and what to do about it; `TORCH` or `SAFETENSORS` can be read.

    Args:
        path: the file.
        size: its size in bytes.
        most: bytes that the members of an archive may take together.
    """
    with path.open("rb") as file:
        start = file.read(512)
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and 2 <= length <= min(size - 8, _LONGEST_HEADER):
        return SAFETENSORS
    if start.startswith(_ARCHIVE):
        return _of_archive(path, most=most)
    if start[:1] == b"\x80" and size >= _SMALLEST_PICKLE:
        return TORCH if _OLD_TORCH in start[:32] else _OTHER_PICKLE
    if not size:
        return "an empty file", _AGAIN
    if start[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model", _CONVERT
    if start[:1] == b"\x08" and start[2:3] in (b"\x12", b":"):  # version, then producer or graph
        return "an ONNX model", "rszoo.save makes a bundle of it, whose network is opaque"
    bare = start.lstrip()
    return next((form for begin, form in _STARTS if bare.startswith(begin)), _UNREADABLE)


def _of_archive(path: Path, *, most: int) -> Format:
    """Return what an archive is by the names of its members; none of them is read."""
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
    except (BadZipFile, ValueError, OSError, NotImplementedError):
        return _UNREADABLE
    total = sum(member.file_size for member in members)
    pickles = [one.file_size for one in members if one.filename.endswith(".pkl")]
    if total > most or max(pickles, default=0) > _LARGEST_PICKLE:
        text = f"an archive that holds {size_text(total)}"
        return text, f"save no more than the state dict; at most {size_text(most)} are read"
    names = [member.filename for member in members]
    found = (form for end, form in _MEMBERS if any(name.endswith(end) for name in names))
    return next(found, ("a zip archive without a checkpoint in it", _UNPACK))
