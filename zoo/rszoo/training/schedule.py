"""Learning rate as a function of how far training has come."""

from rszoo.training.recipes.sections.common import TrainSpec

__all__ = ["learning_rate"]


def learning_rate(train: TrainSpec, *, epoch: int, progress: float) -> float:
    """Return the learning rate of one step.

    Args:
        train: schedule "step" multiplies `lr` by 0.1 every `step_epochs` epochs; "one_cycle" goes
            up linearly to `lr` over the first `warmup` of the run, then linearly down to 0.
        epoch: index of the current epoch, from 0.
        progress: share of the run that is done after this step, in (0, 1].
    """
    if train.schedule == "step":
        assert train.step_epochs is not None  # the recipe has checked it
        return train.lr * 0.1 ** (epoch // train.step_epochs)
    if progress < train.warmup:
        return train.lr * progress / train.warmup
    return train.lr * (1.0 - progress) / (1.0 - train.warmup)
