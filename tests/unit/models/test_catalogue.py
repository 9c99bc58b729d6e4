"""Models listed and shown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from cropflow.config.models import BASELINES, NETWORKS
from cropflow.errors import CropflowError
from cropflow.models import create
from cropflow.models.catalogue import describe_model, list_models, parse_bands
from cropflow.models.command import app
from cropflow.models.showing import card_text, table


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def parameters(name: str, **inputs: Any) -> int:
    return sum(value.numel() for value in create(name, **inputs).parameters())


def test_every_model_has_a_line_that_says_what_it_is() -> None:
    lines = {line.name: line for line in list_models(10, 20, 12)}
    assert set(lines) == {*NETWORKS, *BASELINES}
    assert all(len(line.what) > 10 and line.sensors in ("any", "one", "two") for line in lines.values())
    assert {line.name for line in lines.values() if line.parameters is None} == set(BASELINES)
    assert lines["transformer"].parameters == parameters("transformer", bands=10, outputs=20)
    assert lines["pse_ltae"].kind == "pixel_sets"


def test_every_network_tells_its_paper_its_shapes_and_what_it_does_about_gaps() -> None:
    for name in NETWORKS:
        card = describe_model(name, {"sentinel2": 4, "sentinel1_ascending": 2}, 5, 6)
        assert re.search(r"https://|doi", card.source), name
        assert any("(B, " in paragraph for paragraph in card.about), name
        assert sum(card.parts.values()) == card.line.parameters
        text = card_text(card, "these")
        assert "gaps" in text and max(len(line) for line in text.splitlines()) <= 120
        assert {"learning_rate", "loss"} <= {key for key, *_ in card.training}
        assert all(meaning for _, _, _, meaning in card.keys)


def test_parameters_are_counted_for_what_is_asked() -> None:
    told = json.loads(run("show", "temp_cnn", "--bands", "13", "--outputs", "9", "--periods", "45", "--json"))
    assert told["parameters"] == 3_197_449 == sum(told["parts"].values())
    changed = json.loads(run("show", "temp_cnn", "--settings", '{"pooling": "mean", "width": 8}', "--json"))
    assert changed["parameters"] == parameters("temp_cnn", bands=10, outputs=20, pooling="mean", width=8)
    sensors = json.loads(run("show", "lstm", "--bands", "sentinel2=10,sentinel1_ascending=2", "--json"))
    assert sensors["parameters"] == parameters("lstm", bands=12, outputs=20)
    settings = {entry["key"]: entry for entry in told["settings"]}
    assert settings["kernel_size"]["default"] == "7" and settings["kernel_size"]["type"] == "3, 5, 7, 9"


def test_the_list_and_a_baseline_are_readable() -> None:
    text = run("list", "--bands", "4", "--outputs", "5")
    assert text.splitlines()[0].split() == ["name", "learns", "from", "parameters", "sensors", "what", "it", "is"]
    assert "4 bands, 5 classes, 12 dates" in text
    assert [entry["name"] for entry in json.loads(run("list", "--json"))] == [*NETWORKS, *BASELINES]
    shown = run("show", "gradient_boosting")
    assert "validation fold" in shown and "parameters" not in shown


def test_what_cannot_be_shown_is_one_line() -> None:
    for arguments, message in (
        (("forest", 10, 20, 12), "Model is 'forest'; expected one of: temporal_unet"),
        (("temp_cnn", 10, 20, 12, '{"width": 2}'), "--settings.width is 2"),
        (("random_forest", 10, 20, 12, '{"trees": 0}'), "--settings.trees is 0"),
        (("transformer", 10, 20, 12, '{"heads": 5}'), "heads is 5; expected a number that divides width, 64"),
    ):
        with pytest.raises(CropflowError, match=message):
            describe_model(*arguments)
    for text in ("x", "sentinel2", "sentinel2=x", "sentinel9=3", ""):
        with pytest.raises(CropflowError, match="--bands is"):
            parse_bands(text)
    assert parse_bands("sentinel2=10,sentinel1_ascending=2") == {"sentinel2": 10, "sentinel1_ascending": 2}


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    assert table(("a", "b"), [("ccc", "1"), ("d", "22")], right=(1,)) == "a     b\nccc   1\nd    22"
