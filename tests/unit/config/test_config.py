"""The config's models and what is generated from them."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
import yaml
from typer.testing import CliRunner

from cropflow.config import Config, describe, shipped, texts
from cropflow.config.addresses import public
from cropflow.config.base import dump
from cropflow.config.command import app
from cropflow.config.imagery import Imagery, Series
from cropflow.config.layouts import LAYOUT_SETTINGS
from cropflow.config.load import merge, read_config
from cropflow.config.models.patches import TemporalUnet
from cropflow.config.models.reading import parse_model
from cropflow.config.regions import Region
from cropflow.config.registers import Register
from cropflow.config.root import missing_paths, parse, parse_json
from cropflow.config.sections import Experiment, Folds, Season
from cropflow.errors import CropflowError
from cropflow.labels import legend


def test_the_committed_schema_is_the_models_schema(root):
    committed = (root / "workflow" / "schemas" / "config.schema.json").read_text()
    assert committed == describe.schema(), "run: cropflow config schema > workflow/schemas/config.schema.json"


def test_the_committed_reference_is_the_models_reference(root):
    committed = (root / "docs" / "configuration.md").read_text()
    assert committed == describe.reference(), "run: cropflow config reference > docs/configuration.md"


def test_the_reference_names_no_class_and_points_to_every_section():
    page = describe.reference()
    roots = {"Top level", *(f"cropflow samples import --layout {name}" for name in LAYOUT_SETTINGS)}
    for heading, model in describe.PAGES.items():
        assert f"| {model.__name__} |" not in page and f"| {model.__name__} or" not in page
        assert heading in roots or re.search(rf"Keys: .*`{re.escape(heading)}`", page), heading


def test_every_key_of_every_section_has_a_description():
    for model in describe.PAGES.values():
        for name, field in model.model_fields.items():
            nested = isinstance(field.default, describe.Section)
            assert field.description or nested or name == "name", f"{model.__name__}.{name}"


def test_the_environments_carry_the_versions_of_the_project(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pins = dict(pin.split("==") for pin in [*project["dependencies"], *project["optional-dependencies"]["preview"]])
    for file in sorted((root / "envs").glob("*.yaml")):
        environment = yaml.safe_load(file.read_text())
        assert environment["channels"] == ["conda-forge", "nodefaults"]
        pip = [part for item in environment["dependencies"] if isinstance(item, dict) for part in item["pip"]]
        conda = [item for item in environment["dependencies"] if isinstance(item, str) and item != "pip"]
        found = dict(re.split(r"\s*=+", item) for item in conda + pip)
        assert found.pop("python").startswith("3.11")
        for name, version in found.items():
            assert pins[name] == version, f"{file.name}: {name} is {version}, pyproject.toml has {pins[name]}"
    locked = dict(line.split("==") for line in (root / "constraints.txt").read_text().split())
    for name, version in pins.items():
        assert locked[{k.lower(): k for k in locked}[name]] == version, f"constraints.txt: {name}"


def test_torch_is_pinned_and_installed_with_pip(root):
    environment = yaml.safe_load((root / "envs" / "torch.yaml").read_text())
    assert "torch==2.13.0" in environment["dependencies"][-1]["pip"]


def test_the_demo_config_and_every_experiment_are_valid(root):
    for overlay in sorted((root / "experiments").glob("*.yaml")):
        config = parse(Config, read_config([root / "config.yaml", overlay]))
        assert config.run


def test_an_overlay_adds_and_replaces_but_never_drops():
    assert merge({"a": {"x": 1, "y": [1, 2]}, "b": 1}, {"a": {"y": [3]}}) == {"a": {"x": 1, "y": [3]}, "b": 1}


def test_a_key_given_twice_is_named_with_both_lines(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("run: [a]\nregions:\n  a: {x: 1}\nseasons: {}\nregions:\n  b: {}\n")
    with pytest.raises(CropflowError, match=r"mine.yaml has the key 'regions' in line 2 and in line 5; expected"):
        read_config([file])
    file.write_text("run: [a]\nregions: {a: {x: 1, y: 2, x: 3}}\n")
    with pytest.raises(CropflowError, match=r"mine.yaml has the key 'x' twice in line 2; expected it once"):
        read_config([file])
    file.write_text("a: &all {x: 1}\nb: {<<: *all, y: 2}\n")
    assert read_config([file]) == {"a": {"x": 1}, "b": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "is empty"), ("- a", "holds list"), ("a: [", "is no YAML"), ("a: 2024-13-01", "holds a date")],
)
def test_a_file_that_is_no_config_is_one_line(tmp_path, text, told):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(CropflowError, match=rf"mine.yaml {told}"):
        read_config([tmp_path / "mine.yaml"])


def test_defaults_survive_a_round_trip_through_json():
    series = parse(Series, {})
    assert parse(Series, dump(series)) == series


def test_a_region_keeps_the_key_register_under_its_own_name():
    region = parse(Region, {"sites": {"a": {"centre": [1, 45], "side_km": 1}}, "imagery": "x", "register": "rpg"})
    assert dump(region)["register"] == "rpg"


MAP = {"reader": "raster", "table": "t.csv", "files": {"2018": {"path": "map.tif"}}}


def test_a_raster_is_a_map_whose_pixels_all_count_unless_the_user_says_otherwise():
    register = parse(Register, MAP)
    assert (register.kind, register.cleaning.minimum_area_m2, register.cleaning.minimum_width_m) == ("map", 0, 0)
    assert parse(Register, dump(register)) == register
    windows = {"a": {"centre": [1.6, 48.2], "side_km": 10}, "b": {"bounds": [0, 0, 9, 9], "crs": "EPSG:3035"}}
    placed = parse(Register, MAP | {"raster": {"windows": windows, "nodata": [0]}})
    assert parse(Register, dump(placed)) == placed
    other = parse(Register, MAP | {"kind": "survey", "cleaning": {"minimum_area_m2": 500}})
    assert (other.kind, other.cleaning.minimum_area_m2) == ("survey", 500)
    assert parse(Register, {"reader": "rpg", "simulation": "x"}).kind == "survey"


def test_the_examples_of_the_page_on_maps_are_valid(root):
    text = (root / "docs" / "map-registers.md").read_text().split("```yaml\n")[1].split("```")[0]
    registers = {name: parse(Register, entry, name) for name, entry in yaml.safe_load(text)["registers"].items()}
    assert {register.kind for register in registers.values()} == {"map"}
    assert set(registers) == {"eucropmap", "eucropmap_far", "aafc", "worldcover", "canadian_cropland"}


@pytest.mark.parametrize(
    ("model", "content", "words"),
    [
        (Season, {"start": "2020-13-01", "end": "2021-01-01"}, ["start", "2020-13-01", "such as '2022-10-01'"]),
        (Region, {"sites": {"a": {"centre": [3.3], "side_km": 1}}, "imagery": "x"}, ["sites.a.centre.1 is missing"]),
        (
            Region,
            {"sites": {"a": {"centre": [1, 2], "bounds": [1, 2, 3, 4]}}, "imagery": "x"},
            ["sites.a.centre is no key", "one of: bounds, crs."],
        ),
        (Region, {"sites": {"a": {"bounds": [4, 2, 3, 4]}}, "imagery": "x"}, ["sites.a: bounds", "not ordered"]),
        (Imagery, {"source": "items", "path": "x", "assume_baseline": "4"}, ["assume_baseline", "such as '02.07'"]),
        (Imagery, {"source": "items", "path": 4}, ["path is 4", "in quotes"]),
        (
            Imagery,
            {"source": "items", "path": "x", "sensors": ["s1", "s2"]},
            ["sensors.0 is 's1'", "'sentinel2', 'sentinel1_ascending' or 'sentinel1_descending'. (1 more mistake)"],
        ),
        (Imagery, {"source": "items", "path": "x", "bands": ["B1"]}, ["bands.0 is 'B1'", "'B11' or 'B12'."]),
        (Series, {"cut": "02-30"}, ["cut is '02-30'; expected MM-DD, a day of the calendar, such as '05-31'."]),
        (Series, {"period": "days"}, ["period is 'days' and period_days is missing"]),
        (Series, {"period_days": 10}, ["period_days is 10 and period 'month'; expected period 'days'"]),
        (Experiment, {"set": "a", "model": "random_forest", "train": [{}]}, ["model is", "keys with values"]),
        (Imagery, {"source": "items", "path": "x", "bands": ["B02", "B02"]}, ["B02", "twice"]),
        (Imagery, {"source": "items"}, ["exactly one of simulation and path"]),
        (Imagery, {"source": "items", "path": "x", "assume_baseline": 2.07}, ["assume_baseline", "2.07"]),
        (TemporalUnet, {"kernel_size": 4}, ["kernel_size", "4", "3"]),
        (Folds, {"block_m": 40, "ring_m": 20}, ["ring_m 20", "block_m 40", "less than 20"]),
        (Register, {"reader": "rpg", "simulation": "x", "columns": {"crop_code": "a"}}, ["rpg knows its columns"]),
        (Region, {"sites": {"a": {"centre": [200, 45], "side_km": 1}}, "imagery": "x"}, ["200", "180"]),
        (Register, MAP | {"columns": {"crop_code": "a"}}, ["raster has no columns"]),
        (Register, {"reader": "raster", "table": "t.csv", "simulation": "x"}, ["raster reads files"]),
        (Register, {"reader": "raster", "files": {"2018": {"path": "x"}}}, ["reader raster needs table"]),
        (Register, {"reader": "rpg", "simulation": "x", "raster": {}}, ["raster belongs to reader raster", "'rpg'"]),
        (
            Register,
            MAP | {"files": {"2018": {"path": "x", "encoding": "CP1252"}}},
            ["raster has no encoding to choose"],
        ),
        (Register, MAP | {"raster": {"cut_pixels": 4}}, ["cut_pixels", "4", "8"]),
        (Register, MAP | {"raster": {"windows": {"a": {"bounds": [1, 1, 0, 2]}}}}, ["windows", "not ordered"]),
        (Register, MAP | {"points": {"side_m": 30}}, ["raster has no points"]),
        (Register, MAP | {"reader": "canadian_cropland"}, ["needs points.side_m"]),
        (Register, MAP | {"reader": "canadian_cropland", "points": {"side_m": 5}}, ["side_m 5", "below", "100"]),
        (Register, MAP | {"files": {"2018": {"path": "x", "ranges": True}}}, ["ranges needs a url"]),
        (
            Register,
            {"reader": "rpg", "files": {"2018": {"url": "https://a.org/x.7z", "ranges": True}}},
            ["ranges belongs to reader raster"],
        ),
        (Register, MAP | {"files": {"2018": {"path": "x", "earth_engine": "JRC/a"}}}, ["exactly one of path, url"]),
        (Register, MAP | {"files": {"2018": {"earth_engine": "ee://JRC/a"}}}, ["earth_engine", "'ee://JRC/a'"]),
        (Register, MAP | {"files": {"2018": {"earth_engine": "JRC/a", "ranges": True}}}, ["ranges needs a url"]),
        (Register, MAP | {"files": {"2018": {"earth_engine": "JRC/a", "sha256": "0" * 64}}}, ["sha256 is of a file"]),
        (
            Register,
            {"reader": "rpg", "files": {"2018": {"earth_engine": "JRC/a"}}},
            ["earth_engine belongs to reader raster"],
        ),
    ],
)
def test_a_wrong_value_is_one_line_with_key_value_and_range(model, content, words):
    with pytest.raises(CropflowError) as caught:
        parse(model, content)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_settings_that_are_no_json_are_refused():
    with pytest.raises(CropflowError, match="no JSON"):
        parse_json(Series, "{max_gap: 3}")


def test_training_where_no_register_reaches_is_refused(root):
    content = read_config([root / "config.yaml"])
    content["experiments"]["demo"]["train"] = [{"region": "lauragais", "season": "2023"}]
    with pytest.raises(CropflowError, match=r"experiments\.demo\.train .*'lauragais', which has no register"):
        parse(Config, content)


def test_missing_files_are_named_by_their_keys(root, tmp_path):
    config = parse(Config, read_config([root / "config.yaml", root / "experiments" / "herault_2018.yaml"]))
    missing = missing_paths(config, tmp_path)
    assert [line.split(":")[0] for line in missing] == ["imagery.herault.path", "registers.herault.files.2018.path"]


def test_a_yaml_file_that_is_no_mapping_is_refused(tmp_path):
    file = tmp_path / "list.yaml"
    file.write_text("- a\n- b\n")
    with pytest.raises(CropflowError, match="expected a mapping"):
        read_config([file])


@pytest.fixture
def content(root):
    """The demo's config."""
    return read_config([root / "config.yaml"])


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"sets": {"demo": {"legend": "crops"}}}, ["sets.demo.legend", "'crops'", "turkoglu"]),
        ({"registers": {"demo": {"table": "rgp"}}}, ["registers.demo.table", "'rgp'", "eurocrops", "rpg", ".csv"]),
        (
            {"simulations": {"demo": {"seasons": ["2022", "2021", "2023"]}}},
            ["simulations.demo.seasons", "['2022', '2021', '2023']", "in order of time"],
        ),
        (
            {"experiments": {"demo": {"map": [{"region": "lauragais", "season": "2022"}]}}},
            ["experiments.demo.map.season", "'2022'", "simulations.demo.imagery_seasons has: 2023"],
        ),
        (
            {"experiments": {"demo": {"train": [{"region": "beauce", "season": "2022"}]}}},
            ["experiments.demo.train.season", "'2022'", "simulations.demo.imagery_seasons has: 2023"],
        ),
        (
            {"sets": {"demo": {"sensors": ["sentinel2", "sentinel1_ascending"]}}},
            ["sets.demo.sensors names sentinel1_ascending", "imagery.demo.sensors", "'beauce' has: sentinel2"],
        ),
        ({"sets": {"demo": {"sensors": ["sentinel2"] * 2}}}, ["sets.demo", "name a sensor twice"]),
    ],
)
def test_what_would_stop_a_job_is_refused_before_any(content, overlay, words):
    with pytest.raises(CropflowError) as caught:
        parse(Config, merge(content, overlay))
    for word in words:
        assert word in str(caught.value)


