"""Trained models behind one face: reflectance in, probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cropflow.config.sections import RandomForest, TemporalUnet
from cropflow.errors import CropflowError
from cropflow.models.checkpoints import (
    FOREST_FILE,
    NETWORK_FILE,
    Description,
    read_description,
    read_weights,
)
from cropflow.models.forest import predict_pixels, to_features
from cropflow.models.registry import build_network
from cropflow.models.skops_files import read_skops

if TYPE_CHECKING:
    from torch import nn


class Predictor(Protocol):
    """A trained model.

    Attributes:
        classes: Legend ids in the order of its outputs.
        bands: Bands that it expects, in this order.
        periods: Number of periods that it expects.
        legend: Legend of the classes.
        patch_size: Rows and columns of a window; what a network was trained with.
        pixelwise: Whether a pixel's neighbours do not matter.
        batch: Windows that are best predicted together.
    """

    @property
    def classes(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def bands(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def periods(self) -> int: ...  # noqa: D102

    @property
    def legend(self) -> str: ...  # noqa: D102

    @property
    def patch_size(self) -> int: ...  # noqa: D102

    @property
    def pixelwise(self) -> bool: ...  # noqa: D102

    @property
    def batch(self) -> int: ...  # noqa: D102

    def probability(self, reflectance: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Predict windows.

        Args:
            reflectance: uint16, x 10000, 0 = nodata, ``(..., T, C, H, W)``.

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
    def bands(self) -> tuple[str, ...]:
        """Expected bands."""
        return self.description.bands

    @property
    def periods(self) -> int:
        """Expected number of periods."""
        return len(self.description.periods)

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

    def probability(self, reflectance: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Softmax of the scores; shapes as in :class:`Predictor`."""
        import torch

        leading = reflectance.shape[:-4]
        windows = torch.from_numpy(np.ascontiguousarray(reflectance).reshape(-1, *reflectance.shape[-4:]))
        with torch.inference_mode():
            scores = self.network(windows.to(self.device))
            found: NDArray[np.float32] = scores.softmax(1).cpu().numpy()
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

    def probability(self, reflectance: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Share of the trees; shapes as in :class:`Predictor`."""
        series = np.moveaxis(reflectance, (-4, -3), (-2, -1))
        found = predict_pixels(
            self.forest,
            to_features(series.reshape(-1, *series.shape[-2:])),
            len(self.classes),
            self.threads,
        )
        return np.moveaxis(found.reshape(*series.shape[:-2], -1), -1, -3)


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
    if isinstance(settings, RandomForest):
        return _load_forest(folder, description, threads)
    return _load_network(folder, description, settings, threads)


def _load_forest(folder: Path, description: Description, threads: int) -> ForestPredictor:
    if not (folder / FOREST_FILE).is_file():
        raise CropflowError(f"{folder} holds no {FOREST_FILE}; expected a forest. Run its models rule.")
    forest = read_skops(folder / FOREST_FILE)
    expected = len(description.periods) * len(description.bands)
    if forest.n_features_in_ != expected or forest.classes_.max() >= len(description.classes):
        raise CropflowError(
            f"{folder / FOREST_FILE} expects {forest.n_features_in_} features; its model.json says {expected} of "
            f"{len(description.classes)} classes. Train the model again."
        )
    return ForestPredictor(description, forest, threads)


def _load_network(folder: Path, description: Description, settings: TemporalUnet, threads: int) -> NetworkPredictor:
    import torch

    from cropflow.models.normalisation import Normalise

    torch.set_num_threads(threads)
    network = build_network(settings, len(description.bands), len(description.classes))
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


def check_series(predictor: Predictor, bands: Sequence[str], periods: int, where: str) -> None:
    """Refuse composites that a model was not trained for.

    Args:
        predictor: A trained model.
        bands: Bands of the composites.
        periods: Number of their periods.
        where: What they are called in the message.

    Raises:
        CropflowError: If bands or their order, or the number of periods, differ.
    """
    if tuple(bands) != tuple(predictor.bands):
        raise CropflowError(
            f"{where} has the bands {', '.join(bands)}; the model expects {', '.join(predictor.bands)}. "
            "Export the bands that the model was trained with."
        )
    if periods != predictor.periods:
        raise CropflowError(
            f"{where} has {periods} periods; the model expects {predictor.periods}. Choose a season as long as "
            "the one it was trained on."
        )
