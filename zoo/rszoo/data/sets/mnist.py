"""MNIST: 70,000 grey images of handwritten digits.

LeCun, Bottou, Bengio, Haffner (1998), http://yann.lecun.com/exdb/mnist/.
"""

from rszoo.data.known_set import KnownSet

SET = KnownSet(
    shape=(1, 28, 28),
    class_names=tuple("0123456789"),
    torchvision="MNIST",
    folder="MNIST/raw",
    hub_name="ylecun/mnist",
)
