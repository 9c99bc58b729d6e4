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
from cropflow.models.catalogue import describe_model, list_models
from cropflow.models.command import app
from cropflow.models.counting import classes_and_levels, parse_bands, parse_levels
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
        text = card_text(card)
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
    assert settings["kernel_size"]["default"] == 7 and settings["kernel_size"]["type"] == "3, 5, 7, 9"


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


def test_json_has_defaults_of_their_own_type_and_no_name_among_the_settings() -> None:
    told = json.loads(run("show", "pse_ltae", "--json"))
    defaults = {entry["key"]: entry["default"] for entry in told["settings"]}
    assert "name" not in defaults
    assert (defaults["heads"], defaults["dropout"], defaults["parcel_features"]) == (None, 0.2, True)
    assert defaults["pixel_widths"] == [32, 64] and defaults["temporal"] == "ltae"
    assert "name" not in {entry["key"] for entry in json.loads(run("show", "random_forest", "--json"))["settings"]}


def test_the_levels_that_a_network_is_counted_for_are_told() -> None:
    alone, several = (
        json.loads(run("show", "conv_star", "--outputs", "9", *more, "--json")) for more in ((), ("--levels", "2,4"))
    )
    assert (alone["counted_for"]["levels"], several["counted_for"]["levels"]) == ([], [2, 4])
    assert several["parameters"] == parameters("conv_star", bands=10, outputs=9, levels=parse_levels("2,4", 9))
    assert several["parameters"] > alone["parameters"]
    assert "a single level of the legend" in " ".join(run("show", "conv_star").split())
    counted = " ".join(run("show", "conv_star", "--legend", "turkoglu", "--bands", "4").split())
    assert "4 bands of sentinel2, 48 classes, 12 dates, coarser levels of 5 and 16 groups" in counted
    assert "level" not in run("show", "lstm").split("Counted for")[1].splitlines()[0]


def test_a_history_is_counted_for_two_seasons_unless_told() -> None:
    ordered = ("show", "pse_ltae", "--settings", '{"history": "ordered"}', "--json")
    two, three = json.loads(run(*ordered)), json.loads(run(*ordered, "--lags", "3"))
    assert (two["counted_for"]["lags"], three["counted_for"]["lags"]) == (2, 3)
    assert two["parameters"] == parameters("pse_ltae", bands=10, outputs=20, lags=2, history="ordered")
    assert three["parameters"] > two["parameters"]
    assert "a history of 2 earlier seasons" in run(*ordered[:-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lstm", "--levels", "3"), "lstm scores one level alone; leave --levels out"),
        (("pse_ltae", "--lags", "3"), "reads no history; leave --lags out"),
        (("conv_star", "--legend", "turkoglu", "--levels", "3"), "leave out --outputs and --levels"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CropflowError, match=message):
        CliRunner().invoke(app, ["show", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("text", ["", "x", "0,3", "9,3", "3,21", "3,,4"])
def test_levels_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(CropflowError, match="--levels is"):
        classes_and_levels(20, text, None)


def test_classes_are_shared_out_among_the_groups_of_a_level() -> None:
    assert classes_and_levels(None, None, None) == (20, ())
    assert classes_and_levels(5, "2,5", None) == (5, ((0, 0, 0, 1, 1), (0, 1, 2, 3, 4)))
