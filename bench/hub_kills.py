"""What is left of a hub that is killed while three writers commit to it.

    python bench/hub_kills.py .venv/bin/rszoo --shots 25

Each shot is a `kill -9` at a random time. After it the hub is started again on the same folder;
every commit that it had acknowledged must be in the log of its model, with its file, and every
file of every commit must have the digest that it is stored under.
"""

import argparse
import hashlib
import http.client
import json
import random
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from hub_load import TOKEN, Hub

WRITERS = 3


def started(command: str, root: Path) -> "tuple[subprocess.Popen[str], str]":
    process = subprocess.Popen(
        [command, "hub", "serve", "--root", str(root), "--port", "0", "--token", TOKEN],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()[1]


def write(hub: Hub, path: str, acknowledged: set[str]) -> None:
    """Commit until the hub is gone."""
    with suppress(OSError, http.client.HTTPException):
        for number in range(1_000_000):
            hub.commit(f"{path}-{number}.txt", f"{path} {number}".encode())
            acknowledged.add(f"{path}-{number}.txt")


def listed(hub: Hub) -> set[str]:
    """Return the files of the newest commit, each of which is fetched and compared."""
    tree = f"/api/models/{hub.repo}/tree/main"
    names: set[str] = set()
    while tree:
        entries, tree = hub.page(tree)
        for entry in entries:
            body = hub.get(f"/{hub.repo}/resolve/main/{entry['path']}")
            git = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
            assert git == entry["oid"], entry
            names.add(entry["path"])
    return names


def main() -> None:
    """Shoot, look, and print the count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command")
    parser.add_argument("--shots", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    acknowledged: dict[str, set[str]] = {f"model-{n}": set() for n in range(WRITERS)}
    begun = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        for shot in range(options.shots + 1):
            process, url = started(options.command, Path(folder))
            hubs = [Hub(url, Path(folder), process.pid, name=name) for name in acknowledged]
            for hub, (name, known) in zip(hubs, acknowledged.items(), strict=True):
                there = listed(hub) - {".gitattributes"}
                lost += len(known - there)
                begun += len(there - known)  # written, and killed before it was said
                acknowledged[name] = there
            threads: list[threading.Thread] = []
            if shot < options.shots:
                threads = [
                    threading.Thread(target=write, args=(hub, f"{shot}", acknowledged[name]))
                    for hub, name in zip(hubs, acknowledged, strict=True)
                ]
                for thread in threads:
                    thread.start()
                time.sleep(dice.uniform(0.05, 1.0))
            process.kill()
            process.wait()
            for thread in threads:
                thread.join()
        left = [path for path in Path(folder).rglob("*.tmp")]
    count = sum(map(len, acknowledged.values()))
    print(json.dumps({"shots": options.shots, "commits": count, "lost": lost, "begun": begun}))
    assert not lost
    assert not left


if __name__ == "__main__":
    main()
