"""What a map is made from: models, stored predictions, folds, composites and declared crops, checked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.evaluation.inputs import Predictions, read_predictions
from cropflow.evaluation.places import Cube
from cropflow.files.tables import read_table
from cropflow.maps.assembly import FoldModel
from cropflow.regions.grid import Grid

if TYPE_CHECKING:
    import geopandas
    import pandas

    from cropflow.labels.legend import Legend
    from cropflow.models.applying.layers import SiteParcels
    from cropflow.models.applying.prediction import Predictor
    from cropflow.samples.sources import Composites, SiteComposites


@dataclass(frozen=True)
class MapInputs:
    """Where the inputs of a map lie; see ``cropflow maps --help``."""

    place: str
    sites: Path
    composites: tuple[Path, ...]
    models: tuple[Path, ...]
    predictions: tuple[Path, ...]
    folds: Path | None
    parcels: Path | None
    crops: Path | None
    inner_buffer_m: float = 0.0
    history: Path | None = None

    def roles(self) -> dict[str, Path | str]:
        """Role -> path of every input, for the manifest."""
        roles: dict[str, Path | str] = {"sites": self.sites}
        roles |= {f"composites {number}": path for number, path in enumerate(self.composites)}
        roles |= {f"model {fold}": path for fold, path in enumerate(self.models)}
        roles |= {f"predictions {fold}": path for fold, path in enumerate(self.predictions)}
        others = {"folds": self.folds, "parcels": self.parcels, "crops": self.crops, "history": self.history}
        for name, path in others.items():
            if path is not None:
                roles[name] = path
        return roles


@dataclass(frozen=True)
class Sources:
    """What all sites share."""

    inputs: MapInputs
    predictors: tuple[Predictor, ...]
    legend: Legend
    predictions: tuple[Predictions, ...]
    fold_table: pandas.DataFrame | None
    composites: Composites


def open_sources(inputs: MapInputs, grids: Mapping[str, Grid], threads: int) -> Sources:
    """Open models, stored predictions, folds and composites.

    Args:
        inputs: Where they lie.
        grids: Site -> grid.
        threads: Processor threads of the models.

    Raises:
        CropflowError: If models, predictions and folds are not of one experiment, folds are missing where models
            learnt, or the composites lack a site, lie on another grid, or are not what the models were trained with.
    """
    from cropflow.labels.legend import read_legend

    predictors = _load_models(inputs.models, threads)
    _check_parcels(predictors, inputs)
    legends = sorted({predictor.legend for predictor in predictors})
    if len(legends) > 1:
        raise CropflowError(f"The models use the legends {listing(legends)}; expected one. Train all folds alike.")
    predictions = tuple(read_predictions(inputs.predictions)) if inputs.predictions else ()
    if predictions and [found.classes for found in predictions] != [found.classes for found in predictors]:
        raise CropflowError(
            f"The {len(predictors)} models and {len(predictions)} stores of predictions differ in number or classes; "
            "expected one store per model. Predict again."
        )
    region = inputs.place.split("/")[0]
    if inputs.folds is None and any(region in found.store for found in predictions):
        raise CropflowError(
            f"The models learnt in region {region!r}, but --folds is missing. Give the region's folds.parquet, so "
            "that no block is mapped by a model that learnt from it."
        )
    fold_table = read_table(inputs.folds) if inputs.folds is not None else None
    if fold_table is not None and len(fold_table) and int(fold_table["fold"].max()) >= len(predictors):
        raise CropflowError(
            f"{inputs.folds} has the fold {int(fold_table['fold'].max())}, but {len(predictors)} --model were given; "
            "expected one per fold."
        )
    here = tuple(found for found in predictions if inputs.place in found.store)
    if here and len(here) != len(predictions):
        raise CropflowError(
            f"{len(here)} of {len(predictions)} stores of predictions hold {inputs.place}; expected all or none. "
            "Predict again."
        )
    composites = _read_composites(inputs, predictors, grids)
    return Sources(inputs, predictors, read_legend(legends[0]), here, fold_table, composites)


def _read_composites(inputs: MapInputs, predictors: Sequence[Predictor], grids: Mapping[str, Grid]) -> Composites:
    from cropflow.models.applying.prediction import check_series
    from cropflow.samples.sensors import by_place
    from cropflow.samples.sources import read_composites

    stores = by_place(inputs.composites, [layout.sensor for layout in predictors[0].layouts])[0]
    composites = read_composites(stores, grids)
    for predictor in predictors:
        check_series(predictor, composites.layouts, inputs.place)
    return composites


def _check_parcels(predictors: Sequence[Predictor], inputs: MapInputs) -> None:
    """Refuse to map a place without parcels by models that give parcels one answer."""
    from cropflow.models.applying.prediction import takes_parcels as takes

    kinds = sorted({found.kind for found in predictors if takes(found)})
    if kinds and inputs.parcels is None:
        raise CropflowError(
            f"The models give each parcel one crop ({listing(kinds)}), and {inputs.place} comes without parcels; "
            "expected --parcels. Map a place that a register covers, or with a model of patches or pixels."
        )


def _load_models(folders: Sequence[Path], threads: int) -> tuple[Predictor, ...]:
    """Load the models of all folds, in order of fold."""
    from cropflow.models import load_predictor
    from cropflow.models.checkpoints import read_description

    by_fold = {read_description(folder).fold: folder for folder in folders}
    if sorted(by_fold) != list(range(len(folders))):
        raise CropflowError(
            f"--model gives models of the folds {sorted(by_fold)} in {len(folders)} folders; expected each of 0 to "
            f"{len(folders) - 1} once."
        )
    return tuple(load_predictor(by_fold[fold], threads=threads) for fold in sorted(by_fold))


def block_folds(sources: Sources, grid: Grid) -> NDArray[np.uint8] | None:
    """Fold of each pixel's block; None where no model learnt in the region."""
    from cropflow.samples.blocks import block_fold

    return None if sources.fold_table is None else block_fold(grid, sources.fold_table)


