"""Triton kernels: convolutions of images in channels-last memory, with all that follows them.

A program computes a tile: for TILE places of images, ROWS pixels each, one below the other, all
output channels. A place is (image, group of ROWS rows, column). Each row of input pixels is read
once for the up to three output rows that it belongs to; that, not arithmetic, is what narrow
convolutions wait for. The sum over taps and channels is float32, in the same order for every
pixel of every batch, so that an image has the same logits alone and among others.

Only what Triton has built in is used: its interpreter (TRITON_INTERPRET=1) needs no more.
"""

import triton
import triton.language as tl
from triton.language import constexpr, tensor

__all__ = ["blocks", "convolution", "images"]


@triton.jit
def _values(
    x: tensor, image: tensor, row: tensor, column: tensor, inside: tensor,
    H: constexpr, W: constexpr, C: constexpr
) -> tensor:  # fmt: skip
    """Return pixels `[TILE, C]` of x `[N, H, W, C]`; zeros beyond the border."""
    there = inside & (row >= 0) & (row < H) & (column >= 0) & (column < W)
    pixel = (image * H + row) * W + column
    at = pixel[:, None] * C + tl.arange(0, C)[None, :]
    return tl.load(x + at, mask=there[:, None], other=0.0)


@triton.jit
def _add(
    total: tensor, values: tensor, w: tensor, tap: constexpr, C: constexpr, D: constexpr
) -> tensor:
    """Return total + values @ w[tap]."""
    matrix = tl.arange(0, C)[:, None] * D + tl.arange(0, D)[None, :]
    return tl.dot(values, tl.load(w + tap * (C * D) + matrix), total, input_precision="ieee")


@triton.jit
def _finish(
    total: tensor, shortcut: tensor, mask: tensor, y: tensor, at: tensor, inside: tensor,
    adding: tensor, SHORTCUT: constexpr, RELU: constexpr, MASKED: constexpr
) -> None:  # fmt: skip
    """Store relu(total + shortcut) at some places; zero where a mask is not positive."""
    if SHORTCUT:
        added = tl.load(shortcut + at, mask=inside[:, None] & adding, other=0.0)
        total += added.to(tl.float32)
    if RELU:
        total = tl.maximum(total, 0.0)
    if MASKED:
        passed = tl.load(mask + at, mask=inside[:, None], other=0.0)
        total = tl.where(passed.to(tl.float32) > 0.0, total, 0.0)
    kept = total.to(y.dtype.element_ty)  # pyright: ignore[reportAttributeAccessIssue]
    tl.store(y + at, kept, mask=inside[:, None])


