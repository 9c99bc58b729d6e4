"""Whole sites: no seams, no prediction where none is wanted or possible."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError
from cropflow.models import predict_site
from cropflow.models.applying.windows import fade, window_starts
from cropflow.models.batch import Batch
from cropflow.samples.sensors import Layout
from cropflow.samples.stack import Stack

KINDS = st.sampled_from(["patches", "pixels"])


@dataclass
class Constant:
    """Gives every pixel the same probabilities."""

    values: tuple[float, ...] = (0.75, 0.25)
    kind: Kind = "patches"
    classes: tuple[int, ...] = (3, 7)
    layouts: tuple[Layout, ...] = (Layout("sentinel2", ("B04",), (), ("2021-01-01", "2021-02-01")),)
    legend: str = "turkoglu"
    patch_size: int = 8
    batch: int = 3
    minimum_dates: int | None = None
    features: bool = False
    lags: int = 0
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def probability(self, batch: Batch) -> np.ndarray[Any, Any]:
        reflectance = batch.series["sentinel2"].values
        self.shapes.append(tuple(reflectance.shape))
        space = batch.space
        values = np.array(self.values, np.float32).reshape(-1, *(1,) * len(space))
        return np.broadcast_to(values, (len(batch), len(self.values), *space))


class Pixel(Constant):
    """Probability from the pixel alone; windows must put it back where it came from."""

    def probability(self, batch: Batch) -> np.ndarray[Any, Any]:
        first = batch.series["sentinel2"].values.numpy()[:, 0, 0] / np.float32(10000)
        return np.stack([first, 1 - first], axis=1)


def optics(reflectance: Any) -> Stack:
    return Stack({"sentinel2": reflectance})


def site(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(1, 10001, (2, 1, height, width)).astype(np.uint16)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.25, 0.5, 0.7]), KINDS)
@settings(max_examples=40, deadline=None)
def test_a_constant_predictor_gives_a_constant_without_seams(
    height: int, width: int, overlap: float, kind: Kind
) -> None:
    found = predict_site(Constant(kind=kind), optics(site(height, width)), overlap=overlap)
    assert found.dtype == np.uint16
    assert (found[0] == 7500).all()
    assert (found[1] == 2500).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**16), KINDS)
@settings(max_examples=40, deadline=None)
def test_every_pixel_is_put_back_in_its_place(height: int, width: int, seed: int, kind: Kind) -> None:
    reflectance = site(height, width, seed)
    where = np.random.default_rng(seed).random((height, width)) < 0.3
    reflectance[1, 0][np.random.default_rng(seed + 1).random((height, width)) < 0.1] = 0
    found = predict_site(Pixel(kind=kind), optics(reflectance), where=where)
    kept = where & (reflectance[1, 0] != 0)
    np.testing.assert_allclose(found[0][kept].astype(int), reflectance[0, 0][kept].astype(int), atol=1)
    assert (found[:, ~kept] == 65535).all()


def test_windows_without_a_wanted_pixel_are_not_predicted() -> None:
    predictor = Constant()
    where = np.zeros((64, 64), bool)
    where[2, 3] = True
    found = predict_site(predictor, optics(site(64, 64)), where=where)
    assert (found != 65535).sum() == 2
    assert sum(shape[0] for shape in predictor.shapes) == 1


def test_nodata_stays_not_predicted() -> None:
    reflectance = site(12, 12)
    reflectance[1, 0, 4, 5] = 0
    found = predict_site(Constant(), optics(reflectance))
    assert (found[:, 4, 5] == 65535).all()
    assert (found == 65535).sum() == 2


@pytest.mark.parametrize("kind", ["patches", "pixels"])
def test_rows_are_read_once_and_a_strip_of_chunks_at_a_time(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cropflow.models.applying.series.STRIP", 6)
    whole = optics(site(30, 20))

    class Stored:
        shape = whole.shape

        def __init__(self) -> None:
            self.read: list[int] = []

        def window(self, rows: slice, columns: slice = slice(None)) -> Stack:
            part = whole.window(rows, columns)
            self.read += [part.shape[0]]
            return part

    stored, predictor = Stored(), Pixel(kind=kind)
    np.testing.assert_array_equal(predict_site(predictor, stored), predict_site(predictor, whole))
    assert sum(stored.read) == 30
    assert max(stored.read) <= 12


@pytest.mark.parametrize("kind", ["patches", "pixels"])
def test_a_pixel_needs_a_value_of_every_sensor(kind: Kind) -> None:
    periods = ("2021-01-01", "2021-02-01")
    layouts = (Layout("sentinel2", ("B04",), (), periods), Layout("sentinel1_ascending", ("VV",), (), periods))
    radar = np.full((2, 1, 10, 9), -1500, np.int16)
    radar[1, 0, 3, 4] = -32768
    radar[0, 0, 5, 5] = 0  # 0 dB is a value
    series = Stack({"sentinel1_ascending": radar, "sentinel2": site(10, 9)})
    found = predict_site(Constant(layouts=layouts, kind=kind), series)
    assert (found[:, 3, 4] == 65535).all()
    assert (found == 65535).sum() == 2
    with pytest.raises(CropflowError, match="are of sentinel2; the model expects sentinel2, sentinel1_ascending"):
        predict_site(Constant(layouts=layouts), optics(site(10, 9)))


def test_fading_windows_of_half_overlap_sum_to_one() -> None:
    weights = fade(8)
    assert weights.min() > 0
    np.testing.assert_allclose(weights[:4, :4] + weights[4:, :4] + weights[:4, 4:] + weights[4:, 4:], 1, rtol=1e-6)


@given(st.integers(1, 200), st.integers(1, 32), st.integers(1, 32))
def test_windows_cover_an_axis_and_stay_inside_it(length: int, size: int, step: int) -> None:
    starts = window_starts(length, size, min(step, size))
    covered = {pixel for start in starts for pixel in range(start, start + size)}
    assert set(range(length)) <= covered
    assert starts == sorted(set(starts))
    assert starts[-1] + size <= max(length, size)


def test_a_series_of_other_bands_or_periods_is_refused() -> None:
    with pytest.raises(CropflowError, match="expects 2 periods and 1 bands"):
        predict_site(Constant(), optics(np.ones((3, 1, 8, 8), np.uint16)))
    with pytest.raises(CropflowError, match="expects 2 periods and 1 bands"):
        predict_site(Constant(), optics(np.ones((2, 2, 8, 8), np.uint16)))
