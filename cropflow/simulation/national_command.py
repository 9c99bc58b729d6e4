"""``cropflow simulate-register``: a simulated register of a whole country."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cropflow.errors import CropflowError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def simulate_register(
    output: Annotated[Path, typer.Option(help="GeoPackage to write: one layer of parcels in EPSG:2154.")],
    parcels: Annotated[int, typer.Option(min=1, help="Number of parcels; France has some 9.8 million.")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Write a simulated national register in the schema of the French one, faults included, to try `labels` on."""
    from cropflow.files.manifest import write_manifest
    from cropflow.simulation.national import write_national_register

    if output.suffix.lower() != ".gpkg":
        raise CropflowError(f"--output is {output.name!r}; expected a name that ends in .gpkg.")
    write_national_register(output, parcels, seed)
    write_manifest(output, settings={"parcels": parcels, "seed": seed}, counts={"parcels": parcels})
