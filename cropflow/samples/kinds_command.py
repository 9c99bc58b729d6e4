"""``cropflow samples patches``, ``pixel-sets`` and ``chips``: cut what models of a kind learn from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cropflow.samples.place import Place

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Samples = Annotated[Path, typer.Option(help="Input: folder of the samples of a season, of cropflow samples build.")]
Composites = Annotated[
    list[Path], typer.Option(help="Input: Zarr store of composites; once per sensor, in the order of the set's.")
]
Sites = Annotated[Path, typer.Option(help="Input: parquet table of the sites of a region.")]
Settings = Annotated[str, typer.Option(help="Entry of sets, JSON.")]


@app.command()
def patches(
    samples: Samples,
    composites: Composites,
    sites: Sites,
    settings: Settings,
    output: Annotated[Path, typer.Option(help="Output: folder with the arrays, index.parquet and patches.json.")],
) -> None:
    """Cut fixed-size patches, a class per pixel.

    Input: label layers and composites of every sensor (reflectance x 10000, uint16, 0 = nodata; backscatter dB x 100,
    int16, -32768 = nodata). Output: memory-mappable arrays in the same units, days since the start of the season.
    """
    from cropflow.samples.patches import write_patches

    _write(samples, composites, sites, settings, output, write_patches, ("patches", "pixels", "dates"))


@app.command(name="pixel-sets")
def pixel_sets(
    samples: Samples,
    composites: Composites,
    sites: Sites,
    settings: Settings,
    output: Annotated[Path, typer.Option(help="Output: folder with the arrays, parcels.parquet and pixel_sets.json.")],
    history: Annotated[
        Path | None, typer.Option(help="Input where the set asks for history: parquet of cropflow labels history.")
    ] = None,
) -> None:
    """Gather the pixels of each parcel, one class per parcel.

    Input: label layers and composites of every sensor (reflectance x 10000, uint16, 0 = nodata; backscatter dB x 100,
    int16, -32768 = nodata). Output: memory-mappable arrays in the same units, parcel after parcel, days since the start
    of the season, features of each parcel (perimeter in metres) and area shares of its earlier crops.
    """
    from cropflow.samples.pixel_sets import write_pixel_sets

    def write(place: Place, folder: Path) -> dict[str, Any]:
        return write_pixel_sets(place, folder, history)

    counts = ("samples", "pixels", "parcels", "usable_pixels_outside_parcels", "dates")
    _write(samples, composites, sites, settings, output, write, counts, history)


@app.command()
def chips(
    samples: Samples,
    composites: Composites,
    sites: Sites,
    settings: Settings,
    output: Annotated[Path, typer.Option(help="Output: folder with the arrays, chips.parquet and chips.json.")],
) -> None:
    """Cut a square around each parcel, one class per square.

    Input: label layers and composites of every sensor (reflectance x 10000, uint16, 0 = nodata; backscatter dB x 100,
    int16, -32768 = nodata). Output: memory-mappable arrays in the same units, days since the start of the season.
    """
    from cropflow.samples.chips import write_chips

    _write(samples, composites, sites, settings, output, write_chips, ("chips", "parcels", "dates"))


def _write(
    samples: Path,
    composites: list[Path],
    sites: Path,
    settings: str,
    output: Path,
    write: Callable[[Place, Path], dict[str, Any]],
    counts: tuple[str, ...],
    history: Path | None = None,
) -> None:
    """Open a place, write samples of a kind into a fresh folder, and their manifest beside it."""
    from cropflow.config.base import dump
    from cropflow.config.root import parse_json
    from cropflow.config.sections import SampleSet
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.manifest import write_manifest
    from cropflow.regions.sites import read_sites
    from cropflow.samples.place import read_place
    from cropflow.samples.sensors import by_place
    from cropflow.samples.sources import read_composites

    chosen = parse_json(SampleSet, settings)
    stores = by_place(composites, chosen.sensors)[0]
    place = read_place(samples, read_composites(stores, read_sites(sites)), chosen)
    with atomic_folder(output) as temporary:
        about = write(place, temporary)
    inputs: dict[str, Path | str] = {f"composites {sensor}": path for sensor, path in stores.items()}
    inputs |= {"samples": samples, "sites": sites}
    if history is not None:
        inputs["history"] = history
    write_manifest(output, inputs, dump(chosen), {name: about[name] for name in counts})
