"""From samples to the folder of a trained model: survey, train, write."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropflow.config.base import dump
from cropflow.config.models import Network, kind_of
from cropflow.config.models.baselines import GradientBoosting, RandomForest
from cropflow.config.models.reading import parse_model_json
from cropflow.config.models.transfer import Transfer
from cropflow.config.root import parse_json
from cropflow.errors import CropflowError, refuse
from cropflow.files.atomic import atomic_folder, read_json
from cropflow.files.manifest import content_hash, manifest_path
from cropflow.models.checkpoints import (
    FOREST_FILE,
    NETWORK_FILE,
    describe,
    versions,
    write_description,
    write_history,
    write_weights,
)
from cropflow.models.data.patches import PatchSamples
from cropflow.models.data.pixel_sets import PixelSetSamples
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Samples, Split
from cropflow.models.data.survey import Survey, survey

if TYPE_CHECKING:
    from cropflow.models.engine.starting import Start


@dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes:
        places: ``region/season`` of each place.
        folders: Folder of samples of each place, of the kind that the model learns from.
        legend: Legend of the labels.
        background: Whether crop 0 is a class.
        folds: Number of folds.
        fold: The test fold.
        seed: Seed of everything random.
        threads: CPU threads.
    """

    places: tuple[str, ...]
    folders: tuple[Path, ...]
    legend: str
    background: bool
    folds: int
    fold: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Fitted:
    """What a manifest says of a trained model.

    Attributes:
        settings: Settings of the model and its folds.
        counts: Samples by role and class.
        resume_files: To be deleted when all is written.
    """

    settings: dict[str, Any]
    counts: dict[str, Any]
    resume_files: tuple[Path, ...]


def train_model(
    job: Job, settings: str, work: Path, output: Path, *, start: Path | None = None, transfer: str | None = None
) -> Fitted | None:
    """Train and write a model.

    Args:
        job: What is trained on what.
        settings: JSON of the model's config section.
        work: Folder for the resume file.
        output: Folder to write.
        start: Folder of the model of another experiment that a network starts from.
        transfer: JSON of the experiment's transfer; with ``start`` alone.

    Returns:
        What the manifest says; None on all processes of a distributed training but the first.

    Raises:
        CropflowError: If the samples do not fit the job, or hold nothing to learn.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        logging.getLogger("cropflow").setLevel(logging.WARNING)
    model = parse_model_json(settings)
    split = Split(job.fold, job.folds, job.background)
    samples = read_samples(kind_of(model), job.places, job.folders)
    if samples.legend != job.legend:
        raise CropflowError(
            f"The samples use the legend {samples.legend!r}; expected {job.legend!r}. Build them again."
        )
    told = {"model": dump(model), "legend": job.legend, "background": job.background} | {
        key: asdict(job)[key] for key in ("places", "folds", "fold", "seed")
    }
    data = _data_hash(job)
    if isinstance(model, RandomForest | GradientBoosting):
        if start is not None or transfer is not None:
            refuse("--start", start, f"none: a {model.name} does not go on from another model")
        assert isinstance(samples, PatchSamples | PixelSetSamples)  # their kinds
        found = survey(samples, split, complete=True)
        counts = found.counts(samples) | _fit_forest(job, model, samples, found, split, data, output)
        return Fitted(told, counts, ())
    from cropflow.models.engine.training import needs_complete_series

    begin = _read_start(start, transfer, model, samples, split)
    found = survey(samples, split, complete=needs_complete_series(model, samples))
    if begin is not None:
        told["transfer"] = {**dump(begin.transfer), "weights": content_hash(begin.folder / NETWORK_FILE)[0]}
    resume = (work, _key(told, data, job.threads))
    if not _fit_network(job, model, samples, found, split, data, output, resume, begin):
        return None
    return Fitted(told, found.counts(samples), tuple(sorted(work.glob("*.ckpt"))))


def _read_start(
    start: Path | None, transfer: str | None, model: Network, samples: Samples, split: Split
) -> Start | None:
    from cropflow.models.engine.starting import read_start

    if start is None and transfer is None:
        return None
    if start is None or transfer is None:
        raise CropflowError("--start and --transfer belong together; expected both, or none of them.")
    return read_start(start, parse_json(Transfer, transfer, "--transfer"), model, samples, split)


def _data_hash(job: Job) -> str:
    """One hash for the samples of all places, from their manifests where they have one."""
    total = hashlib.sha256()
    for place, folder in zip(job.places, job.folders, strict=True):
        beside = manifest_path(folder)
        digest = str(read_json(beside)["sha256"]) if beside.is_file() else content_hash(folder)[0]
        total.update(f"{place}\0{digest}\n".encode())
    return total.hexdigest()


def _key(told: dict[str, Any], data: str, threads: int) -> str:
    """What a resume file must have been made of; sums depend on the number of threads in their last digits."""
    content = {"settings": told, "data": data, "threads": threads, "versions": versions()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _fit_forest(
    job: Job,
    model: RandomForest | GradientBoosting,
    samples: Samples,
    found: Survey,
    split: Split,
    data: str,
    output: Path,
) -> dict[str, Any]:
    from cropflow.models.baselines.forest import train_forest
    from cropflow.models.baselines.skops_files import write_skops

    trained = train_forest(samples, found, split, model, seed=job.seed, threads=job.threads)
    with atomic_folder(output) as folder:
        write_skops(folder / FOREST_FILE, trained.forest)
        description = describe(model, samples, found, split)
        write_description(folder, description, split, job.seed, data, trained.outcome())
        write_history(folder / "history.csv", [trained.row])
    return trained.counts()


def _fit_network(
    job: Job,
    model: Network,
    samples: Samples,
    found: Survey,
    split: Split,
    data: str,
    output: Path,
    resume: tuple[Path, str],
    start: Start | None,
) -> bool:
    """Train and write a network; False on all processes but the first."""
    from cropflow.models.engine.training import train_network

    work, key = resume
    description = describe(model, samples, found, split)
    if start is not None:
        of_start = {name: getattr(start.description, name) for name in ("statistics", "features")}
        description = replace(description, **of_start)
    trained = train_network(
        samples, found, split, model, description,
        seed=job.seed, threads=job.threads, work=work, key=key, start=start,
    )  # fmt: skip
    if trained is None:
        return False
    outcome: dict[str, Any] = {
        "best_epoch": trained.best_epoch,
        "epochs_run": len(trained.rows),
        "stopped_by": trained.watched,
        "parameters": trained.parameters,
    }
    if start is not None:
        outcome["transfer"] = {**dump(start.transfer), "head": trained.head}
    with atomic_folder(output) as folder:
        write_weights(folder / NETWORK_FILE, trained.weights)
        write_description(folder, description, split, job.seed, data, outcome)
        write_history(folder / "history.csv", trained.rows)
    return True
