"""EUCROPMAP from Earth Engine itself; skipped without an account."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cropflow.files.class_rasters import open_classes
from cropflow.files.earth_engine_calls import KEY_FILE
from cropflow.labels.legend import read_table

STORE = Path("~/.config/earthengine/credentials").expanduser()

pytestmark = pytest.mark.skipif(
    not (os.environ.get(KEY_FILE) or STORE.is_file()), reason="an account of Earth Engine is missing"
)


@pytest.mark.parametrize("year", [2018, 2022])
def test_the_map_of_a_year_holds_the_codes_of_its_table(year):
    """A square of 5 km in the Beauce, in the projection of the map."""
    with open_classes(f"ee://JRC/D5/EUCROPMAP/V1/{year}") as classes:
        assert classes.crs.to_epsg() == 3035
        assert (classes.transform.a, classes.transform.e) == (10, -10)
        span = classes.span((3_695_000, 2_820_000, 3_700_000, 2_825_000))
        values, valid = classes.read(span)
    assert values.shape[0] in (500, 501)
    assert values.shape[1] in (500, 501)
    assert valid.mean() > 0.9
    known = {int(code) for code in read_table("eucropmap", "eucropmap")}
    assert set(np.unique(values[valid]).tolist()) <= known
