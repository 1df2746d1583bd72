"""Which files go by LFS, and the `.gitattributes` of a new repository, which says so."""

from fnmatch import fnmatchcase

__all__ = ["ATTRIBUTES", "goes_by_lfs"]

_LARGE = 1_000_000  # bytes
_PATTERNS = (
    "*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack "
    "*.npy *.npz *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors *.tar "
    "*.tar.* *.tflite *.tgz *.wasm *.xz *.zip *.zst *tfevents*"
).split()  # those of huggingface.co

ATTRIBUTES = "".join(f"{one} filter=lfs diff=lfs merge=lfs -text\n" for one in _PATTERNS).encode()


def goes_by_lfs(path: str, size: int) -> bool:
    """Return whether a client is to send a file by LFS; git's rules are about the name alone."""
    name = path.rpartition("/")[2].lower()
    return size > 0 and (size >= _LARGE or any(fnmatchcase(name, one) for one in _PATTERNS))
