"""``cropflow models apply``: predict samples or whole sites with trained models, or with published checkpoints."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from cropflow.errors import CropflowError, listing

if TYPE_CHECKING:
    from cropflow.models.applying.foreign import Applied
    from cropflow.models.applying.prediction import Predictor

log = logging.getLogger(__name__)


def apply(
    model: list[Path] = typer.Option([], help="Folder of a trained model; several are averaged, such as all folds."),
    checkpoint: list[Path] = typer.Option(
        [],
        help="Published checkpoint instead; several of one family are averaged. Its weights are read, no code is run.",
    ),
    statistics: Path | None = typer.Option(
        None, help="With --checkpoint: JSON such as statistics.json of a trained model; checkpoints carry none."
    ),
    classes: str | None = typer.Option(
        None, help="With --checkpoint: ids of the legend in the order of its outputs, such as 1,2,5."
    ),
    legend: str | None = typer.Option(None, help="With --checkpoint: legend of the ids; the samples' where absent."),
    average: Literal["probability", "log"] = typer.Option(
        "probability", help="Mean of several models: of their probabilities, or of the logarithms."
    ),
    samples: Path | None = typer.Option(None, help="Folder of patches, pixel sets or chips to predict."),
    composites: list[Path] = typer.Option(
        [], help="Or: Zarr store of composites, sensor by sensor in the model's order; with --sites."
    ),
    sites: Path | None = typer.Option(None, help="sites.parquet of the region of the composites."),
    parcels: Path | None = typer.Option(
        None, help="Folder of the sites' parcels, one GeoParquet per site; models of parcels need it."
    ),
    inner_buffer: float = typer.Option(0.0, min=0, help="Rim of a parcel that a model of parcels leaves out, metres."),
    history: Path | None = typer.Option(None, help="Parquet of the parcels' crops in earlier seasons."),
    threads: int = typer.Option(1, min=1, help="CPU threads."),
    output: Path = typer.Option(..., help="Parquet (samples that are parcels) or Zarr store (pixels) to write."),
) -> None:
    """Predict any samples or sites.

    Whether the models learnt from them or not is not asked: this is no test. Of pixel sets and chips, writes a parquet
    with a row per sample: site, index, parcel_id, crop, fold, predicted (id of the legend, -1 where values are
    missing), its probability, and probability_<id> of every class. Of patches, a Zarr store with probability (patch,
    class, y, x), uint16, x 10000. Of composites, one with probability (class, y, x) per site; 65535 = not predicted.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

    from cropflow.files.manifest import write_manifest
    from cropflow.files.outputs import refuse_foreign
    from cropflow.models.applying.sites import apply_to_sites
    from cropflow.models.applying.stored import apply_to_samples, kind_of_folder
    from cropflow.regions.sites import read_sites
    from cropflow.samples.parcels import read_parcels
    from cropflow.samples.sensors import by_place

    if bool(model) == bool(checkpoint):
        raise CropflowError(
            f"{len(model)} --model and {len(checkpoint)} --checkpoint were given; expected one or more of either, "
            "and none of the other."
        )
    if (samples is None) == (not composites) or (sites is None) == bool(composites):
        raise CropflowError("Expected either --samples, or --composites together with --sites; give one of the two.")
    if samples is not None and (parcels is not None or history is not None or inner_buffer):
        raise CropflowError("--parcels, --history and --inner-buffer belong to --composites; --samples has its own.")
    own = {"--statistics": statistics, "--classes": classes, "--legend": legend}
    misplaced = [name for name, value in own.items() if value is not None]
    if model and misplaced:
        raise CropflowError(f"{misplaced[0]} belongs to --checkpoint; a trained model carries its own. Leave it out.")
    table = samples is not None and kind_of_folder(samples) != "patches"
    read = (samples, sites, statistics, parcels, history)
    refuse_foreign(
        output, *model, *checkpoint, *composites, *(path for path in read if path is not None), folder=not table
    )
    if table and output.suffix != ".parquet":
        raise CropflowError(f"--output {output} is to be a table; expected a file whose name ends in .parquet.")
    if model:
        predictor = _trained(model, average, threads)
    else:
        applied, found = _applied(samples, composites, sites, statistics)
        predictor = _published(checkpoint, statistics, classes, legend or found, applied, average, threads)
    inputs: dict[str, Path | str] = {f"model {number}": path for number, path in enumerate(model or checkpoint)}
    if samples is not None:
        counts: dict[str, object] = dict(apply_to_samples(predictor, samples, output))
        inputs["samples"] = samples
    else:
        assert sites is not None  # checked above
        grids = read_sites(sites)
        stores = by_place(composites, [layout.sensor for layout in predictor.layouts])[0]
        counts = dict(
            apply_to_sites(
                predictor,
                stores,
                grids,
                output,
                parcels=None if parcels is None else read_parcels(parcels, grids),
                inner_buffer_m=inner_buffer,
                history=history,
            )
        )
        inputs |= {"sites": sites} | {f"composites {sensor}": path for sensor, path in stores.items()}
    others = {"statistics": statistics, "parcels": parcels, "history": history}
    inputs |= {name: path for name, path in others.items() if path is not None}
    settings = {"average": average, "classes": list(predictor.classes), "legend": predictor.legend}
    write_manifest(output, inputs, settings | {"inner_buffer_m": inner_buffer}, counts)
    log.info("applied %d model(s): %s", len(model or checkpoint), ", ".join(f"{k} {v}" for k, v in counts.items()))


