"""The tree of `rszoo show --lineage`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.text import Text

from rszoo.theory.rounding import as_acr, as_stated
from rszoo_cli.console import out

if TYPE_CHECKING:
    from rich.tree import Tree

    from rszoo.hub.bundle import Bundle

__all__ = ["print_lineage"]


def print_lineage(bundle: "Bundle", *, json: bool) -> None:
    """Print where a bundle comes from."""
    from rszoo.training.lineage import lineage

    node = lineage(bundle)
    if json:
        out.print_json(data=node)
        return
    from rich.tree import Tree

    tree = Tree(_head(node))
    _grow(tree, node)
    out.print(tree)


def _grow(tree: "Tree", node: dict[str, Any]) -> None:
    """Add what is known of a bundle below it, and then its parents."""
    if "parents" not in node:
        return
    for kind, text in _lines(node):
        tree.add(Text.assemble((kind, "bold"), " ", text))
    for parent in node["parents"]:
        _grow(tree.add(_head(parent)), parent)


def _head(node: dict[str, Any]) -> Text:
    role = f"{node['role']}: " if "role" in node else ""
    if "problem" in node:
        name = f"{node['name']} ({node['weights_sha256'][:12]})"
        return Text.assemble((role, "cyan"), name, (f", {node['problem']}", "yellow"))
    sigma = "" if node["sigma"] is None else f", sigma {as_stated(node['sigma'])}"
    what = f", {node['method']} on {node['dataset']}{sigma}"
    again = ", see above" if node.get("repeated") else ""
    return Text.assemble((role, "cyan"), (node["id"], "bold green"), what, again)


def _lines(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if node["run"]:
        yield "run", _run(node["run"])
    if entry := node["registered"]:
        aliases = f" ({', '.join(entry['aliases'])})" if entry["aliases"] else ""
        yield "registered", f"{entry['name']} version {entry['version']}{aliases}"
    if recipe := node["recipe"]:
        other = "" if recipe["in_bundle"] is not False else ", not that of recipe.yaml"
        yield "recipe", recipe["digest"] + other
    if node["data"]:
        yield "data", node["data"]
    if node["git_commit"]:
        yield "git", node["git_commit"]
    if node["dvc"]:
        yield "dvc", _dvc(node["dvc"])
    if node["certificates"]:
        yield "certificates", _certificates(node["certificates"])


def _run(run: dict[str, Any]) -> str:
    if "problem" in run:
        return f"{run['id']}, {run['problem']}"
    if run["store"] is None:
        return f"{run['id']}, no MLflow store here"
    if run["status"] is None:
        return f"{run['id']}, not in this store: {run['store']}"
    return f"{run['id']} {run['name']}, {run['status']}, in {run['store']}"


def _dvc(entry: dict[str, Any]) -> str:
    if "problem" in entry:
        return entry["problem"]
    changed = "" if entry["unchanged"] else ", changed since"
    return f"{entry['stage']}, md5 {entry['md5']}{changed}, in {entry['lock']}"


def _certificates(known: dict[str, Any]) -> str:
    if "problem" in known:
        return known["problem"]
    source = " ".join(known["of"][key] or "" for key in ("name", "split") if key in known["of"])
    made = f", by rszoo {known['rszoo']}" if known["rszoo"] else ""
    return (
        f"{known['images']} images{f' of {source}' if source else ''}, n = {known['n']:,}, "
        f"alpha = {as_stated(known['alpha'])}, ACR {as_acr(known['acr'])}{made}"
    )
