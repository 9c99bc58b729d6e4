"""The search for settings: what is tried, that it can be resumed, and which trial is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cropflow.config.models.baselines import RandomForest
from cropflow.config.root import parse
from cropflow.config.sections import Experiment
from cropflow.config.tuning import Tuning
from cropflow.errors import CropflowError
from cropflow.models.tuning.choice import best, read_trial, table
from cropflow.models.tuning.search import Trial, propose
from cropflow.report.tuning import tuning_rows

GRID = Tuning(parameters={"trees": (10, 20), "minimum_leaf": (1, 2, 4)})
SPANS = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": {"low": 1, "high": 8, "whole": True},
    "widths": ((8, 8), (8, 16)),
}
TPE = Tuning(search="tpe", trials=12, at_once=3, parameters=SPANS)


def trial(folder: Path, parameters: dict[str, Any], values: tuple[float | None, ...], epoch: int) -> tuple[Path, Path]:
    (folder / "model").mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps({"parameters": parameters}))
    (folder / "model/model.json").write_text(json.dumps({"best_epoch": epoch}))
    rows = [f"{number},,{value or ''},,{value or ''}," for number, value in enumerate(values, 1)]
    head = "epoch,train_loss,validation_loss,validation_accuracy,validation_balanced_accuracy,learning_rate"
    (folder / "model/history.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder / "settings.json", folder / "model"


def test_a_grid_tries_every_combination_once() -> None:
    tried = [propose(GRID, number, [], seed=0) for number in range(GRID.count)]
    assert len(tried) == 6
    assert tried[1] == {"trees": 10, "minimum_leaf": 2}
    assert len({json.dumps(one) for one in tried}) == 6
    with pytest.raises(CropflowError, match="Trial is 6; expected 0 to 5"):
        propose(GRID, 6, [], seed=0)


def goodness(tried: dict[str, Any]) -> float:
    """Best near a step of 0.01."""
    return -abs(tried["learning_rate"] - 0.01) - 0.001 * tried["batch_size"]


def search(seed: int) -> list[Trial]:
    done: list[Trial] = []
    for number in range(12):
        tried = propose(TPE, number, done[: TPE.before(number)], seed)
        done.append(Trial(tried, goodness(tried)))
    return done


def test_what_a_trial_tries_follows_from_the_seed_and_the_trials_before_it() -> None:
    first, again, other = search(1), search(1), search(2)
    assert first == again
    assert first != other
    assert len({json.dumps(done.parameters) for done in first}) == 12
    for done in first:
        assert 1e-4 <= done.parameters["learning_rate"] <= 0.1
        assert done.parameters["batch_size"] in range(1, 9)
        assert done.parameters["widths"] in ((8, 8), (8, 16))
    # What was told changes what is asked next.
    flat = [Trial(done.parameters, 0.0) for done in first]
    assert propose(TPE, 11, first[:9], 1) != propose(TPE, 11, [*flat[:8], Trial(flat[8].parameters, 1.0)], 1)


def test_trials_of_a_round_learn_from_the_rounds_before_it() -> None:
    assert [TPE.before(number) for number in range(7)] == [0, 0, 0, 3, 3, 3, 6]
    assert GRID.before(5) == 0


def test_the_trial_kept_is_the_best_on_the_validation_fold_at_its_best_epoch(tmp_path: Path) -> None:
    paths = [
        trial(tmp_path / "0", {"trees": 10}, (0.5, 0.9), epoch=1),
        trial(tmp_path / "1", {"trees": 20}, (0.3, 0.7), epoch=2),
        trial(tmp_path / "2", {"trees": 30}, (0.7,), epoch=1),
    ]
    trials = [read_trial(*pair, "balanced_accuracy") for pair in paths]
    assert [done.score for done in trials] == [0.5, 0.7, 0.7]
    assert best(trials, "balanced_accuracy") == 1
    assert best(trials, "loss") == 0
    rows = table(trials, "balanced_accuracy")
    assert [row["chosen"] for row in rows] == [False, True, False]
    nothing = trial(tmp_path / "3", {"trees": 10}, (None,), epoch=1)
    with pytest.raises(CropflowError, match="no validation_loss at epoch 1"):
        read_trial(*nothing, "loss")


def test_the_report_shows_a_grids_trials_in_one_row_for_all_folds() -> None:
    folds = [
        {"metric": "loss", "trials": table([Trial({"rate": 0.1}, 2.0), Trial({"rate": 0.01}, 1.0 + fold)], "loss")}
        for fold in range(2)
    ]
    found = tuning_rows(folds)
    assert [row["values_"] for row in found["rows"]] == [["0.1"], ["0.01"]]
    assert [cell["score"] for cell in found["rows"][1]["cells"]] == ["1.000", "2.000"]
    assert found["rows"][1]["mean"] == "1.500"
    assert [cell["chosen"] for cell in found["rows"][0]["cells"]] == [False, True]
    assert tuning_rows([]) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"trees": [10]}}, "expected at least two values"),
        ({"parameters": {"leaves": [1, 2]}}, "names 'leaves'; random_forest has: max_depth, "),
        ({"parameters": {"trees": [10, -1]}}, "greater than or equal to 1"),
        ({"parameters": {"trees": {"low": 1, "high": 9}}}, "is a span; expected a list of values"),
        ({"search": "tpe", "parameters": {"trees": [1, 2]}}, "trials is None; expected a number"),
        ({"trials": 3, "parameters": {"trees": [1, 2]}}, "trials is 3; .*none with a grid"),
    ],
)
def test_a_search_that_makes_no_sense_is_one_line(changes: dict[str, Any], message: str) -> None:
    entry = {
        "set": "demo",
        "model": {"name": "random_forest"},
        "train": [{"region": "a", "season": "b"}],
        "tuning": changes,
    }
    with pytest.raises(CropflowError, match=message) as refused:
        parse(Experiment, entry, "experiments.x")
    assert "\n" not in str(refused.value)


def test_every_value_of_a_search_is_checked_against_the_model() -> None:
    assert RandomForest(trees=10).trees == 10
    entry = {
        "set": "demo",
        "model": {"name": "temporal_unet"},
        "train": [{"region": "a", "season": "b"}],
        "tuning": {"search": "tpe", "trials": 4, "parameters": {"epochs": {"low": 0, "high": 9, "whole": True}}},
    }
    with pytest.raises(CropflowError, match="epochs"):
        parse(Experiment, entry, "experiments.x")