def test_a_table_belongs_to_the_legend_it_is_used_with(content, monkeypatch):
    monkeypatch.setattr("cropflow.config.root.legend_names", lambda: ("other", "turkoglu"))
    monkeypatch.setattr("cropflow.config.root.table_names", lambda name: ("x",) if name == "other" else ("rpg",))
    parse(Config, content)
    with pytest.raises(CropflowError, match=r"registers\.demo\.table is 'rpg'; legend 'other' has: x"):
        parse(Config, merge(content, {"sets": {"demo": {"legend": "other"}}}))


def test_the_names_of_legends_and_tables_are_those_that_the_labels_room_reads():
    assert shipped.legend_names() == legend.legend_names()
    for name in shipped.legend_names():
        assert shipped.table_names(name) == legend.table_names(name)


def test_a_table_of_ones_own_must_exist(content, tmp_path):
    config = parse(Config, merge(content, {"registers": {"demo": {"table": "mine.csv"}}}))
    assert missing_paths(config, tmp_path) == ["registers.demo.table: mine.csv"]
    (tmp_path / "mine.csv").touch()
    assert missing_paths(config, tmp_path) == []


OWN = {"sets": {"demo": {"legend": "data/mine.csv"}}, "registers": {"demo": {"table": "codes"}}}


def test_a_legend_of_ones_own_and_its_table_must_exist(content, tmp_path):
    config = parse(Config, merge(content, OWN))
    missing = missing_paths(config, tmp_path)
    assert missing == ["sets.demo.legend: data/mine.csv", "sets.demo.legend's table: data/mine/codes.csv"]
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "data" / "mine.csv").touch()
    (tmp_path / "data" / "mine" / "codes.csv").touch()
    assert missing_paths(config, tmp_path) == []


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"demo": {"legend": "data/turkoglu.csv"}}, ["'turkoglu' is the legend 'turkoglu'", "a file of another name"]),
        ({"demo": {"legend": "my crops.csv"}}, ["sets.demo.legend", "'my crops.csv'", "letters, digits"]),
        ({"demo": {"legend": "data/mine"}}, ["sets.demo.legend", "'data/mine'", ".csv"]),
        (
            {"demo": {"legend": "a/mine.csv"}, "other": {"series": "monthly", "legend": "b/mine.csv"}},
            ["sets.other.legend is 'b/mine.csv'", "'mine' is the legend 'a/mine.csv'"],
        ),
    ],
)
def test_a_legend_whose_results_would_have_no_name_of_their_own_is_refused(content, sets, words):
    with pytest.raises(CropflowError) as caught:
        parse(Config, merge(content, {"sets": sets}))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("legend_name", "table", "path"),
    [
        ("turkoglu", "rpg", None),
        ("turkoglu", "a/codes.csv", "a/codes.csv"),
        ("a/mine.csv", "codes", "a/mine/codes.csv"),
        ("a/mine.csv", "b/codes.csv", "b/codes.csv"),
    ],
)
def test_a_table_of_ones_own_lies_where_it_is_named_or_beside_the_legend(legend_name, table, path):
    assert shipped.own_table_path(legend_name, table) == path


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://me:se-cret@host/file.zip", "~/.netrc"),
        ("https://me:se-cret/se-cret@host/file.zip", "no address"),
        ("https://host/folder/?token=se-cret", "names no file"),
        ("https://host?file=se-cret", "names no file"),
        ("ftp://host/file.zip?token=se-cret", "no http(s) address"),
    ],
)
def test_an_address_that_cannot_be_fetched_is_refused_and_its_secrets_are_not_repeated(url, words):
    with pytest.raises(CropflowError) as caught:
        parse(Register, {"reader": "rpg", "files": {"2022": {"url": url}}})
    assert "files.2022" in str(caught.value)
    assert words in str(caught.value)
    assert "se-cret" not in str(caught.value)


