"""How near the simulation comes to real samples: every gate of docs/simulation.md, its target and the figure found.

No peer does the same work: the table compares with numbers of real samples, and with the one real series at hand where
its folder is given.

    python benchmarks/simulation_gates.py --seeds 3 --real ../shared/data
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cropflow.config.sections import SENTINEL2_BANDS, Season
from cropflow.simulation import gates
from cropflow.simulation.plots import PixelSeason, lay_plots, see_pixels

USABLE, STRICT = (4, 5, 6, 7), (4, 5, 6)
FLANDERS_2018 = Season(start=datetime.date(2018, 1, 1), end=datetime.date(2018, 11, 30))
FLANDERS = (3.02, 50.82)
# Crops of which the real square has several parcels: 4 of maize, 9 of grass.
COMPARED = {"Maize": "maize", "Permanent grass crops": "permanent_grass"}
Row = tuple[str, str, str]


def read_flanders(folder: Path) -> PixelSeason:
    """Pixels of a real square in Flanders, 2018, at least 10 m inside their parcels.

    Args:
        folder: ``flanders_2018``: two STAC item collections and ``parcels.gpkg``.
    """
    import geopandas
    from affine import Affine
    from rasterio.features import rasterize

    parcels = geopandas.read_file(folder / "parcels.gpkg")
    parcels = parcels[parcels["crop_name"].isin(COMPARED)]
    inner = parcels.geometry.buffer(-10)
    shapes = [(shape, index + 1) for index, shape in enumerate(inner) if not shape.is_empty]
    label = rasterize(shapes, (64, 64), transform=Affine(10, 0, 501_360, 0, -10, 5_629_680))
    y, x = np.nonzero(label)
    crops = np.array([COMPARED[parcels["crop_name"].iloc[index - 1]] for index in label[y, x]], dtype=object)

    optical = list(_items(folder, "sentinel-2-l2a"))
    classes = np.stack([_read(folder, one, "SCL")[y // 2, x // 2] for _, one in optical], axis=1)
    reflectance = np.zeros((len(crops), len(optical), len(SENTINEL2_BANDS)), np.float32)
    for index, (_, one) in enumerate(optical):
        for band in ("B04", "B08"):
            reflectance[:, index, SENTINEL2_BANDS.index(band)] = _read(folder, one, band)[y, x] / 10_000
    reflectance[~np.isin(classes, USABLE)] = np.nan
    radar = list(_items(folder, "sentinel-1-grd"))
    sigma0 = np.stack(
        [np.stack([_read(folder, one, name)[y // 2, x // 2] for name in ("vv", "vh")], axis=1) for _, one in radar],
        axis=1,
    )
    days, months = (np.array([key(day) for day, _ in optical]) for key in (_day, _month))
    passes = np.array([_month(day) for day, _ in radar])
    nowhere = np.zeros(len(crops), np.int64)
    return PixelSeason(crops, nowhere, days, months, classes, reflectance, passes, sigma0.astype(np.float32))


def _items(folder: Path, name: str) -> Iterator[tuple[datetime.date, Any]]:
    """Date and record of the scenes inside the season, in order of time."""
    records = json.loads((folder / f"{name}.items.json").read_text(encoding="utf-8"))["features"]
    for one in sorted(records, key=lambda record: str(record["properties"]["datetime"])):
        day = datetime.date.fromisoformat(one["properties"]["datetime"][:10])
        if FLANDERS_2018.start <= day <= FLANDERS_2018.end:
            yield day, one


def _read(folder: Path, record: Any, asset: str) -> Any:
    import rasterio

    with rasterio.open(folder / record["assets"][asset]["href"]) as raster:
        return raster.read(1)


def _day(day: datetime.date) -> int:
    return (day - FLANDERS_2018.start).days


def _month(day: datetime.date) -> int:
    return day.month - FLANDERS_2018.start.month


def simulate_flanders(seeds: int) -> list[PixelSeason]:
    """The same crops, place and season, simulated; every seed is another region and year."""
    crops = [crop for crop in COMPARED.values() for _ in range(18)]
    lands = [lay_plots(seed, f"flanders {seed}", FLANDERS, {"2018": crops}) for seed in range(seeds)]
    return [see_pixels(seed, land, "2018", FLANDERS_2018, gates.SOUND) for seed, land in enumerate(lands)]


def distances(real: PixelSeason, simulated: list[PixelSeason]) -> dict[str, tuple[float, list[float]]]:
    """Quantile distances to all simulated years: of the real year, and of each simulated year to the other ones.

    Returns:
        ``<crop> NDVI`` and ``<crop> VH`` -> distance of the real year, those of the simulated years.
    """
    found = {}
    for crop in COMPARED.values():
        for name, values in (("NDVI", gates.monthly_ndvi), ("VH", monthly_vh)):
            years = [values(one)[one.crops == crop] for one in simulated]
            own = [
                gates.quantile_distance(year, np.concatenate([*years[:index], *years[index + 1 :]]))
                for index, year in enumerate(years)
            ]
            found[f"{crop} {name}"] = (
                gates.quantile_distance(values(real)[real.crops == crop], np.concatenate(years)),
                own,
            )
    return found


def monthly_vh(seen: PixelSeason) -> Any:
    """VH by month, dB, ``(pixel, month)``."""
    return gates.monthly_radar(seen)[:, 1::2]


def forests(seeds: int) -> list[Row]:
    """Forests on single pixels, and the gaps of the same pixels."""
    scores: dict[str, list[tuple[float, float]]] = {}
    early, gaps = [], []
    for seed in range(seeds):
        seen = gates.sample_france(seed)
        gaps += seen
        samples = gates.join(seen)
        for sensor in ("both", "optical", "radar"):
            for split, groups in (("random", None), ("blocked", samples.place)):
                scored = gates.cross_validate(getattr(samples, sensor), samples.crop, groups)
                scores.setdefault(f"{sensor}, {split}", []).append(scored)
        early.append([gates.early_season(samples, months) for months in (5, 8, 10, 12)])
    targets = (".75, .67", ".69, .45", ".74, .65", ".68, .43", ".59, .43", ".55, .35")
    rows = [
        (f"forest on 400 pixels: {name}", f"{target}, each within .07", _shown(np.mean(found, axis=0)))
        for (name, found), target in zip(scores.items(), targets, strict=True)
    ]
    rows.append(("macro F1 by end of February, May, July, September", "rises", _shown(np.mean(early, axis=0))))
    for classes, name, target in ((USABLE, "4-7", "none measured"), (STRICT, "4-6", ".59; .47; .36")):
        found = gates.find_gaps(gaps, classes)
        figures = f"{found.valued:.2f}; {found.after_gap:.2f}; {found.after_value:.2f}"
        rows.append((f"10-day steps with a value; gap after gap; after value, classes {name}", target, figures))
        longest = np.percentile(found.longest, [5, 50, 95]).round().astype(int).tolist()
        rows.append((f"longest gap in steps, 5, 50, 95 %, classes {name}", "2, 4, 8", str(longest)))
        rows.append((f"months without a value, October on, classes {name}", "0 to .40", _shown(found.empty_months)))
    return rows


def crops() -> list[Row]:
    """F1 of three summer crops, and how often the crop is among the first one or two, with 160 pixels of each crop."""
    samples = gates.join(gates.sample_france(2, 40, 40, even=True))
    chance, names = gates.cross_predict(samples.both, samples.crop, samples.place)
    truth, order = samples.crop.astype(str), names[np.argsort(-chance, axis=1)]
    first = order[:, 0]
    scores = []
    for crop in ("sunflower", "soy", "maize"):
        hits = ((first == crop) & (truth == crop)).sum()
        scores.append(2 * hits / ((first == crop).sum() + (truth == crop).sum()))
    top = [(order[:, :count] == truth[:, None]).any(axis=1).mean() for count in (1, 2)]
    return [
        ("F1 of sunflower, soy, maize; blocked, 160 pixels each", "near .90, .77, .91", _shown(scores)),
        ("crop is the first, is among the first two; same pixels", "near .80, .90 (parcels)", _shown(top)),
    ]


def switches(seeds: int) -> list[Row]:
    """Knobs off, and the order of transfer."""
    samples = gates.join(gates.sample_france(1, 12, 20, gates.OFF, even=True))
    off = [gates.cross_validate(samples.both, samples.crop, groups) for groups in (None, samples.place)]
    rows = [("every knob off: accuracy, random and blocked", "above .99", _shown([one[0] for one in off]))]
    found = [gates.transfer(seed) for seed in range(seeds)]
    order = np.array([[one[name] for name in ("parcel", "block", "region", "year")] for one in found]).mean(axis=0)
    rows.append(("transfer, accuracy: unseen parcel, block, region, year", "falls in this order", _shown(order[:, 0])))
    rows.append(("transfer, macro F1", "falls in this order", _shown(order[:, 1])))
    return rows


def real_square(folder: Path) -> list[Row]:
    """Quantile distances to the real square, beside those between simulated years."""
    real, simulated = read_flanders(folder), simulate_flanders(12)
    rows = []
    for name, (distance, own) in distances(real, simulated).items():
        rows.append((f"quantile distance, {name}", f"at most {max(own):.2f}, between years", f"{distance:.2f}"))
    for classes, label in ((USABLE, "4-7"), (STRICT, "4-6")):
        one, many = (gates.find_gaps(each, classes) for each in ([real], simulated))
        figures = [f"{each.valued:.2f}; {each.after_gap:.2f}; {each.after_value:.2f}" for each in (one, many)]
        rows.append((f"Flanders: steps with a value; gap after gap; after value, classes {label}", *figures))
    return rows


def _shown(values: Any) -> str:
    return ", ".join(f"{value:.2f}" for value in np.asarray(values, float).tolist())


def main() -> None:
    """Print the table and write it beside the other benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="Simulated samples to average over.")
    parser.add_argument("--real", type=Path, default=Path("../shared/data"), help="Folder that holds flanders_2018.")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/simulation_gates.json"))
    arguments = parser.parse_args()
    start = time.perf_counter()
    rows = forests(arguments.seeds) + crops() + switches(arguments.seeds)
    folder = arguments.real / "flanders_2018"
    if folder.is_dir():
        rows += real_square(folder)
    print("| gate | target | found |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    record = {
        "workload": f"gates of the simulation, {arguments.seeds} samples",
        "ours": {"seconds": round(time.perf_counter() - start, 1)},
        "gates": [dict(zip(("gate", "target", "found"), row, strict=True)) for row in rows],
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
