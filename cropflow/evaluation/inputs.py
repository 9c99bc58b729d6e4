"""Read and check what the evaluation compares: sample folders and stores of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cropflow.errors import CropflowError, listing
from cropflow.evaluation.places import SiteTruth, parcel_lookup
from cropflow.files.cubes import open_store, site_grid
from cropflow.files.rasters import read_raster
from cropflow.files.tables import read_table
from cropflow.regions.grid import Grid

if TYPE_CHECKING:
    import pandas
    import zarr

PARCEL_COLUMNS = ("site", "index", "parcel_id", "crop", "fold", "area_ha", "site_area_ha")


@dataclass(frozen=True)
class Predictions:
    """A store of one fold's predictions.

    Attributes:
        fold: The fold whose test blocks it covers.
        classes: Classes of the probabilities, ids of the legend, in order.
        legend: Name of the legend.
        store: The open store.
    """

    fold: int
    classes: tuple[int, ...]
    legend: str
    store: zarr.Group

    def site(self, region: str, season: str, site: str) -> tuple[zarr.Array[Any], Grid] | None:
        """Probabilities ``(class, y, x)`` of a site and their grid; None where the store lacks the site."""
        group = self.store.get(f"{region}/{season}/{site}")
        if group is None:
            return None
        found = cast("zarr.Group", group)
        return cast("zarr.Array[Any]", found["probability"]), site_grid(found)


def read_predictions(paths: Sequence[Path]) -> list[Predictions]:
    """Open the stores of all folds, in order of fold.

    Raises:
        CropflowError: If an attribute is missing, a class repeats, the legends differ, or the folds are not
            0, 1, 2, ... without gap.
    """
    found = []
    for path in paths:
        store = open_store(path)
        attributes: Mapping[str, Any] = store.attrs.asdict()
        missing = [name for name in ("fold", "classes", "legend") if name not in attributes]
        if missing:
            raise CropflowError(
                f"{path} lacks the attributes {listing(missing)}; expected fold, classes and legend. Predict again."
            )
        classes = tuple(int(crop) for crop in attributes["classes"])
        if not classes or len(set(classes)) != len(classes):
            raise CropflowError(f"{path} has the classes {list(classes)}; expected different ids. Predict again.")
        found.append(Predictions(int(attributes["fold"]), classes, str(attributes["legend"]), store))
    found.sort(key=lambda predictions: predictions.fold)
    folds = [predictions.fold for predictions in found]
    if folds != list(range(len(found))):
        raise CropflowError(f"Predictions are of the folds {folds}; expected each of 0 to {len(found) - 1} once.")
    legends = sorted({predictions.legend for predictions in found})
    if len(legends) > 1:
        raise CropflowError(f"Predictions use the legends {listing(legends)}; expected one. Train all folds alike.")
    return found


def read_parcels(folder: Path, folds: int) -> pandas.DataFrame:
    """Read the parcel table of a sample folder.

    Raises:
        CropflowError: If a column is missing, an index repeats within a site, or a fold has no predictions.
    """
    from cropflow.samples.labels import NO_FOLD

    path = folder / "parcels.parquet"
    if not path.is_file():
        raise CropflowError(f"{path} is missing; expected the parcel table of a sample set. Build the samples.")
    table = read_table(path)
    missing = [name for name in PARCEL_COLUMNS if name not in table.columns]
    if missing:
        raise CropflowError(f"{path} lacks the columns {listing(missing)}. Build the samples again.")
    if table.duplicated(["site", "index"]).any():
        raise CropflowError(f"{path} has an index twice in one site; expected it once. Build the samples again.")
    used = table.loc[table["fold"] != NO_FOLD, "fold"]
    if len(used) and int(used.max()) >= folds:
        raise CropflowError(
            f"{path} has the fold {int(used.max())}, but there are predictions of {folds} folds. "
            "Give one store per fold."
        )
    return table.loc[:, list(PARCEL_COLUMNS)]


def read_site(folder: Path, name: str, site: str, parcels: pandas.DataFrame) -> tuple[SiteTruth, Grid]:
    """Read the labels of one site and check them.

    Args:
        folder: The sample folder of the place.
        name: The place in messages, ``region/season``.
        site: The site.
        parcels: Rows of the parcel table of this site.

    Raises:
        CropflowError: If the layers lie on different grids or contradict the table.
    """
    layers, grids = {}, set()
    for layer in ("crops", "parcels", "folds"):
        values, grid = read_raster(folder / site / f"{layer}.tif")
        layers[layer] = values[0]
        grids.add(grid)
    if len(grids) > 1:
        raise CropflowError(f"The layers of {name}/{site} lie on different grids. Build the samples again.")
    crop, fold = parcel_lookup(
        parcels["index"].to_numpy(dtype=np.int64), parcels["crop"].to_numpy(), parcels["fold"].to_numpy()
    )
    truth = SiteTruth(f"{name}/{site}", layers["crops"], layers["parcels"], layers["folds"], crop, fold)
    truth.check()
    return truth, grids.pop()


def site_names(folder: Path) -> list[str]:
    """Sites of a sample folder, sorted.

    Raises:
        CropflowError: If there is none.
    """
    sites = sorted(path.parent.name for path in folder.glob("*/crops.tif"))
    if not sites:
        raise CropflowError(f"{folder} has no site with a crops.tif; expected a sample folder. Build the samples.")
    return sites
