import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

import cropflow.evaluation
import cropflow.evaluation.scores
from cropflow.evaluation.confusion import tally
from cropflow.evaluation.scores import METRICS, accuracy, average_scores

labels = st.integers(2, 6).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(
            st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1), st.integers(1, 50)),
            min_size=1,
            max_size=60,
        ),
    )
)


@settings(deadline=None, max_examples=60)
@given(labels)
def test_every_figure_equals_that_of_scikit_learn(drawn):
    classes, rows = drawn
    truth, predicted, weight = (np.array(column) for column in zip(*rows, strict=True))
    scores = accuracy(tally(truth, predicted, classes, weight.astype(float)))
    present = np.unique(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
            truth, predicted, labels=present, sample_weight=weight, zero_division=np.nan
        )
        iou = sklearn_metrics.jaccard_score(truth, predicted, labels=present, average=None, sample_weight=weight)
        expected = {
            "overall_accuracy": sklearn_metrics.accuracy_score(truth, predicted, sample_weight=weight),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(truth, predicted, sample_weight=weight),
            "kappa": sklearn_metrics.cohen_kappa_score(truth, predicted, sample_weight=weight),
            "miou": iou.mean(),
            "macro_f1": np.nan_to_num(f1).mean(),
            "weighted_f1": (np.nan_to_num(f1) * support).sum() / support.sum(),
        }
    for name, value in expected.items():
        assert getattr(scores, name) == pytest.approx(value, abs=1e-12, nan_ok=True), name
    np.testing.assert_allclose(scores.precision[present], precision)
    np.testing.assert_allclose(scores.recall[present], recall)
    np.testing.assert_allclose(scores.iou[present], iou)
    np.testing.assert_array_equal(scores.support[present], support)
    np.testing.assert_array_equal(scores.averaged, present)


@given(arrays(np.int64, (3, 4, 4), elements=st.integers(0, 20)))
def test_many_matrices_at_once_score_like_each_alone(matrices):
    together = average_scores(matrices.astype(float))
    for position, matrix in enumerate(matrices):
        alone = accuracy(matrix)
        for name in METRICS:
            assert together[name][position] == pytest.approx(getattr(alone, name), nan_ok=True)


def test_a_class_absent_from_the_test_data_is_not_averaged_as_zero():
    scores = accuracy([[5, 0, 0], [0, 5, 0], [0, 0, 0]])
    assert scores.balanced_accuracy == scores.miou == scores.macro_f1 == 1.0
    assert np.isnan([scores.recall[2], scores.f1[2], scores.iou[2], scores.precision[2]]).all()
    assert scores.averaged.tolist() == [0, 1]


def test_a_class_that_is_never_predicted_has_no_precision_and_an_f1_of_zero():
    scores = accuracy([[4, 0], [6, 0]])
    assert np.isnan(scores.precision[1])
    assert scores.f1[1] == scores.iou[1] == scores.recall[1] == 0.0
    assert scores.balanced_accuracy == 0.5


def test_pixels_predicted_as_a_class_without_truth_count_as_errors():
    scores = accuracy([[1, 0, 1], [0, 1, 1], [0, 0, 0]])
    assert scores.overall_accuracy == scores.balanced_accuracy == 0.5
    assert scores.precision[2] == 0.0


def test_an_empty_matrix_has_no_score_and_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = accuracy(np.zeros((3, 3)))
    assert all(np.isnan(getattr(scores, name)) for name in METRICS)


def test_kappa_is_undefined_where_all_is_one_class_and_zero_for_a_constant_guess():
    assert np.isnan(accuracy([[7, 0], [0, 0]]).kappa)
    assert accuracy([[7, 0], [3, 0]]).kappa == 0.0


@pytest.mark.parametrize("wrong", [[[1, 2, 3]], [[1, -1], [0, 2]], [[1, np.nan], [0, 2]], [1, 2]])
def test_what_is_no_confusion_matrix_is_refused(wrong):
    with pytest.raises(ValueError, match="confusion"):
        accuracy(wrong)


def test_the_public_name_stays_a_function_after_its_module_was_imported():
    assert cropflow.evaluation.accuracy([[1, 0], [0, 1]]).overall_accuracy == 1.0
    with pytest.raises(AttributeError, match="no attribute"):
        _ = cropflow.evaluation.nothing
