"""MNIST: 70,000 grey images of handwritten digits.

LeCun, Bottou, Bengio, Haffner (1998), http://yann.lecun.com/exdb/mnist/.
"""

from rszoo.data.facts import KnownSet

SET = KnownSet(
    shape=(1, 28, 28),
    class_names=tuple("0123456789"),
    torchvision="MNIST",
    folder="MNIST/raw",
    hub_name="ylecun/mnist",
    digests={
        "train": "bd6412f2fbecc53ba33d7304a742e9a40d36cdaec122ffca1f7b5ee4f5196c02",
        "test": "4300986d210f6578f582f5f1da787861d8848098814b8969baf1c438755975ea",
    },
)
