from __future__ import annotations

import json

import pytest

from cropflow.files.atomic import read_json


def test_the_command_writes_page_and_manifest(world, run, tmp_path):
    page = tmp_path / "report" / "net" / "index.html"
    assert run(world.options(page)) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    manifest = read_json(page.with_name("index.html.manifest.json"))
    assert manifest["counts"]["bytes"] == manifest["bytes"] == page.stat().st_size
    assert {"confusion", "metrics of net", "metrics of forest", "model 0", "scenes dale/2019/sentinel2"} <= set(
        manifest["inputs"]
    )


def test_models_of_compared_experiments_are_inputs(world, run, tmp_path):
    world.compare_forest()
    page = tmp_path / "index.html"
    assert run(world.options(page)) == 0
    assert "Random split against blocks" in page.read_text(encoding="utf-8")
    assert {"model 0 of forest", "model 2 of forest"} <= set(read_json(tmp_path / "index.html.manifest.json")["inputs"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("forest", "expected name=FOLDER"),
        ("net=.", "names 'net'; expected one of forest"),
        ("forest=nowhere", "holds no model.json"),
    ],
)
def test_a_wrong_model_of_a_compared_experiment_is_refused(world, run, capsys, tmp_path, given, message):
    arguments = [*world.options(tmp_path / "x.html"), "--compared-model", given]
    assert message in refused(run, capsys, arguments)


def test_running_twice_gives_the_same_bytes(world, run, tmp_path):
    first, second = tmp_path / "one.html", tmp_path / "two.html"
    assert run(world.options(first)) == run(world.options(second)) == 0
    assert first.read_bytes() == second.read_bytes()


def refused(run, capsys, arguments) -> str:
    assert run(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    assert len(errors) == 1
    return errors[0]


def test_a_catalogue_given_twice_is_named(world, run, capsys, tmp_path):
    arguments = [*world.options(tmp_path / "x.html"), "--scenes", str(world.scenes)]
    assert "sentinel2.parquet is given twice; expected" in refused(run, capsys, arguments)
    assert not (tmp_path / "x.html").exists()


def test_a_catalogue_of_another_place_is_named(world, run, capsys, tmp_path):
    arguments = [
        *world.options(tmp_path / "x.html"),
        "--scenes",
        str(world.metrics["net"].with_name("confusion.parquet")),
    ]
    assert "is of no --place (dale/2019); expected <region>/<season>/<sensor>.parquet" in refused(
        run, capsys, arguments
    )


def test_an_option_given_too_often_is_named_with_its_counts(world, run, capsys, tmp_path):
    arguments = [*world.options(tmp_path / "x.html"), "--folds", str(world.folds)]
    assert "--folds is given 2 times; expected 1" in refused(run, capsys, arguments)


def test_a_place_without_its_files_is_refused(world, run, capsys, tmp_path):
    arguments = [*world.options(tmp_path / "x.html"), "--place", "hill/2019"]
    assert "--samples is given 1 times; expected 2" in refused(run, capsys, arguments)


def test_metrics_of_others_alone_are_refused(world, run, capsys, tmp_path):
    world.metrics.pop("net")
    arguments = world_options_without_net(world, tmp_path)
    assert "expected the metrics.json of 'net'" in refused(run, capsys, arguments)


def world_options_without_net(world, tmp_path):
    world.metrics["net"] = world.metrics["forest"]
    arguments = world.options(tmp_path / "x.html")
    # Both options now name the forest; one of them is dropped.
    place = arguments.index("--evaluation")
    return arguments[:place] + arguments[place + 2 :]


def test_one_experiment_named_twice_is_refused(world, run, capsys, tmp_path):
    arguments = [*world.options(tmp_path / "x.html"), "--evaluation", str(world.metrics["forest"])]
    assert "names an experiment twice" in refused(run, capsys, arguments)


def test_a_missing_file_is_named(world, run, capsys, tmp_path):
    world.folds = tmp_path / "nowhere.json"
    assert "nowhere.json" in refused(run, capsys, world.options(tmp_path / "x.html"))


def test_settings_that_are_no_json_are_refused(world, run, capsys, tmp_path):
    arguments = world.options(tmp_path / "x.html")
    arguments[arguments.index("--settings") + 1] = "{broken"
    assert "--settings is no JSON" in refused(run, capsys, arguments)


def test_settings_without_an_experiment_are_refused(world, run, capsys, tmp_path):
    arguments = world.options(tmp_path / "x.html")
    arguments[arguments.index("--settings") + 1] = json.dumps({"set": {"series": "monthly"}})
    assert "lacks 'experiment'" in refused(run, capsys, arguments)


def test_settings_with_a_wrong_value_are_refused(world, run, capsys, tmp_path):
    world.settings["set"]["patch_size"] = "large"
    assert "patch_size" in refused(run, capsys, world.options(tmp_path / "x.html"))
