import json
from pathlib import Path

import pytest

from cropflow.errors import CropflowError
from cropflow.imagery.items import find_items


def write(folder: Path, features) -> Path:
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def item(name="a", href="./B02.tif", **properties):
    return {
        "id": name,
        "bbox": [3.0, 43.0, 3.1, 43.1],
        "properties": {"datetime": "2023-06-01T10:40:21Z", **properties},
        "assets": {"B02": {"href": href}},
    }


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("./x/B02.tif", "{folder}/x/B02.tif"),
        ("../B02.tif", "{folder}/../B02.tif"),
        ("/data/B02.tif", "/data/B02.tif"),
        ("file:///data/a%20b/B02.tif", "/data/a b/B02.tif"),
        ("https://example.org/B02.tif", "https://example.org/B02.tif"),
    ],
)
def test_hrefs_are_resolved_beside_the_file(tmp_path, href, expected):
    (scene,) = find_items(write(tmp_path, [item(href=href)]))
    assert Path(scene.layers["B02"]) == Path(expected.format(folder=tmp_path)) or scene.layers["B02"] == expected


def test_an_item_without_a_time_is_named(tmp_path):
    with pytest.raises(CropflowError, match=r"Item 'a' .* datetime None"):
        find_items(write(tmp_path, [item(datetime=None)]))


def test_two_items_of_one_name_and_different_times_are_refused(tmp_path):
    with pytest.raises(CropflowError, match="two items 'a'"):
        find_items(write(tmp_path, [item(), item(datetime="2023-06-02T10:40:21Z")]))


@pytest.mark.parametrize("text", ["[]", '{"type": "Catalog"}', "no json", '{"features": []}'])
def test_what_is_no_item_collection_is_refused(tmp_path, text):
    path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(CropflowError, match="expected a STAC item collection"):
        find_items(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CropflowError, match=r"sentinel-2-l2a\.items\.json is missing"):
        find_items(tmp_path)


def test_recorded_items_of_four_providers_are_understood(tmp_path, shared):
    folder = shared / "data" / "stac" / "items"
    names = {
        "planetary-computer/sentinel-2-l2a/S2B_MSIL2A_20220612T182919_R027_T24XWR_20220613T123251": "24XWR",
        "earth-search/sentinel-2-l2a/S2A_13TDE_20231008_0_L2A": "13TDE",
        "earth-search/sentinel-s2-l2a-cogs/S2A_31NBJ_20190524_0_L2A": "31NBJ",
        "cdse/sentinel-2-l2a/S2B_MSIL2A_20200322T074609_N0500_R135_T36NYH_20230612T214223": "36NYH",
    }
    records = [json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in names]
    scenes = find_items(write(tmp_path, records))
    assert [scene.tile for scene in scenes] == list(names.values())
    assert [scene.platform for scene in scenes] == ["sentinel-2b", "sentinel-2a", "sentinel-2a", "sentinel-2b"]
    assert [scene.baseline for scene in scenes] == ["04.00", "05.09", "02.12", "05.00"]
    assert scenes[3].relative_orbit == 135
    bands = {"B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL"}
    assert all(set(scene.layers) == bands for scene in scenes)
    assert scenes[3].layers["B05"].endswith("_B05_20m.jp2")
    assert all(0 <= scene.cloud_percent <= 100 for scene in scenes)
