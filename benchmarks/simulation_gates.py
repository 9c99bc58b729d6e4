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
from numpy.typing import NDArray

from cropflow.config.imagery import SENTINEL2_BANDS
from cropflow.config.sections import Season
from cropflow.simulation import gates
from cropflow.simulation.noise import generator
from cropflow.simulation.plots import PixelSeason, lay_plots, see_pixels
from cropflow.simulation.references import FR23_PIXELS

USABLE, STRICT = (4, 5, 6, 7), (4, 5, 6)
FLANDERS_2018 = Season(start=datetime.date(2018, 1, 1), end=datetime.date(2018, 11, 30))
FLANDERS = (3.02, 50.82)
# Crops of which the real square has several parcels: 4 of maize, 9 of grass.
COMPARED = {"Maize": "maize", "Permanent grass crops": "permanent_grass"}
Row = tuple[str, str, str]


def cross_validate(
    features: gates.Float64, crop: NDArray[Any], groups: NDArray[np.int64] | None
) -> tuple[float, float]:
    """Overall accuracy and macro F1 of forests in five folds, see :func:`cross_predict`."""
    chance, names = cross_predict(features, crop, groups)
    return _rate(crop, names[chance.argmax(axis=1)])


def cross_predict(
    features: gates.Float64, crop: NDArray[Any], groups: NDArray[np.int64] | None
) -> tuple[gates.Float64, NDArray[Any]]:
    """What forests in five folds say about the pixels that they have not seen.

    Args:
        features: ``(pixel, feature)``.
        crop: Crop of each pixel.
        groups: No group is on both sides of a fold; None splits at random.

    Returns:
        Chance of each crop, ``(pixel, crop)``, and the names of the crops.
    """
    from sklearn.model_selection import GroupKFold, KFold

    names = np.unique(crop.astype(str))
    splitter = KFold(5, shuffle=True, random_state=0) if groups is None else GroupKFold(5)
    chance = np.zeros((len(crop), len(names)))
    for train, test in splitter.split(features, crop, groups):
        forest = _forest(features[train], crop[train])
        chance[np.ix_(test, np.searchsorted(names, forest.classes_))] = forest.predict_proba(features[test])
    return chance, names


def _forest(features: gates.Float64, crop: NDArray[Any]) -> Any:
    """A random forest of 150 trees, fitted."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(150, random_state=0, n_jobs=1).fit(features, crop.astype(str))


def _rate(truth: NDArray[Any], predicted: NDArray[Any]) -> tuple[float, float]:
    from sklearn.metrics import accuracy_score, f1_score

    truth, predicted = truth.astype(str), predicted.astype(str)
    macro = f1_score(truth, predicted, average="macro", labels=np.unique(truth), zero_division=0)
    return float(accuracy_score(truth, predicted)), float(macro)


def transfer(seed: int, regions: int = 4, years: int = 3) -> dict[str, tuple[float, float]]:
    """Where a forest learnt in one region and year fails: other parcels, blocks, regions, years.

    Every region has 256 plots with the crops of FR23 in four blocks. A forest learns from two thirds of the plots of
    three blocks and is judged by the others in these blocks, by the fourth block, by the same year in all other
    regions, and by the same region in all other years; each region and year is the one learnt from in turn.

    Returns:
        ``parcel``, ``block``, ``region``, ``year`` -> mean overall accuracy and mean macro F1.
    """
    rng = generator(seed, "gate", "transfer")
    weights = np.array(list(FR23_PIXELS.values()), float)
    places = [(float(rng.uniform(-1.5, 2.0)), float(rng.uniform(45.0, 47.5))) for _ in range(regions)]
    samples = {}
    for region, centre in enumerate(places):
        for year in range(2021 - years, 2021):
            season = Season(start=datetime.date(year - 1, 10, 1), end=datetime.date(year, 9, 30))
            crops = [str(crop) for crop in rng.choice(list(FR23_PIXELS), 256, p=weights / weights.sum())]
            land = lay_plots(seed, f"region {region}", centre, {str(year): crops})
            samples[region, year] = gates.join([see_pixels(seed, land, str(year), season, gates.SOUND)])
    found: dict[str, list[tuple[float, float]]] = {"parcel": [], "block": [], "region": [], "year": []}
    for (region, year), here in samples.items():
        near = rng.permutation(np.flatnonzero(here.block != 3))
        learnt = here.take(near[: 2 * len(near) // 3])
        forest = _forest(learnt.both, learnt.crop)
        judged = {
            "parcel": [here.take(near[2 * len(near) // 3 :])],
            "block": [here.take(np.flatnonzero(here.block == 3))],
            "region": [other for key, other in samples.items() if key[0] != region and key[1] == year],
            "year": [other for key, other in samples.items() if key[0] == region and key[1] != year],
        }
        for name, others in judged.items():
            found[name] += [_rate(one.crop, forest.predict(one.both)) for one in others]
    return {name: (float(np.mean(rows, axis=0)[0]), float(np.mean(rows, axis=0)[1])) for name, rows in found.items()}


def early_season(samples: gates.Samples, months: int) -> float:
    """Macro F1 of forests, in five blocked folds, that see only the first months of the season."""
    optical, radar = samples.optical[:, : 10 * months], samples.radar[:, : 2 * months]
    return cross_validate(np.concatenate([optical, radar], axis=1), samples.crop, samples.place)[1]


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
                scored = cross_validate(getattr(samples, sensor), samples.crop, groups)
                scores.setdefault(f"{sensor}, {split}", []).append(scored)
        early.append([early_season(samples, months) for months in (5, 8, 10, 12)])
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
    chance, names = cross_predict(samples.both, samples.crop, samples.place)
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
    off = [cross_validate(samples.both, samples.crop, groups) for groups in (None, samples.place)]
    rows = [("every knob off: accuracy, random and blocked", "above .99", _shown([one[0] for one in off]))]
    found = [transfer(seed) for seed in range(seeds)]
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
