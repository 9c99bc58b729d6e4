"""``cropflow verify``: re-hash every result and name what does not match its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cropflow.errors import CropflowError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("results"),
) -> None:
    """Re-hash every result below a folder and name what does not match its manifest.

    Exit code 0 where all match, 2 where one is changed, missing, stale or without a manifest, or where there is none.
    """
    from cropflow.files import verify as module

    if not folder.is_dir():
        raise CropflowError(f"Folder {folder} is missing; expected the results of a run.")
    checked, findings = module.verify(folder)
    if not checked and not findings:
        raise CropflowError(f"Folder {folder} holds no result; expected manifests. Give the results folder of a run.")
    for finding in findings:
        print(f"{finding.path}: {finding.problem}")
    if findings:
        raise CropflowError(
            f"{len(findings)} of {checked} results do not match; expected none. "
            "Delete what is named and run snakemake again."
        )
    print(f"{checked} results match their manifests.")
