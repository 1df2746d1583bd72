"""How large what a bundle says may be: it is other people's, and everybody who opens it reads it.

`docs/reference/bundle.md` states these numbers.
"""

from collections.abc import Mapping

from rszoo.hub.files import CONFIG, EVIDENCE, PROTOCOL, RECIPE, is_of_attack

__all__ = [
    "LARGEST_ATTACK",
    "LARGEST_FILE",
    "LARGEST_MANIFEST",
    "LONGEST_CLASS_NAME",
    "LONGEST_NAME",
    "LONGEST_TEXT",
    "MOST_ATTACKS",
    "MOST_BYTES",
    "MOST_CLASSES",
    "MOST_FILES",
    "MOST_PARENTS",
    "MOST_PARTS",
    "MOST_ROWS",
    "MOST_VALUES",
    "most_bytes",
]

#: Characters of the name of a bundle, a method or a network.
LONGEST_NAME = 200

#: Characters of the name of a data set, which may be a path.
LONGEST_TEXT = 4096

#: Classes, and characters of the name of one.
MOST_CLASSES = 100_000
LONGEST_CLASS_NAME = 1000

#: Channels times height times width of an input.
MOST_VALUES = 1 << 24

#: Experts or members of a composed bundle, as many as a protocol may state, and parents in an
#: origin.
MOST_PARTS = 100
MOST_PARENTS = 1000

#: Inputs in the log of a bundle: twice the validation set of ImageNet.
MOST_ROWS = 100_000

#: Files that a manifest lists.
MOST_FILES = 100

#: Bytes of the manifest, of the files that are read as text, and of any other file.
LARGEST_MANIFEST = 1 << 20
MOST_BYTES: Mapping[str, int] = {
    CONFIG: 1 << 23,
    RECIPE: 1 << 16,
    EVIDENCE: 1 << 26,
    PROTOCOL: 1 << 20,
}
LARGEST_FILE = 1 << 32

#: Logs of attacks, and bytes of one and of its protocol.
MOST_ATTACKS = 10
LARGEST_ATTACK = 1 << 23


def most_bytes(name: str) -> int:
    """Return how many bytes a file of a bundle may have, by its name."""
    return MOST_BYTES.get(name, LARGEST_ATTACK if is_of_attack(name) else LARGEST_FILE)
