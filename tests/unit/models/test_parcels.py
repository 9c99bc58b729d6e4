"""Models of parcels on whole sites: which pixels stand for a parcel, and where its answer is painted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError
from cropflow.models import predict_site
from cropflow.models.applying.gathering import batches_of_sets
from cropflow.models.applying.parcels import ParcelLayers
from cropflow.models.batch import Batch
from cropflow.samples.sensors import Layout
from cropflow.samples.stack import Stack

NOT_PREDICTED = 65535


@dataclass
class Mean:
    """Answers with the mean first value of a parcel's pixels over 10,000, as pixel sets or chips show them."""

    kind: Kind = "pixel_sets"
    classes: tuple[int, ...] = (3, 7)
    layouts: tuple[Layout, ...] = (Layout("sentinel2", ("B04",), (), ("2021-01-01", "2021-02-01")),)
    legend: str = "turkoglu"
    patch_size: int = 5
    batch: int = 40
    minimum_dates: int | None = None
    features: bool = False
    lags: int = 0
    seen: list[Batch] = field(default_factory=list)

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def probability(self, batch: Batch) -> np.ndarray[Any, Any]:
        self.seen.append(batch)
        one = batch.series["sentinel2"]
        valid = one.valid.numpy()[:, 0].reshape(len(batch), -1)
        values = one.values.numpy()[:, 0, 0].reshape(len(batch), -1) * valid
        mean = values.sum(1) / np.maximum(valid.sum(1), 1) / 10_000
        return np.stack([mean, 1 - mean], axis=1).astype(np.float32)


def layers(index: np.ndarray[Any, Any], interior: np.ndarray[Any, Any] | None = None) -> ParcelLayers:
    """Layers of parcels whose point is their first pixel."""
    length = int(index.max()) + 1
    points = np.zeros((length, 2), dtype=np.int64)
    for number in range(1, length):
        if (index == number).any():
            points[number] = np.argwhere(index == number)[0]
    outlines = np.tile([400.0, 8000.0], (length, 1))
    whole = np.ones(index.shape, bool) if interior is None else interior
    return ParcelLayers(index.astype(np.uint32), whole, points, outlines)


