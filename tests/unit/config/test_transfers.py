"""Transfers and options that belong to a choice, as the config checks them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from cropflow.config import Config
from cropflow.config.base import dump
from cropflow.config.load import merge, read_config
from cropflow.config.models import NETWORKS
from cropflow.config.models.patches import SiameseUnet3d, TemporalUnet
from cropflow.config.models.transfer import Transfer, architecture
from cropflow.config.root import missing_paths, parse
from cropflow.errors import CropflowError


@pytest.fixture
def content(root: Any) -> dict[str, Any]:
    """The demo, and a second experiment that goes on from it on the same set."""
    found = read_config([root / "config.yaml"])
    second = copy.deepcopy(found["experiments"]["demo"]) | {"transfer": {"experiment": "demo"}, "compare": []}
    del second["model"]["learning_rate"]
    return merge(found, {"run": ["second"], "experiments": {"second": second}})


def test_rates_of_a_transfer_are_the_published_ones_unless_layers_are_frozen(content: dict[str, Any]) -> None:
    found = parse(Config, content).experiments["second"].transfer
    assert found is not None
    assert (found.learning_rate_head, found.learning_rate, found.freeze_epochs) == (1e-4, 1e-5, None)
    frozen = parse(Transfer, {"experiment": "demo", "freeze": "all_but_head"})
    assert frozen.learning_rate is None
    early = parse(Transfer, {"experiment": "demo", "freeze": "first_epochs"})
    assert (early.learning_rate, early.freeze_epochs) == (1e-5, 1)
    assert all(parse(Transfer, dump(each)) == each for each in (found, frozen, early))


SQUARE = {"centre": [0.9, 48.4], "side_km": 1.28}
DEMO_SET = {"series": "monthly", "legend": "turkoglu", "inner_buffer_m": 10, "folds": {"count": 5, "block_m": 640}}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown name": (
        {"second": {"transfer": {"experiment": "dmo"}}},
        "experiments.second.transfer.experiment is 'dmo'; expected one of: demo, demo_forest, second",
    ),
    "itself": (
        {"second": {"transfer": {"experiment": "second"}}},
        "experiments.second.transfer goes round in a circle: second <- second; expected",
    ),
    "a circle": (
        {"demo": {"transfer": {"experiment": "second"}, "model": {"learning_rate": 1e-3}}},
        "experiments.demo.transfer goes round in a circle: demo <- second <- demo; expected",
    ),
    "a forest": (
        {"demo_forest": {"transfer": {"experiment": "demo"}}},
        "experiments.demo_forest.transfer belongs to networks; experiments.demo_forest.model is 'random_forest'",
    ),
    "from a forest": (
        {"second": {"transfer": {"experiment": "demo_forest"}}},
        "transfer.experiment is 'demo_forest', whose model is 'random_forest'; expected 'temporal_unet'",
    ),
    "another architecture": (
        {"second": {"model": {"temporal_width": 16}}},
        "whose model has temporal_width 32; experiments.second.model.temporal_width is 16; expected the same",
    ),
    "steps without effect": (
        {"second": {"model": {"learning_rate": 0.01}}},
        "experiments.second.model.learning_rate is 0.01, and a transfer has steps of its own",
    ),
    "a search of steps without effect": (
        {"second": {"tuning": {"parameters": {"learning_rate": [1e-3, 1e-4]}}}},
        "experiments.second.tuning.parameters names 'learning_rate', and a transfer has steps of its own",
    ),
    "a search of the architecture": (
        {"second": {"tuning": {"parameters": {"temporal_layers": [1, 2]}}}},
        "experiments.second.tuning.parameters names 'temporal_layers', which the weights of a transfer belong to",
    ),
    "a start whose architecture is searched": (
        {"demo": {"tuning": {"parameters": {"widths": [[16, 32], [8, 16]]}}}},
        "experiments.demo.tuning.parameters names 'widths', which the weights of a transfer belong to",
    ),
    "a step of frozen layers": (
        {"second": {"transfer": {"freeze": "all_but_head", "learning_rate": 1e-5}}},
        "experiments.second.transfer: learning_rate is 1e-05 and freeze 'all_but_head', which has no use for it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_transfer_that_cannot_be_is_one_line(name: str, content: dict[str, Any]) -> None:
    change, message = REFUSED[name]
    with pytest.raises(CropflowError) as caught:
        parse(Config, merge(content, {"experiments": change}))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_both_stages_of_a_transfer_may_search_how_they_are_trained(content: dict[str, Any]) -> None:
    searches = {
        "demo": {"tuning": {"parameters": {"learning_rate": [1e-3, 1e-2]}}},
        "second": {"tuning": {"parameters": {"dropout": [0.0, 0.5]}}},
    }
    found = parse(Config, merge(content, {"experiments": searches})).experiments
    assert found["second"].transfer is not None
    assert [found[name].tuning.count for name in searches] == [2, 2]  # type: ignore[union-attr]


def with_set(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The second experiment on a set of its own."""
    return merge(content, {"sets": {"own": merge(DEMO_SET, changes)}, "experiments": {"second": {"set": "own"}}})


