"""One form for everything that a network learns from: the `Batch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cropflow.models.targets import IGNORED, UNKNOWN
from cropflow.samples.sensors import NO_DATE

__all__ = ["IGNORED", "NO_DATE", "UNKNOWN", "Batch", "Series", "batch_of"]


@dataclass(frozen=True)
class Series:
    """The series of one sensor in a batch.

    Pixels are the last axes, `space`: ``(H, W)`` of patches and chips, ``(S,)`` of pixel sets, none of single pixels.

    Attributes:
        values: As stored (uint16, int16), or float32 of zero mean and unit spread with 0 where not valid,
            ``(B, T, C, *space)``.
        dates: Days since the start of the season, int32, ``(B, T)``; ``NO_DATE`` in padding.
        valid: True where a pixel has a value in every band on a date, bool, ``(B, T, *space)``; False in padding of
            time and of pixels, and everywhere for a sensor that a sample lacks.
        observations: Observations behind a value, uint8, ``(B, T, *space)``, of samples of every kind; None where
            nothing counts them: on joined sensors, and where a site is mapped from its composites.
    """

    values: Tensor
    dates: Tensor
    valid: Tensor
    observations: Tensor | None = None

    @property
    def frames(self) -> Tensor:
        """True where a sample has any valid pixel on a date, bool, ``(B, T)``."""
        return self.valid if self.valid.ndim == 2 else self.valid.flatten(2).any(2)

    @property
    def present(self) -> Tensor:
        """True where a sample has the sensor at all, bool, ``(B,)``."""
        return self.valid.flatten(1).any(1)


@dataclass(frozen=True)
class Batch:
    """What a network sees of some samples, and what it is to say of them.

    Attributes:
        series: Sensor -> its series, in the order of the sample set.
        target: Positions of classes, int64, ``(B, H, W)`` of patches, ``(B,)`` of parcels, chips and pixels;
            ``IGNORED`` or ``UNKNOWN`` where there is none. None where nothing is to be learnt.
        pixels: Pixel sets: True where a slot holds a pixel of the parcel, bool, ``(B, S)``; None otherwise.
        features: Parcels: perimeter, pixel count, fill ratio and perimeter over area, float32, ``(B, 4)``, as stored
            or of zero mean and unit spread; None otherwise.
        history: Parcels: area share of each class in each earlier season, the latest first, and last the share that
            nobody knows or that is of another crop, float32, ``(B, lag, class + 1)``; None otherwise.
    """

    series: Mapping[str, Series]
    target: Tensor | None = None
    pixels: Tensor | None = None
    features: Tensor | None = None
    history: Tensor | None = None

    def __len__(self) -> int:
        return len(next(iter(self.series.values())).values)

    @property
    def space(self) -> tuple[int, ...]:
        """The axes of pixels: ``(H, W)``, ``(S,)`` or ``()``."""
        return tuple(next(iter(self.series.values())).values.shape[3:])

    def only(self) -> Series:
        """The series of the one sensor.

        Raises:
            ValueError: If there are several; see :func:`cropflow.models.data.alignment.on_one_axis`.
        """
        if len(self.series) != 1:
            raise ValueError(f"the batch has the sensors {', '.join(self.series)}; expected one")
        return next(iter(self.series.values()))

    def with_series(self, change: Callable[[str, Series], Series]) -> Batch:
        """The same with series made of a function of each sensor and its own."""
        return replace(self, series={sensor: change(sensor, series) for sensor, series in self.series.items()})

    def pixel_by_pixel(self) -> Batch:
        """Series of patches ``(B, T, C, H, W)`` as those of their pixels ``(B * H * W, T, C)``, and no other part."""

        def spread(part: Tensor) -> Tensor:
            return part.flatten(-2).movedim(-1, 1).flatten(0, 1)

        def flat(_: str, one: Series) -> Series:
            dates = one.dates.repeat_interleave(one.values.shape[-2] * one.values.shape[-1], 0)
            seen = None if one.observations is None else spread(one.observations)
            return Series(spread(one.values), dates, spread(one.valid), seen)

        return Batch(self.with_series(flat).series)

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device; Lightning asks for this."""

        def move(value: Tensor | None) -> Any:
            return None if value is None else value.to(device, non_blocking=True)

        def moved(_: str, one: Series) -> Series:
            return Series(move(one.values), move(one.dates), move(one.valid), move(one.observations))

        parts = {name: move(getattr(self, name)) for name in ("target", "pixels", "features", "history")}
        return replace(self.with_series(moved), **parts)

    def pin_memory(self) -> Batch:
        """The same in pinned memory; the DataLoader asks for this."""

        def pin(value: Tensor | None) -> Any:
            return None if value is None else value.pin_memory()

        def pinned(_: str, one: Series) -> Series:
            return Series(pin(one.values), pin(one.dates), pin(one.valid), pin(one.observations))

        parts = {name: pin(getattr(self, name)) for name in ("target", "pixels", "features", "history")}
        return replace(self.with_series(pinned), **parts)


def batch_of(values: Tensor | Mapping[str, Tensor], dates: Tensor | None = None, **parts: Any) -> Batch:
    """A batch of normalised series without gaps, for notebooks and tests.

    Args:
        values: float32, ``(B, T, C, *space)``, of one sensor (``sentinel2``) or by sensor.
        dates: Days since the start of the season, ``(B, T)`` or ``(T,)``, of all sensors; every tenth day when absent.
        **parts: Further attributes of :class:`Batch`.
    """
    by_sensor = values if isinstance(values, Mapping) else {"sentinel2": values}

    def whole(found: Tensor) -> Series:
        shape = found.shape[:2]
        days = torch.arange(shape[1], device=found.device) * 10 if dates is None else dates
        valid = torch.ones(*shape, *found.shape[3:], dtype=torch.bool, device=found.device)
        return Series(found, days.to(torch.int32).expand(shape), valid)

    return Batch({sensor: whole(found) for sensor, found in by_sensor.items()}, **parts)
