"""`kill -9` of a hub while three clients write: no commit that it acknowledged is lost.

python bench/faults/hub_writers.py [--shots 25] [--seed N]
"""

import base64
import json
import os
import shutil
import threading
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from _hub import TOKEN, Served
from _shots import Range, Shot, fire, left_over

REPO, WRITERS, SPAN = "team/model", 3, 2.0
hub: Served
acknowledged: list[str] = []
sent = Counter()


def prepare(where: Range) -> None:
    """Make the model that everybody writes to."""
    global hub
    hub = Served(where, Path("hub"))
    server = hub.start()
    hub.api.create_repo(REPO)
    server.kill()
    server.wait()


def shoot(where: Range, number: int) -> Shot:
    """Start the hub, kill it while clients write, start it again and look."""
    server, stop = hub.start(), threading.Event()
    clients = [threading.Thread(target=_write, args=(one, stop)) for one in range(WRITERS)]
    for client in clients:
        client.start()
    shot = Shot(killed=where.killed(server, within=SPAN))
    stop.set()
    for client in clients:
        client.join()
    server = hub.start()
    try:
        _look(shot)
    finally:
        server.kill()
        server.wait()
    return shot


def _write(writer: int, stop: threading.Event) -> None:
    """Commit one small file after the other until the hub is gone, and never twice."""
    while not stop.is_set():
        sent[writer] += 1
        title = f"{writer}-{sent[writer]}"
        content = base64.b64encode(title.encode()).decode()
        change = {"path": f"{title}.txt", "content": content, "encoding": "base64"}
        lines = [{"key": "header", "value": {"summary": title}}, {"key": "file", "value": change}]
        request = Request(
            f"{hub.url}/api/models/{REPO}/commit/main",
            data="".join(f"{json.dumps(line)}\n" for line in lines).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"},
        )
        try:
            with urlopen(request, timeout=60) as answer:
                answer.read()
        except (OSError, HTTPException):  # no client that tries again: the hub is gone
            return
        acknowledged.append(title)


def _look(shot: Shot) -> None:
    """Compare the history and the files with what was acknowledged, by all shots so far."""
    titles = Counter(commit.title for commit in hub.api.list_repo_commits(REPO))
    files = set(hub.api.list_repo_files(REPO))
    for title in acknowledged:
        shot.expect(title in titles, f"commit {title}")
        shot.expect(f"{title}.txt" in files, f"file {title}.txt")
    last = acknowledged[-WRITERS:]
    for title in last:
        path = hub.api.hf_hub_download(REPO, f"{title}.txt", local_dir="there")
        shot.expect(Path(path).read_text() == title, f"content of {title}.txt")
    shutil.rmtree("there", ignore_errors=True)
    shot.twice += [title for title, count in titles.items() if count > 1]
    shot.twice += left_over(hub.root) + os.listdir(hub.root / "uploads")


if __name__ == "__main__":
    try:
        fire("hub, three writers", shoot, prepare=prepare)
    finally:
        print(f"{len(acknowledged)} commits acknowledged")
