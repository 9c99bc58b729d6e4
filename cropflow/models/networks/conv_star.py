"""Stacked convSTAR layers, whose depth follows the levels of a legend, and a network that refines their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.config.models.drawing import Kind
from cropflow.config.models.patches import ConvStar as Settings
from cropflow.errors import refuse
from cropflow.models.batch import Batch
from cropflow.models.layers.masks import on_axis
from cropflow.models.layers.recurrence import ConvStarCell, frames_of
from cropflow.models.network import HierarchicalNetwork, Inputs


class Refinement(nn.Module):
    """The scores of all levels to better ones of the finest.

    Args:
        scores: Outputs of all levels.
        outputs: Classes of the finest level.
        width: Channels.
        dropout: Share dropped in training.
    """

    def __init__(self, scores: int, outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(scores, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(
            _blurred(width), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(dropout),
            _blurred(width), nn.BatchNorm2d(width),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.leave = nn.Conv2d(width, outputs, 1, bias=False)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Refine scores ``(B, groups, H, W)`` per level, the finest last."""
        entered = self.enter(torch.cat(list(levels), 1))
        refined: Tensor = self.leave(self.dropout(functional.relu(self.body(entered) + entered)))
        return refined + levels[-1]


def _blurred(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate", bias=False)


class Levels(nn.Module):
    """What a legend needs: a head per level, and the refinement.

    Args:
        hidden: Channels of the states.
        groups: Outputs per level, coarsest first.
        refinement: Channels of the refinement.
        dropout: Share dropped in the refinement, in training.
    """

    def __init__(self, hidden: int, groups: Sequence[int], refinement: int, dropout: float) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(hidden, count, 3, padding=1) for count in groups)
        self.refinement = Refinement(sum(groups), groups[-1], refinement, dropout)

    def forward(self, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Scores per level from a state each, and last the refined ones."""
        found = [head(state) for head, state in zip(self.heads, states, strict=True)]
        return (*found, self.refinement(found))


class ConvStar(HierarchicalNetwork):
    """Scores per pixel and level of a legend from a series of patches.

    Input ``(B, T, C, H, W)`` float32, normalised; any number of dates, patches of any size. A level's scores come from
    the last state of a layer, coarse levels from early layers: of 6 layers and 3 levels, the second, the fourth and
    the last. States are carried over pixels that are missing on a date. Output ``(B, outputs, H, W)``, the refined
    scores of the classes, not yet a softmax; `stages` gives those of all levels, ``(B, groups, H, W)``.

    With 4 bands, 6, 20 and 52 outputs and the default settings it has the published 640,206 parameters of layers and
    heads and the 312,320 of the refinement.

    Args:
        bands: Bands per date, of all sensors.
        outputs: Number of classes.
        levels: For each coarser level, coarsest first, the group of each class; empty for a flat legend.
        hidden: Channels of the states.
        layers: Recurrent layers, at least as many as levels.
        refinement: Channels of the refinement.
        dropout: Share dropped in the refinement, in training.
        align: How sensors on other dates come to those of the first.

    Raises:
        CropflowError: If there are fewer layers than levels.

    Source:
        Turkoglu et al. (2021), https://doi.org/10.1016/j.rse.2021.112603.
    """

    kind: ClassVar[Kind] = "patches"
    masked: ClassVar[bool] = True
    head: Levels

    def __init__(
        self,
        bands: int,
        outputs: int,
        *,
        levels: Sequence[Sequence[int]] = (),
        hidden: int = 64,
        layers: int = 6,
        refinement: int = 128,
        dropout: float = 0.5,
        align: Literal["nearest", "linear"] = "nearest",
    ) -> None:
        super().__init__()
        self.align: Literal["nearest", "linear"] = align
        self.hidden, self.refinement, self.dropout = hidden, refinement, dropout
        self.cells = nn.ModuleList(ConvStarCell(hidden if layer else bands, hidden) for layer in range(layers))
        self.replace_head(outputs, levels)

    def replace_head(self, outputs: int, levels: Sequence[Sequence[int]] = ()) -> None:
        """Put fresh heads and a fresh refinement in the place of the old ones.

        Args:
            outputs: Number of classes.
            levels: As in the class: the coarser levels of the new legend, none for a flat one.
        """
        groups = (*(max(level) + 1 for level in levels), outputs)
        if len(groups) > len(self.cells):
            refuse("layers of conv_star", len(self.cells), f"at least {len(groups)}, the levels of the legend")
        # The layer whose last state a level is read from, spread evenly, the finest from the last.
        self.taps = tuple(-(-(level + 1) * len(self.cells) // len(groups)) - 1 for level in range(len(groups)))
        self.head = Levels(self.hidden, groups, self.refinement, self.dropout)

    def stages(self, batch: Batch) -> tuple[Tensor, ...]:
        """Scores ``(B, groups, H, W)`` per level, coarsest first, and last the refined ones of the classes."""
        series = on_axis(batch, self.align)
        frames = frames_of(series.values, series.valid)
        last = []
        for cell in self.cells:
            frames = cell(frames)
            last.append(frames.last())
        scores: tuple[Tensor, ...] = self.head([last[tap] for tap in self.taps])
        return scores

    def forward(self, batch: Batch) -> Tensor:
        """Refined scores of a normalised batch; shapes as in the class."""
        return self.stages(batch)[-1]


def build(settings: Settings, inputs: Inputs) -> ConvStar:
    """The network of a config section and the levels of a legend.

    Raises:
        CropflowError: If there are fewer layers than levels.
    """
    return ConvStar(
        inputs.channels,
        inputs.outputs,
        levels=inputs.levels,
        hidden=settings.hidden,
        layers=settings.layers,
        refinement=settings.refinement,
        dropout=settings.dropout,
        align=settings.align,
    )
