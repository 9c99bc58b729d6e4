"""Losses against plain formulas, weights of classes, and probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cropflow.config.models.training import Training
from cropflow.errors import CropflowError
from cropflow.models.batch import IGNORED, UNKNOWN
from cropflow.models.engine.losses import Loss, to_probability, weigh_classes

CLASSES = 4
# Two coarser levels of four classes.
LEVELS = ((0, 0, 0, 1), (0, 1, 1, 2))


def quarters(lowest: int, highest: int) -> st.SearchStrategy[float]:
    """Floats that every type holds exactly."""
    return st.integers(lowest, highest).map(lambda whole: whole / 4)


rows = st.lists(
    st.tuples(st.lists(quarters(-24, 24), min_size=CLASSES, max_size=CLASSES), st.integers(-2, CLASSES - 1)),
    min_size=1,
    max_size=6,
)
weights = st.lists(quarters(1, 20), min_size=CLASSES, max_size=CLASSES)


def loss(weights: list[float] | None = None, levels: Any = LEVELS, staged: bool = False, **options: Any) -> Loss:
    each = np.array(weights or [1.0] * CLASSES, dtype=np.float32)
    return Loss(Training(**options), each, levels, staged=staged)


def as_tensors(drawn: list[tuple[list[float], int]]) -> tuple[Tensor, Tensor]:
    return torch.tensor([scores for scores, _ in drawn]), torch.tensor([target for _, target in drawn])


def softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    return [power / sum(powers) for power in powers]


def plainly(rule: str, scores: list[float], target: int, gamma: float = 1.0) -> float:
    """The loss of one sample, by its formula."""
    chances = softmax(scores)
    if rule == "cross_entropy":
        return -math.log(chances[target])
    if rule == "focal":
        return -((1 - chances[target]) ** gamma) * math.log(chances[target])
    if rule == "binary":
        alone = [1 / (1 + math.exp(-score)) for score in scores]
        return -sum(math.log(chance if place == target else 1 - chance) for place, chance in enumerate(alone)) / len(
            scores
        )
    levels = [*LEVELS, tuple(range(CLASSES))]
    return sum(
        -weight * math.log(sum(chance for place, chance in enumerate(chances) if groups[place] == groups[target]))
        for weight, groups in zip((0.1, 0.5, 1.0), levels, strict=True)
    )


@pytest.mark.parametrize("rule", ["cross_entropy", "focal", "binary", "hierarchical"])
@settings(max_examples=40, deadline=None)
@given(drawn=rows, weights=weights, gamma=st.sampled_from([0.5, 1.0, 2.0]))
def test_a_loss_is_the_sum_of_its_formula_by_the_weights_of_the_classes(
    rule: str, drawn: list[tuple[list[float], int]], weights: list[float], gamma: float
) -> None:
    options = {"gamma": gamma} if rule == "focal" else {}
    total, weight = loss(weights, loss=rule, **options)([as_tensors(drawn)[0]], as_tensors(drawn)[1])
    known = [(scores, target) for scores, target in drawn if target >= 0]
    expected = sum(weights[target] * plainly(rule, scores, target, gamma) for scores, target in known)
    assert float(total) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert float(weight) == pytest.approx(sum(weights[target] for _, target in known), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(drawn=rows)
def test_a_focal_loss_of_gamma_0_is_the_cross_entropy(drawn: list[tuple[list[float], int]]) -> None:
    scores, target = as_tensors(drawn)
    focal, plain = (loss(loss=rule, **more)([scores], target) for rule, more in (
        ("focal", {"gamma": 0.0}), ("cross_entropy", {}),
    ))  # fmt: skip
    torch.testing.assert_close(focal, plain)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_focal_loss_is_a_number_where_the_network_is_certain(gamma: float) -> None:
    scores = torch.tensor([[200.0, 0, 0, 0], [-200.0, 0, 0, 0]], requires_grad=True)
    total, _ = loss(loss="focal", gamma=gamma)([scores], torch.tensor([0, 0]))
    total.backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert (scores.grad[0] == 0).all()
    assert scores.grad[1, 0] < 0


@pytest.mark.parametrize("rule", ["cross_entropy", "focal", "binary", "hierarchical"])
@pytest.mark.parametrize("nobody", [IGNORED, UNKNOWN])
def test_what_nobody_knows_is_no_negative_and_moves_no_weight(rule: str, nobody: int) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, CLASSES, generator=generator, requires_grad=True)
    total, weight = loss(loss=rule)([scores], torch.tensor([2, nobody, 0]))
    total.backward()
    assert float(weight) == 2
    assert scores.grad is not None
    assert (scores.grad[1] == 0).all()
    assert (scores.grad[[0, 2]] != 0).all()
    alone, _ = loss(loss=rule)([scores.detach()[[0, 2]]], torch.tensor([2, 0]))
    torch.testing.assert_close(total.detach(), alone)


def test_a_class_against_the_rest_is_pulled_down_only_where_another_is_known() -> None:
    scores = torch.zeros(2, CLASSES, requires_grad=True)
    total, _ = loss(loss="binary")([scores], torch.tensor([1, UNKNOWN]))
    total.backward()
    assert scores.grad is not None
    assert (scores.grad[0].sign() == torch.tensor([1, -1, 1, 1])).all()
    assert (scores.grad[1] == 0).all()


def test_a_staged_network_is_held_to_every_level_and_to_its_refined_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.tensor([0, 3, UNKNOWN, 2])
    stages = [torch.randn(4, outputs, generator=generator) for outputs in (2, 3, CLASSES, CLASSES)]
    total, weight = loss(loss="hierarchical", staged=True)(stages, target)
    wanted = [[groups[place] if place >= 0 else 0 for place in target] for groups in (*LEVELS, *2 * (range(CLASSES),))]
    expected = sum(
        -factor * math.log(softmax(scores.tolist())[group])
        for factor, stage, groups in zip((0.1, 0.5, 1.0, 1.0), stages, wanted, strict=True)
        for scores, group, place in zip(stage, groups, target, strict=True)
        if place >= 0
    )
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(weight) == 3


def test_levels_count_as_the_user_says() -> None:
    scores, target = torch.tensor([[1.0, 2.0, 0.5, -1.0]]), torch.tensor([0])
    total, _ = loss(loss="hierarchical", level_weights=(0.0, 0.0, 2.0))([scores], target)
    assert float(total) == pytest.approx(2 * plainly("cross_entropy", scores[0].tolist(), 0), rel=1e-5)
    with pytest.raises(CropflowError, match=r"level_weights of the model is \[1.0, 2.0\]; expected one weight .* 3"):
        loss(loss="hierarchical", level_weights=(1.0, 2.0))


@pytest.mark.parametrize(
    ("levels", "expected"), [(1, (1.0,)), (2, (0.5, 1)), (3, (0.1, 0.5, 1)), (4, (0.1, 0.1, 0.5, 1))]
)
def test_the_finest_levels_count_most(levels: int, expected: tuple[float, ...]) -> None:
    found = loss(loss="hierarchical", levels=((0,) * CLASSES,) * (levels - 1), staged=True)
    assert found.level_weights == expected


def test_a_legend_of_one_level_has_no_hierarchy_to_sum_over() -> None:
    with pytest.raises(CropflowError, match="the legend has one level; expected several"):
        loss(loss="hierarchical", levels=())


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(1, 10**7), min_size=1, max_size=6))
@pytest.mark.parametrize("rule", ["none", "inverse_sqrt", "balanced", "effective_number"])
def test_weights_of_classes_follow_their_formula_and_are_one_in_the_mean(rule: str, counts: list[int]) -> None:
    found = weigh_classes(np.array(counts), rule, 0.999)
    total = sum(counts)
    formula = {
        "none": lambda n: 1.0,
        "inverse_sqrt": lambda n: n**-0.5,
        "balanced": lambda n: total / (len(counts) * n),
        "effective_number": lambda n: (1 - 0.999) / (1 - 0.999**n),
    }[rule]
    expected = np.array([formula(n) for n in counts])
    np.testing.assert_allclose(found / found[0], expected / expected[0], rtol=1e-4)
    assert (found.astype(float) * counts).sum() / total == pytest.approx(1, rel=1e-5)
    if rule == "balanced":
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_effective_number_close_to_the_number_is_no_zero_by_zero() -> None:
    found = weigh_classes(np.array([10, 1000]), "effective_number", 1 - 1e-12)
    assert found[0] / found[1] == pytest.approx(100, rel=1e-3)


def test_probabilities_add_up_to_one_but_where_each_class_stands_alone() -> None:
    scores = torch.tensor([[4.0, 4.0], [-3.0, -4.0]])
    torch.testing.assert_close(to_probability(scores, "focal"), scores.softmax(1))
    alone = to_probability(scores, "binary")
    torch.testing.assert_close(alone[0], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(alone[1], scores[1].sigmoid())  # most of it is neither
    maps = to_probability(scores[:, :, None, None].half(), "binary")
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps[:, :, 0, 0], alone, rtol=1e-3, atol=1e-3)