@triton.jit
def _tile(
    x: tensor, w: tensor, b: tensor, shortcut: tensor, mask: tensor, y: tensor, place: tensor,
    end: tensor, adding: tensor, H: constexpr, W: constexpr, IN_H: constexpr, IN_W: constexpr,
    C: constexpr, D: constexpr, KERNEL: constexpr, STRIDE: constexpr, SPREAD: constexpr,
    ROWS: constexpr, SHORTCUT: constexpr, RELU: constexpr, MASKED: constexpr, TILE: constexpr
) -> None:  # fmt: skip
    """y = relu(convolution(x, w) + b + shortcut) at some places, those below `end`.

    x [N, IN_H, IN_W, C], w [KERNEL^2, C, D], b [D] float32, shortcut, mask and y [N, H, W, D];
    without `adding` the shortcut is left out. ROWS divides H, and is 1 but for a 3x3 convolution
    with stride 1, where it may be 2 or 4. With a SPREAD of 2, pixel (i, j) of x lies at
    (2i, 2j), among zeros: so the gradient of a convolution with stride 2 is one with stride 1.
    """
    GROUPS: constexpr = H // ROWS
    column = place % W
    top = (place // W) % GROUPS * ROWS
    image = place // (W * GROUPS)
    inside = place < end
    d = tl.arange(0, D)
    total0 = tl.full((TILE, D), 0.0, tl.float32) + tl.load(b + d)[None, :]
    total1 = total0
    total2 = total0
    total3 = total0
    for i in tl.static_range(ROWS + KERNEL - 1):  # pyright: ignore[reportGeneralTypeIssues]
        row = top * STRIDE + (i - KERNEL // 2)
        for j in tl.static_range(KERNEL):  # pyright: ignore[reportGeneralTypeIssues]
            across = column * STRIDE + (j - KERNEL // 2)
            if SPREAD == 1:
                values = _values(x, image, row, across, inside, IN_H, IN_W, C)
            else:
                there = inside & (row % SPREAD == 0) & (across % SPREAD == 0)
                values = _values(x, image, row // SPREAD, across // SPREAD, there, IN_H, IN_W, C)
            if i < KERNEL:
                total0 = _add(total0, values, w, i * KERNEL + j, C, D)
            if ROWS >= 2 and i >= 1 and i < 4:
                total1 = _add(total1, values, w, (i - 1) * KERNEL + j, C, D)
            if ROWS >= 4 and i >= 2 and i < 5:
                total2 = _add(total2, values, w, (i - 2) * KERNEL + j, C, D)
            if ROWS >= 4 and i >= 3:
                total3 = _add(total3, values, w, (i - 3) * KERNEL + j, C, D)
    at = ((image * H + top) * W + column)[:, None] * D + d[None, :]
    _finish(total0, shortcut, mask, y, at, inside, adding, SHORTCUT, RELU, MASKED)
    if ROWS >= 2:
        _finish(total1, shortcut, mask, y, at + W * D, inside, adding, SHORTCUT, RELU, MASKED)
    if ROWS >= 4:
        _finish(total2, shortcut, mask, y, at + 2 * W * D, inside, adding, SHORTCUT, RELU, MASKED)
        _finish(total3, shortcut, mask, y, at + 3 * W * D, inside, adding, SHORTCUT, RELU, MASKED)


@triton.jit
def convolution(
    x: tensor, w: tensor, b: tensor, shortcut: tensor, mask: tensor, y: tensor, places: tensor,
    H: constexpr, W: constexpr, IN_H: constexpr, IN_W: constexpr, C: constexpr, D: constexpr,
    KERNEL: constexpr, STRIDE: constexpr, SPREAD: constexpr, ROWS: constexpr,
    SHORTCUT: constexpr, RELU: constexpr, MASKED: constexpr, TILE: constexpr
) -> None:  # fmt: skip
    """One convolution of all images, of which there are so many places; see `_tile`."""
    place = tl.program_id(0) * TILE + tl.arange(0, TILE)
    _tile(
        x, w, b, shortcut, mask, y, place, places, True, H, W, IN_H, IN_W, C, D, KERNEL, STRIDE,
        SPREAD, ROWS, SHORTCUT, RELU, MASKED, TILE
    )  # fmt: skip


# A number of tiles that the compiler knows to be 1 has it compute all addresses once, before the
# first convolution: that takes all registers there are, and more.
@triton.jit(do_not_specialize=["tiles"])
def blocks(
    x: tensor, w: tensor, b: tensor, middle: tensor, y: tensor, number: tensor, count: tensor,
    tiles: tensor, H: constexpr, W: constexpr, C: constexpr, ROWS: constexpr, TILE: constexpr,
    IMAGES: constexpr
) -> None:  # fmt: skip
    """`count` convolutions of basic blocks, one after the other, of IMAGES images a program.

    x, middle and y [number, H, W, C]; w [count, 9, C, C] and b [count, C]. The first convolution
    of a block goes from y to `middle`, the second from `middle` to y, to which it adds (in the
    first block x is in the place of y): what lies between is read again by the processor that
    wrote it, and the barrier lets none of its threads read before all have written.
    """
    PLACES: constexpr = H // ROWS * W
    first = tl.program_id(0) * IMAGES * PLACES
    end = tl.minimum(first + IMAGES * PLACES, number * PLACES)
    source = x
    shortcut = x
    target = middle
    for step in tl.range(count, num_stages=1):  # pyright: ignore[reportGeneralTypeIssues]
        for tile in tl.range(tiles, num_stages=1):  # pyright: ignore[reportGeneralTypeIssues]
            place = first + tile * TILE + tl.arange(0, TILE)
            _tile(
                source, w + step * (9 * C * C), b + step * C, shortcut, x, target, place, end,
                step % 2 == 1, H, W, H, W, C, C, 3, 1, 1, ROWS, True, True, False, TILE
            )  # fmt: skip
        tl.debug_barrier()
        if step % 2 == 0:
            source = middle
            target = y
        else:
            source = y
            target = middle
            shortcut = y


@triton.jit
def images(
    x: tensor, mean: tensor, std: tensor, w: tensor, b: tensor, y: tensor, pixels: tensor,
    of_image: tensor, of_channel: tensor, of_row: tensor, of_column: tensor,
    H: constexpr, W: constexpr, CHANNELS: constexpr, VALUES: constexpr, D: constexpr,
    RELU: constexpr, TILE: constexpr
) -> None:  # fmt: skip
    """y = relu(convolution((x - mean) / std, w) + b), 3x3, of images in any memory order.

    The standardised image is padded with zeros, as by torch: a black pixel beyond the border would
    be another number. x is float32, of strides `of_image` to `of_column`; w [VALUES, D], in the
    order (tap, channel), VALUES a power of two that holds 9 * CHANNELS.
    """
    at = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inside = at < pixels
    image = at // (H * W)
    value = tl.arange(0, VALUES)
    tap = value // CHANNELS
    channel = value % CHANNELS
    i = ((at // W) % H)[:, None] + (tap // 3 - 1)[None, :]
    j = (at % W)[:, None] + (tap % 3 - 1)[None, :]
    there = inside[:, None] & (tap < 9)[None, :] & (i >= 0) & (i < H) & (j >= 0) & (j < W)
    place = (image * of_image)[:, None] + (channel * of_channel)[None, :]
    seen = tl.load(x + place + i * of_row + j * of_column, mask=there, other=0.0)
    standard = (seen - tl.load(mean + channel)[None, :]) / tl.load(std + channel)[None, :]
    values = tl.where(there, standard, 0.0)
    values = values.to(w.dtype.element_ty)  # pyright: ignore[reportAttributeAccessIssue]
    d = tl.arange(0, D)
    total = tl.full((TILE, D), 0.0, tl.float32) + tl.load(b + d)[None, :]
    taps = tl.load(w + value[:, None] * D + d[None, :])
    total = tl.dot(values, taps, total, input_precision="ieee")
    _finish(total, y, y, y, at[:, None] * D + d[None, :], inside, False, False, RELU, False)
