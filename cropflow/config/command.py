"""``cropflow config``: check, show and describe the configuration."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropflow.errors import CropflowError, listing

if TYPE_CHECKING:
    from cropflow.config.root import Config

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Check, show and describe the configuration.",
)

Files = Annotated[
    list[Path], typer.Argument(help="YAML files, later ones laid over earlier ones; - reads JSON from standard input.")
]


def _checked(files: list[Path]) -> Config:
    from cropflow.config.load import read_config
    from cropflow.config.root import Config, missing_paths, parse

    if [str(file) for file in files] == ["-"]:
        try:
            content = json.load(sys.stdin)
        except json.JSONDecodeError as error:
            raise CropflowError(f"Standard input is no JSON: {error}. Pipe the config as one JSON object.") from None
    else:
        content = read_config(files)
    config = parse(Config, content)
    if not config.run:
        expected = listing(config.experiments) or "none is declared"
        raise CropflowError(f"run names no experiment; expected one or more of: {expected}.")
    missing = missing_paths(config, Path.cwd())
    if missing:
        raise CropflowError(f"{listing(missing)} does not exist (below {Path.cwd().name}/). Correct the path.")
    return config


@app.command()
def check(files: Files) -> None:
    """Check a config: one line, what was checked, or the first mistake and exit code 2."""
    config = _checked(files)
    names = ", ".join("standard input" if str(file) == "-" else str(file) for file in files)
    print(f"{names}: no mistake found; run names {', '.join(config.run)}.")


@app.command()
def show(
    files: Files,
    samples: bool = typer.Option(
        False, "--samples", help="Add a key samples: what the model of each experiment learns from."
    ),
) -> None:
    """Print a config with its defaults filled in, as JSON."""
    from cropflow.config.base import dump
    from cropflow.config.models import samples_of

    config = _checked(files)
    content = dump(config)
    if samples:
        content["samples"] = {name: samples_of(found.model) for name, found in config.experiments.items()}
    print(json.dumps(content, indent=2, ensure_ascii=False))


@app.command()
def schema() -> None:
    """Print the JSON schema of the config (committed as workflow/schemas/config.schema.json)."""
    from cropflow.config import describe

    print(describe.schema(), end="")


@app.command()
def reference() -> None:
    """Print the reference page of the config (committed as docs/configuration.md)."""
    from cropflow.config import describe

    print(describe.reference(), end="")
