"""``cropflow simulate``: a landscape with known truth, its register and its archive of scenes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from cropflow.errors import CropflowError, listing

app = typer.Typer(rich_markup_mode=None, add_completion=False)
log = logging.getLogger(__name__)


def read_seasons(text: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Parse ``--seasons`` and check that it holds what the simulation names.

    Args:
        text: JSON object, name -> {start, end}.
        names: Seasons of the simulation, in order of time.

    Returns:
        Season by name, in the order of ``names``.

    Raises:
        CropflowError: If a season is missing, or they are not in order of time.
    """
    import json

    from cropflow.config.root import parse
    from cropflow.config.sections import Season

    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CropflowError(f"--seasons is no JSON ({error}); found {text[:80]!r}.") from None
    if not isinstance(content, dict):
        raise CropflowError(f"--seasons is {text[:80]!r}; expected an object, name -> {{start, end}}.")
    missing = [name for name in names if name not in content]
    if missing:
        raise CropflowError(
            f"--seasons has no dates for {listing(missing)}; found {listing(content) or 'none'}. "
            "Give the dates of every season that the simulation names."
        )
    seasons = {name: parse(Season, content[name], f"--seasons {name}") for name in names}
    starts = [season.start for season in seasons.values()]
    if starts != sorted(starts):
        raise CropflowError(
            f"The simulation's seasons are {listing(names)}; expected them in order of time, as crops follow crops."
        )
    return seasons


@app.command()
def simulate(
    settings: Annotated[str, typer.Option(help="Entry of simulations, as JSON.")],
    seasons: Annotated[str, typer.Option(help="Dates of its seasons, as JSON: {name: {start, end}}.")],
    register: Annotated[
        Path, typer.Option(help="Output folder: RPG_<season>.7z, a GeoPackage inside, EPSG:2154 in France.")
    ],
    archive: Annotated[Path, typer.Option(help="Output folder: STAC item collections and COGs.")],
    truth: Annotated[
        Path,
        typer.Option(
            help="Output folder: true crops (10 m COGs), fields (GeoParquet, UTM), oracle, radar faults, parameters."
        ),
    ],
) -> None:
    """Make landscapes with known truth: their register, their Sentinel scenes, and the truth itself.

    Lengths are metres, areas hectares; scenes are in the units of the Sentinel products.
    """
    from cropflow.config.base import dump
    from cropflow.config.root import parse_json
    from cropflow.config.simulation import Simulation
    from cropflow.files.atomic import atomic_folder, write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.simulation.archive import radar_truth, write_archive
    from cropflow.simulation.landscape import make_landscape
    from cropflow.simulation.oracle import ceiling
    from cropflow.simulation.register import declare
    from cropflow.simulation.rpg_file import write_register
    from cropflow.simulation.truth import write_truth

    simulation = parse_json(Simulation, settings)
    dates = read_seasons(seasons, simulation.seasons)
    recorded = {"simulation": dump(simulation), "seasons": {name: dump(season) for name, season in dates.items()}}

    landscapes = [make_landscape(name, square, simulation) for name, square in simulation.landscapes.items()]
    for landscape in landscapes:
        fields = [len(season.table) for season in landscape.seasons.values()]
        log.info("landscape %s: %d to %d fields in %d seasons", landscape.name, min(fields), max(fields), len(fields))

    registers = {name: declare(landscapes, name, simulation, season.end.year) for name, season in dates.items()}
    with atomic_folder(register) as folder:
        for name, declared in registers.items():
            write_register(folder, name, dates[name], declared.parcels)
            log.info(
                "register %s: %d of %d fields missing, %d codes wrong, %d parcels written",
                *(name, *(declared.counts[key] for key in ("missing", "fields", "wrong_code", "parcels"))),
            )
    write_manifest(register, settings=recorded, counts={name: found.counts for name, found in registers.items()})

    with atomic_folder(archive) as folder:
        scenes = write_archive(folder, landscapes, simulation, dates)
    write_manifest(archive, settings=recorded, counts=scenes)

    with atomic_folder(truth) as folder:
        write_truth(folder, landscapes, registers, simulation)
        if simulation.sentinel1:
            write_json(folder / "radar_faults.json", radar_truth(landscapes, simulation, dates))
        write_json(folder / "oracle.json", ceiling(archive, landscapes, simulation, dates))
    counts = {
        f"{landscape.name}/{name}": len(season.table)
        for landscape in landscapes
        for name, season in landscape.seasons.items()
    }
    write_manifest(truth, inputs={"archive": archive}, settings=recorded, counts={"fields": counts})
