"""A simulated national register from GeoPackage to clean GeoParquet: `labels clean` beside GeoPandas.

Every contestant reads the same file, repairs outlines, drops repeated ones and parcels below 100 m2, measures areas on
the ellipsoid, sorts along the Hilbert curve and writes GeoParquet with bounding boxes, in a process of its own on two
cores. GeoPandas reads with pyogrio and Arrow; "planar" is the same without the ellipsoid, which is less work. The
parcels that come out must be the same ones, row for row, before anything is timed. Repeats are interleaved, the median
counts; seconds are those of the work without imports, the peak is that of the process.

Besides: reading one square of 10 km from the result, as `regions parcels` does, and mapping codes to a legend.

    python benchmarks/register_ingest.py --parcels 1000000
    python benchmarks/register_ingest.py --parcels 1000000 3000000 9800000 --peers-up-to 1000000 --repeats 1
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

CORES = 2
LEGEND = "turkoglu"
SMALLEST_M2 = 100.0
# Middle of the squares that are read, longitude and latitude.
SQUARES = ((2.3, 48.9), (0.1, 47.9), (4.8, 45.9), (1.4, 43.7), (-2.8, 48.1))
SQUARE_M = 10_000.0
# Relative; a polygon's edges are straight in one projection or in the other.
AREA_TOLERANCE = 1e-6


def settings() -> Any:
    """The register's config entry; slivers stay, as GeoPandas has no measure for them."""
    from cropflow.config.registers import Register
    from cropflow.config.root import parse

    cleaning = {"minimum_area_m2": SMALLEST_M2, "minimum_width_m": 0}
    return parse(Register, {"reader": "rpg", "files": {"2023": {"path": "-"}}, "cleaning": cleaning})


def cropflow(source: Path, output: Path) -> None:
    """As `cropflow labels clean` does."""
    from cropflow.labels.ingest import ingest
    from cropflow.labels.registers import open_register

    with open_register(source, "2023", settings()) as parcels:
        ingest(parcels, output, settings().cleaning, workers=CORES)


def geopandas_plain(source: Path, output: Path, ellipsoid: bool = True) -> None:
    """The same steps on one table."""
    import geopandas
    import numpy as np

    names = {
        "ID_PARCEL": "parcel_id",
        "CODE_CULTU": "crop_code",
        "CULTURE_D1": "crop_code_2",
        "CULTURE_D2": "crop_code_3",
    }
    table = geopandas.read_file(source, engine="pyogrio", use_arrow=True, columns=list(names)).rename(columns=names)
    broken = ~table.geometry.is_valid
    table.loc[broken, "geometry"] = table.geometry[broken].make_valid(method="structure", keep_collapsed=False)
    table["area_ha"] = (table.geometry.to_crs("EPSG:6933") if ellipsoid else table.geometry).area / 10_000
    table = table[table["area_ha"] * 10_000 >= SMALLEST_M2]
    alike = table[table.bounds.duplicated(keep=False)]
    again = alike.index[alike.geometry.normalize().to_wkb().duplicated()]
    table = table.drop(index=again)
    order = np.argsort(table.geometry.hilbert_distance().to_numpy(), kind="stable")
    table.iloc[order].to_parquet(output, index=False, compression="zstd", write_covering_bbox=True)


def geopandas_planar(source: Path, output: Path) -> None:
    """Without the ellipsoid."""
    geopandas_plain(source, output, ellipsoid=False)


def squares(source: Path, output: Path) -> None:
    """Read squares of 10 km, each from a file opened anew; write the seconds of each and the parcels found."""
    import geopandas
    import shapely

    from cropflow.regions.clip import read_parcels_within
    from cropflow.regions.grid import snapped_grid, utm_epsg

    found = []
    for longitude, latitude in SQUARES:
        epsg = utm_epsg(longitude, latitude)
        middle = geopandas.GeoSeries([shapely.Point(longitude, latitude)], crs=4326).to_crs(epsg).iloc[0]
        half = SQUARE_M / 2
        grid = snapped_grid((middle.x - half, middle.y - half, middle.x + half, middle.y + half), epsg, 10.0)
        start = time.perf_counter()
        parcels = read_parcels_within(source, grid)
        found.append({"seconds": time.perf_counter() - start, "parcels": len(parcels)})
    output.write_text(json.dumps(found), encoding="utf-8")


def mapping(source: Path, output: Path) -> None:
    """As `cropflow labels map` does."""
    import pandas

    from cropflow.files.tables import write_table
    from cropflow.labels.legend import read_legend, read_table
    from cropflow.labels.mapping import map_codes, summarise

    rows = pandas.read_parquet(source, columns=["parcel_id", "crop_code", "area_ha"])
    crops = map_codes(rows, read_table(LEGEND, "rpg"), "stop")
    summarise(rows, crops, read_legend(LEGEND).name)
    write_table(output, pandas.DataFrame({"parcel_id": rows["parcel_id"], "crop": crops}))


CHILDREN: dict[str, Callable[[Path, Path], None]] = {
    "cropflow": cropflow,
    "geopandas": geopandas_plain,
    "geopandas planar": geopandas_planar,
    "squares": squares,
    "mapping": mapping,
}


