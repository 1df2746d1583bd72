"""`kill -9` of a push to a hub on loopback; the same command must end where none was killed.

    python bench/faults/push.py [--shots 25] [--seed N]

After the kill the hub has nothing of the bundle or all of it, and in the end one commit of it.
"""

from pathlib import Path

from _hub import Served
from _shots import Range, Shot, fire

BUNDLE = Path(__file__).parents[2] / "zoo/rszoo/builtin/digits-gaussian-0.25"
hub: Served
seconds = 0.0
commits = 0
whole: dict[str, int] = {}
running = []  # a process ends when nobody holds it


def pushing(name: str) -> tuple[str, ...]:
    """Return the command that publishes the bundle."""
    return "push", str(BUNDLE), f"team/{name}"


def prepare(where: Range) -> None:
    """Start the hub, and push without a kill."""
    global hub, seconds, commits, whole
    hub = Served(where, Path("hub"))
    running.append(hub.start())
    seconds = where.seconds(*pushing("whole"))
    commits = len(hub.api.list_repo_commits("team/whole"))
    whole = _files("whole")


def shoot(where: Range, number: int) -> Shot:
    """Kill one push of a new model, look at the hub, and push again."""
    name = f"shot-{number}"
    shot = Shot(killed=where.killed(where.start(*pushing(name)), within=seconds))
    there = _files(name)
    shot.expect(there in ({}, whole), f"all files or none, got {sorted(there)}")
    shot.survived = where.ends_well(*pushing(name))
    shot.expect(_files(name) == whole, "the files of the bundle")
    made = len(hub.api.list_repo_commits(f"team/{name}"))
    shot.expect(made >= commits, "a commit")
    shot.twice += [f"commit {number}" for number in range(commits, made)]
    return shot


def _files(name: str) -> dict[str, int]:
    """Return the sizes of a model's files on the hub, but for what a hub or card adds."""
    if not hub.api.repo_exists(f"team/{name}"):
        return {}
    added = (".gitattributes", "README.md")
    tree = hub.api.list_repo_tree(f"team/{name}", recursive=True)
    return {one.path: one.size for one in tree if hasattr(one, "size") and one.path not in added}


if __name__ == "__main__":
    fire("push", shoot, prepare=prepare)
