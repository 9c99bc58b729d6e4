"""Apply a model to samples that are stored: a row per parcel, or the probabilities of the pixels of patches."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError, listing
from cropflow.files.atomic import atomic_folder
from cropflow.files.cubes import create_store
from cropflow.files.tables import read_table, write_table
from cropflow.models.applying.prediction import Predictor, check_series
from cropflow.models.applying.windows import NOT_PREDICTED, quantise

if TYPE_CHECKING:
    from cropflow.models.batch import Batch
    from cropflow.models.data.samples import Samples
    from cropflow.models.data.survey import Survey

log = logging.getLogger(__name__)

# JSON that each kind of folder holds, and its table of samples.
FILES: dict[Kind, tuple[str, str]] = {
    "patches": ("patches.json", "index.parquet"),
    "pixel_sets": ("pixel_sets.json", "parcels.parquet"),
    "chips": ("chips.json", "chips.parquet"),
}
# What a model of a kind can be applied to; pixels of a parcel are averaged.
FITTING: dict[Kind, tuple[Kind, ...]] = {
    "patches": ("patches",),
    "pixels": ("pixel_sets", "patches"),
    "pixel_sets": ("pixel_sets",),
    "chips": ("chips",),
}
IDS = ["site", "index", "parcel_id", "crop", "fold"]
NONE = -1


def kind_of_folder(folder: Path) -> Kind:
    """What samples a folder holds.

    Raises:
        CropflowError: If it holds none.
    """
    for kind, (name, _) in FILES.items():
        if (folder / name).is_file():
            return kind
    raise CropflowError(
        f"{folder} holds none of {listing(name for name, _ in FILES.values())}; expected a folder of patches, pixel "
        "sets or chips. Run a samples rule."
    )


def read_about_samples(folder: Path, pixels: bool = False) -> Samples:
    """Open the samples of a folder.

    Args:
        folder: Folder of patches, pixel sets or chips.
        pixels: See pixel sets as single pixels.

    Raises:
        CropflowError: If it holds none, or a file is missing or damaged.
    """
    from cropflow.models.data.reading import read_samples

    held = kind_of_folder(folder)
    return read_samples("pixels" if pixels and held == "pixel_sets" else held, [str(folder)], [folder])


def apply_to_samples(predictor: Predictor, folder: Path, output: Path) -> dict[str, int]:
    """Predict all samples of a folder, of every fold.

    Args:
        predictor: A trained model.
        folder: Folder of patches, pixel sets or chips.
        output: A parquet file with a row per parcel: ids, declared crop and fold, ``predicted`` (legend id, -1 where
            values are missing), ``probability`` and ``probability_<id>`` of each class. Of patches a Zarr store:
            ``probability`` x 10000, uint16, ``(patch, class, y, x)``, 65535 = not predicted.

    Returns:
        Samples, or pixels of patches, and those that were predicted.

    Raises:
        CropflowError: If the samples are not of the model's kind, sensors, bands, periods, radiometry or legend.
    """
    held = kind_of_folder(folder)
    if held not in FITTING[predictor.kind]:
        raise CropflowError(
            f"{folder} holds {held}; the model takes {listing(FITTING[predictor.kind])}. Give a folder of those."
        )
    samples = read_about_samples(folder, pixels=predictor.kind == "pixels")
    check_series(predictor, samples.layouts, str(folder))
    if samples.legend != predictor.legend:
        raise CropflowError(
            f"{folder} is of the legend {samples.legend!r}; the model of {predictor.legend!r}. Give samples of the "
            "model's legend."
        )
    if predictor.lags and samples.lags != predictor.lags:
        raise CropflowError(
            f"{folder} tells of {samples.lags} earlier seasons; the model takes {predictor.lags}. Set "
            "sets.<name>.history and build the pixel sets again."
        )
    if held == "patches":
        return _apply_to_patches(predictor, samples, folder, output)
    return _apply_to_parcels(predictor, samples, folder, held, output)


def _apply_to_parcels(predictor: Predictor, samples: Samples, folder: Path, held: Kind, output: Path) -> dict[str, int]:
    table = read_table(folder / FILES[held][1], IDS)
    total = np.zeros((len(samples), len(predictor.classes)))
    times = np.zeros(len(samples), dtype=np.int64)
    for owners, batch in _batches(predictor, samples):
        known = predictable_items(batch, samples.kind, predictor.minimum_dates)
        found = predictor.probability(predictor.prepare(batch))[known]
        np.add.at(total, owners[known], found)
        times += np.bincount(owners[known], minlength=len(times))
    mean = np.divide(total, times[:, None], out=np.full(total.shape, np.nan), where=times[:, None] > 0)
    write_table(output, parcel_rows(table, mean, predictor.classes))
    return {"samples": len(samples), "predicted": int((times > 0).sum())}


def parcel_rows(table: pandas.DataFrame, mean: NDArray[np.float64], classes: tuple[int, ...]) -> pandas.DataFrame:
    """One row per parcel: what it is, and what is predicted.

    Args:
        table: ``IDS`` of each parcel.
        mean: Probability of each class, ``(parcel, class)``; NaN where nothing is predicted.
        classes: Legend ids.
    """
    known = ~np.isnan(mean[:, 0])
    best = np.where(known, np.nan_to_num(mean).argmax(axis=1), 0)
    predicted = np.where(known, np.array(classes, dtype=np.int32)[best], np.int32(NONE))
    found = table[IDS].assign(predicted=predicted, probability=mean[np.arange(len(mean)), best].astype(np.float32))
    columns = {f"probability_{crop}": mean[:, position].astype(np.float32) for position, crop in enumerate(classes)}
    return found.assign(**columns)


def _apply_to_patches(predictor: Predictor, samples: Samples, folder: Path, output: Path) -> dict[str, int]:
    size, classes = samples.patch_size, predictor.classes
    table = read_table(folder / FILES["patches"][1], ["site", "row", "column"])
    sites = sorted(set(table["site"]))
    predicted = 0
    with atomic_folder(output) as temporary:
        store = create_store(
            temporary, {"classes": list(classes), "legend": predictor.legend, "sites": sites, "patch_size": size}
        )
        for name, values in (
            ("site", np.array([sites.index(site) for site in table["site"]], dtype=np.int32)),
            ("row", table["row"].to_numpy(np.int64)),
            ("column", table["column"].to_numpy(np.int64)),
        ):
            array = store.create_array(name, shape=values.shape, dtype=values.dtype, dimension_names=("patch",))
            array[:] = values
        probability = store.create_array(
            "probability",
            shape=(len(samples), len(classes), size, size),
            dtype="uint16",
            chunks=(1, len(classes), size, size),
            fill_value=NOT_PREDICTED,
            dimension_names=("patch", "class", "y", "x"),
            attributes={"scale": 0.0001, "nodata": NOT_PREDICTED},
        )
        for items, batch in _batches(predictor, samples):
            known = predictable_items(batch, samples.kind, predictor.minimum_dates)
            found = quantise(_pixels_of_patches(predictor, batch))
            found = np.where(known[:, None], found, np.uint16(NOT_PREDICTED))
            for item, values in zip(items, found, strict=True):
                probability[int(item)] = values
            predicted += int(known.sum())
    return {"patches": len(samples), "pixels": len(samples) * size**2, "predicted": predicted}


def _pixels_of_patches(predictor: Predictor, batch: Batch) -> NDArray[np.float32]:
    """Probability of every pixel of some patches, ``(B, class, H, W)``; a model of pixels is asked pixel by pixel."""
    if predictor.kind != "pixels":
        return predictor.probability(predictor.prepare(batch))
    found = predictor.probability(predictor.prepare(batch.pixel_by_pixel()))
    return np.moveaxis(found.reshape(len(batch), *batch.space, -1), -1, 1)


def predictable_items(batch: Batch, held: Kind, minimum_dates: int | None) -> NDArray[np.bool_]:
    """Where a batch of stored samples can be predicted, by the rule of its training.

    Args:
        batch: Of any kind.
        held: What it holds.
        minimum_dates: Valid dates of one sensor; None: all dates of all sensors.

    Returns:
        bool, ``(B, H, W)`` of patches, ``(B,)`` of all other kinds; a parcel has a date where any of its pixels has.
    """
    import torch

    seen = []
    for one in batch.series.values():
        valid = one.valid if held in ("patches", "pixels") else one.frames
        seen.append(valid.sum(1) >= (valid.shape[1] if minimum_dates is None else minimum_dates))
    stacked = torch.stack(seen)
    found: NDArray[np.bool_] = (stacked.all(0) if minimum_dates is None else stacked.any(0)).numpy()
    return found


def _batches(predictor: Predictor, samples: Samples) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Running numbers of samples, those that single pixels belong to, and their batch."""
    from cropflow.models.data.batches import read_batches
    from cropflow.models.data.parcels import PixelIndex
    from cropflow.models.data.pixel_sets import PixelSetSamples

    size = 64 if samples.kind == "pixel_sets" else predictor.batch
    if samples.kind == "patches" and predictor.kind == "pixels":
        size = max(1, size // samples.patch_size**2)
    index = PixelIndex.of(samples) if isinstance(samples, PixelSetSamples) and samples.kind == "pixels" else None
    for items, batch in read_batches(samples, _survey(predictor, samples), np.arange(len(samples)), size):
        yield items if index is None else index.locate(items)[0], batch


def _survey(predictor: Predictor, samples: Samples) -> Survey:
    """A survey that says no more than in which classes the model knows a history."""
    from cropflow.models.data.survey import Survey

    none = np.empty(0, dtype=np.int64)
    counts = np.zeros((3, len(predictor.classes)), dtype=np.int64)
    return Survey(
        kind=samples.kind,
        classes=predictor.classes,
        samples=counts,
        pixels=counts,
        without_class=(0, 0, 0),
        incomplete=(0, 0, 0),
        unlabelled=(0, 0, 0),
        without_fold=0,
        training=none,
        validation=none,
        rarest=none,
        statistics=(),
        features=None,
        dates=(),
        complete=False,
    )
