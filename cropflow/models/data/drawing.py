"""What is drawn anew for each sample of training; each draw depends on seed, purpose, epoch and sample alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from cropflow.config.models.drawing import Drawing, PatchDrawing, PixelDrawing, PixelSetDrawing
from cropflow.models.batch import NO_DATE, Batch, Series
from cropflow.models.data.kernels.numbers import keys_of, uniform

# Purposes: what is drawn for one never moves what is drawn for another.
SHUFFLE, AUGMENT, DROPOUT, SLOTS, JITTER, TRUNCATE, DATES = range(7)


def random(seed: int, purpose: int, epoch: int, *more: int) -> np.random.Generator:
    """A generator of its own for each purpose, epoch and item."""
    return np.random.default_rng([seed, purpose, epoch, *more])


@dataclass(frozen=True)
class Draws:
    """The draws of an epoch of training.

    Attributes:
        settings: What is drawn.
        seed: Seed of the draws.
        epoch: Number of finished epochs.
        deviation: Sensor -> standard deviation of each band, which noise is measured in.
    """

    settings: Drawing
    seed: int
    epoch: int
    deviation: dict[str, NDArray[np.float32]]

    def keys(self, purpose: int, items: NDArray[np.int64]) -> NDArray[np.uint64]:
        """A key of its own for each item, for counted random numbers of a purpose, ``(n,)``."""
        key = np.random.SeedSequence([self.seed, purpose, self.epoch]).generate_state(1, np.uint64)[0]
        found: NDArray[np.uint64] = keys_of(key, items)
        return found

    def generator(self, item: int) -> np.random.Generator:
        """The generator of an item's square and turns."""
        return random(self.seed, AUGMENT, self.epoch, item)

    @property
    def flips(self) -> bool:
        """Whether squares are flipped and turned."""
        return isinstance(self.settings, PatchDrawing) and self.settings.flips

    @property
    def cutout(self) -> int | None:
        """Side of the square that is cut from a patch; None: the whole patch."""
        return getattr(self.settings, "cutout", None)

    @property
    def pixels(self) -> int:
        """Pixels of a parcel."""
        assert isinstance(self.settings, PixelSetDrawing | PixelDrawing)  # nothing else asks
        return self.settings.pixels

    def of_time(self, batch: Batch, items: NDArray[np.int64]) -> Batch:
        """Cut series short, and choose from their dates, as the settings say."""
        if self.settings.truncate:
            batch = truncate(batch, self.keys(TRUNCATE, items), self.settings.truncate)
        if self.settings.dates is not None:
            batch = draw_dates(batch, self.keys(DATES, items), self.settings.dates)
        return batch


def truncate(batch: Batch, keys: NDArray[np.uint64], chance: float) -> Batch:
    """Let samples lose all dates after a random day, the same of all their sensors.

    The day lies between the sample's first valid date and its last one, each day with the same chance, so that
    something valid is left.

    Args:
        batch: Of training.
        keys: Key of each sample, ``(B,)``.
        chance: Of a sample to be cut short.
    """
    first = np.full(len(batch), np.iinfo(np.int32).max, dtype=np.int64)
    last = np.full(len(batch), np.iinfo(np.int32).min, dtype=np.int64)
    for series in batch.series.values():
        frames, days = series.frames.numpy(), series.dates.numpy()
        first = np.minimum(first, np.where(frames, days, np.iinfo(np.int32).max).min(1, initial=np.iinfo(np.int32).max))
        last = np.maximum(last, np.where(frames, days, np.iinfo(np.int32).min).max(1, initial=np.iinfo(np.int32).min))
    chosen, number = uniform(keys, np.broadcast_to(np.arange(2), (len(batch), 2))).T
    day = first + np.floor(number * np.maximum(last - first + 1, 0)).astype(np.int64)
    day = torch.from_numpy(np.where((chosen < chance) & (first <= last), day, np.iinfo(np.int32).max))

    def cut(_: str, series: Series) -> Series:
        kept = series.dates <= day[:, None]
        return _keep(series, kept)

    return batch.with_series(cut)


def draw_dates(batch: Batch, keys: NDArray[np.uint64], count: int) -> Batch:
    """Choose dates of each sensor at random, without replacement, in order; those with a valid pixel first.

    A day has the same luck with all sensors of a sample: sensors of the same dates and gaps keep the same ones.

    Args:
        batch: Of training.
        keys: Key of each sample, ``(B,)``.
        count: Dates chosen; all where a series has fewer.
    """

    def choose(_: str, series: Series) -> Series:
        days = series.dates.numpy()
        if days.shape[1] <= count:
            return series
        luck = uniform(keys, days.astype(np.int64) - NO_DATE)
        luck += np.where(series.frames.numpy(), 0, 1) + np.where(days == NO_DATE, 1, 0)
        chosen = torch.from_numpy(np.sort(np.argsort(luck, axis=1, kind="stable")[:, :count], axis=1))
        rows = torch.arange(len(days))[:, None]
        counted = None if series.observations is None else series.observations[rows, chosen]
        return Series(series.values[rows, chosen], series.dates[rows, chosen], series.valid[rows, chosen], counted)

    return batch.with_series(choose)


def _keep(series: Series, kept: torch.Tensor) -> Series:
    """The same with some dates left, the others padding, ``(B, T)``."""
    wide = kept.reshape(*kept.shape, *(1,) * (series.valid.ndim - 2))
    counted = None if series.observations is None else series.observations * wide
    dates = torch.where(kept, series.dates, NO_DATE)
    return Series(series.values, dates, series.valid & wide, counted)


@lru_cache(maxsize=1)
def normal_quantiles() -> NDArray[np.float32]:
    """65,536 quantiles of the normal distribution, float32, from -4.2 to 4.2."""
    from scipy.special import ndtri

    table = ndtri((np.arange(65_536) + 0.5) / 65_536).astype(np.float32)
    table.flags.writeable = False
    return np.asarray(table)
