"""Records of the real services: how each is understood, and what is decided from it."""

from __future__ import annotations

import datetime
import gzip
import importlib.util
import json
import logging
from collections import Counter

import pytest
import shapely
import yaml

from cropflow.config.imagery import SENTINEL2_BANDS, Imagery
from cropflow.errors import CropflowError
from cropflow.files.remote import Limits
from cropflow.imagery.catalog import judge_scenes
from cropflow.imagery.items import around_the_world, item_scene
from cropflow.imagery.names import has_offset, read_product_name
from cropflow.imagery.offsets import Consensus, Evidence, decide_offset
from cropflow.imagery.scenes import SCL
from cropflow.imagery.sentinel1.items import radar_scene
from cropflow.imagery.stac.providers import PROVIDERS, find_provider
from cropflow.imagery.stac.signing import Copernicus
from cropflow.imagery.stac.source import StacSource
from cropflow.regions.grid import Grid

ALWAYS = (datetime.date(2015, 1, 1), datetime.date(2030, 1, 1))
# Provider and collection -> baseline -> records, and whether their values carry the offset.
EXPECTED = {
    "planetary-computer/sentinel-2-l2a": {"02.12": 56, "04.00": 5, "05.10": 4, "05.11": 3},
    "earth-search/sentinel-2-c1-l2a": {"05.10": 10, "05.11": 6},
    "earth-search/sentinel-2-l2a": {"02.14": 1, "05.09": 2, "05.11": 6},
    "earth-search/sentinel-s2-l2a-cogs": {"02.12": 1},
    "cdse/sentinel-2-l2a": {"05.00": 1, "05.12": 1},
}
OFFSET = {"02.12": 0, "02.14": 0, "04.00": -1000, "05.00": -1000, "05.09": -1000, "05.10": -1000, "05.11": -1000,
          "05.12": -1000}  # fmt: skip
NONE_SEEN, NONE_AGREE = Evidence(0), Consensus(0, 0)


