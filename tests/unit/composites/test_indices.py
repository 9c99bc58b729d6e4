from __future__ import annotations

import math
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.composites.indices import derive_indices, needed_bands
from cropflow.config.imagery import SENTINEL2_BANDS, Index
from cropflow.errors import CropflowError

# The published formulas once more, in exact fractions.
EXACT = {
    "NDVI": lambda r: (r["B08"] - r["B04"]) / (r["B08"] + r["B04"]),
    "GNDVI": lambda r: (r["B08"] - r["B03"]) / (r["B08"] + r["B03"]),
    "NDVI45": lambda r: (r["B05"] - r["B04"]) / (r["B05"] + r["B04"]),
    "OSAVI": lambda r: Fraction(116, 100) * (r["B08"] - r["B04"]) / (r["B08"] + r["B04"] + Fraction(16, 100)),
    "PSRI": lambda r: (r["B04"] - r["B02"]) / r["B06"],
    "EVI": lambda r: Fraction(5, 2) * (r["B08"] - r["B04"]) / (r["B08"] + 6 * r["B04"] - 15 * r["B02"] / 2 + 1),
    "NDWI": lambda r: (r["B03"] - r["B08"]) / (r["B03"] + r["B08"]),
}


def derive(values: dict[str, int], indices: tuple[Index, ...]):
    bands = list(values)
    composite = np.array(list(values.values()), dtype=np.uint16).reshape(1, -1, 1, 1)
    found = derive_indices(composite, bands, indices, "site a")
    return found.values.ravel().tolist(), found.clipped.tolist()


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(1, 10_000), min_size=10, max_size=10))
def test_indices_equal_their_published_formulas(stored):
    values = dict(zip(SENTINEL2_BANDS, stored, strict=True))
    reflectance = {band: Fraction(value, 10_000) for band, value in values.items()}
    if reflectance["B08"] + 6 * reflectance["B04"] - 15 * reflectance["B02"] / 2 + 1 <= Fraction(1, 1000):
        reflectance["B02"], values["B02"] = Fraction(1, 10), 1000
    names = get_args(Index)
    found, clipped = derive(values, names)
    for name, value, cut in zip(names, found, clipped, strict=True):
        exact = 10_000 * EXACT[name](reflectance)
        if abs(exact) <= 32_767:
            assert abs(value - exact) <= Fraction(1, 2) + Fraction(1, 10**6), name
            assert cut == 0
        else:
            assert (value, cut) == (int(math.copysign(32_767, exact)), 1) or abs(exact) < 32_768, name


def test_a_green_field_is_green_by_every_index():
    field = {"B02": 300, "B03": 600, "B04": 400, "B05": 1000, "B06": 2500, "B08": 4000}
    found, clipped = derive(field, get_args(Index))
    assert found == [8182, 7391, 4286, 6960, 400, 6360, -7391]
    assert clipped == [0] * 7


def test_an_index_is_nodata_where_one_of_its_bands_is():
    found, clipped = derive({"B02": 0, "B04": 400, "B06": 2500, "B08": 4000}, ("PSRI", "NDVI", "EVI"))
    assert found == [-32768, 8182, -32768]
    assert clipped == [0, 0, 0]


def test_values_beyond_the_range_are_cut_off_and_counted():
    composite = np.array([[9000, 500], [9000, 500], [1, 2500]], dtype=np.uint16).reshape(1, 3, 1, 2)
    composite[0, 0, 0, 0] = 1
    found = derive_indices(composite, ["B02", "B04", "B06"], ["PSRI"], "site a")
    assert found.values.dtype == np.int16
    assert found.values.ravel().tolist() == [32767, 0]
    assert found.clipped.tolist() == [1]


def test_beyond_its_pole_evi_keeps_its_sign():
    found, clipped = derive({"B02": 5000, "B04": 1000, "B08": 4000}, ("EVI",))
    assert (found, clipped) == ([32767], [1])


def test_periods_and_indices_keep_their_order():
    composite = np.array([[3000, 1000], [1000, 3000]], dtype=np.uint16).reshape(2, 2, 1, 1)
    found = derive_indices(composite, ["B08", "B03"], ["GNDVI", "NDWI"], "site a").values
    assert found[:, :, 0, 0].tolist() == [[5000, -5000], [-5000, 5000]]


def test_a_missing_band_is_named_with_the_index_that_needs_it():
    with pytest.raises(CropflowError, match=r"site a has no band B06, which the index PSRI needs; it has B02, B04"):
        derive({"B02": 1, "B04": 1}, ("PSRI",))
    with pytest.raises(ValueError, match="expected 3 bands"):
        derive_indices(np.zeros((1, 2, 1, 1), np.uint16), ["B02", "B03", "B04"], (), "site a")


def test_every_index_tells_the_bands_that_it_needs():
    assert {index: needed_bands(index) for index in get_args(Index)}["PSRI"] == ("B02", "B04", "B06")
