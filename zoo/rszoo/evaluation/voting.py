"""The networks whose votes a row of a log rests on, to draw from again."""

from collections.abc import Iterator

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.kind import Kind, Voter
from rszoo.errors import DataError
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.voting import Voting

__all__ = ["voting"]


def voting(
    classifier: Classifier, kind: Kind, old: Certificate
) -> Iterator[tuple[Voting, Stream, Voter]]:
    """Yield the networks that voted in a row, with the stream and the claim of each.

    The first is the one that the row's votes are of. An abstention claims nothing of the others.

    Raises:
        DataError: the row is of another kind of classifier, or of other networks.
    """
    if set(classifier.voters) != set(kind.voter_names(old)):
        raise DataError("expected a log of this kind of model, with its experts, got another")
    if old.candidate >= classifier.num_classes:
        raise DataError(
            f"expected a candidate of {classifier.num_classes} classes, got {old.candidate}"
        )
    voters = kind.voters(old)
    for voter in voters[:1] if old.label == ABSTAIN else voters:
        network, stream = classifier.voters[voter.name]
        if voter.searched:
            network = network.with_sigma(voter.sigma)
        if voter.sigma != network.applied_sigma:  # no votes can tell
            raise DataError(
                f"expected rows with sigma {network.applied_sigma}, that of the model, got "
                f"{voter.sigma}"
            )
        yield network, stream, voter
