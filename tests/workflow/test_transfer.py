"""A transfer is two stages: each fold of the second experiment waits for the same fold of the first."""

from __future__ import annotations

import copy
import re

import yaml


def overlay(root, **transfer):
    """The demo's network once more, starting from the demo's; only the second is asked for."""
    demo = copy.deepcopy(yaml.safe_load((root / "config.yaml").read_text())["experiments"]["demo"])
    del demo["model"]["learning_rate"]
    second = {**demo, "compare": [], "map": [], "transfer": {"experiment": "demo", **transfer}}
    return {"run": ["second"], "experiments": {"second": second}}


def test_each_fold_starts_from_the_same_fold_of_the_experiment_before(plan, root):
    code, jobs, text = plan("-p", "results/models/second/3/model", overlay=overlay(root))
    assert code == 0, text
    assert jobs["models"] == 2
    commands = re.findall(r"python -m cropflow models train.*?2>", text, flags=re.S)
    first, second = sorted(commands, key=lambda command: "--start" in command)
    assert "--start" not in first and "--transfer" not in first
    assert "results/.work/models/demo/3 " in first
    assert "--fold 3 --seed 0" in second
    assert "--start results/models/demo/3/model --transfer '{" in second
    for part in ('"experiment": "demo"', '"learning_rate": 1e-05', '"learning_rate_head": 0.0001', '"freeze": "none"'):
        assert part in second


def test_all_folds_of_both_experiments_are_trained_and_the_second_alone_is_scored(plan, root):
    code, jobs, text = plan("results/evaluation/second/metrics.json", overlay=overlay(root))
    assert code == 0, text
    assert (jobs["models"], jobs["models_predict"], jobs["evaluation"]) == (10, 5, 1)


def test_a_circle_of_transfers_is_one_line(plan, root):
    circle = overlay(root)
    circle["experiments"]["demo"] = {"transfer": {"experiment": "second"}, "model": {"learning_rate": 0.001}}
    code, jobs, text = plan(overlay=circle)
    assert (code, jobs) == (2, {})
    assert "goes round in a circle: demo <- second <- demo" in text
    assert "Traceback" not in text
