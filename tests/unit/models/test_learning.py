"""What a training does, step by step, on a toy: optimisers, schedules, precision, and going on after a death."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from engine_toy import CLASSES, SENSORS, DieAfter, EachStep, InMemory, Toy, learner, toy_batches, train
from torch import Tensor
from torch.nn import functional

from cropflow.config.models.training import Training
from cropflow.errors import CropflowError
from cropflow.models.batch import UNKNOWN, Batch
from cropflow.models.engine.running import check_precision
from cropflow.models.engine.sensor_dropout import drop_sensors


def flat(network: torch.nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in network.parameters()])


def rates(folder: Path, **options: Any) -> list[float]:
    """The learning rate after each step."""
    found: list[float] = []
    train(
        folder,
        callbacks=[EachStep(lambda trainer, _: found.append(trainer.optimizers[0].param_groups[0]["lr"]))],
        **options,
    )
    return found


RESUMED: list[dict[str, Any]] = [
    {"optimiser": "adamw", "schedule": "one_cycle", "weight_decay": 0.1, "gradient_clip": 0.5},
    {"optimiser": "sgd", "schedule": "plateau", "schedule_epochs": 1},
    {"optimiser": "rmsprop", "schedule": "cosine", "momentum": 0.5},
    {"optimiser": "adam", "schedule": "step", "schedule_epochs": 2, "precision": "bf16-mixed"},
]
if torch.cuda.is_available():  # where its scale must be remembered too
    RESUMED.append({"optimiser": "adamw", "schedule": "constant", "precision": "16-mixed"})


@pytest.mark.parametrize("options", RESUMED, ids=[f"{each['optimiser']}-{each['schedule']}" for each in RESUMED])
def test_a_training_that_dies_ends_as_if_it_had_not(tmp_path: Path, options: dict[str, Any]) -> None:
    # Labels of the validation are wrong, so that a plateau has something to remember.
    batches = InMemory(toy_batches(sensors=2), toy_batches(2, sensors=2, seed=9, shuffled=True))
    options = {**options, "batches": batches, "epochs": 6, "sensors": 2, "sensor_dropout": 0.5}
    calm, whole = train(tmp_path / "calm", **options)
    with pytest.raises(RuntimeError, match="power"):
        train(tmp_path / "broken", callbacks=[DieAfter(3)], **options)
    # Fresh weights of another seed: all must come from the file.
    toy, resumed = train(tmp_path / "broken", Toy(sensors=2, seed=5), **options)
    np.testing.assert_equal(resumed.rows, whole.rows)
    assert torch.equal(flat(toy), flat(calm))
    assert all(torch.equal(resumed.best_weights[name], value) for name, value in whole.best_weights.items())


def test_a_plateau_lowers_the_step_where_the_validation_loss_gets_no_better(tmp_path: Path) -> None:
    # Labels of the validation are wrong: the more is learnt, the worse it gets.
    _, progress = train(
        tmp_path,
        batches=InMemory(toy_batches(), toy_batches(2, seed=9, shuffled=True)),
        epochs=8,
        learning_rate=0.1,
        schedule="plateau",
        schedule_epochs=2,
        schedule_factor=0.5,
    )
    rate, best, bad, expected = 0.1, math.inf, 0, []
    for row in progress.rows:
        best, bad = (row[2], 0) if row[2] < best else (best, bad + 1)
        if bad > 2:
            rate, bad = rate / 2, 0
        expected.append(rate)
    assert [row[5] for row in progress.rows] == pytest.approx(expected)
    assert expected[-1] < 0.1  # it fell, or the test shows nothing


def test_schedules_fall_as_their_formulas_say(tmp_path: Path) -> None:
    # Four steps an epoch; what is recorded is the rate of the next step.
    found = rates(tmp_path / "step", epochs=4, learning_rate=1.0, schedule="step", schedule_epochs=2)
    assert found == pytest.approx([1.0] * 7 + [0.1] * 8 + [0.01])
    found = rates(tmp_path / "cosine", epochs=4, learning_rate=1.0, schedule="cosine")
    assert found == pytest.approx([(1 + math.cos(math.pi * step / 16)) / 2 for step in range(1, 17)], abs=1e-9)
    assert rates(tmp_path / "constant", epochs=1, learning_rate=0.3) == [0.3] * 4


@pytest.mark.parametrize(
    ("optimiser", "kind"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("sgd", torch.optim.SGD),
        ("rmsprop", torch.optim.RMSprop),
    ],
)
def test_a_step_is_the_optimisers_own_with_the_users_numbers(tmp_path: Path, optimiser: str, kind: Any) -> None:
    (batch,) = toy_batches(1)
    momentum = {"momentum": 0.7} if optimiser in ("sgd", "rmsprop") else {}
    numbers = {"learning_rate": 0.07, "weight_decay": 0.2, **momentum}
    found, _ = train(tmp_path, Toy(dropout=0.0), InMemory([batch], []), epochs=2, optimiser=optimiser, **numbers)
    plain = Toy(dropout=0.0).train()
    steps = kind(plain.parameters(), lr=0.07, weight_decay=0.2, **momentum)
    for _ in range(2):
        steps.zero_grad()
        assert batch.target is not None
        functional.cross_entropy(plain(batch), batch.target).backward()
        steps.step()
    torch.testing.assert_close(flat(found), flat(plain))


@pytest.mark.parametrize("clip", [None, 0.01])
def test_a_long_gradient_is_shortened(tmp_path: Path, clip: float | None) -> None:
    seen = [flat(Toy())]
    keep = EachStep(lambda _, learner: seen.append(flat(learner.network)))
    # Plain descent by steps of 1: a step is the gradient.
    train(tmp_path, callbacks=[keep], optimiser="sgd", momentum=0.0, learning_rate=1.0, epochs=2, gradient_clip=clip)
    steps = [float((after - before).norm()) for before, after in pairwise(seen)]
    assert len(steps) == 8
    if clip is None:
        assert min(steps) > 0.02  # long enough to be shortened
    else:
        assert steps == pytest.approx([clip] * 8, rel=1e-3)


def test_the_loss_of_an_epoch_is_the_mean_over_samples_not_over_batches(tmp_path: Path) -> None:
    large, small = toy_batches(1, size=9, seed=3)[0], toy_batches(1, size=2, seed=4)[0]
    assert large.target is not None and small.target is not None
    large.target[0] = UNKNOWN
    network, progress = train(tmp_path, Toy(), InMemory(toy_batches(1), [large, small]), epochs=1)
    network.eval()
    with torch.no_grad():
        scores = torch.cat([network(large)[1:], network(small)])
    target = torch.cat([large.target[1:], small.target])
    expected = functional.cross_entropy(scores, target)
    assert progress.rows[0][2] == pytest.approx(float(expected), rel=1e-6)
    assert progress.rows[0][3] == pytest.approx(float((scores.argmax(1) == target).float().mean()))


def test_gradients_of_several_processes_add_up_by_the_weights_of_all_samples() -> None:
    # Shares of unequal weight: a mean of their means would count the lighter one as much as the heavier.
    class Share:
        """A trainer of two processes that sees the other's sums."""

        world_size, global_rank, current_epoch = 2, 0, 0

        def __init__(self, other: float) -> None:
            self.strategy = self
            self.other = other

        def reduce(self, value: Tensor, reduce_op: str) -> Tensor:
            assert reduce_op == "sum"
            return value + self.other

    shares = [toy_batches(1, size=4, seed=1)[0], toy_batches(1, size=4, seed=2)[0]]
    for batch, known in zip(shares, (4, 1), strict=True):
        assert batch.target is not None
        batch.target[known:] = UNKNOWN
    network = Toy(dropout=0.0).eval()
    made = learner(network, Training())
    for batch, other in zip(shares, (1.0, 4.0), strict=True):
        made._trainer = Share(other)  # type: ignore[assignment]
        (made.training_step(batch, 0) / 2).backward()  # processes are averaged
    found = [value.grad.clone() for value in network.parameters() if value.grad is not None]
    network.zero_grad()
    scores = torch.cat([network(shares[0]), network(shares[1])[:1]])
    target = torch.cat([shares[0].target, shares[1].target[:1]])  # type: ignore[list-item, index]
    functional.cross_entropy(scores, target).backward()
    for value, expected in zip(found, network.parameters(), strict=True):
        torch.testing.assert_close(value, expected.grad)


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    weights = [flat(train(tmp_path / str(run), Toy(seed=seed))[0]) for run, seed in enumerate((0, 0, 1))]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_half_precision_learns_on_a_cpu_and_keeps_whole_weights(tmp_path: Path) -> None:
    network, progress = train(tmp_path, precision="bf16-mixed", epochs=6, learning_rate=0.05)
    whole, _ = train(tmp_path / "whole", epochs=6, learning_rate=0.05)
    assert progress.rows[-1][2] < 0.8 * progress.rows[0][2]
    assert all(value.dtype == torch.float32 for value in network.parameters())
    assert not torch.equal(flat(network), flat(whole))  # it was less precise, or the test shows nothing


