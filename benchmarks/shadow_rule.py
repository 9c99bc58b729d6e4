"""What the shadow rule finds and costs on simulated landscapes, whose shadows are known.

No peer does the same work. Counted are pixels that the scene classes take for clear (4 to 7), on the dates of a year
on which a cloud throws a shadow on the landscape: those in a shadow, which the rule should find, and those in full
light, which it should leave.

    python benchmarks/shadow_rule.py --seeds 8
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.shadows import shadows
from cropflow.config.imagery import SHADOW_BANDS
from cropflow.config.sections import Season
from cropflow.config.simulation import Landscape, Simulation
from cropflow.simulation.archive import season_acquisitions
from cropflow.simulation.clouds import Sky
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.sentinel2 import Optics, offset_20m
from cropflow.simulation.surface import build_surface

YEAR = Season(start=datetime.date(2022, 10, 1), end=datetime.date(2023, 9, 30))
CLEAR = (4, 5, 6, 7)
# Opacity of the cloud before the sun from which the simulated classification calls a pixel shaded, and up to which
# the ground counts as lit.
SHADED, LIT = 0.12, 0.02


@dataclass(frozen=True)
class Found:
    """Pixels that the classes take for clear."""

    scenes: int
    shaded: int
    shaded_found: int
    lit: int
    lit_lost: int


def look(seed: int, side_km: float) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint16], Sky]]:
    """Scenes with shadows: classes ``(y, x)``, bands of the rule ``(3, y, x)``, harmonised, at 10 m; the true sky."""
    square = Landscape(centre=(1.6, 48.2), side_km=side_km)
    simulation = Simulation(seed=seed, landscapes={"a": square}, seasons=("s",), imagery_seasons=("s",))
    land = make_landscape("a", square, simulation)
    optics = Optics(seed, land, build_surface(seed, land, "s", YEAR, simulation.difficulty), simulation.difficulty)
    acquisitions, ranks = season_acquisitions(land, "s", simulation, {"s": YEAR})
    skies = [optics.sky(one, float(rank)) for one, rank in zip(acquisitions, ranks, strict=True)]
    chosen = [index for index, sky in enumerate(skies) if sky.shadow.any()]
    shape, begin = land.grid.shape, offset_20m(land.grid)
    rows, columns = (slice(-start, size - start) for start, size in zip(begin, shape, strict=True))

    def to_10m(values: NDArray[Any]) -> NDArray[Any]:
        return values if values.shape == shape else values.repeat(2, axis=0).repeat(2, axis=1)[rows, columns]

    for index, scene in zip(chosen, optics.scenes([acquisitions[one] for one in chosen], ranks[chosen]), strict=True):
        product = scene.acquisition.products[-1]
        stored = np.stack([to_10m(scene.stored(band, product)) for band in SHADOW_BANDS]).astype(np.int64)
        ground = np.where(stored > 0, np.maximum(stored - product.offset, 1), 0).astype(np.uint16)
        yield to_10m(scene.classes), ground, skies[index]


def measure(seed: int, side_km: float = 2.56) -> Found:
    """Run the rule over a year of one landscape."""
    total = np.zeros(len(fields(Found)), dtype=np.int64)
    for classes, ground, sky in look(seed, side_km):
        found = shadows(classes[np.newaxis], ground[np.newaxis], 10.0)[0]
        counted = np.isin(classes, CLEAR) & (sky.cloud < LIT)
        shaded, lit = counted & (sky.shadow > SHADED), counted & (sky.shadow < LIT)
        total += [1, shaded.sum(), (shaded & found).sum(), lit.sum(), (lit & found).sum()]
    return Found(*total.tolist())


def main() -> None:
    """Measure landscape after landscape, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="landscapes, from seed 2 on: the rule was chosen on 1")
    parser.add_argument("--side-km", type=float, default=2.56, help="side of a landscape")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/shadow_rule.json"))
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("--seeds is at least 1")
    rows = {str(seed): measure(seed, arguments.side_km) for seed in range(2, 2 + arguments.seeds)}
    rows["all"] = Found(*(sum(getattr(row, field.name) for row in rows.values()) for field in fields(Found)))
    print(f"{'seed':6}{'scenes':>8}{'shaded':>10}{'found':>8}{'lit':>12}{'lost':>8}")
    for seed, row in rows.items():
        found, lost = row.shaded_found / max(row.shaded, 1), row.lit_lost / max(row.lit, 1)
        print(f"{seed:6}{row.scenes:8}{row.shaded:10}{found:8.1%}{row.lit:12}{lost:8.2%}")
    content = {
        "workload": f"{arguments.seeds} landscapes of {arguments.side_km} km, a year each",
        "seeds": {seed: asdict(row) for seed, row in rows.items()},
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
