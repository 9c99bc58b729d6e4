"""U-Nets over maps of features, and what they are built of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.errors import CropflowError


class DoubleConvolution(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


def padded_to(features: Tensor, like: Tensor) -> Tensor:
    """Zeros around features until they are as large as others: halving and doubling odd sizes loses a row."""
    rows, columns = like.shape[-2] - features.shape[-2], like.shape[-1] - features.shape[-1]
    if not rows and not columns:
        return features
    top, left = rows // 2, columns // 2
    return functional.pad(features, (left, columns - left, top, rows - top))


def check_side(space: Sequence[int], halvings: int, smallest: int = 1) -> None:
    """Refuse maps that cannot be halved as often as a network does.

    Args:
        space: Rows and columns.
        halvings: How often they are halved.
        smallest: Side of the coarsest map, at least.

    Raises:
        CropflowError: If they are too small.
    """
    least = smallest << halvings
    if min(space) < least:
        raise CropflowError(
            f"The network halves its squares {halvings} times and got {space[0]} x {space[1]} pixels; expected "
            f"{least} x {least} at least. Raise cutout of the model or patch_size of the sample set."
        )


class Unet(nn.Module):
    """A U-Net with bilinear upsampling; sizes that do not halve evenly are padded on the way up.

    Args:
        inputs: Input channels.
        widths: Channels from fine to coarse; each after the first halves the resolution.
        outputs: Output channels.

    Source:
        Ronneberger et al. (2015), https://doi.org/10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.stem = DoubleConvolution(inputs, widths[0])
        self.down = nn.ModuleList(DoubleConvolution(fine, coarse) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList()
        channels = widths[-1]
        for level in range(len(widths) - 2, -1, -1):
            joined = widths[level] + channels
            channels = widths[max(level - 1, 0)]
            self.up.append(DoubleConvolution(joined, channels))
        self.head = nn.Conv2d(channels, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map features ``(B, inputs, H, W)`` to scores ``(B, outputs, H, W)``."""
        skips = [self.stem(features)]
        for block in self.down:
            skips.append(block(functional.max_pool2d(skips[-1], 2)))
        joined = skips.pop()
        for block in self.up:
            skip = skips.pop()
            joined = functional.interpolate(joined, scale_factor=2, mode="bilinear", align_corners=True)
            joined = block(torch.cat([skip, padded_to(joined, skip)], 1))
        scores: Tensor = self.head(joined)
        return scores


class TransposedUnet(nn.Module):
    """A U-Net with transposed convolutions and without a head; convolutions before a batch norm have no bias.

    Args:
        inputs: Input channels.
        widths: Channels from fine to coarse; each after the first halves the resolution.

    Source:
        Ronneberger et al. (2015), https://doi.org/10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = DoubleConvolution(inputs, widths[0], bias=False)
        self.down = nn.ModuleList(DoubleConvolution(fine, coarse, bias=False) for fine, coarse in pairwise(widths))
        finer = list(pairwise(reversed(widths)))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, 2) for coarse, fine in finer)
        self.up = nn.ModuleList(DoubleConvolution(2 * fine, fine, bias=False) for _, fine in finer)

    def forward(self, features: Tensor) -> Tensor:
        """Map features ``(B, inputs, H, W)`` to features ``(B, widths[0], H, W)``."""
        skips = [self.stem(features)]
        for block in self.down:
            skips.append(block(functional.max_pool2d(skips[-1], 2)))
        joined: Tensor = skips.pop()
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            skip = skips.pop()
            joined = block(torch.cat([skip, padded_to(enlarge(joined), skip)], 1))
        return joined
