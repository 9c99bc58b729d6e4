"""Batches of patches that depend on the seed and the epoch alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from cropflow.models.batch import Batch, Series
from cropflow.models.data.patches import NO_CLASS, PlacePatches, Samples, Split
from cropflow.models.data.statistics import Survey
from cropflow.samples.sensors import KINDS
from cropflow.samples.stack import Stack, stack_up

SHUFFLE, AUGMENT, DROPOUT = range(3)


def random(seed: int, purpose: int, epoch: int, *more: int) -> np.random.Generator:
    """A generator of its own for each purpose, epoch and item."""
    return np.random.default_rng([seed, purpose, epoch, *more])


@dataclass(frozen=True)
class Augmentation:
    """What training draws anew for each item.

    Attributes:
        seed: Seed of the draws.
        epoch: Number of finished epochs.
        flips: Flip and turn by quarters.
        cutout: Side of the square that is cut from a patch, pixels; None: the whole patch.
        cutouts: Squares that a patch gives in an epoch.
    """

    seed: int
    epoch: int
    flips: bool
    cutout: int | None
    cutouts: int


# Series of each sensor, (T, C, S, S), its days, and classes, (S, S).
Item = tuple[Stack, Mapping[str, NDArray[np.int32]], NDArray[np.int64]]


class PatchDataset(Dataset[Batch]):
    """Series and targets of patches, or of squares that training cuts from them.

    Args:
        samples: All patches.
        lookup: Class of each legend id, -1 where none, ``(65536,)``.
        split: Roles of the folds.
        folds: Folds whose pixels are targets.
        augmentation: Draws of training; none where absent.
    """

    def __init__(
        self,
        samples: Samples,
        lookup: NDArray[np.int64],
        split: Split,
        folds: tuple[int, ...],
        augmentation: Augmentation | None = None,
    ) -> None:
        self.samples = samples
        self.lookup = lookup
        self.split = split
        self.folds = folds
        self.augmentation = augmentation
        self.items_per_patch = augmentation.cutouts if augmentation else 1

    def __len__(self) -> int:
        return len(self.samples) * self.items_per_patch

    def __getitem__(self, batch: Sequence[int]) -> Batch:
        """The batch of some items, values as stored.

        Item ``i`` belongs to patch ``i // items_per_patch``. The bitwise complement of a number is the
        same item without targets.
        """
        return assemble([self._item(index) for index in batch])

    def _item(self, index: int) -> Item:
        counted = index >= 0
        item = index if counted else ~index
        place, row = self.samples.locate(item // self.items_per_patch)
        whole = place.crops.shape[-1]
        window = (slice(0, whole), slice(0, whole))
        drawn = self.augmentation
        generator = random(drawn.seed, AUGMENT, drawn.epoch, item) if drawn else None
        if drawn and generator and drawn.cutout:
            window = cut_out(self._usable(place, row, window), drawn.cutout, generator)
        series = place.series[row].window(*window).read()
        crops = np.asarray(place.crops[row][window])
        targets = np.where(self._usable(place, row, window) & counted, self.lookup[crops], NO_CLASS)
        if drawn and generator and drawn.flips:
            quarter, flip = generator.integers((4, 2))
            series = series.changed(lambda _, values: _turn(values, int(quarter), bool(flip)))
            targets = _turn(targets, int(quarter), bool(flip))
        return series, place.days, targets

    def _usable(self, place: PlacePatches, row: int, window: tuple[slice, slice]) -> NDArray[np.bool_]:
        """True where a pixel of a window is a target."""
        labelled = self.split.labelled(np.asarray(place.crops[row][window]))
        in_folds = np.isin(place.folds[row][window], self.folds)
        return labelled & in_folds & place.series[row].window(*window).complete()


def assemble(items: Sequence[Item]) -> Batch:
    """Put items of one shape together."""
    days = {sensor: np.stack([dates[sensor] for _, dates, _ in items]) for sensor in items[0][1]}
    target = np.stack([targets for _, _, targets in items])
    return as_batch(stack_up([series for series, _, _ in items]), days, target)


def as_batch(series: Stack, days: Mapping[str, NDArray[np.int32]], target: NDArray[np.int64] | None = None) -> Batch:
    """A batch of windows whose values are as stored.

    Args:
        series: Per sensor ``(B, T, C, H, W)``.
        days: Per sensor days since the start of the season, ``(B, T)`` or ``(T,)``.
        target: Positions of classes, ``(B, H, W)``.
    """
    parts = {}
    for sensor, values in series.values.items():
        dates = np.ascontiguousarray(np.broadcast_to(days[sensor], values.shape[:2]))
        valid = (values != KINDS[sensor].nodata).all(axis=2)
        parts[sensor] = Series(*map(torch.from_numpy, (np.ascontiguousarray(values), dates, valid)))
    return Batch(parts, None if target is None else torch.from_numpy(target))


def cut_out(usable: NDArray[np.bool_], side: int, generator: np.random.Generator) -> tuple[slice, slice]:
    """Draw a square inside a patch that holds a pixel which is a target, each of them with equal chance.

    Args:
        usable: True where a pixel is a target, ``(P, P)``; at least one is.
        side: Side of the square, pixels, at most P.
        generator: Source of the draw.
    """
    targets = np.flatnonzero(usable)
    chosen = divmod(int(targets[generator.integers(len(targets))]), usable.shape[1])
    corner = np.clip(np.array(chosen) - generator.integers(side, size=2), 0, np.array(usable.shape) - side)
    return slice(int(corner[0]), int(corner[0]) + side), slice(int(corner[1]), int(corner[1]) + side)


def _turn(array: NDArray[Any], quarter: int, flip: bool) -> NDArray[Any]:
    turned = np.rot90(array, quarter, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)


def draw_batches(
    items: NDArray[np.int64], size: int, generator: np.random.Generator, rank: int = 0, world: int = 1
) -> list[list[int]]:
    """Shuffle items into batches of nearly one size, the same number of them on every process.

    Args:
        items: Running numbers of patches, or of the squares cut from them.
        size: Items in a batch of one process, at most.
        generator: Order of the items; the same on every process.
        rank: This process.
        world: Number of processes; items that do not divide evenly are repeated.
    """
    order = generator.permutation(items)
    order = np.resize(order, -(-len(order) // world) * world)[rank::world]
    return _split(order, size)


def fixed_batches(patches: NDArray[np.int64], size: int, rank: int = 0, world: int = 1) -> list[list[int]]:
    """Deal patches out in order, the same number of batches to every process.

    Args:
        patches: Running numbers.
        size: Patches in a batch of one process, at most.
        rank: This process.
        world: Number of processes; complements of patches, which count for nothing, even out the shares.
    """
    fillers = np.resize(~patches, -len(patches) % world)
    return _split(np.concatenate([patches, fillers])[rank::world], size)


def _split(patches: NDArray[np.int64], size: int) -> list[list[int]]:
    # Equal shares instead of a small last batch, whose batch norm would be noise.
    return [batch.tolist() for batch in np.array_split(patches, max(1, -(-len(patches) // size)))]


class PatchBatches(LightningDataModule):
    """The batches of the training and validation folds.

    Args:
        samples: All patches.
        survey: What the training folds know.
        split: Roles of the folds.
        batch_size: Patches, or squares cut from them, per step and process.
        flips: Random flips and quarter turns in training.
        cutout: Side of the squares that training cuts from the patches, pixels; None: whole patches.
            A patch gives as many as cover it once, so that an epoch stays as long.
        seed: Seed of order, squares and turns.
        epoch: Number of finished epochs; the trainer's own count lags while a resumed run sets up.
        workers: Processes that read ahead; the batches do not depend on it.
    """

    def __init__(
        self,
        samples: Samples,
        survey: Survey,
        split: Split,
        *,
        batch_size: int,
        flips: bool,
        cutout: int | None,
        seed: int,
        epoch: Callable[[], int],
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.samples = samples
        self.survey = survey
        self.split = split
        self.batch_size = batch_size
        self.flips = flips
        self.cutout = cutout
        self.cutouts = 1 if cutout is None else (-(-samples.patch_size // cutout)) ** 2
        self.seed = seed
        self.epoch = epoch
        self.workers = workers

    def _loader(self, dataset: PatchDataset, batches: list[list[int]]) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=batches,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the current epoch; Lightning asks again in every epoch."""
        trainer = self.trainer
        assert trainer is not None  # Lightning attaches it before it asks
        epoch = self.epoch()
        drawn = Augmentation(self.seed, epoch, self.flips, self.cutout, self.cutouts)
        dataset = PatchDataset(self.samples, self.survey.lookup(), self.split, self.split.training, drawn)
        items = (self.survey.training_patches[:, None] * self.cutouts + np.arange(self.cutouts)).ravel()
        order = random(self.seed, SHUFFLE, epoch)
        return self._loader(
            dataset, draw_batches(items, self.batch_size, order, trainer.global_rank, trainer.world_size)
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of whole patches of the validation fold in a fixed order, each once over all processes."""
        trainer = self.trainer
        assert trainer is not None
        dataset = PatchDataset(self.samples, self.survey.lookup(), self.split, (self.split.validation,))
        patches = self.survey.validation_patches
        size = max(1, self.batch_size // self.cutouts)
        return self._loader(dataset, fixed_batches(patches, size, trainer.global_rank, trainer.world_size))
