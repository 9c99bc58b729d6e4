"""The coarser levels of a legend, as groups of the classes that a model knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cropflow.labels.legend import read_legend
from cropflow.samples.labels import BACKGROUND


def group_classes(legend: str | Path, classes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """For each coarser level of a legend the group of each class.

    Args:
        legend: Name of the legend, or the path of one's own.
        classes: Legend ids of the finest level in the order of the outputs; background belongs to no crop and is a
            group of its own at every level.

    Returns:
        Per level, coarsest first and without the finest, groups that count from 0 in the order of the levels' ids;
        nothing of a legend of one level.

    Raises:
        CropflowError: If there is no such legend.
    """
    found = read_legend(legend)
    levels = []
    for level in range(1, found.levels):
        above = [BACKGROUND if crop == BACKGROUND else found.ancestor(crop, level) for crop in classes]
        number = {crop: place for place, crop in enumerate(sorted(set(above)))}
        levels.append(tuple(number[crop] for crop in above))
    return tuple(levels)
