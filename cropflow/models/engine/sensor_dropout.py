"""Training without one of the sensors, so that a sample may lack one later."""

from __future__ import annotations

import numpy as np
import torch

from cropflow.models.batch import Batch, Series


def drop_sensors(batch: Batch, chance: float, generator: np.random.Generator) -> Batch:
    """Take one of its sensors from some samples, each sensor with equal chance.

    A sensor that a sample lacks already counts as gone: the last that is left is never taken.

    Args:
        batch: Normalised series of any number of sensors.
        chance: Chance that a sample of several sensors loses one.
        generator: Source of the draw.

    Returns:
        The batch with values 0 and nothing valid where a sensor was taken.
    """
    device = next(iter(batch.series.values())).values.device
    # Drawn on the CPU for the same draw on every device; what is present need not come back from the device.
    drawn = torch.from_numpy(generator.random((len(batch), 1 + len(batch.series)))).to(device)
    present = torch.stack([series.present for series in batch.series.values()], dim=1)
    loses = (drawn[:, 0] < chance) & (present.sum(1) > 1)
    chosen = drawn[:, 1:].masked_fill(~present, 2.0).argmin(1)
    taken = {sensor: loses & (chosen == place) for place, sensor in enumerate(batch.series)}

    def without(sensor: str, series: Series) -> Series:
        gone = taken[sensor]

        def kept(found: torch.Tensor) -> torch.Tensor:
            return found.masked_fill(gone.reshape(-1, *(1,) * (found.ndim - 1)), 0)

        observations = None if series.observations is None else kept(series.observations)
        return Series(kept(series.values), series.dates, kept(series.valid), observations)

    return batch.with_series(without)
