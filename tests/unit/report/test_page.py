from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

from cropflow.files.atomic import read_json, write_json
from cropflow.labels.hierarchy import Crop, Legend
from cropflow.report.comparability import comparison_notes
from cropflow.report.page import render
from cropflow.report.scores import random_split_rows

SECTIONS = (
    "map", "scores", "classes", "confusion", "learning", "season", "curves", "dropped", "labels", "folds", "settings",
)  # fmt: skip
HOSTILE = "<script>alert('x')</script> & \"quoted\" <img src=x onerror=alert(1)>"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_every_section_is_there_and_linked(plain_page):
    elements = Elements(plain_page)
    assert [section["id"] for section in elements.all("section")] == list(SECTIONS)
    assert [link["href"] for link in elements.all("a")] == [f"#{name}" for name in SECTIONS]


def test_a_page_of_two_sensors_shows_each_of_them(world, visible_text):
    world.add_radar()
    page = render(world.inputs())
    sections = [section["id"] for section in Elements(page).all("section")]
    assert sections == [*SECTIONS[:7], "backscatter", *SECTIONS[7:]]
    text = visible_text(page)
    for words in (
        "Sentinel-2, Sentinel-1 ascending",
        "Sentinel-2: clear observations per pixel and period",
        "Sentinel-1 ascending: observations per pixel and period",
        "Backscatter of the crops",
        "Composites of dale/2019, Sentinel-1 ascending",
    ):
        assert words in text


def test_a_page_of_radar_alone_has_pictures_and_no_ndvi(world, visible_text):
    world.add_radar()
    del world.stores["sentinel2"]
    text = visible_text(render(world.inputs()))
    assert "Composites, Sentinel-1 ascending: VV, VH and their difference as red, green and blue; site a" in text
    assert "No curves: there are no labelled pixels, the series lacks B04 or B08" in text
    assert "Sentinel-2" not in text


def test_the_same_input_gives_the_same_page(world, plain_page):
    assert render(world.inputs()) == plain_page


def test_nothing_is_loaded_from_outside(plain_page):
    page = plain_page
    elements = Elements(page)
    policies = [meta["content"] for meta in elements.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [POLICY]
    for tag, attributes in elements.found:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, name, value[:60])
    assert not elements.all("link")
    assert not re.search(r"@import|url\(\s*['\"]?\s*(https?:)?//", page)
    assert "http://" not in page
    assert "https://" not in page


def test_every_picture_says_what_it_shows(plain_page):
    pictures = Elements(plain_page).all("img")
    assert len(pictures) > 10
    assert all(picture["alt"] for picture in pictures)


def test_no_undefined_number_reaches_the_reader(plain_page, visible_text):
    text = visible_text(plain_page)
    assert not re.search(r"\b(nan|none|null|undefined|inf)\b", text, re.IGNORECASE)


def test_network_forest_and_majority_stand_side_by_side(plain_page, visible_text):
    text = visible_text(plain_page)
    assert "net (temporal unet)" in text
    assert "forest (random forest)" in text
    assert "majority class" in text


def test_what_a_random_split_would_claim_stands_beside_the_score_on_blocks(world, visible_text):
    world.compare_forest()
    inputs = world.inputs()
    text = visible_text(render(inputs))
    overall, balanced = (
        inputs.metrics["forest"]["metrics"][f"level_3.interior.{metric}"]["value"]
        for metric in ("overall_accuracy", "balanced_accuracy")
    )
    assert "Random split against blocks A random split is optimistic" in text
    assert f"forest (random forest) 0.930 {overall:.3f} 0.820 {balanced:.3f} 3,000" in text
    # The network tells no such score.
    assert [row["name"] for row in random_split_rows(inputs)] == ["forest (random forest)"]


def test_the_own_forest_tells_its_random_split_too(world):
    split = {"accuracy": 0.75, "balanced_accuracy": 0.5, "pixels": 10, "what": "out-of-bag pixels"}
    inputs = world.inputs()
    inputs.models[1]["random_split"] = split
    (row,) = random_split_rows(inputs)
    assert (row["random_accuracy"], row["random_balanced_accuracy"], row["pixels"]) == ("0.750", "0.500", "10")


