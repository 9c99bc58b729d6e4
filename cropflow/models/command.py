"""``cropflow models``: train a model on the folds, predict the test blocks; list, show and export models."""

from __future__ import annotations

import json
import os
from pathlib import Path

import typer

from cropflow.errors import CropflowError
from cropflow.models.apply_command import apply
from cropflow.models.tuning.command import app as tune

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Train, tune, apply and export models; list and show them.",
)

app.add_typer(tune, name="tune")

_PLACE = typer.Option(..., help="Place as region/season; repeated in the order of the other inputs.")
_THREADS = typer.Option(1, min=1, help="CPU threads.")


@app.command()
def train(
    place: list[str] = _PLACE,
    samples: list[Path] = typer.Option(
        ..., help="Folder of patches, pixel sets or chips of each place: what the model learns from."
    ),
    settings: str = typer.Option(..., help="JSON of an experiment's model entry, or @FILE: settings.json of a trial."),
    legend: str = typer.Option(..., help="Legend of the samples."),
    background: bool = typer.Option(False, help="Learn crop 0 as a class; it is ignored otherwise."),
    folds: int = typer.Option(..., help="Number of folds of the sample set."),
    fold: int = typer.Option(..., help="Test fold; the next one validates, the others train."),
    seed: int = typer.Option(0, min=0, help="Seed of everything random."),
    threads: int = _THREADS,
    start: Path | None = typer.Option(None, help="Folder of the model that a network starts from."),
    transfer: str | None = typer.Option(None, help="JSON of an experiment's transfer; with --start."),
    work: Path = typer.Option(..., help="Folder for the resume file; emptied at the end."),
    output: Path = typer.Option(..., help="Folder of the trained model."),
) -> None:
    """Train a model on the training folds.

    It learns from all sensors of the sample set together, and the validation fold decides which epoch is kept. Writes
    model.safetensors (network) or model.skops (forest), model.json, statistics.json (mean and spread of each sensor's
    bands: reflectance x 10000, dB x 100) and history.csv. Interrupted, the same command goes on after its last epoch.
    """
    # Torch asks for large pages, which halves the time that fresh memory costs; it reads this at import.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

    from cropflow.files.manifest import write_manifest
    from cropflow.files.outputs import refuse_foreign
    from cropflow.models.checkpoints import FILES
    from cropflow.models.engine.fitting import Job, train_model

    refuse_foreign(output, *samples, *([] if start is None else [start]), own=FILES)
    job = Job(tuple(place), tuple(samples), legend, background, folds, fold, seed, threads)
    fitted = train_model(job, _settings(settings), work, output, start=start, transfer=transfer)
    if fitted is None:
        return
    roles = {f"samples {name}": folder for name, folder in zip(place, samples, strict=True)}
    if start is not None:
        roles["start"] = start
    write_manifest(output, roles, fitted.settings, fitted.counts)
    for leftover in fitted.resume_files:
        leftover.unlink(missing_ok=True)


def _settings(given: str) -> str:
    """The JSON of a model's entry, given as it is or in the file of a trial."""
    from cropflow.files.atomic import read_json

    if not given.startswith("@"):
        return given
    path = Path(given[1:])
    if not path.is_file():
        raise CropflowError(f"--settings names {path}, which is missing; expected settings.json of a trial.")
    return json.dumps(read_json(path, "Give settings.json of a trial.")["model"])


@app.command()
def export(
    model: Path = typer.Option(..., help="Folder of the trained model."),
    form: str = typer.Option("published", "--format", help="published: the names of the network's published weights."),
    output: Path = typer.Option(..., help="File to write, such as weights.pth."),
) -> None:
    """Write a trained model under its published names.

    The original program of the network loads the file: of pse_ltae (norm published) and conv_lstm. It holds tensors
    alone; a JSON file beside it says classes, bands and normalisation (mean and spread in stored units: reflectance x
    10000, dB x 100).
    """
    from cropflow.errors import refuse
    from cropflow.files.manifest import write_manifest
    from cropflow.files.outputs import refuse_foreign
    from cropflow.models.published.saving import save_published

    if form != "published":
        refuse("--format", form, "published")
    if output.suffix == ".json":
        refuse("--output", str(output), "a file of another suffix: beside it lies a JSON file of the same name")
    refuse_foreign(output, model, folder=False)
    if not output.exists():
        refuse_foreign(output.with_suffix(".json"), folder=False)
    counts = save_published(model, output)
    write_manifest(output, {"model": model}, {"format": form}, counts)


