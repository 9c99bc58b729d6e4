"""Trained models behind one face: series of all sensors in, probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cropflow.config.models import Network
from cropflow.config.models.baselines import GradientBoosting, RandomForest
from cropflow.errors import CropflowError
from cropflow.models.baselines.forest import predict_pixels, to_features
from cropflow.models.baselines.skops_files import read_skops
from cropflow.models.checkpoints import (
    FOREST_FILE,
    NETWORK_FILE,
    Description,
    read_description,
    read_weights,
)
from cropflow.models.registry import build_network, inputs_of
from cropflow.samples.sensors import Layout, differences
from cropflow.samples.stack import Stack

if TYPE_CHECKING:
    from torch import nn


class Predictor(Protocol):
    """A trained model.

    Attributes:
        classes: Legend ids in the order of its outputs.
        layouts: Sensors and bands that it expects, in this order, and how many periods of each.
        legend: Legend of the classes.
        patch_size: Rows and columns of a window; what a network was trained with.
        pixelwise: Whether a pixel's neighbours do not matter.
        batch: Windows that are best predicted together.
    """

    @property
    def classes(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def layouts(self) -> tuple[Layout, ...]: ...  # noqa: D102

    @property
    def legend(self) -> str: ...  # noqa: D102

    @property
    def patch_size(self) -> int: ...  # noqa: D102

    @property
    def pixelwise(self) -> bool: ...  # noqa: D102

    @property
    def batch(self) -> int: ...  # noqa: D102

    def probability(self, series: Stack) -> NDArray[np.float32]:
        """Predict windows.

        Args:
            series: Per sensor values as stored, ``(..., T, C, H, W)``.

        Returns:
            Probability in [0, 1], float32, ``(..., K, H, W)``.
        """
        ...


@dataclass(frozen=True)
class _Trained:
    description: Description

    @property
    def classes(self) -> tuple[int, ...]:
        """Legend ids in the order of the outputs."""
        return self.description.classes

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Expected sensors, bands and periods."""
        return self.description.layouts

    @property
    def legend(self) -> str:
        """Legend of the classes."""
        return self.description.legend

    @property
    def patch_size(self) -> int:
        """Rows and columns of a window."""
        return self.description.patch_size


@dataclass(frozen=True)
class NetworkPredictor(_Trained):
    """A network behind its normalisation, in evaluation mode, on the GPU where there is one."""

    network: nn.Module
    device: str

    @property
    def pixelwise(self) -> bool:
        """False: a network sees the neighbourhood."""
        return False

    @property
    def batch(self) -> int:
        """Windows at a time."""
        return 4 if self.device == "cpu" else 32

    def probability(self, series: Stack) -> NDArray[np.float32]:
        """Softmax of the scores; shapes as in :class:`Predictor`."""
        import torch

        from cropflow.models.data.datasets import as_batch

        leading = next(iter(series.values.values())).shape[:-4]
        days = {layout.sensor: np.array(layout.days, dtype=np.int32) for layout in self.layouts}
        flat = series.changed(lambda _, values: values.reshape(-1, *values.shape[-4:]))
        windows = as_batch(flat, days).to(self.device)
        with torch.inference_mode():
            found: NDArray[np.float32] = self.network(windows).softmax(1).cpu().numpy()
        return found.reshape(*leading, *found.shape[1:])


@dataclass(frozen=True)
class ForestPredictor(_Trained):
    """A forest, pixel by pixel."""

    forest: Any
    threads: int

    @property
    def pixelwise(self) -> bool:
        """True: a forest sees one series at a time."""
        return True

    @property
    def batch(self) -> int:
        """Windows at a time."""
        return 1

    def probability(self, series: Stack) -> NDArray[np.float32]:
        """Share of the trees; shapes as in :class:`Predictor`."""
        everywhere = np.ones(series.pixel_shape, dtype=np.bool_)
        features = to_features(series.pixels(everywhere), self.layouts)
        found = predict_pixels(self.forest, features, len(self.classes), self.threads)
        return np.moveaxis(found.reshape(*everywhere.shape, -1), -1, -3)


def load_predictor(folder: Path | str, threads: int = 1) -> Predictor:
    """Load a trained model for prediction.

    Args:
        folder: Folder written by ``cropflow models train``.
        threads: CPU threads.

    Raises:
        CropflowError: If a file is missing, damaged, or does not belong to the others.
    """
    folder = Path(folder)
    description = read_description(folder)
    settings = description.settings
    if isinstance(settings, RandomForest | GradientBoosting):
        return _load_forest(folder, description, threads)
    return _load_network(folder, description, settings, threads)


def _load_forest(folder: Path, description: Description, threads: int) -> ForestPredictor:
    if not (folder / FOREST_FILE).is_file():
        raise CropflowError(f"{folder} holds no {FOREST_FILE}; expected a forest. Run its models rule.")
    forest = read_skops(folder / FOREST_FILE)
    expected = sum(layout.features for layout in description.layouts)
    if forest.n_features_in_ != expected or forest.classes_.max() >= len(description.classes):
        raise CropflowError(
            f"{folder / FOREST_FILE} expects {forest.n_features_in_} features; its model.json says {expected} of "
            f"{len(description.classes)} classes. Train the model again."
        )
    return ForestPredictor(description, forest, threads)


def _load_network(folder: Path, description: Description, settings: Network, threads: int) -> NetworkPredictor:
    import torch

    from cropflow.models.data.normalisation import Normalise

    torch.set_num_threads(threads)
    network = build_network(settings, inputs_of(description.layouts, len(description.classes)))
    try:
        network.load_state_dict(read_weights(folder / NETWORK_FILE))
    except RuntimeError as error:
        raise CropflowError(
            f"{folder / NETWORK_FILE} does not fit its model.json ({str(error).splitlines()[-1].strip()}). "
            "Train the model again."
        ) from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    whole = torch.nn.Sequential(Normalise(description.statistics), network).eval().to(device)
    return NetworkPredictor(description, whole, device)


def check_series(predictor: Predictor, layouts: Sequence[Layout], where: str) -> None:
    """Refuse series that a model was not trained for.

    Args:
        predictor: A trained model.
        layouts: Axes of each sensor's series, in order.
        where: What they are called in the message.

    Raises:
        CropflowError: If sensors, bands or their order, the numbers of periods, or radiometries differ.
    """
    different = differences(layouts, predictor.layouts)
    if different:
        raise CropflowError(
            f"{where} has {different}, which the model was trained with. Give composites of its sensors and bands, "
            "in the same radiometry, and a season as long as the one it was trained on."
        )
