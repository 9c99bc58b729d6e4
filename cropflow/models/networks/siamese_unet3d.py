"""One branch per sensor, a 3-D stem over time and a U-Net each, joined before the head."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.config.models.drawing import Kind
from cropflow.config.models.patches import SiameseUnet3d as Settings
from cropflow.errors import CropflowError
from cropflow.models.batch import Batch, Series
from cropflow.models.layers.masks import cleared, gaps, masked_batch_norm, with_positions
from cropflow.models.layers.unet import TransposedUnet, check_side
from cropflow.models.network import Inputs, Network

HeadKind = Literal["eucropmap", "isrc"]


class Stem(nn.Module):
    """Series to one map: a convolution over space and time, then time is collapsed.

    Args:
        bands: Input channels.
        width: Output channels.
        periods: Number of periods, each with weights of its own; None: a mean over the valid dates, of any number,
            and a 1 x 1 convolution after it.
    """

    def __init__(self, bands: int, width: int, periods: int | None) -> None:
        super().__init__()
        self.periods = periods
        self.blend = nn.Conv3d(bands, width, 3, padding=1)
        self.blend_norm = nn.BatchNorm3d(width)
        self.collapse = nn.Conv3d(width, width, (periods or 1, 1, 1))
        self.collapse_norm = nn.BatchNorm2d(width)

    def forward(self, series: Tensor, valid: Tensor | None) -> Tensor:
        """Collapse the time of a batch.

        Args:
            series: ``(B, T, C, H, W)``, 0 where not valid.
            valid: bool, ``(B, T, H, W)``; None where the series are complete.

        Returns:
            ``(B, width, H, W)``.
        """
        mask = None if valid is None else valid.unsqueeze(1)
        maps = series.transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)
        features = masked_batch_norm(self.blend_norm, self.blend(maps), mask)
        features = functional.relu_(features if mask is None else features * mask)
        if self.periods is None:
            count = features.shape[2] if mask is None else mask.sum(2, keepdim=True).clamp(min=1)
            features = features.sum(2, keepdim=True) / count
        return functional.relu_(self.collapse_norm(self.collapse(features).squeeze(2)))


class Branch(nn.Module):
    """A sensor's series to a map of features.

    Args:
        bands: Bands per date.
        width: Output channels; the stem has half.
        halvings: Of the U-Net.
        periods: As in :class:`Stem`; without them the day of the year comes as two more channels.
    """

    def __init__(self, bands: int, width: int, halvings: int, periods: int | None) -> None:
        super().__init__()
        self.periods = periods
        self.stem = Stem(bands if periods else bands + 2, width // 2, periods)
        widths = [width << level for level in range(halvings + 1)]
        self.spatial = TransposedUnet(width // 2, widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, series: Series) -> Tensor:
        """Features ``(B, width, H, W)`` of a normalised series; 0 for a sample that lacks the sensor."""
        series = cleared(series)
        if self.periods is None:
            values, valid = with_positions(series), series.valid
        else:
            values, valid = _of_length(series, self.periods)
        mask = gaps(valid)
        features: Tensor = self.spatial(self.stem(values, mask).contiguous(memory_format=torch.channels_last))
        return features if mask is None else features * series.present.view(-1, 1, 1, 1)


def _of_length(series: Series, periods: int) -> tuple[Tensor, Tensor]:
    """Values and mask cut or filled to the periods of a kernel; what is cut may be padding alone."""
    found = series.values.shape[1]
    if bool(series.frames[:, periods:].any()):
        raise CropflowError(
            f"The series have {found} dates, and the network was built for {periods}; its kernel over time is tied "
            "to them. Train with collapse: mean for series of any length."
        )
    missing = max(0, periods - found)
    values = functional.pad(series.values[:, :periods], (0, 0, 0, 0, 0, 0, 0, missing))
    return values, functional.pad(series.valid[:, :periods], (0, 0, 0, 0, 0, missing))


class SiameseUnet3d(Network):
    """Scores per pixel from one or several sensors, each with a branch of its own weights.

    Input per sensor ``(B, T, C, H, W)`` float32, normalised; H and W at least ``2 ** halvings``. Each sensor has its
    own dates. With ``collapse: kernel`` the number of periods is that of the samples it was built for, and missing
    periods are zeros between the layers; with ``mean`` any dates will do. The features of a sensor that a sample
    lacks are 0. Output ``(B, outputs, H, W)``: scores for a softmax, or for a sigmoid per class.

    With Sentinel-1 (2 bands) and Sentinel-2 (10) of 6 months, 21 outputs and the default settings it has the
    62,134,293 parameters of the network that was pre-trained on EUCROPMAP and tuned for Iranian crops: 31,062,336 and
    31,069,248 of the branches, 2,709 of the head. The head ``isrc`` has 37,224 with 8 outputs.

    Args:
        bands: Sensor -> bands per date.
        outputs: Number of classes.
        periods: Sensor -> number of periods, for ``collapse: kernel``.
        width: Channels at full resolution.
        halvings: Of the U-Nets.
        head_kind: ``eucropmap`` (1 x 1) or ``isrc`` (3 x 3, batch norm, ReLU, 1 x 1).

    Source:
        The siamese 3-D U-Net of https://github.com/moienr/CropMapping; its sigmoid is left to the loss.
    """

    kind: ClassVar[Kind] = "patches"
    masked: ClassVar[bool] = True

    def __init__(
        self,
        bands: dict[str, int],
        outputs: int,
        *,
        periods: dict[str, int] | None = None,
        width: int = 64,
        halvings: int = 4,
        head_kind: HeadKind = "eucropmap",
    ) -> None:
        super().__init__()
        self.halvings = halvings
        self.width = width
        self.head_kind: HeadKind = head_kind
        self.branches = nn.ModuleDict(
            {sensor: Branch(count, width, halvings, periods[sensor] if periods else None)
             for sensor, count in bands.items()}
        )  # fmt: skip
        self.replace_head(outputs)

    def replace_head(self, outputs: int, head_kind: HeadKind | None = None) -> None:
        """Put a fresh head in the place of the old one, of the same kind where none is named."""
        self.head_kind = head_kind or self.head_kind
        joined, narrow = self.width * len(self.branches), self.width // 2
        if self.head_kind == "eucropmap":
            self.head = nn.Conv2d(joined, outputs, 1)
        else:
            self.head = nn.Sequential(
                nn.Conv2d(joined, narrow, 3, padding=1),
                nn.BatchNorm2d(narrow),
                nn.ReLU(inplace=True),
                nn.Conv2d(narrow, outputs, 1),
            )

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class."""
        check_side(batch.space, self.halvings)
        features = [branch(batch.series[sensor]) for sensor, branch in self.branches.items()]
        scores: Tensor = self.head(torch.cat(features, 1))
        return scores


def build(settings: Settings, inputs: Inputs) -> SiameseUnet3d:
    """The network of a config section.

    Raises:
        CropflowError: If its kernel over time needs a number of periods and the samples have no common one.
    """
    if settings.collapse == "kernel" and inputs.periods is None:
        raise CropflowError(
            "A siamese_unet3d with collapse: kernel needs series of a known number of periods, and these samples have "
            "acquisitions, as many as there are. Set collapse: mean, or take samples of composites."
        )
    return SiameseUnet3d(
        dict(inputs.bands),
        inputs.outputs,
        periods=dict(inputs.periods) if inputs.periods and settings.collapse == "kernel" else None,
        width=settings.width,
        halvings=settings.halvings,
        head_kind=settings.head_kind,
    )
