"""Networks for photographs, made to take images of any number of channels."""

from torch import nn

__all__ = ["with_channels"]


def with_channels(network: nn.Module, channels: int) -> nn.Module:
    """Return a network for RGB images whose first convolution takes `channels` instead of 3."""
    name, first = next(
        (name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)
    )
    if channels == first.in_channels:
        return network
    fresh = nn.Conv2d(
        channels,
        first.out_channels,
        kernel_size=first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
    owner, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(owner), attribute, fresh)
    return network
