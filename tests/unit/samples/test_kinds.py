"""What samples of all kinds share: the same parcels, one reading of the composites, whatever the sites and outlines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely

from cropflow.config.sections import Folds, SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.tables import read_table, write_table
from cropflow.regions.grid import Grid
from cropflow.regions.sites import sites_table
from cropflow.samples import sources
from cropflow.samples.labels import UNKNOWN

SET = SampleSet(
    series="monthly", inner_buffer_m=0, patch_size=16, chip_size=9, folds=Folds(count=3, block_m=130, ring_m=15)
)
TABLES = {"patches": "index.parquet", "pixel-sets": "parcels.parquet", "chips": "chips.parquet"}


def test_holes_are_no_pixels_parts_stay_together_and_a_sliver_is_counted(region, parcel_table, tmp_path: Path):
    x, y = 500_000, 4_900_000
    ring = shapely.box(x, y - 100, x + 100, y).difference(shapely.box(x + 30, y - 70, x + 70, y - 30))
    parts = shapely.union_all([shapely.box(x + 200, y - 40, x + 240, y), shapely.box(x + 200, y - 90, x + 240, y - 60)])
    sliver = shapely.box(x + 301, y - 100, x + 303, y)
    write_table(region.parcels / "here.parquet", parcel_table([ring, parts, sliver]))
    settings = SET.model_copy(update={"folds": Folds(count=3, block_m=100, ring_m=0)})
    folder = region.cut(region.build(tmp_path, settings), "pixel-sets", settings)
    table = read_table(folder / "parcels.parquet").set_index("index")
    # Pixel (8, 8) has no value in February; it lies in the rim of the ring.
    assert table["pixels"].to_dict() == {1: 100 - 16 - 1, 2: 16 + 12}
    assert table["perimeter_m"].to_dict() == {1: 400 + 160, 2: 160 + 140}
    np.testing.assert_allclose(table["fill_ratio"], [83 / 100, 28 / (4 * 9)], rtol=1e-6)
    assert read_json(folder / "pixel_sets.json")["parcels"]["without_pixels"] == 1


@pytest.mark.parametrize("verb", ["pixel-sets", "chips"])
def test_a_chunk_of_the_composites_is_in_memory_alone_and_read_once(region, tmp_path: Path, monkeypatch, verb: str):
    samples = region.build(tmp_path, SET)
    read: Counter[tuple[int, int]] = Counter()
    plain = sources.SiteComposites.window

    def watched(self, rows: slice, columns: slice):
        read[rows.start, columns.start] += 1
        assert max(rows.stop - rows.start, columns.stop - columns.start) <= 16 + SET.chip_size
        return plain(self, rows, columns)

    monkeypatch.setattr(sources.SiteComposites, "window", watched)
    for module in ("sources", "chips"):
        monkeypatch.setattr(f"cropflow.samples.{module}.STRIP", 16)
    region.cut(samples, verb, SET)
    assert set(read.values()) == {1}
    # 40 x 40 pixels in chunks of 16; the corners of chips lie up to four pixels beyond the site.
    assert len(read) == (9 if verb == "pixel-sets" else 16)


@pytest.fixture
def two_sites(region, parcel_table, chequerboard, tmp_path: Path):
    """The region beside a site whose parcels nobody knows."""
    import pandas
    import zarr

    grids = region.grids | {"void": Grid(32631, 501_280.0, 4_900_000.0, 40, 40, 10.0)}
    write_table(region.sites, sites_table(grids))
    unknown = parcel_table([shapely.box(501_300, 4_899_900, 501_400, 4_900_000)], prefix="u")
    write_table(region.parcels / "void.parquet", unknown)
    crops = read_table(region.crops)
    more = pandas.DataFrame({"parcel_id": ["u000"], "crop": np.array([UNKNOWN], dtype=np.uint16)})
    write_table(region.crops, pandas.concat([crops, more], ignore_index=True))
    store = zarr.open_group(str(region.composites), mode="r+")
    here, there = store["here"], store.create_group("void")
    there.attrs.update(here.attrs.asdict() | {"transform": list(grids["void"].transform)[:6]})
    for name in ("reflectance", "observations", "filled"):
        there.create_array(name, data=here[name][:])
    return region


@pytest.mark.parametrize("verb", TABLES)
def test_a_site_with_nothing_to_learn_from_is_no_failure(two_sites, tmp_path: Path, verb: str):
    samples = two_sites.build(tmp_path, SET)
    folder = two_sites.cut(samples, verb, SET)
    assert set(read_table(folder / TABLES[verb])["site"]) == {"here"}
    assert read_json(next(folder.glob("*.json")))["sites"]["void"] == 0
    assert set(read_json(samples / "summary.json")["classes"][str(UNKNOWN)]["reasons"]) >= {"unknown"}


@pytest.mark.parametrize("verb", ["pixel-sets", "chips"])
def test_ground_outside_parcels_alone_gives_no_parcel_and_says_why(region, parcel_table, tmp_path: Path, verb: str):
    # Three parcels of a metre: none holds the centre of a pixel.
    corners = [(500_001 + 100 * number, 4_899_990) for number in range(3)]
    slivers = parcel_table([shapely.box(x, y, x + 1, y + 1) for x, y in corners])
    write_table(region.parcels / "here.parquet", slivers)
    settings = SET.model_copy(
        update={"background": True, "outside": "background", "folds": Folds(count=3, block_m=100, ring_m=0)}
    )
    with pytest.raises(CropflowError, match=r"None of 3 parcels has a pixel to learn from.*without_pixels 3"):
        region.cut(region.build(tmp_path, settings), verb, settings)


def test_no_parcel_and_no_pixel_is_in_two_folds(region, tmp_path: Path):
    samples = region.build(tmp_path, SET)
    sets = read_table(region.cut(samples, "pixel-sets", SET) / "parcels.parquet")
    patches = region.cut(samples, "patches", SET)
    crops, folds, parcels = (np.load(patches / f"{name}.npy") for name in ("crops", "folds", "parcels"))
    target = (crops > 0) & (crops < UNKNOWN) & (folds < 255)
    for index, fold, pixels in zip(sets["index"], sets["fold"], sets["pixels"], strict=True):
        own = target & (parcels == index)
        # The same pixels as in patches: models of both kinds learn from the same ground.
        assert own.sum() == pixels
        assert set(folds[own]) == {fold}
    assert sets["pixels"].sum() == target.sum()
