"""Several models as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError
from cropflow.models.applying.prediction import Predictor
from cropflow.samples.sensors import Layout, differences

if TYPE_CHECKING:
    from cropflow.models.batch import Batch

Average = Literal["probability", "log"]
# The least probability in a mean of logarithms: one model that is sure of nothing must not decide alone.
_LEAST = 1e-6


@dataclass(frozen=True)
class Ensemble:
    """Models of one kind, legend and inputs, such as those of all folds; a :class:`Predictor` itself.

    A rare crop may be unknown to the training folds of some: these give it no chance, as in maps.

    Attributes:
        members: The models; each normalises by its own statistics.
        average: ``probability``: the mean; ``log``: the mean of logarithms, made to add up to 1 again, by which
            models that disagree are less sure.
    """

    members: tuple[Predictor, ...]
    average: Average = "probability"

    @property
    def classes(self) -> tuple[int, ...]:
        """Every class that a member knows: as the members have them, or ascending where they differ."""
        known = {member.classes for member in self.members}
        return self.members[0].classes if len(known) == 1 else tuple(sorted({crop for each in known for crop in each}))

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Expected sensors, bands and periods."""
        return self.members[0].layouts

    @property
    def legend(self) -> str:
        """Legend of the classes."""
        return self.members[0].legend

    @property
    def kind(self) -> Kind:
        """What gets a probability."""
        return self.members[0].kind

    @property
    def patch_size(self) -> int:
        """Rows and columns of a window."""
        return self.members[0].patch_size

    @property
    def batch(self) -> int:
        """What is best predicted together."""
        return min(member.batch for member in self.members)

    @property
    def minimum_dates(self) -> int | None:
        """Dates that a pixel needs, the same of all."""
        return self.members[0].minimum_dates

    @property
    def features(self) -> bool:
        """Whether any takes the features of parcels."""
        return any(member.features for member in self.members)

    @property
    def lags(self) -> int:
        """Earlier seasons, the same of all."""
        return self.members[0].lags

    def prepare(self, batch: Batch) -> Batch:
        """Nothing: each member prepares for itself."""
        return batch

    def probability(self, batch: Batch) -> NDArray[np.float32]:
        """The mean over the members; shapes as in :class:`Predictor`."""
        classes = self.classes
        found = [_placed(member.probability(member.prepare(batch)), member.classes, classes) for member in self.members]
        if self.average == "probability":
            mean: NDArray[np.float32] = np.stack(found).mean(axis=0, dtype=np.float64).astype(np.float32)
            return mean
        logs = np.log(np.maximum(np.stack(found), _LEAST)).mean(axis=0, dtype=np.float64)
        product = np.exp(logs)
        whole: NDArray[np.float32] = (product / product.sum(axis=1, keepdims=True)).astype(np.float32)
        return whole


def _placed(probability: NDArray[np.float32], own: tuple[int, ...], classes: tuple[int, ...]) -> NDArray[np.float32]:
    """Probabilities ``(B, K, ...)`` of a model's own classes among more classes, 0 of the others."""
    if own == classes:
        return probability
    found = np.zeros((len(probability), len(classes), *probability.shape[2:]), dtype=np.float32)
    found[:, [classes.index(crop) for crop in own]] = probability
    return found


def join(members: Sequence[Predictor], names: Sequence[str], average: Average = "probability") -> Predictor:
    """Put models together.

    Args:
        members: At least one.
        names: What they are called in messages.
        average: How their probabilities are averaged.

    Raises:
        CropflowError: If they differ in kind, legend, sensors, bands, periods, radiometry, the size of their windows,
            or in what they ask of a parcel; with a history, also in their classes, which it is told in.
    """
    first = members[0]
    keys = ("kind", "legend", "patch_size", "minimum_dates", "features", "lags", *(("classes",) if first.lags else ()))
    for other, name in zip(members[1:], names[1:], strict=True):
        for key in keys:
            if getattr(other, key) != getattr(first, key):
                raise CropflowError(
                    f"{name} has {key} {getattr(other, key)!r}, {names[0]} {getattr(first, key)!r}; expected the same "
                    "of all that are averaged. Give the folds of one experiment."
                )
        different = differences(other.layouts, first.layouts)
        if different:
            raise CropflowError(f"{name} has {different}, as {names[0]} has. Give the folds of one experiment.")
    return first if len(members) == 1 else Ensemble(tuple(members), average)
