"""Transfer: what starts where, which layers move at which step, and which stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_toy import CLASSES, DieAfter, InMemory, Toy, toy_batches, train
from torch import Tensor

from cropflow.config.models.transfer import Transfer
from cropflow.errors import CropflowError
from cropflow.models import load_predictor
from cropflow.models.checkpoints import read_description, read_weights
from cropflow.models.engine.fitting import Job, train_model

TRANSFER = json.dumps({"experiment": "first", "learning_rate_head": 1e-3, "learning_rate": 1e-4})


def transfer(**options: Any) -> Transfer:
    return Transfer(**{"experiment": "first", **options})


def states(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


BODY = {"body.0.weight", "body.1.weight", "body.1.bias"}
STATISTICS = {"body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"}
HEAD = {"head.weight", "head.bias"}


def test_the_head_takes_its_own_steps(tmp_path: Path) -> None:
    # One step of plain descent: the weights move by the step times a gradient that is the same for all.
    options: dict[str, Any] = {
        "optimiser": "sgd",
        "momentum": 0.0,
        "epochs": 1,
        "batches": InMemory(toy_batches(1), []),
    }
    before = states(Toy())
    rates = transfer(learning_rate_head=0.5, learning_rate=0.01)
    after = states(train(tmp_path / "both", transfer=rates, **options)[0])
    quick = states(train(tmp_path / "quick", learning_rate=0.5, **options)[0])
    slow = states(train(tmp_path / "slow", learning_rate=0.01, **options)[0])
    for name in HEAD:
        torch.testing.assert_close(after[name], quick[name])
    for name in BODY:
        torch.testing.assert_close(after[name], slow[name])
    assert moved(before, after) == BODY | HEAD | STATISTICS


def test_frozen_layers_keep_their_weights_and_statistics_and_drop_nothing(tmp_path: Path) -> None:
    class Watching(Toy):
        modes: set[tuple[bool, bool]]

        def forward(self, batch: Any) -> Tensor:
            self.modes.add((torch.is_grad_enabled(), self.body.training or any(part.training for part in self.body)))
            return super().forward(batch)

    network = Watching()
    network.modes = set()
    before = states(network)
    train(
        tmp_path, network, transfer=transfer(freeze="all_but_head", learning_rate_head=0.1), epochs=2, weight_decay=0.1
    )
    assert moved(before, states(network)) == HEAD
    assert network.modes == {(True, False), (False, False)}


def test_layers_that_are_frozen_in_the_first_epochs_move_afterwards(tmp_path: Path) -> None:
    frozen = transfer(freeze="first_epochs", freeze_epochs=2, learning_rate_head=0.1, learning_rate=0.1)
    options: dict[str, Any] = {"transfer": frozen, "optimiser": "adamw", "weight_decay": 0.1}
    before = states(Toy())
    early, _ = train(tmp_path / "early", epochs=2, **options)
    assert moved(before, states(early)) == HEAD
    late, whole = train(tmp_path / "late", epochs=4, **options)
    assert moved(before, states(late)) == HEAD | BODY | STATISTICS
    with pytest.raises(RuntimeError, match="power"):
        train(tmp_path / "broken", callbacks=[DieAfter(3)], epochs=4, **options)
    again, resumed = train(tmp_path / "broken", Toy(seed=7), epochs=4, **options)
    assert moved(states(late), states(again)) == set()
    np.testing.assert_equal(resumed.rows, whole.rows)


def job(folder: Path, fold: int = 0) -> Job:
    return Job(("r/s",), (folder,), "turkoglu", False, 5, fold, 1, 1)


@pytest.fixture
def first(make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path) -> Path:
    """A model of another experiment."""
    train_model(job(make_samples("far", seed=4)), json.dumps(narrow), tmp_path / "work", tmp_path / "first")
    return tmp_path / "first"


def go_on(folder: Path, settings: dict[str, Any], first: Path, fold: int = 0) -> Path:
    """Transfer from the first model."""
    output = first.parent / "second"
    rest = {name: value for name, value in settings.items() if name != "learning_rate"}
    train_model(
        job(folder, fold),
        json.dumps({**rest, "epochs": 1}),
        first.parent / "work",
        output,
        start=first,
        transfer=TRANSFER,
    )
    return output


def other_crops(crops: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(crops == 7, 21, crops).astype(np.uint16)


def brighter(reflectance: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (reflectance + 500).astype(np.uint16)


def test_other_classes_get_a_fresh_head_on_layers_and_statistics_that_have_learnt(
    make_samples: Callable[..., Path], narrow: dict[str, Any], first: Path
) -> None:
    output = go_on(make_samples(crops=other_crops, reflectance=brighter), narrow, first)
    about = json.loads((output / "model.json").read_text())
    assert about["classes"] == [3, 21]
    assert about["transfer"]["head"] == "fresh"
    assert about["transfer"]["experiment"] == "first"
    # The weights belong to values that were normalised so.
    assert (output / "statistics.json").read_bytes() == (first / "statistics.json").read_bytes()
    before, after = (read_weights(folder / "model.safetensors") for folder in (first, output))
    steps = {name: float((after[name] - before[name]).abs().max()) for name in before if name.endswith("weight")}
    head = [name for name in steps if "head" in name]
    assert head and all(steps[name] > 0.01 for name in head)  # fresh
    assert all(step < 0.002 for name, step in steps.items() if name not in head)  # at most 3 steps of 1e-4 each
    assert load_predictor(output).classes == (3, 21)


def test_the_same_classes_go_on_with_the_same_head(
    make_samples: Callable[..., Path], narrow: dict[str, Any], first: Path
) -> None:
    output = go_on(make_samples(), narrow, first)
    assert json.loads((output / "model.json").read_text())["transfer"]["head"] == "taken over"
    before, after = (read_weights(folder / "model.safetensors") for folder in (first, output))
    assert all(float((after[name] - before[name]).abs().max()) < 0.01 for name in before if name.endswith("weight"))


def test_a_start_is_what_the_model_is_made_of(
    make_samples: Callable[..., Path], narrow: dict[str, Any], first: Path
) -> None:
    folder = make_samples()
    once = (go_on(folder, narrow, first) / "model.safetensors").read_bytes()
    assert (go_on(folder, narrow, first) / "model.safetensors").read_bytes() == once


@pytest.mark.parametrize(
    ("change", "fold", "message"),
    [
        ({"temporal_width": 4}, 0, "was trained with temporal_width 8; expected 4, as the model of the experiment has"),
        ({"pooling": "mean"}, 0, "was trained with pooling max; expected mean"),
        ({}, 2, r"was trained with test fold 0 of 5; expected fold 2 of 5, or its weights may have seen the blocks"),
    ],
)
def test_a_start_of_another_network_or_fold_is_refused(
    make_samples: Callable[..., Path], narrow: dict[str, Any], first: Path, change: Any, fold: int, message: str
) -> None:
    with pytest.raises(CropflowError, match=message) as caught:
        go_on(make_samples(), narrow | change, first, fold)
    assert "\n" not in str(caught.value)
    assert not (first.parent / "second").exists()


def test_a_start_of_other_sensors_is_refused(
    make_fused: Callable[..., Path], narrow: dict[str, Any], first: Path
) -> None:
    with pytest.raises(CropflowError, match="have the sensors sentinel2, sentinel1_ascending; expected sentinel2, "):
        go_on(make_fused(), narrow, first)


def test_a_start_and_its_steps_come_together_and_only_to_networks(
    make_samples: Callable[..., Path], narrow: dict[str, Any], first: Path, tmp_path: Path
) -> None:
    folder = make_samples()
    with pytest.raises(CropflowError, match="--start and --transfer belong together"):
        train_model(job(folder), json.dumps(narrow), tmp_path / "w", tmp_path / "m", start=first)
    forest = json.dumps({"name": "random_forest", "trees": 2})
    with pytest.raises(CropflowError, match="a random_forest does not go on from another model"):
        train_model(job(folder), forest, tmp_path / "w", tmp_path / "m", start=first, transfer=TRANSFER)


def test_weights_that_do_not_fit_are_named(first: Path) -> None:
    from cropflow.models.checkpoints import write_weights
    from cropflow.models.engine.starting import Start, take_over

    description = read_description(first)
    start = Start(first, transfer(), description, {"body.0.weight": torch.zeros(8, 7), **Toy().state_dict()})
    assert take_over(Toy(seed=3), start, description)
    write_weights(first / "model.safetensors", start.weights)
    for weights, told in (
        (
            {**start.weights, "body.0.weight": torch.zeros(8, 7)},
            "has the shape (8, 7) of body.0.weight; expected (8, 2)",
        ),
        ({"head.weight": torch.zeros(CLASSES, 8)}, "lacks body.0.weight; expected (8, 2)"),
    ):
        with pytest.raises(CropflowError, match=re.escape(told)):
            take_over(Toy(), Start(first, transfer(), description, weights), description)