@pytest.mark.parametrize(
    "changes",
    [{"folds": {"block_m": 1280}}, {"folds": {"ring_m": 10}}, {"legend": "cropflow"}, {"background": True}],
    ids=str,
)
def test_folds_that_may_differ_on_one_region_are_a_leak(content: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(CropflowError) as caught:
        parse(Config, with_set(content, **changes))
    assert "goes back to 'demo', which trains on the region 'beauce' by the folds of the set 'demo'" in str(
        caught.value
    )
    # Elsewhere no block can be both.
    elsewhere = {
        "regions": {"perche": {"sites": {"a": SQUARE}, "imagery": "demo", "register": "demo"}},
        "experiments": {"second": {"train": [{"region": "perche", "season": "2023"}]}},
    }
    parse(Config, merge(with_set(content, **changes), elsewhere))


def test_sets_that_share_their_folds_share_a_region(content: dict[str, Any]) -> None:
    parse(Config, with_set(content, inner_buffer_m=20))
    # Folds even out the crops of all seasons that a set is trained on.
    other = {"season": "2023", "region": "beauce"}, {"season": "2022", "region": "beauce"}
    content["simulations"]["demo"]["imagery_seasons"] = ["2022", "2023"]
    third = merge(content["experiments"]["demo"], {"set": "own", "train": list(other), "compare": []})
    with pytest.raises(CropflowError, match="expected one set, or the same folds, legend, background and seasons"):
        parse(Config, merge(with_set(content, inner_buffer_m=20), {"experiments": {"third": third}}))


def test_a_chain_of_transfers_is_checked_to_its_beginning(content: dict[str, Any]) -> None:
    third = merge(
        content["experiments"]["second"],
        {"set": "own", "transfer": {"experiment": "between"}, "train": [{"region": "beauce", "season": "2023"}]},
    )
    between = merge(content["experiments"]["second"], {"train": [{"region": "perche", "season": "2023"}]})
    chain = merge(
        content,
        {
            "regions": {"perche": {"sites": {"a": SQUARE}, "imagery": "demo", "register": "demo"}},
            "sets": {"own": merge(DEMO_SET, {"folds": {"block_m": 1280}})},
            "experiments": {"between": between, "third": third},
        },
    )
    with pytest.raises(CropflowError, match=r"experiments\.third\.transfer goes back to 'demo', which trains on"):
        parse(Config, chain)


def test_a_transfer_needs_as_many_folds_and_the_same_sensors(content: dict[str, Any]) -> None:
    with pytest.raises(CropflowError, match=r"whose set has 5 folds; sets.own.folds.count is 4"):
        parse(Config, with_set(content, folds={"count": 4}))
    sensors = ["sentinel1_ascending", "sentinel2"]
    content["imagery"]["demo"]["sensors"] = sensors
    with pytest.raises(CropflowError, match=r"whose set has the sensors sentinel2; sets.own.sensors has sentinel1_asc"):
        parse(Config, with_set(content, sensors=sensors))


def test_files_of_the_experiment_before_are_looked_for_too(content: dict[str, Any], root: Any) -> None:
    content["imagery"]["far"] = {"source": "items", "path": "nowhere.json"}
    content["regions"]["perche"] = {"sites": {"a": SQUARE}, "imagery": "far", "register": "demo"}
    content["experiments"]["demo"] |= {"train": [{"region": "perche", "season": "2023"}], "compare": []}
    config = parse(Config, content)
    assert missing_paths(config, root) == ["imagery.far.path: nowhere.json"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 2.0}, "gamma is 2.0 and loss 'cross_entropy', which has no use for it; expected loss 'focal'"),
        ({"loss": "focal", "level_weights": [1]}, "level_weights is [1] and loss 'focal', which has no use for it"),
        ({"beta": 0.9}, "expected class_weights 'effective_number', or no beta"),
        (
            {"momentum": 0.9},
            "momentum is 0.9 and optimiser 'adam', which has no use for it; expected opt",
        ),
        ({"schedule": "cosine", "schedule_epochs": 3}, "expected schedule 'step' or 'plateau', or no schedule_epochs"),
        ({"schedule_factor": 0.5}, "schedule_factor is 0.5 and schedule 'constant', which has no use for it"),
        ({"loss": "fokal", "gamma": "x"}, "loss is 'fokal'"),
        ({"precision": 16}, "precision is 16; input should be 32, '16-mixed' or 'bf16-mixed'"),
        ({"flips": "perhaps"}, "flips is 'perhaps'"),
    ],
)
def test_an_option_without_effect_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CropflowError) as caught:
        parse(TemporalUnet, options)
    assert message in str(caught.value)


