"""Fashion-MNIST: 70,000 grey images of clothes, in the form of MNIST.

Xiao, Rasul, Vollgraf (2017), https://github.com/zalandoresearch/fashion-mnist.
"""

from rszoo.data.facts import KnownSet

_CLASSES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"

SET = KnownSet(
    shape=(1, 28, 28),
    class_names=tuple(_CLASSES.split(",")),
    torchvision="FashionMNIST",
    folder="FashionMNIST/raw",
    hub_name="zalando-datasets/fashion_mnist",
)
