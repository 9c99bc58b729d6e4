"""``cropflow config``: check, show and describe the configuration."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cropflow.errors import CropflowError, listing

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Check, show and describe the configuration.",
)

Files = Annotated[
    list[Path], typer.Argument(help="YAML files, later ones laid over earlier ones; - reads JSON from standard input.")
]


def _filled(files: list[Path]) -> str:
    from cropflow.config.base import dump
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
    return json.dumps(dump(config), indent=2, ensure_ascii=False)


@app.command()
def check(files: Files) -> None:
    """Check a config; the first mistake is named in one line, exit code 2."""
    _filled(files)


@app.command()
def show(files: Files) -> None:
    """Print a config with its defaults filled in, as JSON."""
    print(_filled(files))


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
