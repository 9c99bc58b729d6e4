"""``cropflow models tune``: propose what a trial tries, and keep the best trial of a fold."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from cropflow.errors import CropflowError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Search for settings on the validation fold.",
)
log = logging.getLogger(__name__)

_SEARCH = typer.Option(..., "--tuning", help="JSON of an experiment's tuning entry.")
_SETTINGS = typer.Option(..., "--trial-settings", help="settings.json of each trial, in order.")
_MODELS = typer.Option(..., "--trial-model", help="Folder of the trained model of each trial, in the same order.")


@app.command()
def propose(
    settings: Annotated[str, typer.Option(help="JSON of an experiment's model entry.")],
    trial: Annotated[int, typer.Option(min=0, help="Number of the trial, from 0.")],
    output: Annotated[Path, typer.Option(help="Output: JSON with the model entry of the trial and what it tries.")],
    tuning: str = _SEARCH,
    trial_settings: list[Path] = typer.Option([], help="settings.json of the trials before, in order (tpe)."),
    trial_model: list[Path] = typer.Option([], help="Their trained models, in the same order."),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
) -> None:
    """Say what a trial tries.

    A point of the grid, or what Optuna proposes after the trials before it.
    """
    from cropflow.config.base import dump
    from cropflow.config.models.reading import parse_model, parse_model_json
    from cropflow.config.root import parse_json
    from cropflow.config.tuning import Tuning
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.models.tuning.choice import read_trial
    from cropflow.models.tuning.search import propose as ask

    search = parse_json(Tuning, tuning, "--tuning")
    _check_pairs(trial_settings, trial_model)
    earlier = [read_trial(*pair, search.metric) for pair in zip(trial_settings, trial_model, strict=True)]
    parameters = ask(search, trial, earlier, seed)
    model = parse_model(dump(parse_model_json(settings)) | parameters, f"trial {trial}")
    log.info("trial %d of %d tries %s", trial, search.count, parameters)
    write_json(output, {"model": dump(model), "parameters": parameters, "trial": trial})
    inputs = {f"trial {number}": model_folder for number, model_folder in enumerate(trial_model)}
    write_manifest(
        output, inputs, {"tuning": dump(search), "seed": seed, "trial": trial}, {"trials before": len(earlier)}
    )


@app.command()
def choose(
    output: Annotated[Path, typer.Option(help="Output: folder of the best trial's model.")],
    table: Annotated[Path, typer.Option(help="Output: JSON, what each trial tried and how it did.")],
    tuning: str = _SEARCH,
    trial_settings: list[Path] = _SETTINGS,
    trial_model: list[Path] = _MODELS,
) -> None:
    """Keep the trial that is best on the validation fold.

    The test fold has no say. Writes the model of the best trial, and a table of all.
    """
    import shutil

    from cropflow.config.base import dump
    from cropflow.config.root import parse_json
    from cropflow.config.tuning import Tuning
    from cropflow.files.atomic import atomic_folder, write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.models.tuning.choice import best, read_trial
    from cropflow.models.tuning.choice import table as rows_of

    search = parse_json(Tuning, tuning, "--tuning")
    _check_pairs(trial_settings, trial_model)
    if len(trial_model) != search.count:
        raise CropflowError(f"{len(trial_model)} trials were given; expected {search.count}, all of the search.")
    trials = [read_trial(*pair, search.metric) for pair in zip(trial_settings, trial_model, strict=True)]
    chosen = best(trials, search.metric)
    log.info(
        "trial %d of %d is best: %s %.4f with %s",
        chosen, len(trials), search.metric.replace("_", " "), trials[chosen].score, trials[chosen].parameters,
    )  # fmt: skip
    with atomic_folder(output) as folder:
        shutil.copytree(trial_model[chosen], folder, dirs_exist_ok=True)
    write_json(table, {"metric": search.metric, "trials": rows_of(trials, search.metric)})
    inputs = {f"trial {number}": folder for number, folder in enumerate(trial_model)}
    for result in (output, table):
        write_manifest(result, inputs, {"tuning": dump(search)}, {"trials": len(trials), "chosen": chosen})


def _check_pairs(settings: list[Path], models: list[Path]) -> None:
    if len(settings) != len(models):
        raise CropflowError(
            f"{len(settings)} --trial-settings and {len(models)} --trial-model were given; expected one each a trial."
        )