def site(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(1, 10001, (2, 1, height, width)).astype(np.uint16)


def optics(values: np.ndarray[Any, Any]) -> Stack:
    return Stack({"sentinel2": values})


@given(st.integers(1, 25), st.integers(1, 9), st.integers(0, 2**16), st.sampled_from([1, 7, 1000]))
@settings(max_examples=25, deadline=None)
def test_painting_equals_a_plain_loop_over_parcels(height: int, width: int, seed: int, batch: int) -> None:
    generator = np.random.default_rng(seed)
    index = generator.integers(0, 6, (height, width))
    where, interior = generator.random((2, height, width)) < 0.6
    values = site(height, width, seed)
    values[1, 0][generator.random((height, width)) < 0.2] = 0
    with pytest.MonkeyPatch.context() as patch:
        # Parcels then go on from strip to strip.
        patch.setattr("cropflow.models.applying.series.STRIP", 4)
        patch.setattr("cropflow.models.applying.gathering.STRIP", 4)
        found = predict_site(Mean(batch=batch), optics(values), where=where, parcels=layers(index, interior))
    expected = np.full((2, height, width), NOT_PREDICTED)
    for parcel in range(1, 6):
        mine = where & (index == parcel)
        used = mine & interior if (mine & interior).any() else mine
        used = used & (values[1, 0] != 0)
        if used.any():
            mean = values[0, 0][used].mean() / 10_000
            expected[:, mine] = np.rint(np.array([mean, 1 - mean]) * 10_000)[:, None]
    np.testing.assert_allclose(found, expected, atol=1)


def test_every_pixel_of_a_parcel_is_used_and_none_is_drawn() -> None:
    predictor = Mean(batch=10)
    predict_site(predictor, optics(site(30, 30)), parcels=layers(np.ones((30, 30))))
    (batch,) = predictor.seen
    assert batch.pixels is not None
    assert batch.pixels.shape == (1, 900) and bool(batch.pixels.all())


def test_a_parcel_across_blocks_is_told_from_the_pixels_of_each_block_alone() -> None:
    values, index = site(4, 8), np.ones((4, 8))
    values[0, 0, :, :4], values[0, 0, :, 4:] = 2000, 6000
    left = np.zeros((4, 8), bool)
    left[:, :4] = True
    for where, expected in ((left, 2000), (~left, 6000)):
        found = predict_site(Mean(), optics(values), where=where, parcels=layers(index))
        assert (found[0][where] == expected).all()
        assert (found[:, ~where] == NOT_PREDICTED).all()


def test_a_site_without_parcels_stays_not_predicted() -> None:
    for kind in ("pixel_sets", "chips"):
        predictor = Mean(kind=kind)
        found = predict_site(predictor, optics(site(6, 6)), parcels=layers(np.zeros((6, 6))))
        assert (found == NOT_PREDICTED).all()
        assert predictor.seen == []


def test_a_model_of_parcels_needs_parcels() -> None:
    with pytest.raises(CropflowError, match=r"one answer per parcel, and no parcels were given; expected those .*"):
        predict_site(Mean(), optics(site(6, 6)))


def test_sets_of_like_size_share_a_batch_within_its_budget() -> None:
    sizes = np.array([3, 50, 4, 3, 9, 10])
    batches = list(batches_of_sets(sizes, 20))
    assert sorted(int(one) for batch in batches for one in batch) == list(range(6))
    assert [sorted(sizes[batch].tolist()) for batch in batches] == [[3, 3, 4], [9, 10], [50]]


def test_a_chip_has_the_parcels_point_in_its_middle_and_nodata_beyond_the_site() -> None:
    index = np.zeros((9, 9))
    index[0, 0], index[4, 5], index[8, 8] = 1, 2, 3
    values = site(9, 9)
    predictor = Mean(kind="chips", batch=2)
    found = predict_site(predictor, optics(values), parcels=layers(index))
    chips = np.concatenate([batch.series["sentinel2"].values.numpy() for batch in predictor.seen])
    assert chips.shape == (3, 2, 1, 5, 5)
    np.testing.assert_array_equal(chips[:, 0, 0, 2, 2], [values[0, 0, 0, 0], values[0, 0, 4, 5], values[0, 0, 8, 8]])
    assert (chips[0, :, :, :2] == 0).all() and (chips[2, :, :, :, 3:] == 0).all()
    np.testing.assert_array_equal(chips[1], values[:, :, 2:7, 3:8])
    assert found[0, 4, 5] == round(values[0, 0, 2:7, 3:8].mean())


def test_features_tell_of_the_pixels_that_are_seen() -> None:
    index = np.zeros((6, 6))
    index[1:4, 1:5] = 1
    values = site(6, 6)
    values[0, 0, 1, 1] = 0  # a corner that is not seen leaves the box as it is
    predictor = Mean(features=True)
    predict_site(predictor, optics(values), parcels=layers(index))
    found = predictor.seen[0].features
    assert found is not None
    np.testing.assert_allclose(found.numpy(), [[400, 11, 11 / 12, 0.05]], rtol=1e-6)


def test_a_pixel_with_the_dates_that_training_asked_for_is_seen() -> None:
    values = site(1, 3)
    values[1, 0, 0, 1] = values[0, 0, 0, 2] = values[1, 0, 0, 2] = 0
    index = np.array([[1, 2, 3]])
    complete = predict_site(Mean(), optics(values), parcels=layers(index))
    assert (complete[0] != NOT_PREDICTED).tolist() == [[True, False, False]]
    partial = predict_site(Mean(minimum_dates=1), optics(values), parcels=layers(index))
    assert (partial[0] != NOT_PREDICTED).tolist() == [[True, True, False]]
    assert (predict_site(Mean(minimum_dates=2), optics(values), parcels=layers(index)) == complete).all()


def test_a_history_that_a_model_takes_goes_with_its_parcel() -> None:
    index = np.array([[1, 0, 2]])
    history = np.arange(9, dtype=np.float32).reshape(3, 1, 3)
    predictor = Mean(lags=1)
    predict_site(predictor, optics(site(1, 3)), parcels=replace(layers(index), history=history))
    found = predictor.seen[0].history
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), history[1:])
