from __future__ import annotations

import numpy as np
import pandas
import pytest

from cropflow.labels.annotation import NEGATIVE, POSITIVE, annotate, in_8_bits
from cropflow.labels.mapping import UNKNOWN
from cropflow.labels.registers.isrc_products import may_hold


def parcels(codes, products=None, calendars=None):
    table = pandas.DataFrame({"crop_code": pandas.Series(codes, dtype="str")})
    if products is not None:
        table["product"] = pandas.Series(products, dtype="str")
    if calendars is not None:
        table["calendar"] = calendars
    return table


def test_another_crop_is_a_negative_and_a_missing_code_is_unknown():
    labels = annotate(parcels(["canola", "cotton", None]), "canola")
    assert labels.dtype == np.uint16
    assert labels.tolist() == [POSITIVE, NEGATIVE, UNKNOWN]


def test_what_may_be_the_crop_is_no_negative():
    products = ["tomato", "summer_vegetables", "vegetables", "ploughed", "fallow", "wheat", None]
    table = parcels(["tomato", *["other"] * 6], products)
    labels = annotate(table, "tomato", may_hold=may_hold)
    assert labels.tolist() == [POSITIVE, UNKNOWN, UNKNOWN, UNKNOWN, NEGATIVE, NEGATIVE, UNKNOWN]
    assert annotate(table, "canola", may_hold=may_hold).tolist() == [0, 0, 0, UNKNOWN, 0, 0, UNKNOWN]


def test_a_positive_stays_one_whatever_its_product():
    assert annotate(parcels(["pea"], ["ploughed"]), "pea", may_hold=may_hold).tolist() == [POSITIVE]


def test_a_crop_that_stood_at_another_time_is_no_negative():
    table = parcels(["cotton", "cotton", "canola"])
    assert annotate(table, "canola", elsewhen=np.array([True, False, False])).tolist() == [UNKNOWN, NEGATIVE, POSITIVE]
    with pytest.raises(ValueError, match="3 parcels, but 1 of elsewhen"):
        annotate(table, "canola", elsewhen=np.array([True]))


def test_a_parcel_of_the_crop_on_another_calendar_is_neither():
    table = parcels(["onion", "onion", "pea"], calendars=[["Onion_Winter", "Onion_Spring"], ["Onion_Autumn"], []])
    assert annotate(table, "onion", "Onion_Winter").tolist() == [POSITIVE, UNKNOWN, NEGATIVE]


def test_eight_bits_keep_ids_and_the_two_special_values():
    labels = np.array([[0, 1, 253], [65534, 65535, 7]], dtype=np.uint16)
    assert in_8_bits(labels).tolist() == [[0, 1, 253], [254, 255, 7]]
    assert in_8_bits(labels).dtype == np.uint8


@pytest.mark.parametrize("id", [254, 255, 256, 2001, 65533])
def test_an_id_that_does_not_fit_into_eight_bits_is_refused(id):
    with pytest.raises(ValueError, match=f"{id}"):
        in_8_bits(np.array([1, id], dtype=np.uint16))
