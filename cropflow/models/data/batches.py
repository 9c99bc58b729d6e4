"""The batches of the training and validation folds, for samples of any kind, and of whatever is to be predicted.

What is drawn depends on the seed, the epoch and the sample alone, so that a resumed run sees the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from cropflow.config.models.drawing import Drawing
from cropflow.errors import refuse
from cropflow.models.batch import Batch
from cropflow.models.data.chips import ChipSamples
from cropflow.models.data.datasets import Batches
from cropflow.models.data.drawing import SHUFFLE, Draws, random
from cropflow.models.data.parcels import ParcelBatches, PixelBatches, PixelIndex
from cropflow.models.data.patches import PatchSamples
from cropflow.models.data.pixel_sets import PixelSetSamples
from cropflow.models.data.samples import Samples, Split
from cropflow.models.data.squares import ChipBatches, PatchBatches, cutouts
from cropflow.models.data.survey import Survey

# Slots of a batch of whole parcels, padding included: 47 MB of 36 dates and 10 bands as float32.
_MOST_SLOTS = 32_768
# Single pixels of a batch that is not learnt from.
_MOST_PIXELS = 4096

Shares = list[NDArray[np.int64]]


class SampleBatches(LightningDataModule):
    """The batches of the training and validation folds.

    Args:
        samples: Of any kind.
        survey: What the training folds know.
        split: Roles of the folds.
        settings: Section of the model: size of batches, and what is drawn.
        seed: Seed of order and draws.
        epoch: Number of finished epochs; the trainer's own count lags while a resumed run sets up.
        workers: Processes that read ahead; the batches do not depend on it.
    """

    def __init__(
        self,
        samples: Samples,
        survey: Survey,
        split: Split,
        settings: Drawing,
        *,
        seed: int,
        epoch: Callable[[], int],
        workers: int,
    ) -> None:
        super().__init__()
        self.samples = samples
        self.survey = survey
        self.split = split
        self.settings = settings
        self.seed = seed
        self.epoch = epoch
        self.workers = workers

    def _loader(self, dataset: Batches, batches: Shares) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=batches,  # items of a batch each, which the dataset takes as one
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
        )

    def _processes(self) -> tuple[int, int]:
        """This process and the number of them; a module of its own, as in a notebook, has one."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the current epoch; Lightning asks again in every epoch."""
        epoch = self.epoch()
        deviation = {found.sensor: np.array(found.deviation, np.float32) for found in self.survey.statistics}
        draws = Draws(self.settings, self.seed, epoch, deviation)
        dataset = dataset_of(self.samples, self.survey, self.split.training, draws)
        order = random(self.seed, SHUFFLE, epoch)
        items = items_of(self.samples, choose(self.survey, self.settings, order), draws)
        return self._loader(dataset, draw_batches(items, self.settings.batch_size, order, *self._processes()))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation fold in a fixed order, each target once over all processes; nothing is drawn."""
        dataset = dataset_of(self.samples, self.survey, (self.split.validation,))
        batches = whole_batches(self.samples, self.survey.validation, self._size_of_validation(), *self._processes())
        return self._loader(dataset, batches)

    def _size_of_validation(self) -> int:
        # As many pixels as in a batch of training, which may be of squares cut from patches.
        side = getattr(self.settings, "cutout", None)
        return max(1, self.settings.batch_size // cutouts(self.samples.patch_size, side))


def open_batches(
    samples: Samples,
    survey: Survey,
    split: Split,
    settings: Drawing,
    *,
    seed: int,
    epoch: Callable[[], int],
    workers: int = 0,
) -> SampleBatches:
    """The batches that a model learns from and is checked on; see :class:`SampleBatches`.

    Raises:
        CropflowError: If a model that needs complete series is to lose dates of them, or a cutout is larger than the
            patches.
    """
    if survey.complete and settings.truncate:
        refuse("truncate of the model", settings.truncate, "0: it learns from complete series alone")
    if survey.complete and settings.dates is not None:
        refuse("dates of the model", settings.dates, "none: it learns from complete series alone")
    side = getattr(settings, "cutout", None)
    if side is not None and side > samples.patch_size:
        refuse("cutout of the model", side, f"at most {samples.patch_size}, the patch_size of the sample set")
    return SampleBatches(samples, survey, split, settings, seed=seed, epoch=epoch, workers=workers)


def read_batches(
    samples: Samples, survey: Survey, numbers: NDArray[np.int64], size: int
) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Whole samples without targets, for prediction; nothing is drawn.

    Parcels come in the order of their pixels, so that padding stays small.

    Args:
        samples: Of any kind.
        survey: Of the training, whose classes the history is told in.
        numbers: Running numbers of samples; of the kind ``pixels``, parcels whose pixels are wanted.
        size: Samples of a batch, at most.

    Yields:
        Running numbers of a batch's items (pixels, of the kind ``pixels``), ``(B,)``, and the batch: results go where
        those numbers say.
    """
    dataset = dataset_of(samples, survey, None)
    for items in whole_batches(samples, numbers, size):
        if len(items):
            yield items, dataset[items]


