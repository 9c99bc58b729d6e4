"""A temporal convolution along each pixel's series, then a U-Net over the map of its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.config.models.drawing import Kind
from cropflow.config.models.patches import TemporalUnet as Settings
from cropflow.models.batch import Batch
from cropflow.models.layers.masks import gaps, masked_batch_norm, on_axis, with_positions
from cropflow.models.layers.unet import Unet
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
        pooling: ``max`` or ``mean`` over the valid periods.
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

    def forward(self, series: Tensor, valid: Tensor | None = None) -> Tensor:
        """Encode the series of pixels.

        Args:
            series: ``(B, T, C, H, W)``, 0 where not valid.
            valid: bool, ``(B, T, H, W)``; None where the series are complete.

        Returns:
            ``(B, width, H, W)``; 0 for a pixel without a valid period.
        """
        batch, periods, bands, height, width = series.shape
        features = series.transpose(1, 2).reshape(batch, bands, periods, height * width)
        mask = None if valid is None else valid.reshape(batch, 1, periods, height * width)
        for position, layer in enumerate(self.layers):
            if position:
                features = functional.dropout2d(features, self.dropout, self.training)
            features = layer(features) if mask is None else _within(layer, features, mask)
        if self.pooling == "mean":
            pooled = features.mean(2) if mask is None else features.sum(2) / mask.sum(2).clamp(min=1)
        else:
            # Ties between periods lie at the zeros of the ReLU, where no gradient flows; gaps are such zeros too.
            # Without gradients the place of the maximum is not asked for, which costs more than the maximum.
            pooled = features.max(2).values if features.requires_grad else features.amax(2)
        # A dropped channel is dropped in all periods: after pooling the same draw costs a T-th.
        return functional.dropout2d(pooled.view(batch, -1, height, width), self.dropout, self.training)


def _within(layer: nn.Module, features: Tensor, mask: Tensor) -> Tensor:
    """A layer whose gaps stay 0: what the zeros around a series are to its ends."""
    convolution, norm, activation = layer.children()
    found: Tensor = activation(masked_batch_norm(norm, convolution(features), mask) * mask)  # type: ignore[arg-type]
    return found


class TemporalUnet(Network):
    """Scores per pixel from a series of patches.

    Input ``(B, T, C, H, W)`` float32, normalised; any number of periods; H and W at least
    ``2 ** (len(widths) - 1)``. Periods that are missing at a pixel or only fill the batch change nothing. Output
    ``(B, outputs, H, W)``, not yet a softmax.

    With 4 bands, 51 outputs and the default settings it has the 13,447,155 parameters of the
    network that crop mapping of French regions with RPG labels and Sentinel-2 published (13,455,859 with kernels of 5).

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
        align: How sensors on other dates come to those of the first.

    Source:
        Temporal convolutions of Pelletier et al. (2019), https://doi.org/10.3390/rs11050523, pooled, and the U-Net of
        Ronneberger et al. (2015), https://doi.org/10.1007/978-3-319-24574-4_28.
    """

    kind: ClassVar[Kind] = "patches"
    masked: ClassVar[bool] = True

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
        align: Literal["nearest", "linear"] = "nearest",
    ) -> None:
        super().__init__()
        self.positions = positions
        self.align: Literal["nearest", "linear"] = align
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
        series = on_axis(batch, self.align)
        values = with_positions(series) if self.positions else series.values
        features = self.temporal(values, gaps(series.valid)).contiguous(memory_format=torch.channels_last)
        scores: Tensor = self.spatial(features)
        return scores


def build(settings: Settings, inputs: Inputs) -> TemporalUnet:
    """The network of a config section."""
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
        align=settings.align,
    )