def test_an_address_under_a_misspelt_key_is_shown_without_its_secrets():
    url = "https://me:se-cret@host/file.zip?token=se-cret"
    with pytest.raises(CropflowError, match=r"https://host/file\.zip'") as caught:
        parse(Register, {"reader": "rpg", "files": {"2022": {"ulr": url}}})
    assert "se-cret" not in str(caught.value)
    assert public([{"a": ("see https://host/a?b=c@d", 1)}]) == [{"a": ["see https://...", 1]}]


@pytest.mark.parametrize("day", ["01-31", "02-29", "04-30", "12-01"])
def test_a_cut_is_any_day_that_some_year_has(day):
    assert parse(Series, {"cut": day}).cut == day


@pytest.mark.parametrize("day", ["02-30", "04-31", "13-01", "00-10", "05-00", "05-32", "5-31", "05-31\n"])
def test_a_day_that_no_year_has_is_refused(day):
    with pytest.raises(CropflowError, match="expected MM-DD"):
        parse(Series, {"cut": day})


def test_every_pattern_of_the_schema_has_words():
    patterns = {json.loads(text) for text in re.findall(r'"pattern": (".*?")\s*[,}\n]', describe.schema())}
    assert patterns
    assert patterns == set(texts.IN_WORDS)


def test_a_check_says_what_was_checked_and_what_would_run(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("run: [demo_forest, demo]\n")
    result = CliRunner().invoke(app, ["check", str(root / "config.yaml"), "mine.yaml"])
    assert result.output == f"{root / 'config.yaml'}, mine.yaml: no mistake found; run names demo_forest, demo.\n"


def test_acquisitions_need_a_model_of_any_dates_and_the_dates_that_a_pixel_needs(content):
    dated = merge(content, {"series": {"monthly": {"period": "acquisitions"}}})
    with pytest.raises(CropflowError, match=r"minimum_dates is missing, .*'acquisitions'.*expected the dates"):
        parse(Config, dated)
    enough = merge(dated, {"sets": {name: {"minimum_dates": 5} for name in content["sets"]}})
    with pytest.raises(
        CropflowError, match=r"demo_forest\.model is 'random_forest', which needs the same dates at all"
    ):
        parse(Config, enough)
    enough["experiments"]["demo_forest"]["model"] = {"name": "lstm"}
    assert parse(Config, enough).sets["demo"].minimum_dates == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"name": "utae", "cutout": 65}},
            "demo.model.cutout is 65; expected at most 64, sets.demo.patch_size",
        ),
        (
            {"tuning": {"parameters": {"cutout": [16, 128]}}},
            "demo.tuning.parameters.cutout: model.cutout is 128; expected at most 64, sets.demo.patch_size",
        ),
        (
            {"tuning": {"parameters": {"sensor_dropout": [0.0, 0.5]}}},
            "demo.tuning.parameters.sensor_dropout is 0.5, and",
        ),
        (
            {"model": {"name": "pse_ltae", "history": "bag"}},
            "demo.model.history is 'bag'; sets.demo.history is 0; expected the number of earlier seasons",
        ),
        (
            {"model": {"name": "pse_ltae"}, "tuning": {"parameters": {"history": ["none", "ordered"]}}},
            "demo.tuning.parameters.history: model.history is 'ordered'; sets.demo.history is 0",
        ),
        (
            {"tuning": {"parameters": {"class_weights": ["none", "balanced"]}, "metric": "loss"}},
            "tuning.metric is 'loss', and tuning.parameters names 'class_weights', which changes what a loss is",
        ),
    ],
)
def test_a_model_or_a_search_that_its_set_cannot_serve_is_one_line(content, changes, message):
    entry = {**content["experiments"]["demo"], "map": [], "compare": [], **changes}
    with pytest.raises(CropflowError) as refused:
        parse(Config, {**content, "experiments": {"demo": entry}, "run": []})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "model", [{"name": "pse_ltae"}, {"name": "conv_lstm"}, {"name": "random_forest", "unit": "parcel"}]
)
def test_a_place_without_parcels_is_not_mapped_by_a_model_of_parcels(content, model):
    content["experiments"]["demo"]["model"] = model
    with pytest.raises(CropflowError, match=r"demo\.map is 'lauragais' in '2023', where no register has parcels; .*"):
        parse(Config, content)
    content["experiments"]["demo"]["map"] = [{"region": "beauce", "season": "2023"}]
    assert parse(Config, content).experiments["demo"].model.name == model["name"]