def dataset_of(samples: Samples, survey: Survey, folds: tuple[int, ...] | None, draws: Draws | None = None) -> Batches:
    """Batches of samples by their running numbers; see :class:`cropflow.models.data.datasets.Batches`."""
    if isinstance(samples, PatchSamples):
        return PatchBatches(samples, survey, folds, draws)
    if isinstance(samples, ChipSamples):
        return ChipBatches(samples, survey, folds, draws)
    assert isinstance(samples, PixelSetSamples)  # there are no other kinds
    kind = PixelBatches if samples.kind == "pixels" else ParcelBatches
    return kind(samples, survey, folds, draws)


def choose(survey: Survey, settings: Drawing, generator: np.random.Generator) -> NDArray[np.int64]:
    """Samples of an epoch of training, as many as there are: each once, or each class as often as any other.

    Balanced, a class repeats none of its samples before all of them have been taken.
    """
    if settings.sampling == "uniform":
        return survey.training
    held = np.unique(survey.rarest)
    shares = np.bincount(np.arange(len(survey.training)) % len(held), minlength=len(held))
    parts = []
    # Which classes get one more is drawn as well.
    for position, share in zip(generator.permutation(held), shares, strict=True):
        own = survey.training[survey.rarest == position]
        rounds = [generator.permutation(own) for _ in range(-(-int(share) // len(own)))]
        parts.append(np.concatenate([np.empty(0, dtype=np.int64), *rounds])[:share])
    return np.concatenate(parts)


def items_of(samples: Samples, chosen: NDArray[np.int64], draws: Draws) -> NDArray[np.int64]:
    """Items of an epoch of training from its samples: squares of patches, pixels of parcels, or the samples."""
    if samples.kind == "patches":
        squares = cutouts(samples.patch_size, draws.cutout)
        return (chosen[:, None] * squares + np.arange(squares)).ravel()
    if isinstance(samples, PixelSetSamples) and samples.kind == "pixels":
        return PixelIndex.of(samples).drawn_of(chosen, draws)
    return chosen


def draw_batches(
    items: NDArray[np.int64], size: int, generator: np.random.Generator, rank: int = 0, world: int = 1
) -> Shares:
    """Shuffle items into batches of nearly one size, the same number of them on every process.

    Args:
        items: Running numbers of patches, or of whatever else a batch is made of.
        size: Items in a batch of one process, at most.
        generator: Order of the items; the same on every process.
        rank: This process.
        world: Number of processes; items that do not divide evenly are repeated.
    """
    order = generator.permutation(items)
    order = np.resize(order, -(-len(order) // world) * world)[rank::world]
    # Equal shares instead of a small last batch, whose batch norm would be noise.
    return np.array_split(order, max(1, -(-len(order) // size)))


def whole_batches(samples: Samples, numbers: NDArray[np.int64], size: int, rank: int = 0, world: int = 1) -> Shares:
    """Deal whole samples out in a fixed order, the same number of batches to every process.

    Args:
        samples: Of any kind.
        numbers: Running numbers of samples; of the kind ``pixels``, parcels whose pixels are dealt out.
        size: Samples in a batch of one process, at most; single pixels come by thousands, whatever it is.
        rank: This process.
        world: Number of processes; complements of items, which count for nothing, even out the shares.
    """
    if isinstance(samples, PixelSetSamples) and samples.kind == "pixels":
        return fixed_batches(PixelIndex.of(samples).pixels_of(numbers), _MOST_PIXELS, rank, world)
    if isinstance(samples, PixelSetSamples):
        counts = np.concatenate([place.counts for place in samples.places])[numbers]
        return sorted_batches(numbers, counts, size, rank, world)
    return fixed_batches(numbers, size, rank, world)


def fixed_batches(numbers: NDArray[np.int64], size: int, rank: int = 0, world: int = 1) -> Shares:
    """Deal items out in order; see :func:`whole_batches`."""
    share = _even(numbers, world)[rank::world]
    return np.array_split(share, max(1, -(-len(share) // size)))


def sorted_batches(
    numbers: NDArray[np.int64], counts: NDArray[np.int64], size: int, rank: int = 0, world: int = 1
) -> Shares:
    """Deal parcels out in the order of their pixels, in batches whose padding stays small; see :func:`whole_batches`.

    Args:
        numbers: Running numbers of parcels.
        counts: Their pixels.
        size: Parcels in a batch of one process, at most; fewer where they are large.
        rank: This process.
        world: Number of processes.
    """
    order = np.argsort(counts, kind="stable")
    share = _even(numbers[order], world)[rank::world]
    # The largest parcel among those that the processes get at once: all cut at the same places.
    largest = np.pad(counts[order], (0, -len(order) % world), mode="edge" if len(order) else "constant")
    largest = largest.reshape(-1, world).max(1)
    batches, start = [], 0
    while start < len(share):
        slots = largest[start : start + size] * np.arange(1, min(size, len(share) - start) + 1)
        stop = start + max(1, int(np.count_nonzero(slots <= _MOST_SLOTS)))
        batches.append(share[start:stop])
        start = stop
    return batches or [share]


def _even(numbers: NDArray[np.int64], world: int) -> NDArray[np.int64]:
    return np.concatenate([numbers, np.resize(~numbers, -len(numbers) % world)])