def run(name: str, source: Path, output: Path) -> dict[str, float]:
    """Let a contestant work in a process of its own; its seconds and the peak of its memory."""
    command = [sys.executable, __file__, "--child", name, str(source), str(output)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    if done.returncode:
        sys.exit(f"{name} ended with exit code {done.returncode}; nothing is timed.")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def peak_mb() -> float:
    """Peak memory of this process since it began; ``ru_maxrss`` would count the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6, 1)


def child(name: str, source: Path, output: Path) -> None:
    """Work, and print the seconds that it took and the peak of its memory."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    import geopandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import cropflow.labels.ingest
    import cropflow.labels.registers.rpg  # noqa: F401

    start = time.perf_counter()
    CHILDREN[name](source, output)
    print(json.dumps({"seconds": round(time.perf_counter() - start, 3), "peak_mb": peak_mb()}))


def compared(ours: Path, peer: Path) -> dict[str, float]:
    """Rows and hectares of both files; ends where they are not the same parcels."""
    import numpy as np
    import pandas

    columns = ["parcel_id", "crop_code", "area_ha"]
    one, other = (pandas.read_parquet(path, columns=columns) for path in (ours, peer))
    if len(one) != len(other) or not (one[columns[:2]].to_numpy() == other[columns[:2]].to_numpy()).all():
        sys.exit(f"{peer.name} holds {len(other)} parcels, {ours.name} {len(one)}, or others; nothing is timed.")
    areas = one["area_ha"].sum(), other["area_ha"].sum()
    if not np.isclose(*areas, rtol=AREA_TOLERANCE):
        sys.exit(f"{peer.name} covers {areas[1]:.3f} ha, {ours.name} {areas[0]:.3f} ha; nothing is timed.")
    return {"parcels": len(one), "hectares_cropflow": round(areas[0], 4), "hectares_geopandas": round(areas[1], 4)}


def measured(parcels: int, folder: Path, repeats: int, with_peers: bool) -> dict[str, Any]:
    """All figures of one size."""
    from cropflow.simulation.national import write_national_register

    source = folder / f"register_{parcels}.gpkg"
    if not source.exists():
        write_national_register(source, parcels)
    names = ["cropflow", *(["geopandas", "geopandas planar"] if with_peers else [])]
    outputs = {name: folder / f"{name.replace(' ', '_')}_{parcels}.parquet" for name in names}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for name in names:
        first = run(name, source, outputs[name])
        # Whether the same parcels come out is known before times count.
        if repeats == 1 or parcels > 1_000_000:
            runs[name].append(first)
    found: dict[str, Any] = {"parcels": parcels, "source_mb": round(source.stat().st_size / 1e6)}
    if with_peers:
        found["equal"] = compared(outputs["cropflow"], outputs["geopandas"])
    while len(runs["cropflow"]) < repeats:
        for name in names:
            runs[name].append(run(name, source, outputs[name]))
    for name in names:
        found[name] = {
            "seconds": round(statistics.median(each["seconds"] for each in runs[name]), 2),
            "peak_mb": max(each["peak_mb"] for each in runs[name]),
        }
    read = folder / "squares.json"
    run("squares", outputs["cropflow"], read)
    times = json.loads(read.read_text(encoding="utf-8"))
    found["square_10km"] = {
        "seconds": round(statistics.median(each["seconds"] for each in times), 3),
        "slowest": round(max(each["seconds"] for each in times), 3),
        "parcels": [each["parcels"] for each in times],
    }
    found["mapping"] = run("mapping", outputs["cropflow"], folder / "crops.parquet")
    return found


def main() -> None:
    """Measure every size, print a table and write the JSON."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, nargs="+", default=[1_000_000], help="sizes of the register")
    parser.add_argument("--peers-up-to", type=int, default=1_000_000, help="largest size that the peers are given")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each, after one that is compared")
    parser.add_argument(
        "--folder", type=Path, help="where registers and results lie, and stay; default: a temporary one"
    )
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/register_ingest.json"))
    arguments = parser.parse_args()
    if min(arguments.parcels) < 1 or arguments.repeats < 1:
        parser.error("--parcels and --repeats are at least 1")
    with tempfile.TemporaryDirectory(prefix="cropflow-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sizes = [
            measured(parcels, folder.absolute(), arguments.repeats, parcels <= arguments.peers_up_to)
            for parcels in arguments.parcels
        ]
    workload = f"{sizes[0]['parcels']} parcels of ten corners, GeoPackage to clean GeoParquet, {CORES} cores"
    print(f"{workload}\n{'parcels':>10} {'':18}{'seconds':>10}{'peak MB':>10}{'times ours':>12}")
    for size in sizes:
        for name in ("cropflow", "geopandas", "geopandas planar"):
            if name in size:
                times = size[name]["seconds"] / size["cropflow"]["seconds"]
                row = size[name]
                print(f"{size['parcels']:10} {name:18}{row['seconds']:10.2f}{row['peak_mb']:10.0f}{times:12.2f}")
        square, mapped = size["square_10km"], size["mapping"]
        print(f"{size['parcels']:10} {'square of 10 km':18}{square['seconds']:10.3f} (slowest {square['slowest']:.3f})")
        print(f"{size['parcels']:10} {'codes to legend':18}{mapped['seconds']:10.2f}{mapped['peak_mb']:10.0f}")
    version = {"version": metadata.version("geopandas")}
    peers = {name: sizes[0][name] | version for name in ("geopandas", "geopandas planar") if name in sizes[0]}
    fastest = min((row["seconds"] for row in peers.values()), default=None)
    content = {
        "workload": workload,
        "ours": sizes[0]["cropflow"],
        "peers": peers,
        "ratio_to_fastest": fastest and round(fastest / sizes[0]["cropflow"]["seconds"], 2),
        "equal": "equal" in sizes[0],
        "sizes": sizes,
        "machine": f"{platform.machine()}, {CORES} of {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
