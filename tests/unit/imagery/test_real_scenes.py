"""The real products and items beside the checkout, against a plain rasterio reader."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from cropflow.errors import CropflowError
from cropflow.regions.grid import snapped_grid

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def plain(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        values = raster.read(1)
        return np.kron(values, np.ones((2, 2), dtype=values.dtype)) if raster.transform.a == 20 else values


def test_the_products_of_herault_are_exported_pixel_by_pixel(shared, export):
    source = shared / "data" / "herault_2018" / "eodata"
    grid = snapped_grid((523560, 4829250, 525880, 4832780), 32631, 10.0)
    table, store = export(source, grid, bands=BANDS, season=("2018-01-01", "2018-12-31"), reader="safe")
    assert grid.shape == (353, 232)
    assert len(table) == 10
    assert table["kept"].sum() == 9
    dropped = table[~table["kept"]]
    assert dropped["time"].tolist() == ["2018-02-12T10:41:39Z"]
    assert dropped["reason"].tolist() == ["empty: no valid pixel inside the site"]
    assert (table["offset"] == 0).all()
    assert table["offset_reason"][table["kept"]].str.contains("confirmed by the pixels").all()
    assert set(table["baseline"]) == {"02.06", "02.07", "02.08"}
    assert set(table["tile"]) == {"31TEJ"}
    assert set(table["relative_orbit"]) == {8}
    for position, name in enumerate(store["one"].attrs["scenes"]):
        (product,) = source.rglob(f"{name}.SAFE")
        for index, band in enumerate((*BANDS, "SCL")):
            resolution = 10 if band in ("B02", "B03", "B04", "B08") else 20
            (path,) = product.rglob(f"*_{band}_{resolution}m.jp2")
            written = store["one/scl"][position] if band == "SCL" else store["one/reflectance"][position, index]
            # The 20 m layers have one row of 10 m more than the site.
            np.testing.assert_array_equal(written, plain(path)[:353, :232])


def test_the_items_of_flanders_are_exported_pixel_by_pixel(shared, export):
    source = shared / "data" / "flanders_2018" / "sentinel-2-l2a.items.json"
    grid = snapped_grid((501360, 5629040, 502000, 5629680), 32631, 10.0)
    season = ("2018-01-01", "2018-11-30")
    with pytest.raises(CropflowError, match=r"no processing baseline .*imagery\.<name>\.assume_baseline"):
        export(source, grid, bands=BANDS, season=season)
    table, store = export(source, grid, bands=BANDS, season=season, assume_baseline="02.07", workers=2)
    assert len(table) == 118
    in_season = table["time"].between("2018-01-01", "2018-12-01")
    assert table["kept"].tolist() == in_season.tolist()
    assert (table["offset"] == 0).all()
    names = store["one"].attrs["scenes"]
    assert names == table["scene"][table["kept"]].tolist()
    for position in range(0, len(names), 9):
        folder = source.parent / "sentinel-2-l2a" / names[position]
        for index, band in enumerate(BANDS):
            np.testing.assert_array_equal(store["one/reflectance"][position, index], plain(folder / f"{band}.tif"))
        np.testing.assert_array_equal(store["one/scl"][position], plain(folder / "SCL.tif"))


def test_a_collection_without_10_m_bands_is_refused_for_them_and_exported_at_20_m(shared, export, tmp_path):
    source = shared / "data" / "flanders_2019_no_10m" / "sentinel-2-l2a.items.json"
    bounds, season = (526140, 5669560, 526780, 5670200), ("2019-01-01", "2019-11-30")
    settings = {"season": season, "assume_baseline": "02.07"}
    with pytest.raises(CropflowError, match=r"has no bands B02, B03, B04, B08 .*offers B05, B06, B07, B11, B12, B8A"):
        export(source, snapped_grid(bounds, 32631, 10.0), bands=BANDS, **settings)
    assert not (tmp_path / "run" / "sentinel2.zarr").exists()
    coarse = tuple(band for band in BANDS if band not in ("B02", "B03", "B04", "B08"))
    _, store = export(source, snapped_grid(bounds, 32631, 20.0), bands=coarse, **settings)
    name = store["one"].attrs["scenes"][3]
    with rasterio.open(source.parent / "sentinel-2-l2a" / name / "B11.tif") as raster:
        np.testing.assert_array_equal(store["one/reflectance"][3, coarse.index("B11")], raster.read(1))