def read_items(shared, collection):
    paths = sorted((shared / "data" / "stac" / "items" / collection).glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def scene(item):
    return item_scene(item, "https://service/", f"{item['collection']}/{item['id']}")


@pytest.mark.parametrize("collection", EXPECTED)
def test_every_record_of_sentinel_2_is_understood_in_full(shared, collection):
    items = read_items(shared, collection)
    scenes = [scene(item) for item in items]
    assert Counter(one.baseline for one in scenes) == EXPECTED[collection]
    for one, item in zip(scenes, items, strict=True):
        assert set(one.layers) == {*SENTINEL2_BANDS, SCL}
        assert one.platform in {"sentinel-2a", "sentinel-2b", "sentinel-2c"}
        assert len(one.tile) == 5
        assert one.tile in item["id"]
        assert 1 <= one.relative_orbit <= 143
        assert 0 <= one.cloud_percent <= 100
        assert one.outline.is_valid
        assert one.time.tzinfo is not None
        assert all(address.startswith(("https://", "s3://")) for address in one.layers.values())
        assert all("?" not in address for address in one.layers.values())


@pytest.mark.parametrize("collection", EXPECTED)
def test_the_baseline_of_a_record_is_that_of_its_product(shared, collection):
    for item in read_items(shared, collection):
        properties = item["properties"]
        product = properties.get("s2:product_uri") or properties.get("sentinel:product_id") or item["id"]
        assert scene(item).baseline == read_product_name(product).baseline


@pytest.mark.parametrize("collection", EXPECTED)
def test_each_band_has_its_own_file_at_its_own_resolution(shared, collection):
    for item in read_items(shared, collection):
        layers = scene(item).layers
        assert len(set(layers.values())) == len(layers)
        for name, address in layers.items():
            assert (
                f"{name}.tif" in address or f"_{name}_{10 if name in ('B02', 'B03', 'B04', 'B08') else 20}m." in address
            )


@pytest.mark.parametrize("collection", EXPECTED)
def test_the_offset_is_decided_by_the_baseline_where_the_pixels_say_nothing(shared, collection):
    for item in read_items(shared, collection):
        baseline = scene(item).baseline
        assert has_offset(baseline) == (OFFSET[baseline] != 0)
        offset, reason = decide_offset(baseline, NONE_SEEN, NONE_AGREE, assumed=False)
        assert offset == OFFSET[baseline]
        assert reason.startswith(f"baseline {baseline}, not confirmed by the pixels")


def test_a_flag_of_the_provider_changes_nothing(shared):
    items = [item for item in read_items(shared, "earth-search/sentinel-2-l2a")]
    told = Counter((scene(item).baseline, item["properties"]["earthsearch:boa_offset_applied"]) for item in items)
    assert told == {("02.14", False): 1, ("05.09", True): 2, ("05.11", True): 6}
    for item in items:
        other = json.loads(json.dumps(item))
        other["properties"]["earthsearch:boa_offset_applied"] ^= True
        assert scene(other) == scene(item)


def test_pixels_overrule_a_baseline_whose_offset_was_taken_off(shared):
    """As in the older collection of Earth Search: baseline 05.09, and dark pixels far below 1000."""
    (item, *_) = [item for item in read_items(shared, "earth-search/sentinel-2-l2a") if "13TDE" in item["id"]]
    dark = Evidence(clear=90_000, darkest=120, dim=310)
    offset, reason = decide_offset(scene(item).baseline, dark, Consensus(0, 1), assumed=False)
    assert offset == 0
    assert reason.startswith("pixels against baseline 05.09")


def test_one_acquisition_in_two_collections_is_taken_once(shared):
    both = [
        scene(item)
        for collection in ("earth-search/sentinel-2-c1-l2a", "earth-search/sentinel-2-l2a")
        for item in read_items(shared, collection)
        if "20250731" in item["id"]
    ]
    assert len(both) == 12
    decisions = judge_scenes(both, shapely.box(-180, -90, 180, 90), ALWAYS, 100)
    assert Counter(decision.reason.partition(":")[0] for decision in decisions) == {"": 6, "duplicate": 6}
    assert {decision.twin.tile for decision in decisions if decision.twin} == {one.tile for one in both}


def test_scenes_of_one_tile_on_several_days_are_all_taken(shared):
    path = shared / "data" / "stac" / "searches" / "site2-2020_jun_jul-35MNM.geojson"
    scenes = [scene(item) for item in json.loads(path.read_text(encoding="utf-8"))["features"]]
    decisions = judge_scenes([*scenes, *scenes[:4]], scenes[0].outline, ALWAYS, 100)
    assert Counter(decision.kept for decision in decisions) == {True: len(scenes), False: 4}


def test_neighbouring_tiles_of_one_day_are_no_duplicates(shared):
    path = shared / "data" / "stac" / "searches" / "site1-20200606-tall-strip-africa.geojson"
    scenes = [scene(item) for item in json.loads(path.read_text(encoding="utf-8"))["features"]]
    decisions = judge_scenes(scenes, shapely.union_all([one.outline for one in scenes]), ALWAYS, 100)
    assert all(decision.kept for decision in decisions)


def test_terrain_corrected_radar_is_read_and_plain_grd_refused(shared):
    read = [radar_scene(item, "", None) for item in read_items(shared, "planetary-computer/sentinel-1-rtc")]
    assert {(one.radiometry, one.unit) for one in read} == {("gamma0", "linear")}
    for collection in ("planetary-computer/sentinel-1-grd", "earth-search/sentinel-1-grd"):
        assert all(isinstance(radar_scene(item, "", None), str) for item in read_items(shared, collection))


# The services themselves, as recorded.


@pytest.fixture
def recorded(root, shared):
    """Start an API that answers with the pages of a recording."""
    path = root / "tests" / "servers" / "recorded_stac_http.py"
    spec = importlib.util.spec_from_file_location("recorded_stac_http", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    running = []

    def start(name, repeats=1):
        recording = shared / "data" / "stac" / "cassettes" / f"{name}.yaml"
        pages = [page(one) for one in yaml.safe_load(recording.read_text(encoding="utf-8"))["interactions"]]
        running.append(module.RecordedApi(pages * repeats).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


def page(interaction):
    content = interaction["response"]["body"]["string"]
    if isinstance(content, bytes):
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    return json.loads(content)


def search(server, **settings):
    limits = Limits(4, 1000)
    source = StacSource(Imagery(source="stac", url=server.url, **settings), limits)
    sites = {"one": Grid(32613, 491_000.0, 4_446_000.0, 100, 100, 10.0)}
    window = (datetime.date(2023, 10, 1), datetime.date(2023, 10, 31))
    return source.find("sentinel2", sites, window), limits


def test_pages_of_earth_search_are_followed_and_other_collections_left_out(recorded, caplog):
    caplog.set_level(logging.INFO)
    server = recorded("test_multiple_collections")
    found, limits = search(server)
    assert "boa_offset_applied is true for 1 and false for 0 of 1 scenes; baselines and pixels decide" in caplog.text
    assert [one.id for one in found] == ["S2A_13TDE_20231008_0_L2A"]
    assert limits.requests == 3
    first, second = server.bodies
    assert first["collections"] == ["sentinel-2-l2a"]
    assert first["datetime"] == "2023-10-01T00:00:00Z/2023-10-31T23:59:59.999Z"
    assert first["intersects"]["type"] == "Polygon"
    assert not {"query", "filter"} & first.keys()
    assert second["next"].startswith("2023-10-08T")


def test_pages_of_planetary_computer_bring_each_item_once(recorded):
    server = recorded("TestItemSearch.test_datetime_results")
    # The same answer twice, as where a page is sent again.
    server.pages[0] = {**server.pages[0], "links": [{"rel": "next", "href": f"{server.url}/search", "method": "POST",
                                                      "body": {"token": "next"}}]}  # fmt: skip
    found, _ = search(server)
    assert server.answered == 2
    assert len(found) == 33
    assert {one.baseline for one in found} == {"02.12"}


@pytest.mark.parametrize("statuses", [[429], [500, 503], [502, 504]])
def test_a_page_that_fails_is_asked_again(recorded, monkeypatch, statuses):
    monkeypatch.setattr("cropflow.files.remote.FIRST_WAIT_S", 0.001)
    server = recorded("test_multiple_collections")
    server.statuses = list(statuses)
    found, limits = search(server)
    assert len(found) == 1
    assert limits.requests == 3 + len(statuses)


@pytest.mark.parametrize("status", [401, 403])
def test_a_search_that_is_refused_says_what_to_do(recorded, status):
    server = recorded("test_multiple_collections")
    server.statuses = [status]
    with pytest.raises(CropflowError, match=rf"is refused \({status} .*\)\. Check imagery\.<name>\.provider"):
        search(server)


# What the services are, before anything is asked of them.


def test_each_known_service_has_its_collections():
    named = {name: dict(provider.collections) for name, provider in PROVIDERS.items()}
    assert named == {
        "earth-search": {"sentinel2": "sentinel-2-c1-l2a"},
        "planetary-computer": {"sentinel2": "sentinel-2-l2a", "sentinel1": "sentinel-1-rtc"},
        "copernicus": {"sentinel2": "sentinel-2-l2a"},
    }
    own = find_provider(Imagery(source="stac", provider="earth-search", collections={"sentinel2": "sentinel-2-l2a"}))
    assert own.collection("sentinel2") == "sentinel-2-l2a"


@pytest.mark.parametrize("provider", ["earth-search", "copernicus"])
def test_a_service_without_corrected_radar_says_which_one_has_it(provider):
    source = StacSource(Imagery(source="stac", provider=provider), Limits(1, 1))
    with pytest.raises(CropflowError, match=r"plain GRD, uncalibrated .* Choose provider planetary-computer"):
        source.find("sentinel1_ascending", {}, ALWAYS)


@pytest.fixture
def no_account(monkeypatch):
    for name in (*Copernicus.KEYS, Copernicus.TOKEN):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_without_an_account_copernicus_says_which_variables_to_set(no_account, shared):
    (item, _) = read_items(shared, "cdse/sentinel-2-l2a")
    with pytest.raises(CropflowError, match=r"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY .* CDSE_ACCESS_TOKEN"):
        Copernicus.readable(item)


def test_with_keys_copernicus_is_read_from_its_object_store(no_account, shared):
    no_account.setenv("AWS_ACCESS_KEY_ID", "key")
    no_account.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (item, _) = read_items(shared, "cdse/sentinel-2-l2a")
    address = scene(Copernicus.readable(item)).layers["B04"]
    assert address.startswith("s3://eodata/Sentinel-2/MSI/L2A_N0500/2020/03/22/")
    signed = Copernicus().sign(address)
    assert signed.url.startswith("https://eodata.dataspace.copernicus.eu/eodata/Sentinel-2/MSI/L2A_N0500/2020/03/22/")
    assert "X-Amz-Signature=" in signed.url
    assert "secret" not in signed.url
    assert not signed.headers


def test_with_a_token_copernicus_is_read_by_its_downloads(no_account, shared):
    no_account.setenv("CDSE_ACCESS_TOKEN", "token")
    (item, _) = read_items(shared, "cdse/sentinel-2-l2a")
    layers = scene(Copernicus.readable(item)).layers
    assert set(layers) == {*SENTINEL2_BANDS, SCL}
    assert layers["B04"].startswith("https://zipper.dataspace.copernicus.eu/odata/v1/Products(")
    assert Copernicus().sign(layers["B04"]).headers == {"Authorization": "Bearer token"}
    with pytest.raises(CropflowError, match="needs keys of the object store"):
        Copernicus().sign("s3://eodata/Sentinel-2/x.jp2")


# Outlines across the antimeridian.


@pytest.mark.parametrize(
    "ring",
    [
        [(179, 0), (-179, 0), (-179, 1), (179, 1)],
        [(179, 0), (181, 0), (181, 1), (179, 1)],
        [(-181, 0), (-179, 0), (-179, 1), (-181, 1)],
    ],
)
def test_an_outline_drawn_across_the_antimeridian_is_cut_there(ring):
    outline = around_the_world(shapely.Polygon(ring))
    assert outline.area == pytest.approx(2)
    assert outline.equals(shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)]))


@pytest.mark.parametrize("outline", [shapely.box(2, 3, 4, 5), shapely.MultiPolygon(
    [shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)])])  # fmt: skip
def test_other_outlines_stay_as_they_are(outline):
    assert around_the_world(outline).equals(outline)


def test_a_bounding_box_across_the_antimeridian_has_its_western_edge_first():
    item = {
        "id": "a",
        "bbox": [179.5, 0, -179.5, 1],
        "collection": "c",
        "properties": {"datetime": "2023-01-01T00:00:00Z"},
    }
    assert scene(item).outline.area == pytest.approx(1)
