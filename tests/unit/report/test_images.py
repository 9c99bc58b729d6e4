from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image

from cropflow.report.images import (
    AGREE,
    DIFFER,
    GREY,
    RAMP,
    as_jpeg,
    as_png,
    colour_classes,
    colour_errors,
    colour_percent,
    kept_every,
    true_colour,
)


def decode(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, (5, 7, 3)))
def test_a_picture_of_few_colours_comes_back_as_it_was(rgb):
    assert np.array_equal(decode(as_png(rgb, 7)), rgb)


def test_a_picture_of_very_many_colours_comes_back_as_it_was():
    rgb = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    assert len(np.unique(rgb.reshape(-1, 3), axis=0)) > 256
    assert np.array_equal(decode(as_png(rgb, 40)), rgb)


def test_a_large_picture_keeps_every_nth_pixel():
    rgb = np.random.default_rng(0).integers(0, 256, (100, 30, 3)).astype(np.uint8)
    assert kept_every(rgb.shape, 40) == 3
    assert np.array_equal(decode(as_png(rgb, 40)), rgb[::3, ::3])


def test_a_small_picture_is_enlarged_by_whole_factors():
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    assert np.array_equal(decode(as_png(rgb, 30)), rgb.repeat(3, axis=0).repeat(3, axis=1))


@pytest.mark.parametrize(("shape", "expected"), [((60, 30), (30, 15)), ((4, 5), (24, 30)), ((25, 30), (25, 30))])
def test_a_photograph_fits_the_side(shape, expected):
    assert decode(as_jpeg(np.full((*shape, 3), 80, dtype=np.uint8), 30)).shape[:2] == expected


def test_a_photograph_keeps_its_colours_nearly():
    rgb = np.full((20, 20, 3), (120, 90, 40), dtype=np.uint8)
    assert np.abs(decode(as_jpeg(rgb, 20)).astype(int) - rgb).max() <= 3


def test_codes_without_a_colour_are_grey():
    rgb = colour_classes(np.array([[1, 9], [65534, 1]], dtype=np.uint16), {1: (10, 20, 30)})
    assert rgb.tolist() == [[[10, 20, 30], list(GREY)], [list(GREY), [10, 20, 30]]]


def test_agreement_shows_nothing_where_nothing_compares():
    truth, predicted = np.array([[1, 1, 2]]), np.array([[1, 2, 2]])
    rgb = colour_errors(truth, predicted, np.array([[True, True, False]]))
    assert rgb[0].tolist() == [list(AGREE), list(DIFFER), list(GREY)]


def test_a_pixel_without_a_value_in_any_band_is_grey():
    reflectance = np.full((3, 1, 2), 1000, dtype=np.uint16)
    reflectance[2, 0, 1] = 0
    rgb = true_colour(reflectance)
    assert rgb[0, 1].tolist() == list(GREY)
    assert rgb[0, 0].tolist() != list(GREY)


def test_true_colour_is_clipped_at_both_ends():
    reflectance = np.array([[[1, 10_000]]] * 3, dtype=np.uint16)
    assert true_colour(reflectance)[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_probability_runs_through_the_ramp():
    rgb = colour_percent(np.array([[0, 50, 100, 255]], dtype=np.uint8))
    assert rgb[0].tolist() == [list(RAMP[0]), list(RAMP[2]), list(RAMP[-1]), list(GREY)]
