"""Trained models of every kind behind one face: a batch of stored values in, probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cropflow.config.models import Network as Settings
from cropflow.config.models import kind_of
from cropflow.config.models.baselines import GradientBoosting, RandomForest
from cropflow.config.models.drawing import Kind
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
from cropflow.models.registry import build_network
from cropflow.samples.sensors import Layout, differences

if TYPE_CHECKING:
    from torch import nn

    from cropflow.models.batch import Batch
    from cropflow.models.network import Network

# Windows, parcels' pixels and single pixels that are best predicted together: on a CPU what its caches hold.
_WINDOWS = {"cpu": 4, "cuda": 32}
_PIXELS = {"cpu": 4096, "cuda": 65_536}


class Predictor(Protocol):
    """A trained model.

    Attributes:
        classes: Legend ids in the order of its outputs.
        layouts: Sensors and bands that it expects, in this order, and how many periods of each.
        legend: Legend of the classes.
        kind: What it gives a probability to: each pixel of ``patches``, single ``pixels``, the ``pixel_sets`` of
            parcels, or ``chips`` around them.
        patch_size: Rows and columns of a window or chip; what a network was trained with.
        batch: Windows, chips, or pixels (of parcels or single ones) that are best predicted together.
        minimum_dates: Valid dates of a sensor that a pixel needs to count as seen by it, as in training; None: all.
        features: Whether it takes the features of parcels.
        lags: Earlier seasons of a parcel's history that it takes.
    """

    @property
    def classes(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def layouts(self) -> tuple[Layout, ...]: ...  # noqa: D102

    @property
    def legend(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> Kind: ...  # noqa: D102

    @property
    def patch_size(self) -> int: ...  # noqa: D102

    @property
    def batch(self) -> int: ...  # noqa: D102

    @property
    def minimum_dates(self) -> int | None: ...  # noqa: D102

    @property
    def features(self) -> bool: ...  # noqa: D102

    @property
    def lags(self) -> int: ...  # noqa: D102

    def prepare(self, batch: Batch) -> Batch:
        """Do once what windows that share pixels would do again and again: normalise, and move to the device.

        Args:
            batch: Values as stored, ``(B, T, C, *space)``.
        """
        ...

    def probability(self, batch: Batch) -> NDArray[np.float32]:
        """Predict what :meth:`prepare` gave, or a part of it.

        Returns:
            Probability in [0, 1], float32, ``(B, K, H, W)`` of patches, ``(B, K)`` of all other kinds.
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

    @property
    def features(self) -> bool:
        """Whether parcels' features were learnt from."""
        return self.description.features is not None

    @property
    def lags(self) -> int:
        """Earlier seasons that were learnt from."""
        return self.description.lags


@dataclass(frozen=True)
class NetworkPredictor(_Trained):
    """A network and its normalisation, in evaluation mode, on the GPU where there is one."""

    normalise: nn.Module
    network: Network
    loss: str
    kind: Kind
    device: str

    @property
    def minimum_dates(self) -> int | None:
        """What the samples of its training asked for; all dates where gaps mean nothing to the network."""
        return self.description.minimum_dates if self.network.masked else None

    @property
    def batch(self) -> int:
        """Windows, or pixels, at a time."""
        return (_PIXELS if self.kind in ("pixels", "pixel_sets") else _WINDOWS)[self.device]

    def prepare(self, batch: Batch) -> Batch:
        """Normalise on the device."""
        import torch

        with torch.inference_mode():
            found: Batch = self.normalise(batch.to(self.device))
        return found

    def probability(self, batch: Batch) -> NDArray[np.float32]:
        """Scores as probabilities, by the loss that they were trained with; shapes as in :class:`Predictor`."""
        import torch

        from cropflow.models.engine.losses import to_probability

        with torch.inference_mode():
            scores = self.network(batch)
            found: NDArray[np.float32] = to_probability(scores, self.loss).cpu().numpy()
        return found


@dataclass(frozen=True)
class ForestPredictor(_Trained):
    """A classifier of scikit-learn, on the series of each pixel or on the mean series of a parcel."""

    forest: Any
    threads: int
    kind: Kind = field(default="pixels")

    @property
    def minimum_dates(self) -> int | None:
        """None: a feature without a value is none."""
        return None

    @property
    def batch(self) -> int:
        """Pixels at a time."""
        return 65_536

    def prepare(self, batch: Batch) -> Batch:
        """Nothing: values stay as stored."""
        return batch

    def probability(self, batch: Batch) -> NDArray[np.float32]:
        """Share of the trees; of pixels in any space, and of the mean series of pixel sets."""
        series = {layout.sensor: batch.series[layout.sensor].values.numpy() for layout in self.layouts}
        if self.kind == "pixel_sets":
            series = {sensor: _mean_series(values, batch, sensor) for sensor, values in series.items()}
        first = next(iter(series.values()))
        count, space = len(first), first.shape[3:]
        flat = {
            sensor: np.moveaxis(values.reshape(*values.shape[:3], -1), -1, 1).reshape(-1, *values.shape[1:3])
            for sensor, values in series.items()
        }
        found = predict_pixels(self.forest, to_features(flat, self.layouts), len(self.classes), self.threads)
        return np.moveaxis(found.reshape(count, *space, -1), -1, 1)


def _mean_series(values: NDArray[Any], batch: Batch, sensor: str) -> NDArray[np.float32]:
    """Mean of the valid pixels of a set on each date, ``(B, T, C)``."""
    valid = batch.series[sensor].valid.numpy()[:, :, None]
    total = np.where(valid, values, 0).sum(axis=-1, dtype=np.float64)
    mean: NDArray[np.float32] = (total / np.maximum(valid.sum(axis=-1), 1)).astype(np.float32)
    return mean


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
    kind: Kind = "pixel_sets" if kind_of(description.settings) == "pixel_sets" else "pixels"
    return ForestPredictor(description, forest, threads, kind)


def _load_network(folder: Path, description: Description, settings: Settings, threads: int) -> NetworkPredictor:
    import torch

    torch.set_num_threads(threads)
    network = build_network(settings, description.inputs())
    try:
        network.load_state_dict(read_weights(folder / NETWORK_FILE))
    except RuntimeError as error:
        raise CropflowError(
            f"{folder / NETWORK_FILE} does not fit its model.json ({str(error).splitlines()[-1].strip()}). "
            "Train the model again."
        ) from None
    return network_predictor(network, description, settings.loss)


def network_predictor(network: Network, description: Description, loss: str) -> NetworkPredictor:
    """A network ready to predict.

    Args:
        network: With its weights; it is changed: evaluation mode, batch norms folded into convolutions.
        description: What it is and expects.
        loss: The loss that it was trained with, which says how its scores become probabilities.
    """
    import torch

    from cropflow.models.applying.folding import fold_batch_norms
    from cropflow.models.data.normalisation import Normalise

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = fold_batch_norms(network.eval()).to(device)
    normalise = Normalise(description.statistics, description.features).eval().to(device)
    return NetworkPredictor(description, normalise, network, loss, type(network).kind, device)


def takes_parcels(predictor: Predictor) -> bool:
    """Whether a model gives each parcel one answer, and none outside them."""
    return predictor.kind in ("pixel_sets", "chips")


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
