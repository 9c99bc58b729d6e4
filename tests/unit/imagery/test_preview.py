"""The preview map: text stays text, the page asks for nothing, and a composite where there is an account."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import io
import re
import sys

import geopandas
import httpx
import numpy as np
import pytest
import shapely
from affine import Affine
from earth_engine_compute import StoredBand, answer
from PIL import Image
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.files.tables import write_table
from cropflow.imagery.command import app
from cropflow.imagery.found import write_found
from cropflow.imagery.preview import scripts as preview_scripts
from cropflow.imagery.preview.picture import best_month
from cropflow.imagery.scenes import Scene
from cropflow.regions.grid import Grid
from cropflow.regions.sites import footprint, sites_table

GRID = Grid(32631, 500_000.0, 4_900_000.0, 60, 90, 10.0)
NASTY = "<script>alert('x')</script>"
LAYERS = {"B02": "B2", "B03": "B3", "B04": "B4", "SCL": "SCL"}


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A folder with stand-ins for Leaflet's files, whose hashes are those expected."""
    folder = tmp_path / "leaflet"
    folder.mkdir()
    contents = {
        "leaflet.js": b"window.L = {};\n//# sourceMappingURL=leaflet.js.map",
        "leaflet.css": b".leaflet-control { background: url(images/layers.png); }",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        monkeypatch.setitem(preview_scripts.SHA256, name, hashlib.sha256(content).hexdigest())
    return folder


@pytest.fixture
def run(tmp_path, scripts):
    """Draw the map of a region of one site; returns the page."""
    write_table(tmp_path / "sites.parquet", sites_table({"a<b": GRID}))

    def draw(*arguments):
        output = tmp_path / "map.html"
        always = ["preview", "--region", f"here & {NASTY} {{{{ 7 * 7 }}}}", "--sites", str(tmp_path / "sites.parquet")]
        always += ["--leaflet", str(scripts), "--output", str(output)]
        result = CliRunner().invoke(app, [*always, *map(str, arguments)])
        if result.exception is not None:
            raise result.exception
        return output.read_text(encoding="utf-8")

    return draw


@pytest.fixture
def parcels(tmp_path):
    """Three parcels in the projection of the site."""
    boxes = [shapely.box(500_000 + 100 * i, 4_899_500, 500_080 + 100 * i, 4_899_900) for i in range(3)]
    table = geopandas.GeoDataFrame({"parcel_id": ["1", "2", NASTY], "crop_code": ["BTH", "NA", NASTY]}, geometry=boxes)
    path = tmp_path / "parcels" / "a.parquet"
    path.parent.mkdir()
    write_table(path, table.set_crs(32631))
    return path


def scene(name, day, cloud=5.0, grid=GRID):
    outline = footprint(grid)
    time = datetime.datetime.fromisoformat(f"{day}T10:40:21+00:00")
    asset = f"COPERNICUS/S2_SR_HARMONIZED/{name}"
    return Scene(name, time, "sentinel-2a", "31TEJ", 8, "05.09", "", cloud, outline, outline, LAYERS, asset)


@pytest.fixture
def found(tmp_path):
    write_found(tmp_path / "found.parquet", [scene("one", "2023-06-01"), scene("two", "2023-06-11")])
    return tmp_path / "found.parquet"


@pytest.fixture
def account(earth_engine):
    """Earth Engine with two images, the second without its eastern third, both with a cloud in the north."""
    place = Affine(10, 0, GRID.xmin, 0, -10, GRID.ymax)
    images = {}
    for name, value, width in (("one", 1000, 90), ("two", 2000, 60)):
        scl = np.full((60, 90), 4, dtype="uint8")
        scl[:10] = 9
        seen = np.broadcast_to(np.arange(90) < width, scl.shape)
        bands = {band: np.full(scl.shape, value + 100 * i, dtype="uint16") for i, band in enumerate(("B2", "B3", "B4"))}
        images[f"COPERNICUS/S2_SR_HARMONIZED/{name}"] = {
            band: StoredBand(values, seen, "EPSG:32631", place) for band, values in {**bands, "SCL": scl}.items()
        }
    earth_engine.compute = lambda body: answer(body, images.__getitem__)
    return earth_engine


def drawn(page):
    """The picture on the page, ``(y, x, 4)``."""
    (content,) = re.findall(r'"data:image/png;base64,([^"]+)"', page)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_names_and_codes_are_text_and_no_markup(run, parcels):
    page = run("--parcels", parcels.parent)
    assert NASTY not in page
    assert "here &amp; &lt;script&gt;" in page
    # Nor are they a template.
    assert "{{ 7 * 7 }}" in page
    assert page.count("<script>") == 3
    assert "Parcels: 3 of 3 drawn." in page


def test_the_page_asks_for_nothing(run, parcels):
    page = run("--parcels", parcels)
    assert re.findall(r"(?:src|href)=|@import|https?://|url\((?!none)", page) == []
    assert "sourceMappingURL" not in page


def test_without_scenes_the_page_says_why_there_is_no_composite(run, caplog):
    page = run()
    assert "No composite: no scenes were given." in page
    assert "the map has no composite: no scenes were given." in caplog.text
    assert "Parcels: none given." in page


def test_without_an_account_regions_and_parcels_are_drawn_all_the_same(run, parcels, found, earth_engine):
    earth_engine.statuses = [403]
    page = run("--parcels", parcels, "--found", found)
    assert "No composite: The composite of the preview cannot be read without an account" in page
    assert "Parcels: 3 of 3 drawn." in page
    assert "image/png" not in page


def test_the_composite_is_the_median_of_clear_pixels(run, found, account):
    page = run("--found", found)
    assert "Composite: 2023-06, median of 2 scenes" in page
    picture = drawn(page)
    # 1000 and 2000 in the west, 1000 in the east: of red 1200 of 3000, of 255.
    middle = picture[picture.shape[0] // 2]
    assert middle[10].tolist() == [round(1700 * 255 / 3000), round(1600 * 255 / 3000), round(1500 * 255 / 3000), 255]
    assert middle[-10].tolist() == [102, 94, 85, 255]
    assert (picture[2, :, 3] == 0).all()
    assert len(account.computed) == 1


def test_neither_account_nor_address_is_on_the_page(run, found, account):
    page = run("--found", found)
    assert account.url not in page
    assert "mine" not in re.sub(r'base64,[^"]+', "", page)


def test_the_picture_lies_on_its_site(run, found, account):
    page = run("--found", found)
    box = re.search(r"imageOverlay\(.*?\[\[([-\d.]+), ([-\d.]+)\], \[([-\d.]+), ([-\d.]+)\]\]", page, flags=re.S)
    south, west, north, east = map(float, box.groups())
    assert np.allclose((west, south, east, north), footprint(GRID).bounds, atol=2e-4)


def test_the_month_with_most_clear_scenes_is_shown():
    scenes = [
        scene("a", "2023-05-01"), scene("b", "2023-05-11", 60.0), scene("c", "2023-06-01"), scene("d", "2023-06-03"),
        scene("e", "2023-07-01", grid=Grid(32631, 700_000.0, 4_900_000.0, 9, 9, 10.0)),
    ]  # fmt: skip
    assert best_month(scenes, footprint(GRID)) == "2023-06"
    assert best_month(scenes[:2], footprint(GRID)) == "2023-05"
    with pytest.raises(CropflowError, match="No Sentinel-2 scene"):
        best_month(scenes[4:], footprint(GRID))


def test_mistakes_are_one_line_and_leave_no_page(run, found, tmp_path, parcels):
    for arguments, told in (
        (("--found", found, "--site", "z"), "--site is 'z'; expected one of: a<b"),
        (("--found", found, "--month", "2023-08"), "0 of 0 scenes of 2023-08"),
        (("--parcels", tmp_path / "nowhere"), "nowhere is missing"),
        (("--region", "other"), "--region is given 2 times, --sites 1 times"),
    ):
        with pytest.raises(CropflowError, match=re.escape(told)):
            run(*arguments)
    local = dataclasses.replace(scene("x", "2023-06-01"), layers={name: f"{name}.tif" for name in LAYERS})
    write_found(found, [local])
    with pytest.raises(CropflowError, match="0 of 1 scenes of 2023-06 over the site are images of Earth Engine"):
        run("--found", found)
    assert not (tmp_path / "map.html").exists()


def test_many_parcels_are_counted_and_not_all_drawn(run, parcels, monkeypatch):
    monkeypatch.setattr("cropflow.imagery.preview.page.MOST_PARCELS", 2)
    assert "Parcels: 2 of 3 drawn." in run("--parcels", parcels)


def test_leaflet_is_fetched_once_and_checked(scripts, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = []

    def get(url, **_):
        asked.append(url)
        content = (scripts / url.rpartition("/")[2]).read_bytes()
        return httpx.Response(200, content=content, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    script, style = preview_scripts.leaflet()
    assert script.startswith("window.L")
    assert "images" not in style
    assert preview_scripts.leaflet() == (script, style)
    assert len(asked) == 2
    (scripts / "leaflet.js").write_text("login page")
    with pytest.raises(CropflowError, match=r"leaflet\.js is another file; expected that of Leaflet"):
        preview_scripts.leaflet(scripts)
    (tmp_path / "cache" / "cropflow" / f"leaflet-{preview_scripts.VERSION}" / "leaflet.js").unlink()
    with pytest.raises(CropflowError, match="is not the file of Leaflet"):
        preview_scripts.leaflet()


def test_without_a_network_the_way_out_is_told(scripts, tmp_path, monkeypatch):
    def get(url, **_):
        raise httpx.ConnectError("no route")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(httpx, "get", get)
    with pytest.raises(CropflowError, match=r"cannot be fetched \(no route\).*--leaflet"):
        preview_scripts.leaflet()


def test_a_missing_geemap_is_told_with_its_cure(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "geemap", None)
    with pytest.raises(CropflowError, match=r"pip install '\.\[preview\]'"):
        run()