def _trained(folders: list[Path], average: Literal["probability", "log"], threads: int) -> Predictor:
    from cropflow.models.applying.ensemble import join
    from cropflow.models.applying.prediction import load_predictor

    return join([load_predictor(folder, threads) for folder in folders], [str(folder) for folder in folders], average)


def _applied(
    samples: Path | None, composites: list[Path], sites: Path | None, statistics: Path | None
) -> tuple[Applied, str | None]:
    """What a checkpoint is applied to, and the legend of the samples."""
    from cropflow.models.applying.foreign import Applied, read_statistics
    from cropflow.models.applying.stored import read_about_samples
    from cropflow.regions.sites import read_sites
    from cropflow.samples.sensors import by_place
    from cropflow.samples.sources import read_composites

    if statistics is None:
        raise CropflowError(
            "--checkpoint needs --statistics: published checkpoints carry neither mean nor deviation of their bands. "
            "Give those of the data that they learnt from, as JSON such as statistics.json of a trained model."
        )
    if samples is not None:
        found = read_about_samples(samples)
        return Applied(found.layouts, found.lags, found.patch_size, found.minimum_dates), found.legend
    assert sites is not None  # checked before
    known, _ = read_statistics(statistics)
    stores = by_place(composites, [one.sensor for one in known])[0]
    return Applied(read_composites(stores, read_sites(sites)).layouts), None


def _published(
    checkpoints: list[Path],
    statistics: Path | None,
    classes: str | None,
    legend: str | None,
    applied: Applied,
    average: Literal["probability", "log"],
    threads: int,
) -> Predictor:
    import torch

    from cropflow.labels.legend import read_legend
    from cropflow.models.applying.foreign import Given, load_foreign, read_statistics
    from cropflow.samples.labels import BACKGROUND

    assert statistics is not None  # checked before
    if classes is None or legend is None:
        raise CropflowError(
            f"--checkpoint needs {'--classes' if classes is None else '--legend'}: published checkpoints do not say "
            "which class of which legend each output is. Give ids in the order of the outputs, such as 1,2,5."
        )
    ids = tuple(int(part) for part in classes.split(",") if part.strip().isdigit())
    if len(ids) != len(classes.split(",")) or len(set(ids)) != len(ids):
        raise CropflowError(f"--classes is {classes!r}; expected different whole numbers with commas, such as 1,2,5.")
    known = read_legend(legend)
    lacking = sorted(set(ids) - {BACKGROUND, *known.ids})
    if lacking:
        raise CropflowError(
            f"--classes names {listing(lacking)}, which the legend {legend} lacks; expected ids of it: "
            f"{listing(known.ids)}. Name each output's id, or give --legend."
        )
    torch.set_num_threads(threads)
    sensors, features = read_statistics(statistics)
    return load_foreign(checkpoints, Given(sensors, features, ids, legend), applied, average)
