"""A memory of what was certified, so that certificates of inputs with noise of their own agree.

After Alfarra, Bibi, Torr and Ghanem (2022), Data Dependent Randomized Smoothing,
https://arxiv.org/abs/2012.04351. Every answer (x, c, R) is remembered as a region: the open ball
of radius R around x, and its label. A new input is certified alone, which gives a class and a
nominal radius. Then

    outside of all regions   the radius is cut to the distance from the nearest region of another
                             label: min(nominal, |x - x_j| - R_j)
    within a region          where the input's own answer is another class, or none, or its radius
                             ends before the region does: the label of the region, up to its border

Guarantee:
    For any inputs in any order, chosen by anybody, and without any probability: if two answers
    (x, c, R) and (x', c', R') do not abstain, and |x - x'| < max(R, R'), then c = c'. So whoever
    has been given a label and a radius is never given, before or after, another label for an input
    within it. It holds as long as the memory is kept: it is one about a classifier with a state.

    Each region has evidence besides: with probability at least 1 - alpha over its draws, the
    classifier smoothed with the noise found for its centre answers its label throughout it. This
    assumes what `Classifier.certify` does.

Proof:
    Regions of different labels do not overlap. By induction: a new region of radius R and label c
    has R <= |x - x_j| - R_j for every earlier one of another label, so that by the triangle
    inequality no point is in both, nor is one's centre in the other, even at radius 0. Now let
    |x - x'| < R. The ball of (x, c, R) is a region or lies in one, a, and so x' is in a. Either x'
    was answered from within a region, in which it lies and which meets a there: then c' = c. Or x'
    is the centre of one, which for c' != c would not be in a. Distances are rounded so that this
    holds in exact arithmetic; where rounding cannot tell on which side of a border an input is,
    the answer abstains.

What this is not: a statement about the classifier without its memory. The answers depend on the
order of the inputs. Whoever asks first can put a region where a later input will lie.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.claims import of_votes
from rszoo.certificates.kind import agrees
from rszoo.certificates.kinds.memory import Remembered
from rszoo.errors import DataError, RszooError
from rszoo.smoothing.differing import described, differing_values
from rszoo.smoothing.memory_rows import details_of, from_text, image_digest, is_region, to_text

__all__ = ["Memory"]

_VERSION = 1
_TABLES = f"""
CREATE TABLE protocol (text TEXT NOT NULL);
CREATE TABLE answers (
    position INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE,
    certificate TEXT NOT NULL, image BLOB);
