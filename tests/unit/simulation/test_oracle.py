"""The ceiling: Gaussians with missing features, parcels seen in the archive, and the classification itself."""

import datetime
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.simulation.archive import write_archive
from cropflow.simulation.gaussians import classify, fit
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.observation import find_members, monthly_medians
from cropflow.simulation.oracle import ceiling

SEASONS = {"s": Season(start=datetime.date(2022, 10, 1), end=datetime.date(2023, 9, 30))}


def blobs(rng, count=400):
    kind = np.arange(count) % 3
    features = rng.standard_normal((count, 4)) + np.array([[0, 0, 0, 0], [4, 0, 0, 0], [0, 4, 0, 2]])[kind]
    return features, kind


def test_separate_gaussians_are_told_apart_and_a_rare_class_loses_ties():
    features, kind = blobs(np.random.default_rng(0))
    model = fit(features, kind, np.arange(3), np.log([0.4, 0.3, 0.3]), 0.5)
    assert (classify(model, features) == kind).mean() > 0.93
    halfway = np.array([[2.0, 0.0, 0.0, 0.0]])
    skewed = fit(features, kind, np.arange(3), np.log([0.9, 0.05, 0.05]), 0.5)
    assert classify(skewed, halfway)[0] == 0


def test_a_missing_feature_is_left_out_and_without_any_the_prior_decides():
    features, kind = blobs(np.random.default_rng(1))
    model = fit(features, kind, np.arange(3), np.log([0.2, 0.5, 0.3]), 1.0)
    partial = np.full((3, 4), np.nan)
    partial[0, 0], partial[1, 1] = 4.0, 4.0
    np.testing.assert_array_equal(classify(model, partial), [1, 2, 1])


def test_two_components_of_one_class_share_its_prior():
    features, kind = blobs(np.random.default_rng(2))
    model = fit(features, kind, np.array([0, 0, 1]), np.log([0.5, 0.5]), 0.5)
    found = classify(model, features)
    assert (found == np.array([0, 0, 1])[kind]).mean() > 0.9
    assert np.exp(model.log_weight[:2]).sum() == pytest.approx(0.5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_monthly_medians_equal_numpy_over_the_valid_dates(seed):
    rng = np.random.default_rng(seed)
    values = rng.random((5, 9, 2)).astype(np.float32)
    values[rng.random((5, 9)) < 0.5] = np.nan
    period = np.sort(rng.integers(0, 3, 9))
    found = monthly_medians(values, period)
    for parcel in range(5):
        for month in range(int(period.max()) + 1):
            part = values[parcel, period == month]
            part = part[~np.isnan(part[:, 0])]
            expected = np.median(part, axis=0) if len(part) else np.full(2, np.nan)
            np.testing.assert_allclose(found[parcel, month], expected, rtol=1e-6)


def test_members_are_whole_pixels_or_all_where_there_is_none():
    raster = np.zeros((8, 8), np.uint32)
    raster[:4, :4] = 1  # four whole pixels
    raster[4, 4:7] = 2  # never a whole pixel
    members = find_members(raster, np.ones((8, 8), np.uint8), 3)
    np.testing.assert_array_equal(members.count, [4, 2, 0])
    np.testing.assert_array_equal(members.pixel[members.field == 0], [0, 1, 4, 5])
    assert (members.purity[0, 0] > members.purity[:, 1]).all()
    assert (members.purity <= 1).all()


def run(tmp_path, side_km, seed=8, **knobs):
    made = Simulation(
        seed=seed,
        landscapes={"a": Landscape(centre=(2.6, 49.2), side_km=side_km)},
        seasons=("s",),
        imagery_seasons=("s",),
        sentinel1=False,
        difficulty=Difficulty(**knobs),
    )
    lands = [make_landscape("a", made.landscapes["a"], made)]
    write_archive(tmp_path, lands, made, SEASONS)
    return ceiling(tmp_path, lands, made, SEASONS)


def test_the_ceiling_is_reported_against_true_and_declared_crops(tmp_path):
    found = run(tmp_path, 0.9)
    json.dumps(found, allow_nan=False)
    season = found["a/s"]
    # A landscape that the true model tells without error would hold no difficulty.
    assert 0.4 < season["overall_accuracy"] < 0.97
    assert 0 <= season["balanced_accuracy"] <= 1
    assert season["parcels"] == sum(season["parcels_per_crop"].values()) > 20
    assert season["declared"]["parcels"] <= season["parcels"]


def test_with_every_difficulty_off_the_true_model_is_nearly_always_right(tmp_path):
    off = {name: 0.0 for name in Difficulty.model_fields}
    season = run(tmp_path, 0.9, **off)["a/s"]
    assert season["overall_accuracy"] > 0.95
    assert season["parcels_unseen"] <= 3
