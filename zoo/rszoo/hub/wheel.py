"""The library that runs, as a wheel, for where no index has it."""

import io
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import rszoo

__all__ = ["this_wheel"]

# What loads no model of others: those that come with rszoo, and what Python has compiled.
_LEFT_OUT = {"builtin", "__pycache__"}
_DATE = (1980, 1, 1, 0, 0, 0)  # the same files are the same wheel


def this_wheel() -> tuple[str, bytes]:
    """Return the name and the bytes of a wheel of this rszoo, without models and command.

    It names no dependencies: whoever brings it along says which of them it needs.
    """
    package = Path(rszoo.__file__).parent
    files = {
        f"rszoo/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and _LEFT_OUT.isdisjoint(path.relative_to(package).parts)
    }
    info = f"rszoo-{rszoo.__version__}.dist-info"
    about = f"Metadata-Version: 2.1\nName: rszoo\nVersion: {rszoo.__version__}\n"
    kind = "Wheel-Version: 1.0\nGenerator: rszoo\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files |= {f"{info}/METADATA": about.encode(), f"{info}/WHEEL": kind.encode()}
    record = [_recorded(name, body) for name, body in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, body in files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, body, zipfile.ZIP_DEFLATED)
    return f"rszoo-{rszoo.__version__}-py3-none-any.whl", stream.getvalue()


def _recorded(name: str, body: bytes) -> str:
    digest = urlsafe_b64encode(sha256(body).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(body)}"