def test_without_a_forest_there_is_no_random_split(plain_page, visible_text):
    assert "Random split" not in visible_text(plain_page)


def test_a_search_is_a_table_with_a_row_per_trial_and_the_one_kept_in_bold(world, plain_page, visible_text):
    trials = [
        {"trial": 0, "parameters": {"widths": [16, 32], "learning_rate": 0.001}, "balanced_accuracy": 0.5},
        {"trial": 1, "parameters": {"widths": [8, 16], "learning_rate": 0.0125}, "balanced_accuracy": 0.75},
    ]
    chosen = [[{**trial, "chosen": trial["trial"] == kept} for trial in trials] for kept in (1, 0)]
    tables = [{"metric": "balanced_accuracy", "trials": rows} for rows in chosen]
    page = render(dataclasses.replace(world.inputs(), tuning=tables))
    section = page[page.index('<section id="tuning">') :]
    section = section[: section.index("</section>")]
    rows = re.findall(r"<tr>(.*?)</tr>", section, flags=re.S)
    cells = [[visible_text(cell) for cell in re.findall(r"<t[dh]>(.*?)</t[dh]>", row)] for row in rows]
    assert [cell.strip() for cell in cells[0]] == ["Trial", "widths", "learning rate", "Fold 0", "Fold 1", "Mean"]
    assert [cell.strip() for cell in cells[2]] == ["1", "[8, 16]", "0.0125", "0.750", "0.750", "0.750"]
    assert [re.findall(r"<strong>(.*?)</strong>", row) for row in rows[1:]] == [["0.500"], ["0.750"]]
    assert 'href="#tuning"' in page
    assert "tuning" not in {section["id"] for section in Elements(plain_page).all("section")}


def test_small_test_folds_are_warned_of_at_the_top(plain_page, visible_text):
    text = visible_text(plain_page)
    warning = re.search(r"Test fold 0 has \d+ parcels, fewer than 30", text)
    assert warning
    assert warning.start() < text.index("Map beside truth")


def test_unscored_parcels_are_warned_of(plain_page, visible_text):
    assert "1 of 10 test parcels has no prediction" in visible_text(plain_page)


def test_real_places_have_no_word_of_simulation(plain_page, visible_text):
    text = visible_text(plain_page)
    assert "are simulated" not in text
    assert "ceiling" not in text


def test_simulated_places_say_so_and_show_the_ceiling(full_page, visible_text):
    text = visible_text(full_page)
    assert "simulated (toyland). The scores test the machinery" in text
    assert "ceiling: true model, dale/2019 77 0.654 0.812" in text
    assert "dale/2019 0.876 on 77 parcels" in text


def test_shuffled_crops_are_warned_of(world, visible_text):
    world.settings["set"]["shuffle_crops"] = True
    assert "dealt out to the parcels at random" in visible_text(render(world.inputs()))


def test_scores_against_a_map_are_called_agreement_and_never_accuracy(world, visible_text):
    write_json(world.labels, {"kind": "map", **read_json(world.labels)})
    page = render(world.inputs())
    text = visible_text(page)
    assert "The labels of cadastre/2019 come from a map that a classifier made" in text
    assert "agreement with that map, its errors included, and no accuracy" in text
    assert "overall agreement" in text
    assert "balanced agreement" in text
    for word in ("overall accuracy", "balanced accuracy", "Truth", "Rows are the truth"):
        assert word not in text


def test_scores_against_a_survey_are_called_accuracy(world, visible_text):
    write_json(world.labels, {"kind": "survey", **read_json(world.labels)})
    text = visible_text(render(world.inputs()))
    assert "overall accuracy" in text
    assert "come from a map" not in text
    assert "overall agreement" not in text


