import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cropflow.evaluation.parcels import NONE, ParcelSums, rank_parcels


def probabilities(generator, classes, pixels):
    drawn = generator.dirichlet(np.ones(classes), size=pixels).T
    return np.round(drawn * 10_000).astype(np.uint16)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(0, 40), st.integers(1, 7))
def test_means_equal_a_loop_over_parcels_whatever_the_pieces(seed, classes, pixels, piece):
    generator = np.random.default_rng(seed)
    index = generator.integers(1, 7, size=pixels)
    values = probabilities(generator, classes, pixels)
    sums = ParcelSums(8, classes)
    for start in range(0, pixels, piece):
        sums.add(index[start : start + piece], values[:, start : start + piece])
    for parcel in range(1, 9):
        mine = values[:, index == parcel]
        assert sums.pixels[parcel] == mine.shape[1]
        mean = sums.means(np.array([parcel]))[0]
        if mine.shape[1]:
            np.testing.assert_allclose(mean, mine.mean(axis=1) / 10_000)
        else:
            assert np.isnan(mean).all()


def test_the_class_is_that_of_the_highest_mean_not_of_most_pixels():
    sums = ParcelSums(1, 2)
    sums.add(np.array([1, 1, 1]), np.array([[5100, 5100, 0], [4900, 4900, 10000]], dtype=np.uint16))
    ranking = rank_parcels(sums.means(np.array([1])))
    assert ranking.first[0] == 1 and ranking.second[0] == 0
    np.testing.assert_allclose(ranking.first_probability + ranking.second_probability, 1.0)


def test_a_tie_goes_to_the_first_class():
    ranking = rank_parcels(np.array([[0.2, 0.4, 0.4]]))
    assert (ranking.first[0], ranking.second[0]) == (1, 2)


def test_a_parcel_without_pixels_has_no_class_and_no_runner_up():
    ranking = rank_parcels(np.array([[np.nan, np.nan], [0.3, 0.7]]))
    assert ranking.first.tolist() == [NONE, 1] and ranking.second.tolist() == [NONE, 0]
    assert np.isnan(ranking.first_probability[0]) and np.isnan(ranking.second_probability[0])


def test_a_model_of_one_class_has_no_runner_up():
    ranking = rank_parcels(np.array([[1.0], [np.nan]]))
    assert ranking.first.tolist() == [0, NONE]
    assert ranking.second.tolist() == [NONE, NONE] and np.isnan(ranking.second_probability).all()