PRAGMA user_version = {_VERSION};
"""

# A distance is a sum of squares in float64: of up to 10^6 pixels its error is below 2^-33.
_ROUNDING = 2.0**-32

_BLOCK = 1000


class Memory:
    """The answers so far, in order; a context manager. One process at a time has it open.

    Attributes:
        path: the file, a SQLite database; None: kept in this process alone.
    """

    def __init__(self, database: sqlite3.Connection, path: Path | None) -> None:
        """Use `Memory.open`."""
        self.path = path
        self._database = database
        self._regions: list[tuple[Tensor, Certificate]] = []
        self._count = 0
        for position, digest, text, image in database.execute(
            "SELECT position, digest, certificate, image FROM answers ORDER BY position"
        ):
            self._load(position, digest, text, image)

    @classmethod
    def open(cls, path: str | Path | None = None) -> "Memory":
        """Open a memory, or begin one.

        Raises:
            RszooError: it cannot be written, or another process has it open.
            DataError: what is there is not a memory, or a row of it is broken.
        """
        path = None if path is None else Path(path)
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(path or ":memory:", timeout=0.0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise RszooError(f"cannot open the memory {str(path)!r}: {error}") from error
        try:
            # Every answer depends on all before it: nobody else may add any in the meantime.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("BEGIN EXCLUSIVE")
            if not database.execute("SELECT name FROM sqlite_master").fetchall():
                for statement in _TABLES.strip().split(";")[:-1]:
                    database.execute(statement)
            database.execute("COMMIT")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                raise ValueError(f"a database of another kind, or version {version}")
            return cls(database, path)
        except sqlite3.OperationalError as error:
            database.close()
            raise RszooError(
                f"cannot use the memory {str(path)!r}: {error}; if another process has it open, "
                "wait for it to end, or name another one with --memory"
            ) from error
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError, RuntimeError) as error:
            database.close()
            raise DataError(
                f"{path}: expected a memory of rszoo, got {error}; restore the file, or begin "
                "another one"
            ) from error
        except BaseException:
            database.close()
            raise

    def __len__(self) -> int:
        return self._count

    @property
    def seed(self) -> int | None:
        """The seed of the answers so far; None where none were made, or it is not known."""
        row = self._database.execute("SELECT text FROM protocol").fetchone()
        return None if row is None else json.loads(row[0]).get("seed")

    def use_for(self, protocol: Mapping[str, Any]) -> None:
        """Say what makes the answers, as JSON values: the same for all that a memory holds.

        Raises:
            RszooError: the answers of before were made by something else.
        """
        text = json.dumps(protocol, sort_keys=True, allow_nan=False)
        row = self._database.execute("SELECT text FROM protocol").fetchone()
        if row is None:
            self._database.execute("INSERT INTO protocol VALUES (?)", (text,))
            return
        before, now = json.loads(row[0]), json.loads(text)
        if found := differing_values(before, now):
            lines = described(before, now, [key for key, *_ in found], second=" now")
            raise RszooError(
                f"the memory {self.path} was made otherwise:\n  " + "\n  ".join(lines) + "\n"
                "use the same values, or name another one with --memory"
            )

    def answer(self, image: Tensor, certify: Callable[[], Certificate]) -> Certificate:
        """Return the answer to an input, and remember it; when this returns, it is in the file.

        Guarantee:
            That of the module. An input that was answered before gets the same answer again.

        Args:
            image: float32, one input.
            certify: gives its certificate at a noise level of its own, whose `radius` is nominal.

        Raises:
            DataError: the input has another shape than those of before.
        """
        image = image.detach().to("cpu", torch.float32).contiguous()
        if self._regions and image.shape != self._regions[0][0].shape:
            raise DataError(
                f"expected an input of shape {tuple(self._regions[0][0].shape)}, as in the "
                f"memory, got {tuple(image.shape)}"
            )
        digest = image_digest(image)
        row = self._database.execute(
            "SELECT certificate FROM answers WHERE digest = ?", (digest,)
        ).fetchone()
        if row is not None:
            return from_text(row[0])
        answer = self._agreed(image, certify())
        region = is_region(answer)
        text = to_text(answer, image.shape)
        pixels = image.numpy().tobytes() if region else None
        try:
            self._database.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?)", (self._count, digest, text, pixels)
            )
        except sqlite3.Error as error:
            raise RszooError(f"cannot write the memory {str(self.path)!r}: {error}") from error
        self._count += 1
        if region:
            self._regions.append((image, answer))
        return answer

    def region_of(self, image: Tensor) -> Certificate | None:
        """Return the region that an input lies in; of several, that whose border is farthest.

        Returns:
            Its answer, with the distance to its border as `radius`; None outside of all.
        """
        distances = self._distances(image)
        left = [
            (answer.radius - distance * (1.0 + _ROUNDING), answer)
            for distance, (_, answer) in zip(distances, self._regions, strict=True)
        ]
        radius, answer = max(left, key=lambda entry: entry[0], default=(0.0, None))
        return None if answer is None or radius <= 0.0 else replace(answer, radius=radius)

    def _agreed(self, image: Tensor, certificate: Certificate) -> Certificate:
        """Return the certificate that contradicts no region."""
        within = self.region_of(image)
        reach = self._reach(image, certificate.label)
        kept = certificate.label != ABSTAIN and reach > 0.0
        radius = min(certificate.radius, reach) if kept else 0.0
        if within is not None and (certificate.label != within.label or radius < within.radius):
            return replace(within, details=replace(details_of(within), order=self._count))
        return replace(
            certificate,
            label=certificate.label if kept else ABSTAIN,
            radius=radius,
            details=Remembered(
                nominal_radius=certificate.radius, order=self._count, source=self._count
            ),
        )

    def _reach(self, image: Tensor, label: int) -> float:
        """Return how far it is to the nearest region of another label; infinite without any."""
        away = (
            distance * (1.0 - _ROUNDING) - answer.radius
            for distance, (_, answer) in zip(self._distances(image), self._regions, strict=True)
            if answer.label != label
        )
        return min(away, default=float("inf"))

    def _distances(self, image: Tensor) -> list[float]:
        """Return the distances to the centres of all regions."""
        point = image.detach().to("cpu", torch.float32).double().flatten()
        distances: list[float] = []
        for start in range(0, len(self._regions), _BLOCK):
            centres = [centre for centre, _ in self._regions[start : start + _BLOCK]]
            block = torch.stack(centres).double().flatten(1)
            distances += (block - point).square().sum(1).sqrt().tolist()
        return distances

    def _load(self, position: int, digest: bytes, text: str, pixels: bytes | None) -> None:
        """Take a row of the file, checked: a region claims no more than its votes give."""
        answer = from_text(text)
        given = of_votes(vars(answer))
        place = details_of(answer)
        sound = (
            position == self._count
            and place.order == position
            and agrees(answer.p_lower, given.p_lower)
            and agrees(place.nominal_radius, given.radius)
            and answer.label in (ABSTAIN, given.label)
            and 0.0 <= answer.radius <= place.nominal_radius
            and (pixels is None) != is_region(answer)
        )
        if not sound:
            raise ValueError(f"answer {position}, which does not follow from its votes")
        self._count += 1
        if pixels is not None:
            image = torch.frombuffer(bytearray(pixels), dtype=torch.float32)
            image = image.reshape(json.loads(text)["shape"])
            if image_digest(image) != digest or not bool(image.isfinite().all()):
                raise ValueError(f"answer {position}, whose image is not the one that was given")
            if self._reach(image, answer.label) < answer.radius:
                raise ValueError(f"answer {position}, which contradicts an earlier one")
            self._regions.append((image, answer))

    def close(self) -> None:
        """Close the file and let other processes use it."""
        self._database.close()

    def __enter__(self) -> "Memory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
