"""CIFAR-10: 60,000 small photographs of animals and vehicles.

Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html. Standardisation: Jeong, Kim, Shin
(2023), https://github.com/alinlab/smoothing-catrs, `datasets.py`.
"""

from rszoo.data.facts import KnownSet
from rszoo.data.normalization import Normalization

_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"

SET = KnownSet(
    shape=(3, 32, 32),
    class_names=tuple(_CLASSES.split()),
    normalization=Normalization((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    torchvision="CIFAR10",
    folder="cifar-10-batches-py",
    hub_name="uoft-cs/cifar10",
)
