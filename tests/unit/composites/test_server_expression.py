"""What the stand-in's evaluator computes, on images small enough to check by eye, and the expression on them."""

from __future__ import annotations

import importlib.resources
import io
import json

import earth_engine_compute
import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from cropflow.composites.server.expression import StoredImage, composite_expression, read_pixels
from cropflow.composites.server.parts import Part, band_groups, cut_parts, request_grid
from cropflow.errors import CropflowError
from cropflow.files.earth_engine_calls import called
from cropflow.imagery.earth_engine.requests import LARGEST_BYTES, LONGEST_SIDE, MOST_BANDS
from cropflow.imagery.windows import read_layer
from cropflow.regions.grid import Grid

GRID = Grid(32631, 500_000.0, 4_900_000.0, 2, 4, 10.0)


def request(function, **arguments):
    """An expression that calls one function of images ``a`` and ``b``."""
    nodes = {key: value if isinstance(value, dict) else {"constantValue": value} for key, value in arguments.items()}
    return {
        "result": "0",
        "values": {
            "0": {"functionInvocationValue": {"functionName": function, "arguments": nodes}},
            "a": {
                "functionInvocationValue": {"functionName": "Image.load", "arguments": {"id": {"constantValue": "a"}}}
            },
            "b": {
                "functionInvocationValue": {"functionName": "Image.load", "arguments": {"id": {"constantValue": "b"}}}
            },
        },
    }


A, B = {"valueReference": "a"}, {"valueReference": "b"}


def call(function, **arguments):
    return {"functionInvocationValue": {"functionName": function, "arguments": arguments}}


@pytest.fixture
def pixels():
    """The pixel grid of the tiny site."""
    return earth_engine_compute.PixelGrid.of(request_grid(GRID))


@pytest.fixture
def band():
    """A stored band whose corner is the site's; ``seen`` is where it is not masked."""

    def make(values, seen=None, pixel_m=10.0, dtype="uint16"):
        values = np.asarray(values, dtype=dtype)
        seen = np.ones(values.shape, dtype=bool) if seen is None else np.asarray(seen, dtype=bool)
        return earth_engine_compute.StoredBand(
            values, seen, "EPSG:32631", Affine(pixel_m, 0, 500_000, 0, -pixel_m, 4_900_000)
        )

    return make


@pytest.fixture
def run(pixels, band):
    """Evaluate a call on images ``a`` and ``b``, both with the bands x and y."""
    stored = {
        "a": {"x": band([[1, 2, 3, 4], [5, 6, 7, 8]]), "y": band([[10, 20]], [[1, 0]], 20.0)},
        "b": {"x": band([[9, 1, 9, 1], [9, 1, 9, 1]], [[1, 1, 0, 0]] * 2), "y": band([[3, 3]], pixel_m=20.0)},
    }

    def evaluate(function, nodes=None, **arguments):
        expression = request(function, **arguments)
        expression["values"] |= nodes or {}
        return earth_engine_compute.evaluate(expression, pixels, stored.__getitem__)

    return evaluate


def test_pixels_of_20_m_are_repeated_and_what_is_masked_stays_so(run):
    image = run("Image.select", input=A, bandSelectors=["y"])
    assert image["y"].tolist() == [[10, 10, None, None]] * 2


def test_pixels_beyond_an_image_are_masked(band):
    east = earth_engine_compute.PixelGrid.of(request_grid(Grid(32631, 500_020.0, 4_900_010.0, 2, 4, 10.0)))
    image = earth_engine_compute.evaluate(
        request("Image.select", input=A, bandSelectors=["x"]), east, lambda _: {"x": band([[1, 2, 3, 4]])}
    )
    assert image["x"].tolist() == [[None] * 4, [3, 4, None, None]]


