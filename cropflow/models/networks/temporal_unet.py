"""A temporal convolution along each pixel's series, then a U-Net over the map of its features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.config.models.drawing import Kind
from cropflow.config.models.patches import TemporalUnet as Settings
from cropflow.models.batch import Batch
from cropflow.models.data.alignment import on_one_axis
from cropflow.models.network import Inputs, Network


class SeriesConvolution(nn.Conv1d):
    """A 1-D convolution along the series of many pixels at once.

    It runs as a 2-D convolution of ``(kernel, 1)`` over ``(period, pixel)``: on two CPU cores that takes
    0.4 of the time of a batch of pixel series.
    """

    def forward(self, series: Tensor) -> Tensor:
        """Convolve ``(B, C, T, pixel)`` along T, whose length it keeps."""
        return functional.conv2d(series, self.weight.unsqueeze(-1), self.bias, padding=(self.kernel_size[0] // 2, 0))


class TemporalEncoder(nn.Module):
    """Convolutions along time, the same for every pixel, pooled over time.

    Args:
        bands: Input channels.
        width: Output channels.
        layers: Number of convolutions.
        kernel_size: Odd length of the kernel, periods.
        pooling: ``max`` or ``mean`` over time.
        dropout: Share of channels dropped in training, drawn per patch and layer.
    """

    def __init__(
        self,
        bands: int,
        width: int,
        layers: int,
        kernel_size: int,
        pooling: Literal["max", "mean"],
        dropout: float,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = dropout
        self.layers = nn.ModuleList(
            nn.Sequential(
                SeriesConvolution(width if layer else bands, width, kernel_size),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for layer in range(layers)
        )

    def forward(self, series: Tensor) -> Tensor:
        """Encode series ``(B, T, C, H, W)`` into features ``(B, width, H, W)``."""
        batch, periods, bands, height, width = series.shape
        features = series.transpose(1, 2).reshape(batch, bands, periods, height * width)
        for position, layer in enumerate(self.layers):
            if position:
                features = functional.dropout2d(features, self.dropout, self.training)
            features = layer(features)
        # Ties between periods lie at the zeros of the ReLU, where no gradient flows.
        pooled = features.max(2).values if self.pooling == "max" else features.mean(2)
        # A dropped channel is dropped in all periods: after pooling the same draw costs a T-th.
        return functional.dropout2d(pooled.view(batch, -1, height, width), self.dropout, self.training)


class DoubleConvolution(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
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
            missing_rows = skip.shape[-2] - joined.shape[-2]
            missing_columns = skip.shape[-1] - joined.shape[-1]
            if missing_rows or missing_columns:
                top, left = missing_rows // 2, missing_columns // 2
                joined = functional.pad(joined, (left, missing_columns - left, top, missing_rows - top))
            joined = block(torch.cat([skip, joined], 1))
        scores: Tensor = self.head(joined)
        return scores


def with_positions(series: Tensor) -> Tensor:
    """Append sine and cosine of half a turn over the season to every pixel's series.

    Convolutions and pooling over time give the same features for a curve that is shifted by a
    month; crops often differ by nothing but their dates.

    Args:
        series: ``(B, T, C, H, W)``.

    Returns:
        ``(B, T, C + 2, H, W)``: distinct for each period, and close for neighbours.

    Source:
        Vaswani et al. (2017), https://doi.org/10.48550/arXiv.1706.03762, with the lowest frequency alone.
    """
    batch, periods, _, height, width = series.shape
    angle = torch.linspace(0.0, torch.pi, periods, device=series.device, dtype=series.dtype)
    waves = torch.stack([angle.sin(), angle.cos()], 1).view(1, periods, 2, 1, 1)
    return torch.cat([series, waves.expand(batch, periods, 2, height, width)], 2)


class TemporalUnet(Network):
    """Scores per pixel from a series of patches.

    Input ``(B, T, C, H, W)`` float32, normalised, 0 where there is no value; any number of periods, the same of all
    sensors; H and W at least ``2 ** (len(widths) - 1)``. Output ``(B, outputs, H, W)``, not yet a softmax.

    With 4 bands, 51 outputs and the default settings it has the 13,447,155 parameters of the
    network that crop mapping of French regions with RPG labels and Sentinel-2 published.

    Args:
        bands: Bands per period, of all sensors.
        outputs: Number of classes.
        kernel_size: Temporal kernel, periods.
        temporal_layers: Temporal convolutions.
        temporal_width: Channels of the temporal part.
        widths: Channels of the U-Net, from fine to coarse.
        pooling: Over time, ``max`` or ``mean``.
        dropout: Share of temporal channels dropped in training.
        positions: Tell the network where in the season each period lies.
    """

    kind: ClassVar[Kind] = "patches"
    masked: ClassVar[bool] = False

    def __init__(
        self,
        bands: int,
        outputs: int,
        *,
        kernel_size: int = 3,
        temporal_layers: int = 2,
        temporal_width: int = 64,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        pooling: Literal["max", "mean"] = "max",
        dropout: float = 0.3,
        positions: bool = False,
    ) -> None:
        super().__init__()
        self.positions = positions
        self.temporal = TemporalEncoder(
            bands + 2 * positions, temporal_width, temporal_layers, kernel_size, pooling, dropout
        )
        self.spatial = Unet(temporal_width, widths, outputs).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def head(self) -> nn.Module:  # type: ignore[override]
        """The 1 x 1 convolution from features to classes."""
        head: nn.Module = self.spatial.head
        return head

    def replace_head(self, outputs: int) -> None:
        """Put a fresh 1 x 1 convolution in the place of the old one."""
        self.spatial.head = nn.Conv2d(self.spatial.head.in_channels, outputs, 1)

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class."""
        series = on_one_axis(batch).values
        if self.positions:
            series = with_positions(series)
        features = self.temporal(series).contiguous(memory_format=torch.channels_last)
        scores: Tensor = self.spatial(features)
        return scores


def build(settings: Settings, inputs: Inputs) -> TemporalUnet:
    """The network of a config section; `periods` of all sensors must be as many."""
    return TemporalUnet(
        inputs.channels,
        inputs.outputs,
        kernel_size=settings.kernel_size,
        temporal_layers=settings.temporal_layers,
        temporal_width=settings.temporal_width,
        widths=settings.widths,
        pooling=settings.pooling,
        dropout=settings.dropout,
        positions=settings.positions,
    )
