"""What one certificate may cost, and how sure it has to be."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from rszoo.certificates.kind import BOUNDS, ONE_SIDED, RUNNER_UP
from rszoo.smoothing.checks import check_draws
from rszoo.smoothing.noise import random_seed

__all__ = ["Budget"]

# What goes together.
_TOGETHER = {"radii", f"bound={RUNNER_UP!r}"}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The draws and the failure probability of one certificate.

    Attributes:
        n0: draws for selecting the class, at least 1; of each part of several.
        n: fresh draws for bounding its probability, at least 1; of several parts one makes them
            all, and the others at most as many.
        alpha: failure probability per input, in (0, 1), of the whole statement.
        seed: the noise of an input depends on (seed, input) alone. A random one unless it is
            given.
        radii: certify at these radii only, pixel units, with as few draws as decide them; the
            certificate is for the largest that is reached. None: one radius from all n draws.
        tolerance: with `radii`, stop as soon as the certified radius is so close to the smallest
            that is out of reach; see `rszoo.smoothing.decisions.radius_grid`.
        bound: what is bounded, see `rszoo.certificates.kind.Kind.bound`; "chosen" not with radii.
        n_max: make so many draws where all of the n agree, see
            `rszoo.certificates.kinds.extended`; None: never more than n.
        top_k: certify that the answer is one of so many classes, see
            `rszoo.certificates.kinds.top_k`; None: certify one class.

    Raises:
        ValueError: n0, n, alpha or n_max out of range, a tolerance without radii, no such bound,
            or what does not go together.
    """

    n0: int = 100
    n: int = 100_000
    alpha: float = 0.001
    seed: int = field(default_factory=random_seed)
    radii: tuple[float, ...] | None = None
    tolerance: float = 0.0
    bound: str = ONE_SIDED
    n_max: int | None = None
    top_k: int | None = None

    def __post_init__(self) -> None:
        check_draws(n0=self.n0, n=self.n, alpha=self.alpha)
        if self.radii is None and self.tolerance != 0.0:
            raise ValueError(f"expected radii with tolerance={self.tolerance}, got none")
        if self.bound not in BOUNDS:
            raise ValueError(f"expected a bound of {', '.join(BOUNDS)}, got {self.bound!r}")
        if self.n_max is not None and self.n_max <= self.n:
            raise ValueError(f"expected n_max above n={self.n}, got {self.n_max}")
        asked = {
            "radii": self.radii is not None,
            f"bound={self.bound!r}": self.bound != ONE_SIDED,
            "n_max": self.n_max is not None,
            "top_k": self.top_k is not None,
        }
        both = [name for name, given in asked.items() if given]
        if len(both) > 1 and set(both) != _TOGETHER:
            raise ValueError(f"expected one of {' and '.join(both)}, which do not go together")

    @classmethod
    def of(
        cls,
        *,
        n0: int,
        n: int,
        alpha: float,
        seed: int | None,
        radii: Sequence[float] | None,
        tolerance: float,
        bound: str,
        n_max: int | None,
        top_k: int | None,
    ) -> "Budget":
        """Return the budget of a call that leaves its seed to chance where it says None."""
        return cls(
            n0=n0,
            n=n,
            alpha=alpha,
            seed=random_seed() if seed is None else seed,
            radii=None if radii is None else tuple(radii),
            tolerance=tolerance,
            bound=bound,
            n_max=n_max,
            top_k=top_k,
        )

    def check_taken(
        self, name: str, *, radii: bool, bounds: Collection[str], more: bool, sets: int
    ) -> None:
        """Refuse what a kind of classifier does not take.

        Args:
            name: of the classifier, in messages.
            radii, more: whether it takes radii and n_max.
            bounds: that it takes.
            sets: it takes sets of fewer classes than these.

        Raises:
            ValueError: it does not take the radii, the bound, n_max or top_k.
        """
        if self.radii is not None and not radii:
            raise ValueError(f"expected no radii and no tolerance with a {name}")
        if self.bound not in bounds:
            raise ValueError(
                f"expected bound={' or '.join(map(repr, bounds))} with a {name}, got "
                f"{self.bound!r}"
            )
        if self.n_max is not None and not more:
            raise ValueError(f"expected no n_max with a {name}")
        if self.top_k is not None and not 1 < self.top_k < sets:
            most = f"top_k from 2 to {sets - 1}" if sets else "no top_k"
            raise ValueError(f"expected {most} with a {name}, got {self.top_k}")

    @property
    def draws(self) -> int:
        """The most draws that a certificate takes of one network."""
        return self.n0 + (self.n_max or self.n)

    @property
    def open_ended(self) -> bool:
        """Whether it depends on the votes how many draws are made."""
        return self.radii is not None or self.n_max is not None
