"""CIFAR-100: 60,000 small photographs in a hundred classes.

Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html. Standardisation: Jeong, Kim, Shin
(2023), https://github.com/alinlab/smoothing-catrs, `datasets.py`.
"""

from rszoo.data.facts import KnownSet
from rszoo.data.normalization import Normalization

_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange
orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit
raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel
streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip
turtle wardrobe whale willow_tree wolf woman worm
"""

SET = KnownSet(
    shape=(3, 32, 32),
    class_names=tuple(_CLASSES.split()),
    normalization=Normalization((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    torchvision="CIFAR100",
    folder="cifar-100-python",
    hub_name="uoft-cs/cifar100",
)
