"""What every network is: a module from a `Batch` to scores, with a head that can be told from the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from cropflow.config.models.drawing import Kind
from cropflow.models.batch import Batch


@dataclass(frozen=True)
class Inputs:
    """What a network is built for.

    Attributes:
        bands: Sensor -> bands per date, in the order of the sensors.
        outputs: Number of classes.
        periods: Sensor -> dates of a series, where all samples have as many; networks of any length ignore it.
        features: Parcel features, 0 or 4.
        lags: Earlier seasons of the rotation history, 0 without.
        levels: Hierarchical networks: for each coarser level of the legend, coarsest first, the group of each class;
            groups count from 0.
    """

    bands: Mapping[str, int]
    outputs: int
    periods: Mapping[str, int] | None = None
    features: int = 0
    lags: int = 0
    levels: tuple[tuple[int, ...], ...] = ()

    @property
    def channels(self) -> int:
        """Bands of all sensors side by side."""
        return sum(self.bands.values())


class Network(nn.Module):
    """A network of the registry.

    Attributes:
        kind: What it learns from.
        masked: Whether it leaves out dates and pixels that are not valid; otherwise they are zeros, the mean, and only
            complete series are learnt from.
        head: The layers that turn features into scores of classes: what transfer replaces and trains faster.
    """

    kind: ClassVar[Kind]
    masked: ClassVar[bool]
    head: nn.Module

    def forward(self, batch: Batch) -> Tensor:
        """Scores of a normalised batch.

        Returns:
            Before softmax, float32: ``(B, outputs, H, W)`` of patches, ``(B, outputs)`` of parcels, chips and pixels.
        """
        raise NotImplementedError

    def replace_head(self, outputs: int) -> None:
        """Put a fresh head of another number of classes in the place of the old one."""
        raise NotImplementedError


class HierarchicalNetwork(Network):
    """A network that scores every level of a legend."""

    def stages(self, batch: Batch) -> tuple[Tensor, ...]:
        """Scores per level, coarsest first, and last the refined ones of the finest level, which `forward` gives."""
        raise NotImplementedError
