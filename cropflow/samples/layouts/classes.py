"""From the labels of a layout to the crops of a legend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.config.layouts import Import
from cropflow.errors import CropflowError, listing
from cropflow.labels.legend import read_legend, read_table
from cropflow.samples.labels import UNKNOWN


@dataclass(frozen=True)
class Classes:
    """What each label of a layout means.

    Attributes:
        legend: Name or path of the legend.
        crops: Label -> id of the legend's finest level, 0 out of scope, 65534 unknown.
        unmapped: What a label without a row is: ``refuse`` or ``unknown``.
    """

    legend: str
    crops: Mapping[str, int]
    unmapped: str

    def check(self, labels: Iterable[object]) -> None:
        """Refuse labels that the table lacks, unless they count as unknown.

        Raises:
            CropflowError: With all of them.
        """
        lacking = sorted({str(label) for label in labels} - set(self.crops))
        if lacking and self.unmapped == "refuse":
            raise CropflowError(
                f"Labels {listing(lacking)} have no crop of the legend {self.legend}; the table knows "
                f"{listing(self.crops)}. Add their rows to the file of classes, or set unmapped to unknown."
            )

    def crop(self, label: object) -> int:
        """The crop of a label; 65534 where the table lacks it."""
        return self.crops.get(str(label), UNKNOWN)

    def raster(self, labels: NDArray[np.int64]) -> NDArray[np.uint16]:
        """The crops of an array of whole numbers, uint16, of the same shape.

        Raises:
            CropflowError: If a label has no row and such are refused.
        """
        values, where = np.unique(labels, return_inverse=True)
        self.check(int(value) for value in values)
        crops = np.array([self.crop(int(value)) for value in values], dtype=np.uint16)
        mapped: NDArray[np.uint16] = crops[where].reshape(labels.shape)
        return mapped


def read_classes(settings: Import, own: Mapping[str, int]) -> Classes:
    """The classes of an import.

    Args:
        settings: ``legend``, ``classes`` and ``unmapped``.
        own: The layout's own labels -> ids of its own legend.

    Raises:
        CropflowError: If a legend or a table is wanted and not named, or is none.
    """
    legend = settings.legend or settings.own_legend
    read_legend(legend)
    if settings.classes is not None:
        return Classes(legend, read_table(legend, settings.classes), settings.unmapped)
    if legend != settings.own_legend:
        raise CropflowError(
            f"The labels of the layout say nothing of the legend {legend}; expected a table. "
            "Give --classes: a table of the legend, or a CSV file with the columns code,crop."
        )
    return Classes(legend, own, settings.unmapped)