def test_sixteen_bits_are_refused_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CropflowError, match=r"precision of the model is '16-mixed'.*; expected 32 or bf16-mixed"):
        check_precision(Training(precision="16-mixed"))
    check_precision(Training(precision="bf16-mixed"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_precision(Training(precision="16-mixed"))


def test_shuffled_labels_are_told_no_better_than_by_chance(tmp_path: Path) -> None:
    held_out = toy_batches(1, size=300, seed=8, shuffled=True)
    _, progress = train(
        tmp_path,
        batches=InMemory(toy_batches(6, size=30, shuffled=True), held_out),
        epochs=5,
        learning_rate=0.05,
        watch="balanced_accuracy",
    )
    assert held_out[0].target is not None
    counts = torch.bincount(held_out[0].target).double()
    chance = 1 / CLASSES
    error = math.sqrt(float((chance * (1 - chance) / counts).sum())) / CLASSES
    assert abs(progress.rows[-1][4] - chance) < 3 * error
    _, told = train(tmp_path / "told", epochs=5, learning_rate=0.05)
    assert told.rows[-1][4] > 0.9  # the same network tells true labels


def present(batch: Batch) -> Tensor:
    return torch.stack([series.present for series in batch.series.values()], 1)


def test_a_sample_loses_one_sensor_and_never_its_last() -> None:
    batch = toy_batches(1, size=4000, sensors=2)[0]
    optics, radar = SENSORS
    batch.series[optics].valid[:1000] = False  # absent already
    found = drop_sensors(batch, 0.4, np.random.default_rng(1))
    left = present(found)
    assert left.any(1).all()
    assert torch.equal(left[:1000], present(batch)[:1000])
    lost = ~left[1000:]
    assert lost.any(1).double().mean() == pytest.approx(0.4, abs=0.03)
    assert lost.double().mean(0).tolist() == pytest.approx([0.2, 0.2], abs=0.03)
    series, before = found.series[radar], batch.series[radar]
    assert (series.values[~left[:, 1]] == 0).all()
    assert not series.valid[~left[:, 1]].any()
    assert torch.equal(series.values[left[:, 1]], before.values[left[:, 1]])
    assert torch.equal(series.dates, before.dates)
    assert (before.values != 0).all()  # the batch itself stays as it was


def test_which_sensor_is_lost_depends_on_the_draw_alone() -> None:
    batch = toy_batches(1, size=50, sensors=2)[0]
    one, same, other = (present(drop_sensors(batch, 0.9, np.random.default_rng(seed))) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(present(drop_sensors(batch, 0.0, np.random.default_rng(3))), present(batch))


def test_sensors_are_lost_in_training_alone(tmp_path: Path) -> None:
    class Watching(Toy):
        seen: ClassVar[list[tuple[bool, bool]]] = []

        def forward(self, batch: Batch) -> Tensor:
            self.seen.append((self.training, bool(present(batch).all())))
            return super().forward(batch)

    train(tmp_path, Watching(sensors=2), sensors=2, sensor_dropout=1.0)
    assert set(Watching.seen) == {(True, False), (False, True)}