def test_an_image_of_another_zone_is_read_by_nearest_neighbour_as_files_are(tmp_path):
    values = np.arange(1, 2501, dtype=np.uint16).reshape(50, 50)
    place = Affine(10, 0, 299_000, 0, -10, 4_899_900)
    with rasterio.open(
        tmp_path / "b.tif",
        "w",
        driver="GTiff",
        height=50,
        width=50,
        count=1,
        dtype="uint16",
        crs="EPSG:32632",
        transform=place,
    ) as raster:
        raster.write(values, 1)
    x, y = Transformer.from_crs(32632, 32631, always_xy=True).transform(299_250, 4_899_650)
    grid = Grid(32631, round(x / 10) * 10.0 - 200, round(y / 10) * 10.0 + 150, 30, 40, 10.0)
    band = earth_engine_compute.StoredBand(values, values > 0, "EPSG:32632", place)
    found = earth_engine_compute.evaluate(
        request("Image.select", input=A, bandSelectors=["x"]),
        earth_engine_compute.PixelGrid.of(request_grid(grid)),
        lambda _: {"x": band},
    )
    layer = read_layer(str(tmp_path / "b.tif"), grid)
    assert layer.resampled
    assert (layer.values > 0).all()
    # A centre within a micrometre of an edge may fall to either side.
    assert (found["x"].filled(0) == layer.values).mean() > 0.999


def test_two_images_are_masked_where_one_is(run):
    assert run("Image.max", image1=A, image2=B)["x"].tolist() == [[9, 2, None, None], [9, 6, None, None]]


def test_unmasking_fills_and_masks_nothing(run):
    value = call("Image.constant", value={"constantValue": 0})
    image = run("Image.unmask", input=B, value=value, sameFootprint=False)
    assert image["x"].tolist() == [[9, 1, 0, 0]] * 2
    with pytest.raises(ValueError, match="footprints"):
        run("Image.unmask", input=B, value=value)


def test_classes_without_a_place_are_masked_unless_there_is_a_default(run):
    chosen = call("Image.select", input=A, bandSelectors={"constantValue": ["x"]})
    to = {"from": [1, 2, 6], "to": [1, 1, 1]}
    assert run("Image.remap", image=chosen, **to)["remapped"].tolist() == [[1, 1, None, None], [None, 1, None, None]]
    assert run("Image.remap", image=chosen, defaultValue=0, **to)["remapped"].tolist() == [[1, 1, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("reducer", "expected"),
    [
        ("median", [5.0, 1.5, 3.0, 4.0]),
        ("mean", [5.0, 1.5, 3.0, 4.0]),
        ("sum", [10.0, 3.0, 3.0, 4.0]),
        ("min", [1, 1, 3, 4]),
    ],
)
def test_reducers_see_what_is_not_masked(run, reducer, expected):
    both = call("ImageCollection.fromImages", images={"arrayValue": {"values": [A, B]}})
    image = run("ImageCollection.reduce", collection=both, reducer=call(f"Reducer.{reducer}"))
    assert image[f"x_{reducer}"][0].tolist() == expected


def test_the_median_of_an_odd_count_is_the_middle_value(run):
    three = call("ImageCollection.fromImages", images={"arrayValue": {"values": [A, B, A]}})
    image = run("ImageCollection.reduce", collection=three, reducer=call("Reducer.median"))
    assert image["x_median"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_a_mosaic_shows_the_last_image_on_top(run):
    both = call("ImageCollection.fromImages", images={"arrayValue": {"values": [A, B]}})
    assert run("ImageCollection.mosaic", collection=both)["x"].tolist() == [[9, 1, 3, 4], [9, 1, 7, 8]]


def test_images_of_several_types_are_no_collection(run):
    halves = call("Image.add", image1=B, image2=call("Image.constant", value={"constantValue": 0.5}))
    both = call("ImageCollection.fromImages", images={"arrayValue": {"values": [A, halves]}})
    with pytest.raises(ValueError, match="homogeneous"):
        run("ImageCollection.mosaic", collection=both)


def test_a_function_is_mapped_over_images(run):
    body = call("Image.select", input={"argumentReference": "one"}, bandSelectors={"constantValue": ["x"]})
    both = call("ImageCollection.fromImages", images={"arrayValue": {"values": [A, B]}})
    function = {"functionDefinitionValue": {"argumentNames": ["one"], "body": "body"}}
    mapped = call("Collection.map", collection=both, baseAlgorithm=function)
    assert list(run("ImageCollection.mosaic", nodes={"body": body}, collection=mapped)) == ["x"]


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        ("Image.entropy", {"image": A}, "function Image.entropy is unknown"),
        ("Image.select", {"input": A, "bandSelectors": ["z"]}, "'z' did not match"),
        ("Image.floor", {"value": A, "scale": 1}, "Image.floor has no argument scale"),
        ("Reducer.median", {}, "the result is a _Reducer"),
        ("Image.addBands", {"dstImg": A, "srcImg": B}, "band x is there twice"),
        ("Image.floor", {"value": {"bytesValue": "x"}}, "kind bytesValue"),
    ],
)
def test_what_the_stand_in_does_not_know_is_refused_by_name(run, function, arguments, told):
    with pytest.raises(ValueError, match=told):
        run(function, **arguments)


