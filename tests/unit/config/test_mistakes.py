"""Mistakes in the settings of models: one line with the user's own key, before anything is computed."""

from __future__ import annotations

from typing import Any

import pytest

from cropflow.config import Config
from cropflow.config.load import merge, read_config
from cropflow.config.root import parse
from cropflow.errors import CropflowError

TWO = {"imagery": {"demo": {"sensors": ["sentinel2", "sentinel1_ascending"]}}}
TWO |= {"sets": {"demo": {"sensors": ["sentinel2", "sentinel1_ascending"]}}}


@pytest.fixture
def content(root):
    """The demo's config, with an experiment that maps what it learns from."""
    return merge(read_config([root / "config.yaml"]), {"experiments": {"demo": {"map": [], "compare": []}}})


def changed(content: dict[str, Any], model: dict[str, Any], overlay: dict[str, Any] | None = None) -> dict[str, Any]:
    """The config with another model, whose name leaves no key of the old one."""
    content["experiments"]["demo"]["model"] = model
    return merge(content, overlay or {})


@pytest.mark.parametrize(
    ("model", "overlay", "message"),
    [
        ({"name": "pse_ltae", "epoch": 3}, {}, r"demo\.model\.epoch is no key .*\(value 3\); did you mean epochs\?"),
        ({"name": "utae", "optimizer": "sgd"}, {}, r"model\.optimizer is no key .*; did you mean optimiser\?"),
        ({"name": "lstm", "history": "bag"}, {}, r"model\.history is no key .*; expected one of: .*, bidirectional"),
        (
            {"name": "utae", "cutout": 512},
            {},
            r"demo\.model\.cutout is 512; expected at most 64, sets\.demo\.patch_size",
        ),
        ({"name": "temporal_unet", "cutout": 8}, {}, r"demo\.model\.cutout is 8; .*expected at least 16, or a model"),
        (
            {"name": "siamese_unet3d", "halvings": 5},
            {"sets": {"demo": {"patch_size": 16}}},
            r"sets\.demo\.patch_size is 16; .*expected at least 32, or a model",
        ),
        ({"name": "pse_ltae", "history": "bag"}, {}, r"model\.history is 'bag'; sets\.demo\.history is 0; expected"),
        ({"name": "pse_tsa", "fusion": "tsa"}, {}, r"model\.fusion is 'tsa'; sets\.demo\.sensors has sentinel2 alone"),
        ({"name": "transformer", "heads": 3}, {}, r"demo\.model: heads is 3; expected a number that divides width, 64"),
        (
            {"name": "temp_cnn"},
            {"series": {"monthly": {"period": "acquisitions"}}, "sets": {"demo": {"minimum_dates": 5}}},
            r"'temp_cnn', .*expected periods of a calendar, pooling: mean, or another model",
        ),
    ],
)
def test_a_model_that_its_samples_do_not_fit_is_refused(content, model, overlay, message):
    with pytest.raises(CropflowError, match=message) as told:
        parse(Config, changed(content, model, overlay))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("model", "overlay"),
    [
        ({"name": "utae", "cutout": 64}, {}),
        ({"name": "temporal_unet", "cutout": 16}, {}),
        ({"name": "pse_ltae", "history": "bag"}, {"sets": {"demo": {"history": 1}}}),
        ({"name": "pse_tsa", "fusion": "tsa"}, TWO),
    ],
)
def test_a_model_that_its_samples_fit_is_accepted(content, model, overlay):
    assert parse(Config, changed(content, model, overlay)).experiments["demo"].model.name == model["name"]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"low": 0.01, "high": 0.001},
            r"parameters\.learning_rate: low 0\.01 and high 0\.001; expected low below high",
        ),
        ({"low": 0.01}, r"parameters\.learning_rate\.high is missing"),
        ({"low": 0.01, "hihg": 1}, r"parameters\.learning_rate\.hihg is no key .*; did you mean high\?"),
        (0.01, r"parameters\.learning_rate is 0\.01; expected a list, such as \[0\.01\]"),
    ],
)
def test_a_mistake_in_a_span_of_a_search_is_told_as_such(content, choice, message):
    tuning = {"search": "tpe", "trials": 4, "parameters": {"learning_rate": choice}}
    with pytest.raises(CropflowError, match=message):
        parse(Config, merge(content, {"experiments": {"demo": {"tuning": tuning}}}))
