"""What is true of a well-known data set whether or not its files are here.

Standardisation constants: Jeong, Kim, Shin (2023), https://github.com/alinlab/smoothing-catrs,
`datasets.py`. Class names: the data sets' own files.
"""

from dataclasses import dataclass

from rszoo.data.normalization import Normalization

__all__ = ["NORMALIZATIONS", "TEN_DIGITS", "Facts", "facts"]

TEN_DIGITS = tuple("0123456789")

NORMALIZATIONS = {
    "cifar10": Normalization((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Normalization((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}

_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange
orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit
raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel
streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip
turtle wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A data set without its images.

    Attributes:
        shape: channels, height, width of every image.
        class_names: one name per class, in the order of the labels.
        normalization: the standardisation customary for it, None where there is none.
    """

    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    normalization: Normalization | None


_KNOWN = {
    "mnist": ((1, 28, 28), TEN_DIGITS),
    "fashion_mnist": ((1, 28, 28), tuple(_FASHION.split(","))),
    "cifar10": ((3, 32, 32), tuple(_CIFAR10.split())),
    "cifar100": ((3, 32, 32), tuple(_CIFAR100.split())),
}


def facts(name: str) -> Facts | None:
    """Return what is known of a data set; None when only its files can tell."""
    if name not in _KNOWN:
        return None
    shape, class_names = _KNOWN[name]
    return Facts(shape=shape, class_names=class_names, normalization=NORMALIZATIONS.get(name))
