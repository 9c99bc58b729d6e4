"""Blocks of rasters found without GDAL: what was fetched is enough to read a window, and nothing else is fetched."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin
from rasterio.windows import Window

from cropflow.errors import CropflowError
from cropflow.files.remote import Limits
from cropflow.imagery.stac.blocks import find_blocks
from cropflow.imagery.stac.signing import Unsigned
from cropflow.imagery.stac.sparse import HEAD, SparseFile, SparseFiles, _joined
from cropflow.imagery.stac.web import Part, Web

SIDE = 200
KINDS = {
    "cog": {"driver": "COG", "blocksize": 128, "compress": "DEFLATE", "predictor": "YES"},
    "tiles": {"driver": "GTiff", "tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "LZW"},
    "strips": {"driver": "GTiff", "tiled": False, "blockysize": 7, "compress": "DEFLATE"},
    "bigtiff": {"driver": "GTiff", "tiled": True, "blockxsize": 16, "blockysize": 16, "bigtiff": "YES"},
    "bigendian": {"driver": "GTiff", "tiled": True, "blockxsize": 16, "blockysize": 16, "endianness": "BIG"},
    "tiles.jp2": {"driver": "JP2OpenJPEG", "blockxsize": 64, "blockysize": 64, "reversible": "YES", "quality": 100},
}


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(1).integers(1, 4000, (SIDE, SIDE), dtype=np.uint16)


@pytest.fixture(scope="module")
def rasters(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("rasters")
    for name, options in KINDS.items():
        with rasterio.open(
            folder / name, "w", height=SIDE, width=SIDE, count=1, dtype="uint16", crs="EPSG:32631",
            transform=from_origin(500_000, 4_900_000, 10, 10), **options,
        ) as raster:  # fmt: skip
            raster.write(values, 1)
    return folder


def files(server, at_once=2):
    limits = Limits(at_once, 1e6)
    return SparseFiles(Web(limits, at_once), Unsigned()), limits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("window", [(0, 0, 200, 200), (40, 70, 50, 33), (199, 0, 1, 200), (150, 190, 80, 80)])
def test_the_blocks_of_a_window_are_enough_to_read_it(ranges, rasters, values, kind, window, monkeypatch):
    monkeypatch.setattr("cropflow.imagery.stac.sparse.HEAD", 64)
    monkeypatch.setattr("cropflow.imagery.stac.sparse.GAP", 0)
    ranges.folder = rasters
    row, column, height, width = window
    store, _ = files(ranges)
    with store.opened(f"{ranges.url}/{kind}") as (file, blocks):
        assert (blocks.height, blocks.width) == (SIDE, SIDE)
        file.fetch(blocks.of_window(*window))
        with rasterio.open(file.path) as raster:
            inside = Window(column, row, min(width, SIDE - column), min(height, SIDE - row))
            read = raster.read(1, window=inside)
            assert raster.overviews(1) == []
    np.testing.assert_array_equal(read, values[row : row + height, column : column + width])


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_is_fetched_twice(ranges, rasters, kind, monkeypatch):
    monkeypatch.setattr("cropflow.imagery.stac.sparse.HEAD", 64)
    ranges.folder = rasters
    store, _ = files(ranges)
    with store.opened(f"{ranges.url}/{kind}") as (file, blocks):
        file.fetch(blocks.of_window(0, 0, 64, SIDE))
        file.fetch(blocks.of_window(0, 0, SIDE, SIDE))
    asked = sorted(tuple(int(number) for number in text[6:].split("-")) for text in ranges.ranges_asked())
    assert all(before[1] < after[0] for before, after in pairwise(asked))


def test_a_small_window_of_a_large_file_fetches_little(ranges, tmp_path):
    values = np.random.default_rng(2).integers(1, 60_000, (1024, 1024), dtype=np.uint16)
    with rasterio.open(
        tmp_path / "large.tif", "w", driver="COG", height=1024, width=1024, count=1, dtype="uint16", blocksize=128,
        crs="EPSG:32631", transform=from_origin(500_000, 4_900_000, 10, 10), compress="DEFLATE",
    ) as raster:  # fmt: skip
        raster.write(values, 1)
    ranges.folder = tmp_path
    store, limits = files(ranges)
    with store.opened(f"{ranges.url}/large.tif") as (file, blocks):
        file.fetch(blocks.of_window(600, 600, 100, 100))
    assert limits.requests <= 3
    assert ranges.sent < HEAD + 6 * 128 * 128 * 2 + 1024


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_of_a_file_is_fetched_once_for_all_sites(ranges, rasters, kind):
    ranges.folder = rasters
    store, limits = files(ranges)
    counts = []
    for _ in range(3):
        with store.opened(f"{ranges.url}/{kind}") as (file, blocks), rasterio.open(file.path) as raster:
            assert (blocks.block_height, blocks.block_width) == raster.block_shapes[0]
        counts.append(limits.requests)
    assert counts == [counts[0]] * 3


def test_a_file_that_is_replaced_while_it_is_read_is_named(ranges, rasters, monkeypatch):
    monkeypatch.setattr("cropflow.imagery.stac.sparse.HEAD", 64)
    content = (rasters / "tiles").read_bytes()
    ranges.files["/tiles"] = content
    store, _ = files(ranges)
    with store.opened(f"{ranges.url}/tiles") as (file, blocks):
        ranges.files["/tiles"] = content + b"more"
        with pytest.raises(CropflowError, match="changed while it was read"):
            file.fetch(blocks.of_window(0, 0, SIDE, SIDE))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<html>no raster</html>", "expected a GeoTIFF or JPEG 2000"),
        (b"II*\0\xff\xff\xff\x7f" + b"\0" * 20, "makes no sense"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 4, "makes no sense"),
    ],
)
def test_what_is_no_raster_is_named(ranges, content, expected):
    ranges.files["/odd.tif"] = content
    store, _ = files(ranges)
    with pytest.raises(CropflowError, match=expected), store.opened(f"{ranges.url}/odd.tif"):
        pass


def test_a_raster_of_several_bands_is_refused(ranges, tmp_path):
    with rasterio.open(
        tmp_path / "two.tif", "w", driver="GTiff", height=8, width=8, count=2, dtype="uint8", crs="EPSG:32631",
        transform=from_origin(0, 0, 10, 10),
    ) as raster:  # fmt: skip
        raster.write(np.ones((2, 8, 8), np.uint8))
    ranges.folder = tmp_path
    store, _ = files(ranges)
    with pytest.raises(CropflowError, match="has 2 bands; expected one"), store.opened(f"{ranges.url}/two.tif"):
        pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)),
                                                            min_size=1, max_size=12))  # fmt: skip
def test_a_broken_file_is_one_line_or_its_blocks_lie_inside_it(rasters, tmp_path_factory, kind, changes):
    content = bytearray((rasters / kind).read_bytes())
    for place, value in changes:
        content[place] = value
    local = tmp_path_factory.mktemp("broken") / "file"
    with local.open("wb+") as opened:
        opened.write(content)
        opened.flush()
        file = SparseFile(SimpleNamespace(part=None), Unsigned(), "http://host/file", local, opened.fileno())
        file.resize(len(content))
        file.put(0, bytes(content))
        try:
            blocks = find_blocks(file)
        except CropflowError as error:
            assert "\n" not in str(error)
            return
        window = (0, 0, min(blocks.height, 500), min(blocks.width, 500))
        file.fetch(blocks.of_window(*window))


EXTENT = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(EXTENT, max_size=12))
def test_joined_ranges_hold_the_same_bytes_and_lie_apart(extents):
    joined = _joined(extents)
    assert [byte for start, end in joined for byte in range(start, end)] == sorted(
        {byte for start, end in extents for byte in range(start, end)}
    )
    assert all(after[0] > before[1] for before, after in pairwise(joined))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.lists(EXTENT, max_size=4), max_size=6))
def test_a_file_holds_the_right_bytes_whatever_is_fetched_in_whatever_order(tmp_path_factory, calls):
    content = bytes(range(1, 65))
    asked: list[int] = []

    def part(address, start, end, signer):
        asked.extend(range(start, min(end, len(content))))
        return Part(content[start:end], len(content))

    path = tmp_path_factory.mktemp("sparse") / "file"
    with path.open("wb+") as local:
        file = SparseFile(SimpleNamespace(part=part), Unsigned(), "http://host/file", path, local.fileno())
        file.resize(len(content))
        for extents in calls:
            file.fetch(extents)
            for start, end in extents:
                assert file.read(start, end) == content[start:end]
    assert len(asked) == len(set(asked))
