"""Requests to Earth Engine: what they cover, how full they are, and the limits at which they are cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.imagery.earth_engine import requests as planner
from cropflow.imagery.earth_engine.requests import (
    LARGEST_BYTES,
    LONGEST_SIDE,
    MOST_BANDS,
    Sent,
    estimate_eecu_hours,
    plan_requests,
)

SENT = st.builds(Sent, st.sampled_from([1, 2, 4, 8]), st.sampled_from([0.25, 1.0]))


def stack(count, size=2):
    """So many layers of one type."""
    return {f"L{number}": Sent(size) for number in range(count)}


def counted(request, layers):
    """Bytes of a request as the service counts them, masks included."""
    return sum(layers[name].weight for name in request.layers) * request.height * request.width


def check(requests, layers, height, width):
    """Every layer is covered once, and every limit is kept."""
    seen = {name: np.zeros((height, width), np.uint8) for name in layers}
    for request in requests:
        assert counted(request, layers) <= planner.LARGEST_BYTES
        assert max(request.height, request.width) <= LONGEST_SIDE
        assert len(request.layers) <= MOST_BANDS
        rows = slice(request.row, request.row + request.height)
        for name in request.layers:
            seen[name][rows, request.column : request.column + request.width] += 1
    assert all((covered == 1).all() for covered in seen.values())


@given(
    layers=st.dictionaries(st.text("abcdef", min_size=1, max_size=3), SENT, min_size=1, max_size=30),
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    largest=st.integers(20, 20_000),
)
def test_together_they_cover_each_layer_once_within_the_limits(layers, height, width, largest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "LARGEST_BYTES", largest)
        check(plan_requests(layers, height, width), layers, height, width)


@given(
    count=st.integers(1, 40),
    size=st.sampled_from([1, 2, 8]),
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    largest=st.integers(500, 50_000),
)
def test_they_are_at_most_a_twentieth_more_than_the_fewest(count, size, height, width, largest):
    """Against every way to cut a stack of equal layers into equal parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "LARGEST_BYTES", largest)
        room = int(largest * planner.USED_SHARE / (size + 1))
        fewest = min(
            -(-count // bands) * -(-width // wide) * -(-height // min(room // (bands * wide), height))
            for bands, wide in itertools.product(range(1, count + 1), range(1, width + 1))
            if bands * wide <= room
        )
        assert len(plan_requests(stack(count, size), height, width)) <= 1.05 * fewest


def test_a_stack_that_fits_is_one_request():
    (request,) = plan_requests(stack(11), 512, 512)
    assert (request.row, request.column, request.height, request.width) == (0, 0, 512, 512)
    assert request.layers == tuple(stack(11))
    assert request.bytes == 11 * 2 * 512 * 512


def test_no_layers_are_no_request():
    assert plan_requests({}, 10, 10) == []


def test_the_byte_of_the_mask_counts_but_is_not_sent():
    """16 bands of two bytes fill 48 MiB at 1,024 x 1,024 with their masks, and two thirds of it without."""
    layers = stack(16)
    assert LARGEST_BYTES == 16 * 3 * 1024 * 1024
    requests = plan_requests(layers, 1024, 1024)
    assert len(requests) == 2
    assert sum(request.bytes for request in requests) == 16 * 2 * 1024 * 1024
    assert len(plan_requests(layers, 1024, 1013)) == 1


@pytest.mark.parametrize(("length", "parts"), [(LONGEST_SIDE, 1), (LONGEST_SIDE + 1, 2), (3 * LONGEST_SIDE, 3)])
def test_no_side_is_longer_than_the_service_allows(length, parts):
    for height, width in ((1, length), (length, 1)):
        requests = plan_requests(stack(2), height, width)
        assert len(requests) == parts
        check(requests, stack(2), height, width)


@pytest.mark.parametrize(("bands", "groups"), [(MOST_BANDS, 1), (MOST_BANDS + 1, 2), (2 * MOST_BANDS + 1, 3)])
def test_no_request_has_more_bands_than_the_service_allows(bands, groups):
    requests = plan_requests(stack(bands), 10, 10)
    assert len(requests) == groups
    check(requests, stack(bands), 10, 10)


def test_layers_keep_their_order_and_no_part_is_a_small_remainder():
    layers = stack(144)
    requests = plan_requests(layers, 1000, 1000)
    assert [name for request in requests for name in request.layers] == list(layers)
    full = [counted(request, layers) / LARGEST_BYTES for request in requests]
    assert len(full) == 9
    assert min(full) > 0.9


def test_parts_are_rather_square_than_narrow():
    """Strips of 45 rows would do with 218 requests; 224 read each tile of the service fewer times."""
    requests = plan_requests(stack(144), 5000, 5000)
    assert len(requests) <= 1.05 * 218
    assert min(request.height for request in requests) > 256


def test_a_pixel_larger_than_a_request_is_told(monkeypatch):
    monkeypatch.setattr(planner, "LARGEST_BYTES", 8)
    with pytest.raises(CropflowError, match="A pixel of one layer is larger than a request"):
        plan_requests({"a": Sent(8)}, 1, 1)


def test_compute_is_estimated_from_the_bytes():
    """The published figure itself, and a year of 73 scenes of a square of 10 km."""
    assert estimate_eecu_hours(800_000_000) == pytest.approx(5000 / 3600)
    requests = plan_requests({"ten": Sent(8), "twenty": Sent(13, 0.25)}, 1000, 1000)
    year = 73 * sum(request.bytes for request in requests)
    assert estimate_eecu_hours(year) == pytest.approx(1.43, abs=0.01)
