import itertools

import numpy as np
import pytest

from cropflow.evaluation.baseline import majority_confusions
from cropflow.evaluation.intervals import balanced_accuracy_error, chance_error, parcel_intervals


def draw(parcels, right, seed=1):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 3, size=parcels)
    predicted = np.where(generator.random(parcels) < right, truth, (truth + 1) % 3)
    return truth, predicted


def test_the_interval_of_overall_accuracy_is_that_of_a_binomial_share():
    truth, predicted = draw(400, 0.8)
    levels = [(np.arange(3), 3)]
    (found,) = parcel_intervals(truth, predicted, np.ones(400), levels, 3, seed=0)
    share = (truth == predicted).mean()
    low, high = found["overall_accuracy"]
    assert low < share < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.15)


def test_the_same_seed_gives_the_same_intervals():
    truth, predicted = draw(50, 0.6)
    levels = [(np.array([0, 0, 1]), 2), (np.arange(3), 3)]
    first, again, other = (parcel_intervals(truth, predicted, np.ones(50), levels, 3, seed) for seed in (4, 4, 5))
    assert first == again
    assert first != other
    assert first[0]["overall_accuracy"][0] >= first[1]["overall_accuracy"][0]


def test_one_large_parcel_widens_the_interval_of_areas():
    truth, predicted = draw(100, 0.7)
    weights = np.ones(100)
    weights[0] = 200.0
    levels = [(np.arange(3), 3)]
    even, uneven = (
        parcel_intervals(truth, predicted, chosen, levels, 3, 0)[0]["overall_accuracy"]
        for chosen in (np.ones(100), weights)
    )
    assert uneven[1] - uneven[0] > 1.5 * (even[1] - even[0])


def test_rare_crops_that_are_missed_make_the_interval_of_balanced_accuracy_lopsided():
    truth = np.repeat(np.arange(5), [300, 200, 1, 1, 1])
    predicted = np.where(truth < 2, truth, 0)
    (found,) = parcel_intervals(truth, predicted, np.ones(len(truth)), [(np.arange(5), 5)], 5, seed=0)
    low, high = found["balanced_accuracy"]
    # Recalls are 1, 1, 0, 0 and 0; a resample without the three rare parcels has a balanced accuracy of 1.
    assert low == pytest.approx(0.4) and high == pytest.approx(1.0)


def test_no_parcel_gives_no_interval():
    nothing = np.array([], dtype=np.int64)
    (found,) = parcel_intervals(nothing, nothing, np.array([]), [(np.arange(3), 3)], 3, 0)
    assert set(found.values()) == {None}


def test_the_standard_error_of_many_parcels_is_that_of_binomial_recalls():
    confusion = np.array([[8000.0, 2000.0], [3000.0, 7000.0]])
    expected = np.sqrt(0.8 * 0.2 / 10_000 + 0.7 * 0.3 / 10_000) / 2
    assert balanced_accuracy_error(confusion) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("error", [balanced_accuracy_error, chance_error])
def test_a_class_without_parcels_adds_no_error(error):
    with_empty = np.array([[3.0, 2.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    assert error(with_empty) == pytest.approx(error(with_empty[:2, :2]))
    assert np.isnan(error(np.zeros((2, 2))))


def test_the_error_of_chance_is_the_spread_over_all_permutations():
    truth, predicted = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 0, 3, 2, 1])
    support = np.bincount(truth)
    scores = [
        sum((dealt == truth)[truth == crop].sum() / support[crop] for crop in range(3)) / 3
        for dealt in map(np.array, itertools.permutations(predicted))
    ]
    confusion = np.bincount(truth * 4 + predicted, minlength=16).reshape(4, 4).astype(float)
    assert chance_error(confusion) == pytest.approx(np.std(scores))


def test_guesses_stray_from_chance_by_the_error_of_chance():
    generator = np.random.default_rng(3)
    shares = np.array([0.6, 0.25, 0.1, 0.05])
    scores, errors = [], []
    for _ in range(300):
        truth, predicted = (generator.choice(4, size=200, p=shares) for _ in range(2))
        confusion = np.bincount(truth * 4 + predicted, minlength=16).reshape(4, 4).astype(float)
        scores.append(np.mean([confusion[row, row] / confusion[row].sum() for row in range(4)]))
        errors.append(chance_error(confusion))
    assert np.mean(scores) == pytest.approx(0.25, abs=0.01)
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.15)
    assert np.mean(np.abs(np.array(scores) - 0.25) < 3 * np.array(errors)) > 0.98


def test_the_majority_class_comes_from_the_training_folds_alone():
    support = np.array([[9.0, 1.0, 0.0], [0.0, 8.0, 0.0], [1.0, 0.0, 3.0], [2.0, 0.0, 3.0]])
    confusions = np.zeros((4, 1, 3, 3))
    for fold, row in enumerate(support):
        confusions[fold, 0, np.arange(3), np.arange(3)] = row
    majority = majority_confusions(confusions)
    # Fold f learns from all but f and f + 1.
    for fold, expected in enumerate([2, 0, 0, 1]):
        assert np.flatnonzero(majority[fold, 0].sum(axis=0)).tolist() == [expected]
        np.testing.assert_array_equal(majority[fold, 0].sum(axis=1), support[fold])


def test_training_folds_without_labels_have_no_majority():
    assert majority_confusions(np.zeros((3, 2, 2, 2))).sum() == 0