def test_another_grid_than_the_one_asked_for_is_refused(run):
    crs = call("Projection", crs={"constantValue": "EPSG:32631"})
    arguments = {"image": A, "crs": crs}
    assert run("Image.reproject", crsTransform=[10, 0, 300_000, 0, -10, 5_000_000], **arguments)["x"].count() == 8
    for transform in ([10, 0, 300_005, 0, -10, 5_000_000], [20, 0, 300_000, 0, -20, 5_000_000]):
        with pytest.raises(ValueError, match="another grid"):
            run("Image.reproject", crsTransform=transform, **arguments)


def test_every_function_and_argument_is_one_of_the_service():
    shipped = json.loads((importlib.resources.files("ee") / "tests" / "algorithms.json").read_text())["algorithms"]
    known = {one["name"].removeprefix("algorithms/"): one.get("arguments", []) for one in shipped}
    for name, (_, *arguments) in earth_engine_compute.FUNCTIONS.items():
        assert set(arguments) <= {one["argumentName"] for one in known[name]}, name


@pytest.mark.parametrize(
    ("bands", "shape", "told"),
    [
        (MOST_BANDS, (1, 1), None),
        (MOST_BANDS + 1, (1, 1), "Too many bands"),
        (1, (1, LONGEST_SIDE), None),
        (1, (1, LONGEST_SIDE + 1), "must be at most"),
        (2, (4096, 2048), None),
        (2, (4096, 2049), "must be less than or equal to 50331648 bytes"),
    ],
)
def test_the_limits_of_the_service_hold(bands, shape, told):
    grid = earth_engine_compute.PixelGrid("EPSG:32631", Affine.identity(), *shape)
    image = {f"b{index}": np.ma.MaskedArray(np.broadcast_to(np.uint16(1), shape)) for index in range(bands)}
    if told is None:
        earth_engine_compute.check_limits(image, grid)
    else:
        with pytest.raises(ValueError, match=told):
            earth_engine_compute.check_limits(image, grid)


@pytest.fixture
def composited(earth_engine):
    """Composite tiny images by an expression of the real client: ``composited([[image, ...], ...], stored)``."""

    def run(overpasses, stored, statistic="median", classes=(4, 5)):
        def build(ee):
            return ee.serializer.encode(
                composite_expression(ee, {1: overpasses}, ("B02", "B05"), classes, statistic, GRID)
            )

        body = {"expression": called("it", build), "fileFormat": "NPY", "grid": request_grid(GRID)}
        pixels = np.load(io.BytesIO(earth_engine_compute.answer(body, stored.__getitem__)))
        return read_pixels(pixels, {1: overpasses}, 3, ("B02", "B05"), "it")

    return run


def stored_as(name, clipped=False):
    return StoredImage(name, {"B02": "B2", "B05": "B5", "SCL": "SCL"}, clipped)


