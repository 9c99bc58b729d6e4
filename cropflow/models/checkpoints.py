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
from cropflow.config.models.reading import parse_model
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json, write_json, write_text
from cropflow.models.data.statistics import Statistics
from cropflow.models.data.survey import Survey
from cropflow.samples.sensors import KINDS, Layout, layout_of

if TYPE_CHECKING:
    from torch import Tensor

    from cropflow.models.data.samples import Samples, Split

FORMAT = 3
_SOFTWARE = ("numpy", "torch", "lightning", "scikit-learn", "skops", "safetensors")
NETWORK_FILE, FOREST_FILE = "model.safetensors", "model.skops"
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
        legend: Legend of the classes.
        classes: Legend ids in the order of the outputs.
        layouts: Sensors, bands and periods it expects, in this order; of the periods, those of the first training
            place, only their number binds.
        patch_size: Rows and columns of a training patch.
        fold: The fold that it was not to see.
        statistics: Normalisation of each sensor.
    """

    settings: Network | Baseline
    legend: str
    classes: tuple[int, ...]
    layouts: tuple[Layout, ...]
    patch_size: int
    fold: int
    statistics: tuple[Statistics, ...]


def describe(settings: Network | Baseline, samples: Samples, survey: Survey, split: Split) -> Description:
    """The description of a model trained on samples."""
    return Description(
        settings,
        samples.legend,
        survey.classes,
        samples.layouts,
        samples.patch_size,
        split.fold,
        survey.statistics,
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
            "legend": description.legend,
            "classes": list(description.classes),
            "sensors": [layout.told() for layout in description.layouts],
            "patch_size": description.patch_size,
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
        {"sensors": [{"unit": KINDS[found.sensor].unit, **asdict(found)} for found in description.statistics]},
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
        legend=content["legend"],
        classes=tuple(content["classes"]),
        layouts=tuple(layout_of(entry) for entry in content["sensors"]),
        patch_size=int(content["patch_size"]),
        fold=int(content["fold"]),
        statistics=tuple(_read_statistics(entry) for entry in statistics["sensors"]),
    )


def _read_statistics(content: Mapping[str, Any]) -> Statistics:
    columns = (tuple(content[key]) for key in ("bands", "mean", "deviation", "values", "shifts"))
    return Statistics(str(content["sensor"]), *columns)


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