@app.command()
def predict(
    place: list[str] = _PLACE,
    samples: list[Path] = typer.Option(..., help="Folder of each place that cropflow samples build wrote."),
    composites: list[Path] = typer.Option(
        ..., help="Zarr store of composites of each place, sensor by sensor in the model's order."
    ),
    folds: list[Path] = typer.Option(..., help="folds.parquet of each place's region."),
    model: Path = typer.Option(..., help="Folder of the trained model."),
    fold: int = typer.Option(..., min=0, help="Test fold: its blocks are predicted."),
    history: list[Path] = typer.Option(
        [], help="Parquet of the crops of each place's parcels in earlier seasons, for a model that takes them."
    ),
    threads: int = _THREADS,
    output: Path = typer.Option(..., help="Zarr store to write."),
) -> None:
    """Predict the blocks of the test fold.

    From the composites of all sensors that the model was trained with. Writes per site probability (class, y, x),
    uint16, x 10000; 65535 = not predicted: other folds' blocks, and pixels with a period without a value (of a model
    that learnt from incomplete series: too few dates). A model of pixel sets or chips gives each parcel one answer,
    painted over its pixels; none outside.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

    from cropflow.files.manifest import write_manifest
    from cropflow.models.applying.held_out import predict_places
    from cropflow.models.checkpoints import read_description
    from cropflow.samples.sensors import by_place

    options = {"--samples": samples, "--folds": folds} | ({"--history": history} if history else {})
    for name, values in options.items():
        if len(values) != len(place):
            raise CropflowError(
                f"{len(place)} --place and {len(values)} {name} were given; expected one for each place."
            )
    sensors = [layout.sensor for layout in read_description(model).layouts]
    stores = by_place(composites, sensors, len(place))
    counts = predict_places(place, samples, stores, folds, model, fold, threads, output, history)
    inputs = {"model": model}
    for name, values in options.items():
        inputs |= {f"{name[2:]} {where}": path for where, path in zip(place, values, strict=True)}
    for where, found in zip(place, stores, strict=True):
        inputs |= {f"composites {where} {sensor}": path for sensor, path in found.items()}
    write_manifest(output, inputs, {"fold": fold}, counts)


app.command()(apply)

_BANDS = typer.Option("10", help="Bands per date: a number, or by sensor as sentinel2=10,sentinel1_ascending=2.")
_OUTPUTS = typer.Option(20, min=1, help="Classes.")
_PERIODS = typer.Option(12, min=1, help="Dates of a series.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command("list")
def list_(
    bands: int = typer.Option(10, min=1, help="Bands per date of a sensor."),
    outputs: int = _OUTPUTS,
    periods: int = _PERIODS,
    as_json: bool = _JSON,
) -> None:
    """List the models.

    Of each what it learns from, its parameters, the sensors that it takes, and what it is.
    """
    import json

    from cropflow.models.catalogue import list_models
    from cropflow.models.showing import list_text

    lines = list_models(bands, outputs, periods)
    inputs = f"{bands} bands, {outputs} classes, {periods} dates"
    print(json.dumps([line.told() for line in lines], indent=2) if as_json else list_text(lines, inputs))


@app.command()
def show(
    name: str = typer.Argument(..., help="Name of a model, see: cropflow models list."),
    bands: str = _BANDS,
    outputs: int | None = typer.Option(None, min=1, help="Classes; 20, or those of --legend."),
    periods: int = _PERIODS,
    levels: str | None = typer.Option(
        None,
        help="Groups of each coarser level of a legend, coarsest first, as 6,20: for networks that score them all.",
    ),
    legend: str | None = typer.Option(None, help="Legend whose classes and levels are counted for: a name or a CSV."),
    lags: int | None = typer.Option(None, min=1, help="Earlier seasons, where the settings ask for a history; 2."),
    settings: str = typer.Option("{}", help="JSON of settings that differ from their defaults."),
    as_json: bool = _JSON,
) -> None:
    """Show a model and its settings.

    Its paper, shapes, parameters part by part, and every key with its default.
    """
    from cropflow.models.catalogue import describe_model
    from cropflow.models.counting import classes_and_levels, parse_bands
    from cropflow.models.showing import card_text

    classes, groups = classes_and_levels(outputs, levels, legend)
    card = describe_model(name, parse_bands(bands), classes, periods, settings, levels=groups, lags=lags)
    if levels is not None and "levels" not in card.counted:
        raise CropflowError(f"--levels is {levels}, and {name} scores one level alone; leave --levels out.")
    print(json.dumps(card.told(), indent=2) if as_json else card_text(card))
