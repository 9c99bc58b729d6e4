"""The folder of a trained model: weights without pickle, and JSON that says what they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropflow import __version__
from cropflow.config.base import dump
from cropflow.config.models import Baseline, Network
from cropflow.config.models.drawing import Kind
from cropflow.config.models.reading import parse_model
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json, write_json, write_text
from cropflow.models.data.statistics import FeatureStatistics, Statistics
from cropflow.models.levels import group_classes
from cropflow.models.registry import inputs_of
from cropflow.samples.sensors import KINDS, Layout, layout_of

if TYPE_CHECKING:
    from torch import Tensor

    from cropflow.models.data.samples import Samples, Split
    from cropflow.models.data.survey import Survey
    from cropflow.models.network import Inputs

FORMAT = 3
_SOFTWARE = ("numpy", "torch", "lightning", "scikit-learn", "skops", "safetensors")
NETWORK_FILE, FOREST_FILE = "model.safetensors", "model.skops"
# All that lies in the folder of a model.
FILES = (NETWORK_FILE, FOREST_FILE, "model.json", "statistics.json", "history.csv")
HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "validation_loss",
    "validation_accuracy",
    "validation_balanced_accuracy",
    "learning_rate",
)


@dataclass(frozen=True)
class Description:
    """What a trained model is and expects, ``model.json``.

    Attributes:
        settings: Its config section.
        kind: What it was trained on: patches, pixel sets, chips or pixels.
        legend: Legend of the classes.
        classes: Legend ids in the order of the outputs.
        levels: Coarser levels of the legend, coarsest first: the group of each class.
        layouts: Sensors, bands and periods it expects, in this order; of the periods, those of the first training
            place, only their number binds.
        patch_size: Rows and columns of a training patch or chip; 1 of pixel sets and pixels.
        lags: Earlier seasons of the rotation history, 0 without; its shares are of the classes.
        fold: The fold that it was not to see.
        folds: Number of folds.
        statistics: Normalisation of each sensor.
        features: Normalisation of the features of parcels; None where it sees none.
        minimum_dates: Dates with a value by which a sensor saw a pixel of its samples; None: every sensor saw all.
    """

    settings: Network | Baseline
    kind: Kind
    legend: str
    classes: tuple[int, ...]
    levels: tuple[tuple[int, ...], ...]
    layouts: tuple[Layout, ...]
    patch_size: int
    lags: int
    fold: int
    folds: int
    statistics: tuple[Statistics, ...]
    features: FeatureStatistics | None
    minimum_dates: int | None = None

    def inputs(self) -> Inputs:
        """What a network of this description is built for."""
        features = len(self.features.mean) if self.features else 0
        return inputs_of(self.layouts, len(self.classes), features=features, lags=self.lags, levels=self.levels)


def describe(settings: Network | Baseline, samples: Samples, survey: Survey, split: Split) -> Description:
    """The description of a model trained on samples."""
    return Description(
        settings=settings,
        kind=samples.kind,
        legend=samples.legend,
        classes=survey.classes,
        levels=group_classes(samples.legend, survey.classes),
        layouts=samples.layouts,
        patch_size=samples.patch_size,
        lags=samples.lags,
        fold=split.fold,
        folds=split.count,
        statistics=survey.statistics,
        features=survey.features,
        minimum_dates=samples.minimum_dates,
    )


def write_description(
    folder: Path, description: Description, split: Split, seed: int, data: str, outcome: Mapping[str, Any]
) -> None:
    """Write ``model.json`` and ``statistics.json``.

    Args:
        folder: Folder of the model.
        description: What the model is.
        split: Roles of the folds.
        seed: Seed of the training.
        data: Hash of the samples.
        outcome: How the training ended.
    """
    write_json(
        folder / "model.json",
        {
            "format": FORMAT,
            "settings": dump(description.settings),
            "kind": description.kind,
            "legend": description.legend,
            "classes": list(description.classes),
            "levels": [list(level) for level in description.levels],
            "sensors": [layout.told() for layout in description.layouts],
            "patch_size": description.patch_size,
            "lags": description.lags,
            "minimum_dates": description.minimum_dates,
            "fold": split.fold,
            "validation_fold": split.validation,
            "folds": split.count,
            "background": split.background,
            "seed": seed,
            "data": data,
            "versions": versions(),
            **outcome,
        },
    )
    write_json(
        folder / "statistics.json",
        {
            "sensors": [{"unit": KINDS[found.sensor].unit, **asdict(found)} for found in description.statistics],
            "features": asdict(description.features) if description.features else None,
        },
    )


def versions() -> dict[str, str]:
    """Versions of the software that shapes a model."""
    # cropflow has no metadata where it only lies on the path.
    return {"cropflow": __version__} | {name: metadata.version(name) for name in _SOFTWARE}


def read_description(folder: Path) -> Description:
    """Read ``model.json`` and ``statistics.json``.

    Raises:
        CropflowError: If they are missing or of another format.
    """
    for name in ("model.json", "statistics.json"):
        if not (folder / name).is_file():
            raise CropflowError(f"{folder} holds no {name}; expected a trained model. Run its models rule.")
    content, statistics = read_json(folder / "model.json"), read_json(folder / "statistics.json")
    if content.get("format") != FORMAT:
        raise CropflowError(
            f"{folder}/model.json has the format {content.get('format')!r}; expected {FORMAT}. Train the model again."
        )
    return Description(
        settings=parse_model(content["settings"], f"{folder}/model.json"),
        kind=content["kind"],
        legend=content["legend"],
        classes=tuple(content["classes"]),
        levels=tuple(tuple(level) for level in content["levels"]),
        layouts=tuple(layout_of(entry) for entry in content["sensors"]),
        patch_size=int(content["patch_size"]),
        lags=int(content["lags"]),
        fold=int(content["fold"]),
        folds=int(content["folds"]),
        statistics=tuple(_read_statistics(entry) for entry in statistics["sensors"]),
        features=_read_features(statistics["features"]),
        minimum_dates=content["minimum_dates"],
    )


def _read_statistics(content: Mapping[str, Any]) -> Statistics:
    columns = (tuple(content[key]) for key in ("bands", "mean", "deviation", "values", "shifts"))
    return Statistics(str(content["sensor"]), *columns)


def _read_features(content: Mapping[str, Any] | None) -> FeatureStatistics | None:
    if content is None:
        return None
    return FeatureStatistics(tuple(content["mean"]), tuple(content["deviation"]), int(content["parcels"]))


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a network's weights as safetensors."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in weights.items()}, path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a network's weights.

    Raises:
        CropflowError: If the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CropflowError(f"{path} is missing; expected the weights of a network. Run its models rule.")
    try:
        weights: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise CropflowError(f"{path} is no whole safetensors file ({error}); train the model again.") from None
    return weights


def write_history(path: Path, rows: Sequence[Sequence[float]]) -> None:
    """Write the history, one row per epoch; NaN becomes an empty cell.

    Args:
        path: Where to write.
        rows: Values in the order of ``HISTORY_COLUMNS``; epochs count from 1.
    """
    lines = [",".join(HISTORY_COLUMNS)]
    for epoch, *values in rows:
        lines.append(",".join([str(int(epoch)), *("" if math.isnan(value) else f"{value:.9g}" for value in values)]))
    write_text(path, "\n".join(lines) + "\n")
