"""Scenes survive the table that keeps them, and no signature does."""

from __future__ import annotations

import dataclasses
import datetime
import math

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.files.tables import write_table
from cropflow.imagery.found import read_found, write_found
from cropflow.imagery.scenes import Scene

TEXT = st.text(max_size=12)
BOXES = st.none() | st.builds(lambda x, y: shapely.box(x, y, x + 1, y + 1), st.floats(-170, 170), st.floats(-80, 80))
SCENES = st.builds(
    Scene,
    id=TEXT,
    time=st.datetimes(datetime.datetime(2015, 1, 1), datetime.datetime(2030, 1, 1), timezones=st.just(datetime.UTC)),
    platform=TEXT,
    tile=TEXT,
    relative_orbit=st.integers(-1, 175),
    baseline=st.sampled_from(["", "05.10"]),
    made=TEXT,
    cloud_percent=st.just(math.nan) | st.floats(0, 100),
    extent=BOXES,
    outline=BOXES,
    layers=st.dictionaries(st.sampled_from(["B02", "SCL", "VV", "angle"]), st.just("https://host/a b.tif") | TEXT),
    source=TEXT,
    sensor=st.sampled_from(["sentinel2", "sentinel1_ascending"]),
    radiometry=st.sampled_from(["", "gamma0"]),
    unit=st.sampled_from(["", "dB"]),
)


def parts(scene):
    """All fields; NaN as text, so that it equals itself."""
    found = {field.name: getattr(scene, field.name) for field in dataclasses.fields(scene)}
    return found | {"cloud_percent": repr(scene.cloud_percent), "layers": dict(scene.layers)}


@given(st.lists(SCENES, max_size=4))
def test_every_field_of_a_scene_comes_back_as_it_was(tmp_path_factory, scenes):
    file = tmp_path_factory.mktemp("found") / "found.parquet"
    write_found(file, scenes)
    assert [parts(scene) for scene in read_found(file)] == [parts(scene) for scene in scenes]


def one(address):
    time = datetime.datetime(2023, 6, 1, tzinfo=datetime.UTC)
    return Scene("one", time, "p", "31TEJ", 8, "05.09", "", 5.0, None, None, {"B02": address}, "one")


@pytest.mark.parametrize(
    "query",
    [
        "st=2023&se=2024&sp=rl&sig=abc",
        "X-Amz-Signature=abc",
        "x-goog-signature=abc",
        "access_token=abc",
        "Expires=1&Signature=abc&Key-Pair-Id=K",
        "token",
    ],
)
def test_an_address_that_carries_a_signature_is_refused_and_not_repeated(tmp_path, query):
    with pytest.raises(CropflowError, match=r"layer B02 of scene one carries .* expected a plain address") as told:
        write_found(tmp_path / "found.parquet", [one(f"https://host/B02.tif?{query}")])
    assert "abc" not in str(told.value)
    assert not (tmp_path / "found.parquet").exists()


@pytest.mark.parametrize(
    "address", ["https://host/B02.tif?collection=s2&item=a", "s3://eodata/B02.jp2", "data/a?b.tif"]
)
def test_an_address_without_one_is_kept(tmp_path, address):
    write_found(tmp_path / "found.parquet", [one(address)])
    assert read_found(tmp_path / "found.parquet")[0].layers == {"B02": address}


def test_another_table_is_refused_in_one_line(tmp_path):
    import pandas

    write_table(tmp_path / "found.parquet", pandas.DataFrame({"id": ["one"]}))
    with pytest.raises(CropflowError, match="lacks the columns"):
        read_found(tmp_path / "found.parquet")