@pytest.fixture
def scene(band):
    def make(blue, rededge=(7, 7), scl=(4, 4), seen=None):
        return {
            "B2": band([blue, blue], seen and [seen, seen]),
            "B5": band([rededge], pixel_m=20.0),
            "SCL": band([scl], pixel_m=20.0, dtype="uint8"),
        }

    return make


def test_an_even_count_is_rounded_with_halves_up(composited, scene):
    stored = {"one": scene([1, 2, 10, 65535]), "two": scene([2, 4, 20, 65534], scl=(4, 8))}
    composite, observations = composited([[stored_as("one")], [stored_as("two")]], stored)
    assert observations[1].tolist() == [[2, 2, 1, 1]] * 2
    assert composite[1, 0].tolist() == [[2, 3, 10, 65535]] * 2
    assert not composite[[0, 2]].any()
    assert not observations[[0, 2]].any()


def test_a_clipped_value_is_1_and_a_masked_one_is_nodata(composited, scene):
    stored = {"new": scene([0, 0, 5, 6], seen=[1, 0, 1, 1]), "old": scene([0, 0, 5, 6], seen=[1, 0, 1, 1])}
    composite, observations = composited([[stored_as("new", clipped=True)]], stored)
    assert composite[1, 0, 0].tolist() == [1, 0, 5, 6]
    assert observations[1, 0].tolist() == [1, 0, 1, 1]
    composite, observations = composited([[stored_as("old")]], stored)
    assert composite[1, 0, 0].tolist() == [0, 0, 5, 6]
    # Jointly over bands: the other band is nodata there too.
    assert composite[1, 1, 0].tolist() == [0, 0, 7, 7]


def test_of_one_overpass_the_first_image_counts_where_it_is_clear(composited, scene):
    stored = {"first": scene([100] * 4, scl=(4, 9)), "second": scene([300] * 4), "later": scene([200] * 4)}
    together = composited([[stored_as("first"), stored_as("second")], [stored_as("later")]], stored)
    assert together[0][1, 0, 0].tolist() == [150, 150, 250, 250]
    assert together[1][1, 0].tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(("shape", "size"), [((1000, 1000), 384), ((40, 30), 384), ((1, 40_000), 3), ((9000, 9000), 3)])
def test_parts_cover_a_grid_once_and_keep_the_limits(shape, size):
    covered = np.zeros(shape, dtype=np.uint8)
    for part in cut_parts(shape, size):
        covered[part.row : part.row + part.height, part.column : part.column + part.width] += 1
        assert part.height * part.width * size <= LARGEST_BYTES
        assert max(part.height, part.width) <= LONGEST_SIDE
    assert (covered == 1).all()


def test_a_year_of_ten_bands_on_a_10_km_square_is_few_requests_and_full_ones():
    size = 12 * (10 * 3 + 2)
    parts = cut_parts((1000, 1000), size)
    filled = [part.height * part.width * size / LARGEST_BYTES for part in parts]
    assert len(parts) == 8
    assert min(filled) > 0.8


def test_halves_are_the_part():
    assert Part(2, 3, 5, 4).halves() == (Part(2, 3, 2, 4), Part(4, 3, 3, 4))
    assert Part(2, 3, 4, 5).halves() == (Part(2, 3, 4, 2), Part(2, 5, 4, 3))


def test_periods_are_grouped_below_the_limit_of_bands():
    groups = list(band_groups(11, list(range(200))))
    assert [period for group in groups for period in group] == list(range(200))
    assert max(len(group) for group in groups) * 11 <= MOST_BANDS


def test_an_answer_that_lacks_a_band_is_refused():
    pixels = np.zeros((2, 4), dtype=[("p01_B02", "u2"), ("p01_B05", "f4"), ("p01_observations", "u1")])
    with pytest.raises(CropflowError, match="Band p01_B05 of it is float32 in the answer"):
        read_pixels(pixels, {1: [[stored_as("x")]]}, 3, ("B02", "B05"), "it")
    with pytest.raises(CropflowError, match="Band p01_B03 of it is missing"):
        read_pixels(pixels, {1: [[stored_as("x")]]}, 3, ("B03",), "it")
