"""EUCROPMAP from Earth Engine itself; skipped without an account."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from cropflow.errors import CropflowError
from cropflow.files.class_rasters import open_classes
from cropflow.files.earth_engine_calls import KEY_FILE
from cropflow.labels.legend import read_table

STORE = Path("~/.config/earthengine/credentials").expanduser()

pytestmark = pytest.mark.skipif(
    not (os.environ.get(KEY_FILE) or STORE.is_file()), reason="an account of Earth Engine is missing"
)


COLLECTION = "JRC/D5/EUCROPMAP/V1"


def test_the_collection_tells_images_of_both_years():
    with pytest.raises(CropflowError) as caught, open_classes(f"ee://{COLLECTION}"):
        pass
    names = re.findall(rf"{COLLECTION}/(\w+)", str(caught.value))
    assert any("2018" in name for name in names), names
    assert any("2022" in name for name in names), names


def test_the_map_of_2018_holds_the_codes_of_its_table():
    """A square of 5 km in the Beauce, in the projection of the map."""
    with open_classes(f"ee://{COLLECTION}/2018") as classes:
        assert classes.crs.to_epsg() == 3035
        assert (classes.transform.a, classes.transform.e) == (10, -10)
        span = classes.span((3_695_000, 2_820_000, 3_700_000, 2_825_000))
        values, valid = classes.read(span)
    assert values.shape[0] in (500, 501)
    assert values.shape[1] in (500, 501)
    assert valid.mean() > 0.9
    known = {int(code) for code in read_table("eucropmap", "eucropmap")}
    assert set(np.unique(values[valid]).tolist()) <= known
