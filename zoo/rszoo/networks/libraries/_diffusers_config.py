"""The values of a `config.json` of a `UNet2DModel` of diffusers that a bundle may hold.

https://huggingface.co/docs/diffusers/api/models/unet2d. Size and channels of the images are those
of the bundle. What is not listed does not reach the library: classes to be conditioned on,
embeddings of time that were made for other noise (`fourier`), blocks that text is given to.
"""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import BaseModel, ConfigDict, model_validator

__all__ = ["UNetConfig"]

_Units = Annotated[int, Ge(4), Le(8192)]
_Groups = Annotated[int, Ge(1), Le(1024)]
_Head = Annotated[int, Ge(1), Le(8192)]
_Stages = Len(1, 8)
_Down = Literal["AttnDownBlock2D", "DownBlock2D", "ResnetDownsampleBlock2D"]
_Up = Literal["AttnUpBlock2D", "ResnetUpsampleBlock2D", "UpBlock2D"]


class UNetConfig(BaseModel):
    """Sizes of a U-Net, under the names and with the defaults of the library.

    Attributes:
        out_channels: those of the images, or twice as many: then it predicts a variance, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    out_channels: Annotated[int, Ge(1), Le(65_536)] = 3
    center_input_sample: bool = False
    time_embedding_type: Literal["positional"] = "positional"
    time_embedding_dim: Annotated[int, Ge(1), Le(32_768)] | None = None
    freq_shift: Literal[0, 1] = 0
    flip_sin_to_cos: bool = True
    down_block_types: Annotated[list[_Down], _Stages] = [
        *("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D")
    ]
    mid_block_type: Literal["UNetMidBlock2D"] | None = "UNetMidBlock2D"
    up_block_types: Annotated[list[_Up], _Stages] = [
        *("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    ]
    block_out_channels: Annotated[list[_Units], _Stages] = [224, 448, 672, 896]
    layers_per_block: Annotated[int, Ge(1), Le(16)] = 2
    mid_block_scale_factor: Annotated[float, Gt(0), Le(100)] = 1.0
    downsample_padding: Literal[0, 1] = 1
    downsample_type: Literal["conv", "resnet"] = "conv"
    upsample_type: Literal["conv", "resnet"] = "conv"
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    act_fn: Literal["gelu", "mish", "relu", "silu", "swish"] = "silu"
    attention_head_dim: _Head | None = 8
    norm_num_groups: _Groups = 32
    attn_norm_num_groups: _Groups | None = None
    norm_eps: Annotated[float, Gt(0), Le(1)] = 1e-5
    resnet_time_scale_shift: Literal["default", "scale_shift"] = "default"
    add_attention: bool = True

    @model_validator(mode="after")
    def _as_many_stages(self) -> "UNetConfig":
        stages = {*map(len, (self.down_block_types, self.up_block_types, self.block_out_channels))}
        if len(stages) != 1:
            raise ValueError(
                "expected as many down_block_types as up_block_types and block_out_channels"
            )
        return self