def site_models(sources: Sources, site: str, parcels: geopandas.GeoDataFrame | None) -> list[FoldModel]:
    """Each fold's model, ready to predict a site.

    Args:
        sources: What all sites share.
        site: The site.
        parcels: Its parcels; models of pixels and patches need none.
    """
    from cropflow.models.applying.layers import lay_out

    series = sources.composites.sites[site]
    layers: SiteParcels | None = None
    if parcels is not None and takes_parcels(sources):
        layers = lay_out(parcels, series.grid, sources.inputs.inner_buffer_m, sources.inputs.history)
    return [FoldModel(found.classes, partial(_predict, found, series, layers)) for found in sources.predictors]


def takes_parcels(sources: Sources) -> bool:
    """Whether the models give one answer per parcel, and none outside them."""
    from cropflow.models.applying.prediction import takes_parcels as takes

    return any(takes(found) for found in sources.predictors)


def filled_share(sources: Sources, site: str, mapped: NDArray[np.bool_]) -> float | None:
    """Share of the values behind a site's map that the composites interpolated.

    Args:
        sources: What the site is mapped from.
        site: The site.
        mapped: Pixels that have a prediction, bool, ``(y, x)``.

    Returns:
        Share of all periods of all sensors of the mapped pixels, in [0, 1]; None where no pixel is mapped.
    """
    if not mapped.any():
        return None
    composites = sources.composites.sites[site]
    dates = sum(len(days) for days in composites.dates.values())
    return composites.filled_values(mapped) / (dates * int(mapped.sum()))


def _predict(
    predictor: Predictor, series: SiteComposites, parcels: SiteParcels | None, where: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    from cropflow.models import predict_site

    layers = None if parcels is None else parcels.of(predictor)
    return predict_site(predictor, series, where=where, days=series.dates, parcels=layers)


def stored_predictions(sources: Sources, site: str, grid: Grid) -> dict[int, Cube] | None:
    """Stored predictions of the site by fold; None where the place was not trained on."""
    if not sources.predictions:
        return None
    region, season = sources.inputs.place.split("/")
    found: dict[int, Cube] = {}
    for fold in sources.predictions:
        stored = fold.site(region, season, site)
        if stored is None or stored[1] != grid:
            raise CropflowError(
                f"Predictions of fold {fold.fold} lack {sources.inputs.place}/{site} on its grid {grid}. Predict again."
            )
        found[fold.fold] = stored[0]
    return found
