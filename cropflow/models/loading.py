"""Batches of patches that depend on the seed and the epoch alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cropflow.models.dataset import NO_CLASS, Samples, Split, complete
from cropflow.models.statistics import Survey

SHUFFLE, AUGMENT, DROPOUT = range(3)


def random(seed: int, purpose: int, epoch: int, *more: int) -> np.random.Generator:
    """A generator of its own for each purpose, epoch and item."""
    return np.random.default_rng([seed, purpose, epoch, *more])


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Series and targets of patches.

    Args:
        samples: All patches.
        lookup: Class of each legend id, -1 where none, ``(65536,)``.
        split: Roles of the folds.
        folds: Folds whose pixels are targets.
        turn: Seed and epoch of the random flips and quarter turns; none where absent.
    """

    def __init__(
        self,
        samples: Samples,
        lookup: NDArray[np.int64],
        split: Split,
        folds: tuple[int, ...],
        turn: tuple[int, int] | None = None,
    ) -> None:
        self.samples = samples
        self.lookup = lookup
        self.split = split
        self.folds = folds
        self.turn = turn

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Series uint16 ``(T, C, P, P)`` and classes int64 ``(P, P)``, -1 where there is no target.

        The bitwise complement of a number is the same patch without targets.
        """
        counted = index >= 0
        place, row = self.samples.locate(index if counted else ~index)
        reflectance = np.array(place.reflectance[row])
        crops = np.asarray(place.crops[row])
        usable = self.split.labelled(crops) & np.isin(place.folds[row], self.folds) & complete(reflectance, (0, 1))
        targets = np.where(usable & counted, self.lookup[crops], NO_CLASS)
        if self.turn is not None:
            seed, epoch = self.turn
            quarter, flip = random(seed, AUGMENT, epoch, index).integers((4, 2))
            reflectance, targets = (_turn(array, int(quarter), bool(flip)) for array in (reflectance, targets))
        return torch.from_numpy(reflectance), torch.from_numpy(targets)


def _turn(array: NDArray[np.generic], quarter: int, flip: bool) -> NDArray[np.generic]:
    turned = np.rot90(array, quarter, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)


def draw_batches(
    patches: NDArray[np.int64], size: int, generator: np.random.Generator, rank: int = 0, world: int = 1
) -> list[list[int]]:
    """Shuffle patches into batches of nearly one size, the same number of them on every process.

    Args:
        patches: Running numbers.
        size: Patches in a batch of one process, at most.
        generator: Order of the patches; the same on every process.
        rank: This process.
        world: Number of processes; patches that do not divide evenly are repeated.
    """
    order = generator.permutation(patches)
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
        batch_size: Patches per step and process.
        flips: Random flips and quarter turns in training.
        seed: Seed of order and turns.
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
        self.seed = seed
        self.epoch = epoch
        self.workers = workers

    def _loader(self, dataset: PatchDataset, batches: list[list[int]]) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(
            dataset, batch_sampler=batches, num_workers=self.workers, pin_memory=torch.cuda.is_available()
        )

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batches of the current epoch; Lightning asks again in every epoch."""
        trainer = self.trainer
        assert trainer is not None  # Lightning attaches it before it asks
        epoch = self.epoch()
        dataset = PatchDataset(
            self.samples,
            self.survey.lookup(),
            self.split,
            self.split.training,
            (self.seed, epoch) if self.flips else None,
        )
        order = random(self.seed, SHUFFLE, epoch)
        patches = self.survey.training_patches
        return self._loader(
            dataset, draw_batches(patches, self.batch_size, order, trainer.global_rank, trainer.world_size)
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batches of the validation fold in a fixed order, each patch once over all processes."""
        trainer = self.trainer
        assert trainer is not None
        dataset = PatchDataset(self.samples, self.survey.lookup(), self.split, (self.split.validation,))
        patches = self.survey.validation_patches
        return self._loader(dataset, fixed_batches(patches, self.batch_size, trainer.global_rank, trainer.world_size))
