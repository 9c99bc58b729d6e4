"""Sensors on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cropflow.errors import CropflowError
from cropflow.models.batch import Batch, Series
from cropflow.samples.sensors import Layout


def check_one_axis(layouts: Sequence[Layout]) -> None:
    """Refuse sensors whose periods differ, for a network that sees their bands side by side.

    Args:
        layouts: Axes of each sensor's series.

    Raises:
        CropflowError: If the sensors do not share one axis of time.
    """
    first = layouts[0]
    for other in layouts[1:]:
        if other.periods != first.periods:
            raise CropflowError(
                f"The series of {other.sensor} have {len(other.periods)} periods from {other.periods[0]}, those of "
                f"{first.sensor} {len(first.periods)} from {first.periods[0]}; a temporal_unet needs the same periods "
                "of all sensors. Choose a series with calendar periods."
            )


def on_one_axis(batch: Batch) -> Series:
    """The bands of all sensors side by side, on the dates of the first.

    Args:
        batch: Normalised series whose dates are the same for all sensors.

    Returns:
        Values ``(B, T, C, *space)``, C of all sensors in their order; valid where any sensor is.
    """
    parts = list(batch.series.values())
    if len(parts) == 1:
        return parts[0]
    valid = torch.stack([part.valid for part in parts]).any(0)
    return Series(torch.cat([part.values for part in parts], dim=2), parts[0].dates, valid)
