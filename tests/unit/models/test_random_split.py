"""What a random split would claim: equal to scikit-learn's own, and without a trace in the forest."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score

from cropflow.models.baselines.random_split import RandomSplit, fit_scored, score_votes
from cropflow.models.baselines.skops_files import write_skops


def pixels() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    features = generator.random((120, 4), dtype=np.float32)
    noisy = features[:, 0] + generator.normal(0, 0.2, 120)
    # Classes are positions, not all of which need to occur: 1 does not.
    return features, np.where(noisy > 0.7, 3, np.where(noisy > 0.4, 2, 0))


def test_the_score_equals_scikit_learns_own() -> None:
    features, classes = pixels()
    found = fit_scored(RandomForestClassifier(40, random_state=1), features, classes)
    own = RandomForestClassifier(40, random_state=1, oob_score=True).fit(features, classes)
    predicted = own.classes_[own.oob_decision_function_.argmax(1)]
    assert found.pixels == 120
    assert found.accuracy == pytest.approx(own.oob_score_)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(classes, predicted))


def test_a_scored_forest_has_the_bytes_of_an_unscored_one(tmp_path: Path) -> None:
    features, classes = pixels()
    scored, plain = (RandomForestClassifier(5, random_state=1) for _ in range(2))
    fit_scored(scored, features, classes)
    plain.fit(features, classes)
    assert not [name for name in vars(scored) if name.startswith("oob_") and name.endswith("_")]
    write_skops(tmp_path / "scored.skops", scored)
    write_skops(tmp_path / "plain.skops", plain)
    assert (tmp_path / "scored.skops").read_bytes() == (tmp_path / "plain.skops").read_bytes()


def test_pixels_that_every_tree_learnt_from_are_not_scored_and_not_warned_of() -> None:
    features, classes = pixels()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_scored(RandomForestClassifier(1, random_state=0), features, classes)
    assert 20 < found.pixels < 80


def test_recalls_count_alike_and_rows_without_a_vote_do_not_count() -> None:
    votes = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0, 0], [np.nan, np.nan]])
    found = score_votes(votes, np.array([0, 0, 0, 1, 1, 0]))
    assert found == RandomSplit(0.5, pytest.approx(1 / 3), 4)


def test_without_a_vote_there_is_no_score() -> None:
    assert score_votes(np.zeros((3, 2)), np.array([0, 1, 1])) == RandomSplit(None, None, 0)
