"""A store of scenes on a tiny grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest

from cropflow.files.atomic import atomic_folder
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.tables import write_table
from cropflow.regions.grid import Grid


@pytest.fixture
def scenes(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write scenes of sites; returns the paths of the store and of the catalogue."""

    def write(sites: dict[str, tuple[np.ndarray, np.ndarray, list[str]]]) -> tuple[Path, Path]:
        rows = []
        with atomic_folder(tmp_path / "sentinel2.zarr") as folder:
            store = create_store(folder)
            for site, (reflectance, scl, times) in sites.items():
                grid = Grid(32631, 500000.0, 4900000.0, *reflectance.shape[2:], 10.0)
                names = [f"{site}-{index}" for index in range(len(times))]
                bands = [f"B{band:02d}" for band in range(reflectance.shape[1])]
                group = add_site(store, site, grid, {"bands": bands, "scenes": names, "times": times})
                big = (1, 99, 99, 99)
                array = add_array(
                    group, "reflectance", ("scene", "band", "y", "x"), reflectance.shape, "uint16", chunks=big
                )
                array[:] = reflectance
                array = add_array(group, "scl", ("scene", "y", "x"), scl.shape, "uint8", chunks=(1, 99, 99))
                array[:] = scl
                rows += [{"scene": name, "site": site, "kept": True} for name in names]
                rows.append({"scene": f"{site}-dropped", "site": site, "kept": False})
        write_table(tmp_path / "sentinel2.parquet", pandas.DataFrame(rows))
        return tmp_path / "sentinel2.zarr", tmp_path / "sentinel2.parquet"

    return write
