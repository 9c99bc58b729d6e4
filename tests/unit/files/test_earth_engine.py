"""Assets of Earth Engine as maps of classes: the same pixels as a file's, and what is told where there are none."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from affine import Affine

from cropflow.errors import CropflowError
from cropflow.files import earth_engine as assets
from cropflow.files import earth_engine_calls as calls
from cropflow.files.class_rasters import Span, open_classes

NAME = "JRC/D5/EUCROPMAP/V1/2018"
ADDRESS = f"ee://{NAME}"
TRANSFORM = Affine(10.0, 0.0, 3_760_000.0, 0.0, -10.0, 2_880_000.0)
VALUES = np.random.default_rng(0).integers(0, 300, (50, 80)).astype(np.uint16)


def test_an_asset_is_the_same_map_as_a_file_of_its_pixels(earth_engine, class_map):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    with open_classes(class_map(VALUES), (211,)) as file, open_classes(ADDRESS, (211,)) as asset:
        assert (asset.name, asset.crs.to_json(), asset.transform) == (ADDRESS, file.crs.to_json(), file.transform)
        assert (asset.height, asset.width, asset.bounds) == (50, 80, file.bounds)
        for span in (Span(0, 0, 50, 80), Span(7, 11, 20, 30), Span(49, 79, 1, 1)):
            (values, valid), (expected, usable) = asset.read(span), file.read(span)
            assert np.array_equal(values, expected)
            assert np.array_equal(valid, usable)
            assert values.dtype == expected.dtype


def test_a_part_is_asked_for_on_the_assets_own_grid_and_alone(earth_engine):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    with open_classes(ADDRESS) as asset:
        asset.read(Span(7, 11, 20, 30))
    (grid,) = earth_engine.grids
    assert grid["crsCode"] == "EPSG:3035"
    assert grid["dimensions"] == {"height": 20, "width": 30}
    assert (grid["affineTransform"]["translateX"], grid["affineTransform"]["translateY"]) == (3_760_110, 2_879_930)
    assert (grid["affineTransform"]["scaleX"], grid["affineTransform"]["scaleY"]) == (10, -10)


def test_a_large_part_is_asked_for_in_tiles(earth_engine, monkeypatch):
    monkeypatch.setattr(assets, "TILE_PIXELS", 32)
    earth_engine.add(NAME, VALUES, TRANSFORM)
    with open_classes(ADDRESS) as asset:
        values, _ = asset.read(Span(1, 2, 49, 70))
    assert np.array_equal(values, VALUES[1:50, 2:72])
    sides = [(grid["dimensions"]["height"], grid["dimensions"]["width"]) for grid in earth_engine.grids]
    assert sides == [(32, 32), (32, 32), (32, 6), (17, 32), (17, 32), (17, 6)]


def test_every_request_waits_for_its_turn(earth_engine):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    before = assets.LIMITS.requests
    with open_classes(ADDRESS) as asset:
        asset.read(Span(7, 11, 20, 30))
    # The description of the service twice and its algorithms, then the asset and its pixels.
    assert assets.LIMITS.requests - before == 3 + 2


def test_a_tile_of_the_widest_type_is_within_what_the_service_sends(earth_engine):
    earth_engine.add(NAME, np.ones((2048, 3000), dtype=np.int32), TRANSFORM)
    with open_classes(ADDRESS) as asset:
        assert asset.read(Span(0, 0, 2048, 3000))[0].all()
    assert len(earth_engine.grids) == 2


@pytest.mark.parametrize("dtype", assets.INTEGERS)
def test_a_bands_range_of_values_tells_its_type(earth_engine, dtype):
    limits = np.iinfo(dtype)
    stored = np.array([[limits.min, 1, limits.max]], dtype=dtype)
    earth_engine.add(NAME, stored, TRANSFORM)
    with open_classes(ADDRESS) as asset:
        values, valid = asset.read(Span(0, 0, 1, 3))
    assert values.dtype == dtype
    assert np.array_equal(values[valid], stored[stored != 0])


def test_a_crs_may_be_described_instead_of_named(earth_engine):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    with open_classes(ADDRESS) as asset:
        wkt = asset.crs.to_wkt()
    grid = earth_engine.descriptions[NAME]["bands"][0]["grid"]
    del grid["crsCode"]
    grid["crsWkt"] = wkt
    with open_classes(ADDRESS) as asset:
        assert asset.crs.to_epsg() == 3035


@pytest.mark.parametrize("status", sorted(calls.TRANSIENT))
def test_a_service_that_is_busy_is_asked_again(earth_engine, caplog, status):
    caplog.set_level(logging.INFO)
    earth_engine.add(NAME, VALUES, TRANSFORM)
    with open_classes(ADDRESS) as asset:
        earth_engine.statuses = [status, status]
        values, _ = asset.read(Span(0, 0, 5, 5))
    assert np.array_equal(values, VALUES[:5, :5])
    # The description, two refusals, and the pixels.
    assert len(earth_engine.asked) == 4
    assert caplog.text.count(f"{ADDRESS}: {status}: answer {status} as told; asking again in") == 2


def test_a_service_that_is_busy_when_the_client_connects_is_asked_again(earth_engine):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    earth_engine.first_statuses = [429, 503]
    with open_classes(ADDRESS) as asset:
        assert np.array_equal(asset.read(Span(0, 0, 50, 80))[0], VALUES)
    assert earth_engine.first_statuses == []


def test_a_project_that_is_not_registered_is_told_when_the_client_connects(earth_engine):
    earth_engine.first_statuses = [403]
    with pytest.raises(CropflowError, match=r"\(not now\)\. Run .*CROPFLOW_EE_PROJECT"), open_classes(ADDRESS):
        pass
    assert earth_engine.asked == []


def test_a_service_that_stays_busy_is_given_up_in_one_line(earth_engine):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    earth_engine.statuses = [429] * 20
    with (
        pytest.raises(CropflowError, match=r"cannot be read from Earth Engine \(429: answer 429 as told\), asked 8"),
        open_classes(ADDRESS),
    ):
        pass
    assert len(earth_engine.asked) == calls.ATTEMPTS


def test_a_service_that_is_out_of_reach_is_given_up_in_one_line(earth_engine, monkeypatch):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    monkeypatch.setenv(calls.ADDRESS, "http://127.0.0.1:9")
    with pytest.raises(CropflowError, match=r"\(ConnectionError: .*\), asked 8 times") as caught, open_classes(ADDRESS):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, ["without an account", "`earthengine authenticate`"]),
        (403, ["answer 403 as told", "`earthengine authenticate`", "CROPFLOW_EE_PROJECT"]),
        (
            404,
            [
                "does not exist on Earth Engine, or not for this account",
                "its collection, such as JRC/D5/EUCROPMAP/V1, tells its images",
            ],
        ),
        (400, ["400: answer 400 as told", "check the asset's id and its layer"]),
    ],
)
def test_a_refusal_is_one_line_with_the_cure_and_is_not_repeated(earth_engine, status, words):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    earth_engine.statuses = [status]
    with pytest.raises(CropflowError) as caught, open_classes(ADDRESS):
        pass
    assert all(word in str(caught.value) for word in [ADDRESS, *words]), caught.value
    assert "\n" not in str(caught.value)
    assert len(earth_engine.asked) == 1


def test_an_asset_that_is_not_there_is_told(earth_engine):
    with (
        pytest.raises(CropflowError, match=r"ee://JRC/none does not exist on Earth Engine"),
        open_classes("ee://JRC/none"),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "TABLE"}, r"2018 is of type TABLE; expected an IMAGE\. Name one\."),
        ({"type": "IMAGE_COLLECTION"}, r"is of type IMAGE_COLLECTION; expected an IMAGE, and it holds none\."),
        ({"bands": []}, r"has the bands none, and no layer is given"),
        ({"dataType": {"precision": "FLOAT"}}, r"stores FLOAT from 0 to 0; expected classes as integers"),
        ({"dataType": {"precision": "INT", "range": {"max": 4294967295}}}, r"stores INT from 0 to 4\.29497e\+09"),
        ({"crsCode": "SR-ORG:6974"}, r"has the CRS 'SR-ORG:6974', which PROJ does not know"),
        ({"crsCode": 'LOCAL_CS["site",UNIT["metre",1]]'}, r"has the local CRS 'site'"),
        ({"affineTransform": {"scaleX": 10, "scaleY": 10}}, r"expected a north-up grid"),
        ({"affineTransform": {"scaleX": 10, "scaleY": -10, "shearX": 1}}, r"expected a north-up grid"),
    ],
)
def test_an_asset_that_is_no_map_of_classes_is_refused(earth_engine, change, message):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    described = earth_engine.descriptions[NAME]
    (key,) = change
    place = described if key in described else described["bands"][0]
    (place if key in place else place["grid"]).update(change)
    with pytest.raises(CropflowError, match=message), open_classes(ADDRESS):
        pass


def test_a_collection_tells_its_images(earth_engine):
    for name in ("2018", "2022_eu27", "2022_ukraine"):
        earth_engine.add(f"JRC/D5/EUCROPMAP/V1/{name}", VALUES, TRANSFORM)
    earth_engine.descriptions["JRC/D5/EUCROPMAP/V1"] = {"type": "IMAGE_COLLECTION", "id": "JRC/D5/EUCROPMAP/V1"}
    with pytest.raises(CropflowError) as caught, open_classes("ee://JRC/D5/EUCROPMAP/V1"):
        pass
    images = ", ".join(f"JRC/D5/EUCROPMAP/V1/{name}" for name in ("2018", "2022_eu27", "2022_ukraine"))
    assert str(caught.value).endswith(f"expected an IMAGE, such as {images}. Name one.")


def test_of_several_bands_one_is_named(earth_engine):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    bands = earth_engine.descriptions[NAME]["bands"]
    bands.append(bands[0] | {"id": "quality"})
    with (
        pytest.raises(CropflowError, match=r"bands classification, quality, and no layer is given"),
        open_classes(ADDRESS),
    ):
        pass
    with (
        pytest.raises(CropflowError, match=r"and layer is 'class'; expected one of them as layer"),
        open_classes(ADDRESS, band="class"),
    ):
        pass
    with open_classes(ADDRESS, band="classification") as asset:
        assert np.array_equal(asset.read(Span(0, 0, 50, 80))[0], VALUES)


def test_pixels_that_the_description_does_not_promise_are_refused(earth_engine):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    earth_engine.descriptions[NAME]["bands"][0]["dataType"]["range"] = {"max": 255}
    with open_classes(ADDRESS) as asset, pytest.raises(CropflowError, match=r"uint16 pixels .* do not fit .*: uint8"):
        asset.read(Span(0, 0, 50, 80))


def test_pixels_that_are_cut_off_are_refused(earth_engine):
    earth_engine.add(NAME, VALUES, TRANSFORM)
    earth_engine.broken = True
    with open_classes(ADDRESS) as asset, pytest.raises(CropflowError, match=r"2018 sent pixels that cannot be read \("):
        asset.read(Span(0, 0, 50, 80))


def test_a_store_of_accounts_that_is_no_json_is_told(earth_engine, monkeypatch, tmp_path):
    monkeypatch.delenv(calls.ADDRESS)
    monkeypatch.delenv(calls.KEY_FILE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "earthengine").mkdir(parents=True)
    (tmp_path / ".config" / "earthengine" / "credentials").write_text("{secret")
    with pytest.raises(CropflowError, match=r"is no JSON \(.*Run `earthengine authenticate`") as caught:
        calls.asked(ADDRESS, lambda ee: ee.data.getAsset(NAME))
    assert "secret" not in str(caught.value)


def test_an_account_never_goes_to_an_address_without_encryption(earth_engine, monkeypatch, tmp_path):
    monkeypatch.setenv(calls.KEY_FILE, str(tmp_path / "never-read.json"))
    earth_engine.add(NAME, VALUES, TRANSFORM)
    with open_classes(ADDRESS):
        pass
    assert earth_engine.accounts == {None}


def test_an_address_without_encryption_elsewhere_is_refused(earth_engine, monkeypatch):
    monkeypatch.setenv(calls.ADDRESS, "http://example.org")
    with pytest.raises(CropflowError, match=r"CROPFLOW_EE_URL is 'http://example.org'; expected an https"):
        calls.asked(ADDRESS, lambda ee: ee.data.getAsset(NAME))


@pytest.mark.parametrize("named", [True, False])
def test_without_an_account_the_cure_is_told_in_one_line(earth_engine, monkeypatch, tmp_path, named):
    monkeypatch.delenv(calls.ADDRESS)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv(calls.KEY_FILE, raising=False)
    if named:
        monkeypatch.setenv(calls.KEY_FILE, str(tmp_path / "none.json"))
    with pytest.raises(CropflowError, match="without an account of Earth Engine") as caught, open_classes(ADDRESS):
        pass
    assert "\n" not in str(caught.value)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(caught.value)
    assert ("none.json" in str(caught.value)) == named
    assert earth_engine.asked == []