@pytest.mark.parametrize(
    ("model", "any_dates"),
    [
        ({"name": "gradient_boosting"}, False),
        ({"name": "siamese_unet3d"}, False),
        ({"name": "siamese_unet3d", "collapse": "mean"}, True),
        ({"name": "temp_cnn"}, False),
        ({"name": "temp_cnn", "pooling": "mean"}, True),
        ({"name": "pse_ltae"}, True),
        ({"name": "conv_lstm"}, True),
    ],
)
def test_a_model_with_a_weight_for_each_date_needs_the_same_dates_everywhere(model, any_dates):
    assert parse_model(model).any_dates == any_dates


def test_a_set_looks_back_no_further_than_its_registers(content):
    wide = {"sets": {name: {"history": 3} for name in content["sets"]}}
    parse(Config, merge(content, wide))
    narrow = {"registers": {name: {"history": {"years": 2}} for name in content["registers"]}}
    with pytest.raises(CropflowError, match=r"history is 3; registers\.\w+\.history\.years is 2; expected at most"):
        parse(Config, merge(merge(content, wide), narrow))


def test_a_run_that_names_nothing_is_refused(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing.yaml").write_text("run: []\n")
    result = CliRunner().invoke(app, ["check", str(root / "config.yaml"), "nothing.yaml"])
    assert str(result.exception) == "run names no experiment; expected one or more of: demo, demo_forest."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"seasons": {"my season": {"start": "2022-01-01", "end": "2022-12-31"}}},
            "seasons has the name 'my season'; expected text of letters",
        ),
        ({"run": "mini"}, r"run is 'mini'; expected a list, such as \[mini\]"),
        ({"regions": {"a": {"sites": {}, "imagery": "x"}}}, r"regions\.a\.sites is empty|regions\.a\.sites is \{\}"),
        (
            {"experiments": {"e": {"set": "s", "model": {}, "train": [{"region": "a", "season": "b"}]}}},
            r"experiments\.e\.model has no name; expected one of: .*temporal_unet",
        ),
    ],
)
def test_messages_speak_of_the_config_and_not_of_the_parser(content, message):
    with pytest.raises(CropflowError, match=message):
        parse(Config, content)