def test_texts_from_registers_scenes_and_settings_come_out_as_text(world, visible_text):
    inputs = world.inputs()
    inputs.places[0].crops["out_of_scope"] = {HOSTILE: {"parcels": 1, "hectares": 2.0}}
    inputs.places[0].labels["dropped"] = {HOSTILE: {"parcels": 1, "hectares": 2.0}}
    inputs.places[0].scenes["sentinel2"].loc[1, "reason"] = f"{HOSTILE}: {HOSTILE}"
    inputs.settings["series"]["note"] = HOSTILE
    inputs.own["interval_method"] = HOSTILE
    inputs.own["folds"][0]["warning"] = HOSTILE
    inputs.models[0]["note"] = HOSTILE
    _is_harmless(render(inputs), visible_text, least=6)


def test_names_of_crops_and_places_come_out_as_text(world, visible_text):
    inputs = world.inputs()
    crops = tuple(dataclasses.replace(crop, name=f"{HOSTILE} {crop.name}") for crop in world.legend.crops)
    legend = Legend(HOSTILE, crops, world.legend.path)
    places = (dataclasses.replace(inputs.places[0], name=f"{HOSTILE}/2019"),)
    page = render(dataclasses.replace(inputs, legend=legend, places=places))
    _is_harmless(page, visible_text, least=20)


def test_names_of_experiments_come_out_as_text(world, visible_text):
    inputs = world.inputs()
    metrics = {HOSTILE: inputs.metrics["net"], f"{HOSTILE} forest": inputs.metrics["forest"]}
    _is_harmless(render(dataclasses.replace(inputs, experiment=HOSTILE, metrics=metrics)), visible_text, least=4)


def _is_harmless(page, visible_text, least):
    elements = Elements(page)
    assert len(elements.all("script")) == 1
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert all(image["src"].startswith("data:image/") for image in elements.all("img"))
    assert HOSTILE not in page
    assert visible_text(page).count("onerror=alert(1)") >= least


def test_a_legend_of_one_level_is_shown(world):
    # Metrics of two coarser levels are there all the same.
    crops = tuple(Crop(crop, 1, f"crop_{crop}", None, (crop, 1, 2)) for crop in (21, 44, 48))
    inputs = world.inputs()
    metrics = {}
    for name, content in inputs.metrics.items():
        entries = content["metrics"] | {
            key.replace("level_3", "level_1"): value
            for key, value in content["metrics"].items()
            if key.startswith("level_3")
        }
        baseline = {key.replace("level_3", "level_1"): value for key, value in content["baseline"]["majority"].items()}
        classes = {"level_1": content["classes"]["level_3"]}
        metrics[name] = content | {"metrics": entries, "classes": classes, "baseline": {"majority": baseline}}
    confusion = inputs.confusion[inputs.confusion["level"] == 3].assign(level=1)
    changed = dataclasses.replace(
        inputs, legend=Legend("flat", crops, world.legend.path), metrics=metrics, confusion=confusion
    )
    assert "crop 44" in render(changed)


def test_a_model_without_epochs_has_no_learning_curves(world, visible_text):
    for folder in world.models:
        (folder / "history.csv").write_text("epoch,train_loss,validation_loss\n1,,0.5\n")
    assert "does not learn in epochs" in visible_text(render(world.inputs()))


def test_an_experiment_that_maps_nothing_says_so(world, visible_text):
    world.maps.clear()
    assert "maps no place" in visible_text(render(world.inputs()))


def test_a_mapped_place_without_labels_says_so(full_page, visible_text):
    assert "No register covers this place" in visible_text(full_page)


def test_a_mapped_place_with_a_register_that_was_not_learnt_from_tells_how_much_agrees(world, visible_text):
    world.add_map("hill/2019", ["a"])
    text = visible_text(render(world.inputs()))
    assert "2 of its 3 parcels with a declared crop in this place agree with the map" in text
    assert "No register covers" not in text


def test_months_without_a_scene_are_marked(plain_page, visible_text):
    assert "Dec 2018 nothing seen: filled Jan 2019" in visible_text(plain_page)


