from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cropflow.report.figures import (
    Scored,
    backscatter_curve,
    compare_scores,
    learning_curves,
    ndvi_curve,
    observations_chart,
    pixel_shares,
)

PERIODS = ["2018-11-01", "2018-12-01", "2019-01-01"]
NAN = float("nan")
METRICS = {"overall_accuracy": "overall accuracy", "kappa": "kappa"}


def svg(uri: str) -> str:
    kind, _, content = uri.partition(";base64,")
    assert kind == "data:image/svg+xml"
    return base64.b64decode(content).decode()


def rows(epochs: int) -> list[dict[str, float]]:
    return [
        {"epoch": n, "train_loss": 1 / n, "validation_loss": 2 / n, "validation_balanced_accuracy": n / 10}
        for n in range(1, epochs + 1)
    ]


def drawings() -> dict[str, str]:
    quartiles = (np.array([0.1, NAN, 0.3]), np.array([0.2, NAN, 0.4]), np.array([0.3, NAN, 0.5]))
    scored = Scored("net", {"overall_accuracy": 0.5, "kappa": None}, {"overall_accuracy": (0.4, 0.6)})
    majority = Scored("majority", {"overall_accuracy": 0.3, "kappa": -0.1}, {}, reference=True)
    return {
        "scores": compare_scores(METRICS, [scored, majority]),
        "loss": learning_curves({0: rows(4), 1: rows(3)}, {0: 4, 1: 2})[0],
        "accuracy": learning_curves({0: rows(4)}, {0: 4})[1],
        "ndvi": ndvi_curve(PERIODS, quartiles, (255, 240, 10)),
        "observations": observations_chart(
            PERIODS, np.array([[1, 0, 2], [2, 0, 3], [2, 1, 4.0]]), np.array([3, 0, 6.0]), "observations"
        ),
        "backscatter": backscatter_curve(
            PERIODS, {"VV": np.array([-9.0, np.nan, -12]), "VH": np.array([-17.0, np.nan, -19])}, (255, 240, 10)
        ),
        "shares": pixel_shares(PERIODS, np.array([0, 1, 0.2]), np.array([0, 0, 0.1])),
    }


def test_every_figure_is_whole_and_asks_for_nothing_from_outside():
    for name, uri in drawings().items():
        text = svg(uri)
        ElementTree.fromstring(text)
        assert "<image" not in text, name
        links = re.findall(r'(?:href|src)="([^"]*)"', text)
        assert all(link.startswith("#") for link in links), name
        assert not re.search(r"url\((?!#)", text), name


def test_the_same_figure_gives_the_same_bytes():
    assert drawings() == drawings()


def test_no_coordinate_is_nan():
    for name, uri in drawings().items():
        assert not re.search(r"\bnan\b", svg(uri), re.IGNORECASE), name


def test_names_that_look_like_formulas_are_drawn_as_they_are():
    name = "$\\frac{broken$ & <b>"
    assert svg(compare_scores(METRICS, [Scored(name, {"kappa": 0.1}, {})]))


def test_a_history_without_any_value_draws_nothing():
    empty = [{"epoch": 1.0, "train_loss": NAN, "validation_loss": NAN, "validation_balanced_accuracy": NAN}]
    assert learning_curves({0: empty}, {}) == []


def test_a_history_without_validation_draws_the_training_loss():
    only = [{"epoch": n, "train_loss": 1 / n, "validation_loss": NAN} for n in (1, 2)]
    assert len(learning_curves({0: only}, {0: 2})) == 1


@pytest.mark.parametrize("metrics", [METRICS, {"kappa": "kappa"}])
def test_a_comparison_of_nothing_known_is_still_drawn(metrics):
    assert svg(compare_scores(metrics, [Scored("net", {}, {})]))
