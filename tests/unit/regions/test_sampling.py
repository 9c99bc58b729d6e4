from collections import Counter

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.regions.sampling import allocate, design, draw, strata_by_share


def frame(sizes):
    return pandas.DataFrame(
        [(f"{stratum}{n:03d}", stratum) for stratum, size in sizes.items() for n in range(size)],
        columns=["square", "stratum"],
    )


strata = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1)


@settings(max_examples=100, deadline=None)
@given(sizes=strata, allocation=st.sampled_from(["proportional", "equal"]), data=st.data())
def test_sizes_add_up_and_probabilities_sum_to_the_size(sizes, allocation, data):
    least = sum(min(2, size) for size in sizes.values())
    size = data.draw(st.integers(least, sum(sizes.values())))
    drawn = draw(frame(sizes), size, allocation, 2, seed=0)
    assert len(drawn) == size
    assert drawn["square"].is_unique
    found = drawn["stratum"].value_counts()
    for stratum, number in sizes.items():
        assert min(2, number) <= found[stratum] <= number
        here = drawn[drawn["stratum"] == stratum]
        assert (here["sample_squares"] == found[stratum]).all()
        assert (here["frame_squares"] == number).all()
    # Over the frame, drawn or not, the probabilities of all squares sum to the size; over the sample 1 / p sums to N.
    assert sum(sizes[s] * d["inclusion_probability"] for s, d in design(drawn).items()) == pytest.approx(size)
    assert (1 / drawn["inclusion_probability"]).sum() == pytest.approx(sum(sizes.values()))


@given(sizes=strata, data=st.data())
def test_proportional_shares_stray_from_the_ideal_by_less_than_one_square(sizes, data):
    total = sum(sizes.values())
    size = data.draw(st.integers(1, total))
    given_ = allocate(sizes, size, "proportional", 0)
    assert all(abs(given_[stratum] - size * number / total) < 1 for stratum, number in sizes.items())


def test_equal_shares_are_equal_and_what_a_small_stratum_lacks_goes_to_the_others():
    assert allocate({"a": 3, "b": 50, "c": 50}, 21, "equal", 2) == {"a": 3, "b": 9, "c": 9}
    assert allocate({"a": 30, "b": 50, "c": 50}, 20, "equal", 2) == {"a": 6, "b": 7, "c": 7}


def test_every_square_and_every_pair_of_a_stratum_is_drawn_as_often_as_its_probability_says():
    table = frame({"a": 6, "b": 4})
    squares, pairs = Counter(), Counter()
    rounds = 800
    for seed in range(rounds):
        drawn = draw(table, 5, "proportional", 2, seed)["square"].tolist()
        squares.update(drawn)
        pairs.update((one, other) for one in drawn for other in drawn if one < other)
    # Three of six and two of four: within four standard errors.
    for square in table["square"]:
        assert squares[square] / rounds == pytest.approx(0.5, abs=4 * (0.25 / rounds) ** 0.5)
    names = table["square"].tolist()
    for one in names:
        for other in names:
            if one < other:
                chance = 0.25 if one[0] != other[0] else (3 * 2 / (6 * 5) if one[0] == "a" else 2 * 1 / (4 * 3))
                error = (chance * (1 - chance) / rounds) ** 0.5
                assert pairs[one, other] / rounds == pytest.approx(chance, abs=4 * error), (one, other)


def test_a_draw_depends_on_the_seed_and_not_on_rows_or_other_strata():
    table = frame({"a": 40, "b": 40})
    drawn = draw(table, 20, "proportional", 2, 7)
    pandas.testing.assert_frame_equal(draw(table.sample(frac=1, random_state=1), 20, "proportional", 2, 7), drawn)
    assert draw(table, 20, "proportional", 2, 8)["square"].tolist() != drawn["square"].tolist()
    alone = draw(frame({"a": 40}), 10, "proportional", 2, 7)
    assert alone["square"].tolist() == drawn["square"][drawn["stratum"] == "a"].tolist()


def test_a_sample_that_does_not_fit_is_refused():
    with pytest.raises(CropflowError, match=r"choose\.size is 50, and the frame has 40 squares"):
        draw(frame({"a": 40}), 50, "proportional", 2, 0)
    with pytest.raises(CropflowError, match=r"choose\.size is 3; the 2 strata need 4 squares"):
        draw(frame({"a": 40, "b": 40}), 3, "proportional", 2, 0)


def test_a_stratum_with_one_square_of_many_is_warned_about(caplog):
    draw(frame({"a": 40, "b": 4}), 5, "proportional", 1, 0)
    assert "stratum b: a single square of 4 shows no variance" in caplog.text


def test_shares_fall_into_half_open_classes():
    share = np.array([0.0, 0.0999, 0.1, 0.3, 0.59, 0.6, 1.0])
    names = strata_by_share(share, (0.1, 0.3, 0.6))
    assert names == ["0-0.1", "0-0.1", "0.1-0.3", "0.3-0.6", "0.3-0.6", "0.6-1", "0.6-1"]
    with pytest.raises(CropflowError, match=r"1 of 2 squares .* no data in choose\.strata\.raster"):
        strata_by_share(np.array([0.5, np.nan]), (0.5,))
