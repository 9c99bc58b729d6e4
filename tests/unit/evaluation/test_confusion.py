import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.evaluation.confusion import UNITS, coarsen, level_groups, long_table, scored_ids, tally
from cropflow.evaluation.metrics import average_metrics
from cropflow.labels.legend import read_legend

LEGEND = read_legend("turkoglu")
CROPS = st.sampled_from([0, *LEGEND.ids])


def plain_counts(pairs, ids):
    counts = np.zeros((len(ids), len(ids)))
    for truth, predicted in pairs:
        counts[ids.index(truth), ids.index(predicted)] += 1
    return counts


@given(st.lists(st.tuples(CROPS, CROPS), max_size=80))
def test_a_matrix_merged_to_a_coarser_level_is_the_matrix_of_the_mapped_labels(pairs):
    ids = [0, *sorted(LEGEND.ids)]
    fine = plain_counts(pairs, ids)
    for level in (1, 2, 3):
        coarse, groups = level_groups(LEGEND, ids, level)

        def mapped(crop, level=level):
            return 0 if crop == 0 else LEGEND.ancestor(crop, level)

        expected = plain_counts([(mapped(truth), mapped(predicted)) for truth, predicted in pairs], coarse)
        np.testing.assert_array_equal(coarsen(fine, groups, len(coarse)), expected)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0, 10)), max_size=40))
def test_counting_equals_a_plain_loop(rows):
    expected, weighted = np.zeros((5, 5)), np.zeros((5, 5))
    for truth, predicted, weight in rows:
        expected[truth, predicted] += 1
        weighted[truth, predicted] += weight
    truth, predicted = (np.array([row[part] for row in rows], dtype=np.int64) for part in (0, 1))
    np.testing.assert_array_equal(tally(truth, predicted, 5), expected)
    np.testing.assert_allclose(tally(truth, predicted, 5, np.array([row[2] for row in rows])), weighted)


def test_a_position_outside_the_classes_is_refused_and_never_dropped():
    with pytest.raises(ValueError, match="predicted spans 0 to 3"):
        tally(np.array([0, 1]), np.array([0, 3]), 3)
    with pytest.raises(ValueError, match="truth spans -1"):
        tally(np.array([-1]), np.array([0]), 3)


def test_all_classes_of_the_legend_are_scored_and_background_only_where_it_was_learnt():
    assert scored_ids(LEGEND, [[3, 1], [2]]) == sorted(LEGEND.ids)
    assert scored_ids(LEGEND, [[3, 1], [0, 2]]) == [0, *sorted(LEGEND.ids)]


@pytest.mark.parametrize(("name", "levels"), [("isrc_8", 1), ("eucropmap", 2), ("cropflow", 4)])
def test_every_level_of_a_legend_is_scored_however_many_it_has(name, levels):
    legend = read_legend(name)
    ids = list(legend.ids)
    confusions = np.eye(len(ids))[None, None].repeat(len(UNITS), axis=1)
    assert sorted(set(long_table(confusions, ids, legend)["level"])) == list(range(1, levels + 1))
    assert {key.split(".")[0] for key in average_metrics(confusions, ids, legend)} == {
        f"level_{level}" for level in range(1, levels + 1)
    }


def test_a_class_that_the_legend_lacks_is_refused():
    with pytest.raises(CropflowError, match="9999"):
        scored_ids(LEGEND, [[1, 9999]])


def test_the_long_table_holds_every_count_of_every_level_once():
    ids = sorted(LEGEND.ids)
    generator = np.random.default_rng(0)
    confusions = np.zeros((2, len(UNITS), len(ids), len(ids)))
    confusions[:, :, :6, :6] = generator.integers(0, 3, size=(2, len(UNITS), 6, 6))
    table = long_table(confusions, ids, LEGEND)
    assert table.columns.tolist() == ["fold", "unit", "level", "truth", "predicted", "count"]
    assert not table.duplicated(["fold", "unit", "level", "truth", "predicted"]).any()
    assert (table["count"] > 0).all()
    for level in (1, 2, 3):
        rows = table[table["level"] == level]
        assert rows["count"].sum() == confusions.sum()
        assert set(rows["truth"]) <= set(LEGEND.ids_at(level))
    one = table[(table["level"] == 3) & (table["fold"] == 1) & (table["unit"] == "rim")]
    for row in one.itertuples():
        assert confusions[1, UNITS.index("rim"), ids.index(row.truth), ids.index(row.predicted)] == row[-1]