def test_options_are_filled_in_where_they_have_an_effect() -> None:
    found = parse(TemporalUnet, {"loss": "focal", "optimiser": "sgd", "schedule": "plateau"})
    assert (found.gamma, found.momentum, found.schedule_epochs, found.schedule_factor) == (1.0, 0.9, 3, 0.5)
    assert found.beta is None
    assert parse(TemporalUnet, dump(found)) == found


def test_chances_of_one_choice_are_not_asked_one_by_one() -> None:
    with pytest.raises(CropflowError, match="fusion 'softmax_product' gives the chances of one choice, and loss 'bina"):
        parse(NETWORKS["pse_tsa"], {"fusion": "softmax_product", "loss": "binary"})
    assert parse(NETWORKS["pse_tsa"], {"fusion": "tsa", "loss": "binary"})


def test_text_that_says_no_is_no(content: dict[str, Any]) -> None:
    assert not parse(TemporalUnet, yaml.safe_load("{flips: 'false'}")).flips
    assert not parse(TemporalUnet, yaml.safe_load("{flips: no}")).flips


def test_one_sensor_cannot_be_dropped(content: dict[str, Any]) -> None:
    with pytest.raises(CropflowError, match=r"experiments.demo.model.sensor_dropout is 0.2, and sets.demo.sensors has"):
        parse(Config, merge(content, {"experiments": {"demo": {"model": {"sensor_dropout": 0.2}}}}))


@pytest.mark.parametrize("name", NETWORKS)
def test_what_weights_depend_on_is_neither_drawn_nor_trained(name: str) -> None:
    known = architecture(NETWORKS[name]())
    assert known["name"] == name
    assert not {"batch_size", "learning_rate", "loss", "flips", "cutout", "dropout", "pixels", "epochs"} & set(known)


def test_a_head_of_another_kind_may_be_put_on_the_same_layers() -> None:
    published = architecture(SiameseUnet3d())
    assert architecture(SiameseUnet3d(head_kind="isrc")) == published
    assert architecture(SiameseUnet3d(width=8)) != published