def test_every_parcel_of_the_confusion_is_in_a_cell(world):
    inputs = world.inputs()
    cells = [
        attributes["title"]
        for attributes in Elements(render(inputs)).all("td")
        if " mapped as " in (attributes.get("title") or "")
    ]
    shown = sum(int(re.search(r": ([\d,]+) of", cell)[1].replace(",", "")) for cell in cells)
    table = inputs.confusion
    assert shown == table[table["unit"] == "parcel"]["count"].sum()


def test_a_crop_without_test_parcels_has_a_dash_and_no_zero(world):
    path = world.metrics["net"]
    content = read_json(path)
    entry = content["classes"]["level_3"]["parcel"][0]
    entry |= {"support": 0, "precision": None, "recall": None, "f1": None, "iou": None, "absent_folds": [0, 1, 2]}
    write_json(path, content)
    page = render(world.inputs())
    row = re.search(rf"<tr><td>[^\n]*{entry['name']}</span></td><td>0</td>(.*?)</tr>", page)
    assert row
    assert row[1].count("<td>–</td>") >= 4


def test_two_places_of_one_register_count_its_parcels_once(world):
    inputs = world.inputs()
    other = dataclasses.replace(inputs.places[0], name="dale/2020")
    from cropflow.report.classes import label_rows

    once, twice = label_rows(inputs), label_rows(dataclasses.replace(inputs, places=(inputs.places[0], other)))
    assert [row["cells"][:2] for row in once] == [row["cells"][:2] for row in twice]
    assert [int(row["cells"][2]) for row in twice] == [2 * int(row["cells"][2]) for row in once]


def test_long_lists_of_places_are_cut_with_a_note(world, plain_page, visible_text):
    inputs = world.inputs()
    places = tuple(dataclasses.replace(inputs.places[0], name=f"dale{n}/2019") for n in range(7))
    assert "The first 6 of 7 places are shown." in visible_text(render(dataclasses.replace(inputs, places=places)))
    assert "places are shown" not in visible_text(plain_page)


def test_a_model_that_is_no_better_than_the_most_frequent_crop_is_called_out(world):
    inputs = world.inputs()
    key = "level_3.parcel.overall_accuracy"
    for content in inputs.metrics.values():
        content["metrics"][key]["value"] = 0.9
        content["baseline"]["majority"][key]["value"] = 0.5
    assert "has not learnt" not in render(inputs)
    inputs.own["metrics"][key]["value"] = 0.5
    assert f"{inputs.experiment} is right in 50 % of the parcels" in render(inputs)
    assert "it has not learnt, and its map says nothing" in render(inputs)
    without = render(dataclasses.replace(inputs, maps={}))
    assert "it has not learnt." in without and "its map" not in without


def test_a_compared_experiment_scored_on_other_parcels_is_said_to_be_so(world, visible_text):
    inputs = world.inputs()
    forest = inputs.metrics["forest"]
    forest["folds"] = [dict(entry) for entry in inputs.own["folds"]]
    notes = comparison_notes(inputs)
    assert notes == []
    forest["settings"] = forest["settings"] | {"set": "hill"}
    (note,) = comparison_notes(inputs)
    assert note.startswith("forest: sample set hill (here dale). As many parcels and pixels are scored in each fold")
    total = sum(entry["parcels"] for entry in inputs.own["folds"])
    forest["folds"][0]["parcels"] += 2
    assert f"{total + 2} test parcels scored (here {total}). Its scores are not of the same test" in (
        visible_text(render(inputs))
    )
    forest["folds"][1]["parcels"] -= 2
    assert "test parcels shared out among the folds in another way" in comparison_notes(inputs)[0]
    del forest["folds"][2]
    assert "2 folds (here 3)" in comparison_notes(inputs)[0]


def test_every_row_of_the_comparison_says_on_how_many_parcels_it_is_scored(world):
    inputs = world.inputs()
    page = render(inputs)
    for name, content in inputs.metrics.items():
        support = content["metrics"]["level_3.parcel.overall_accuracy"]["support"]
        assert re.search(rf"<tr><td>{name} \([^)]*\)</td><td>{support:.0f}</td>", page)
    assert "which then drop out of averages over crops (balanced accuracy" in page
