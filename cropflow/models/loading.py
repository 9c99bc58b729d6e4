"""Batches of patches that depend on the seed and the epoch alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cropflow.models.dataset import NO_CLASS, PlacePatches, Samples, Split
from cropflow.models.statistics import Survey

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


# Sensor -> values as stored, (T, C, S, S), with a leading axis in batches; and classes.
Item = tuple[dict[str, Tensor], Tensor]


class PatchDataset(Dataset[Item]):
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

    def __getitem__(self, index: int) -> Item:
        """Series of each sensor ``(T, C, S, S)`` and classes int64 ``(S, S)``, -1 where there is no target.

        Item ``i`` belongs to patch ``i // items_per_patch``. The bitwise complement of a number is the
        same item without targets.
        """
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
        return {sensor: torch.from_numpy(values) for sensor, values in series.values.items()}, torch.from_numpy(targets)

    def _usable(self, place: PlacePatches, row: int, window: tuple[slice, slice]) -> NDArray[np.bool_]:
        """True where a pixel of a window is a target."""
        labelled = self.split.labelled(np.asarray(place.crops[row][window]))
        in_folds = np.isin(place.folds[row][window], self.folds)
        return labelled & in_folds & place.series[row].window(*window).complete()


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

    def _loader(self, dataset: PatchDataset, batches: list[list[int]]) -> DataLoader[Item]:
        return DataLoader(
            dataset, batch_sampler=batches, num_workers=self.workers, pin_memory=torch.cuda.is_available()
        )

    def train_dataloader(self) -> DataLoader[Item]:
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

    def val_dataloader(self) -> DataLoader[Item]:
        """Batches of whole patches of the validation fold in a fixed order, each once over all processes."""
        trainer = self.trainer
        assert trainer is not None
        dataset = PatchDataset(self.samples, self.survey.lookup(), self.split, (self.split.validation,))
        patches = self.survey.validation_patches
        size = max(1, self.batch_size // self.cutouts)
        return self._loader(dataset, fixed_batches(patches, size, trainer.global_rank, trainer.world_size))
