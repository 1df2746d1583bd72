"""Where a result comes from: versions, the commit of the code, the machine's kind."""

import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import TypedDict

import torch

import rszoo

__all__ = ["Environment", "device_name", "environment"]


class Environment(TypedDict):
    """The versions that a result depends on, as an origin has them."""

    rszoo: str
    torch: str
    python: str
    git_commit: str


@cache
def environment() -> Environment:
    """Return the versions that a result depends on, and the git commit of a checkout.

    Looked up once, when the first training of a process starts: the code that runs is that of the
    start, wherever the checkout moves meanwhile.
    """
    return {
        "rszoo": rszoo.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "git_commit": _git_commit() or "not a git checkout",
    }


def device_name(device: torch.device) -> str:
    """Return what a training time is of: the name of a GPU, or a CPU and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' if threads > 1 else ''}"


def _git_commit() -> str | None:
    """Return the commit this package is at, with "+changes" when files differ from it."""
    package = Path(rszoo.__file__).parent
    root = package.parents[1]
    if not (root / ".git").exists() or not (root / "zoo" / "rszoo").is_dir():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # A pipeline writes dvc.lock between one training and the next.
        changed = git("status", "--porcelain", "--untracked-files=no", ".", ":!dvc.lock")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
