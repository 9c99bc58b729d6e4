"""The STAC source against real servers on the loopback: rustac searches, files are read by ranges, failures and all."""

from __future__ import annotations

import datetime
import json
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
import rasterio
from stac_api import serving, write_items
from typer.testing import CliRunner

from cropflow.config.imagery import Imagery
from cropflow.config.sections import Season
from cropflow.config.simulation import Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.files.accounts import account_of
from cropflow.files.remote import GoneError, Limits, TransientError
from cropflow.files.tables import write_table
from cropflow.imagery.command import app as imagery
from cropflow.imagery.found import read_found
from cropflow.imagery.local import LocalSource
from cropflow.imagery.scenes import SCL
from cropflow.imagery.stac import providers, web
from cropflow.imagery.stac.search import site_groups
from cropflow.imagery.stac.signing import Copernicus, PlanetaryComputer, Unsigned
from cropflow.imagery.stac.source import StacSource
from cropflow.regions.grid import Grid
from cropflow.regions.sites import footprint, sites_table
from cropflow.simulation.archive import write_archive
from cropflow.simulation.landscape import make_landscape

SEASON = Season(start=datetime.date(2023, 5, 1), end=datetime.date(2023, 6, 20))
SEASON_JSON = json.dumps({"start": "2023-05-01", "end": "2023-06-20"})
WINDOW = (datetime.date(2023, 5, 1), datetime.date(2023, 6, 30))
LAYERS = ("B02", "B05", SCL)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two landscapes of a few hundred metres, far apart: their archive and their grids."""
    folder = tmp_path_factory.mktemp("archive")
    squares = {"a": Landscape(centre=(2.6, 49.2), side_km=0.4), "b": Landscape(centre=(12.1, 46.2), side_km=0.2)}
    made = Simulation(seed=6, landscapes=squares, seasons=("s",), imagery_seasons=("s",))
    lands = [make_landscape(name, square, made) for name, square in made.landscapes.items()]
    write_archive(folder, lands, made, {"s": SEASON})
    return folder, {land.name: land.grid for land in lands}


@pytest.fixture(scope="module")
def files(flaky_http, archive):
    """The archive's files behind an address."""
    with flaky_http.FlakyServer() as server:
        server.folder, server.keep_alive = archive[0], True
        yield server


@pytest.fixture
def calm(files, monkeypatch):
    """The same server, behaving and with nothing remembered; waits are short."""
    monkeypatch.setattr("cropflow.files.remote.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(web, "TIMEOUT_S", 0.5)
    folder = files.folder
    yield files
    files.folder, files.ranges = folder, True
    files.share, files.status, files.signatures, files.sent, files.faults = 0.0, 200, None, 0, 0
    files.requests.clear()
    files.plans.clear()
    files.files.clear()


@pytest.fixture(scope="module")
def catalogue(archive, files, tmp_path_factory):
    """The archive's items with absolute hrefs, as one collection of items: its path."""
    return write_items(archive[0], files.url, tmp_path_factory.mktemp("items") / "items.json")


def features(folder, name):
    return json.loads((folder / f"{name}.items.json").read_text())["features"]


@pytest.fixture(scope="module")
def api(catalogue):
    """The address of a STAC API that serves them."""
    with serving(catalogue) as address:
        yield address


def source(url, **settings):
    limits = Limits(settings.get("requests_at_once", 8), 10_000)
    return StacSource(Imagery(source="stac", url=url, **settings), limits), limits


def local(archive):
    return LocalSource(archive[0], "items")


def same(one, other):
    return one.keys() == other.keys() and all(
        np.array_equal(one[name].values, other[name].values) and one[name].resampled == other[name].resampled
        for name in one
    )


def test_a_search_finds_the_scenes_of_the_sites_and_the_window_page_by_page(archive, api, calm, monkeypatch):
    monkeypatch.setattr("cropflow.imagery.stac.search.PAGE", 7)
    stac, limits = source(api)
    found = stac.find("sentinel2", archive[1], WINDOW)
    expected = local(archive).find("sentinel2", archive[1], WINDOW)
    assert len(found) > 14
    key = lambda scene: scene.id  # noqa: E731
    for one, other in zip(sorted(found, key=key), sorted(expected, key=key), strict=True):
        assert replace(one, source="") == replace(other, source="")
        assert one.outline.equals(other.outline)
        assert one.layers.keys() == other.layers.keys()
    assert len({scene.source for scene in found}) == len(found)
    # The landing page, and the pages of two groups of sites.
    assert limits.requests >= 1 + len(found) // 7


def test_a_search_asks_for_the_place_and_the_time(archive, api, calm):
    stac, _ = source(api)
    _, grids = archive
    alone = stac.find("sentinel2", {"b": grids["b"]}, WINDOW)
    assert alone
    assert all(scene.outline.intersects(footprint(grids["b"])) for scene in alone)
    short = stac.find("sentinel2", grids, (WINDOW[0], datetime.date(2023, 5, 20)))
    assert short
    assert max(scene.time.date() for scene in short) <= datetime.date(2023, 5, 20)


def test_scenes_of_both_directions_of_radar_are_kept_apart(archive, api, calm):
    stac, _ = source(api, collections={"sentinel1": "sentinel-1-grd"}, sensors=("sentinel1_ascending",))
    for sensor in ("sentinel1_ascending", "sentinel1_descending"):
        found = stac.find(sensor, archive[1], WINDOW)
        assert {scene.sensor for scene in found} == {sensor}
        assert {scene.unit for scene in found} == {"dB"}
        # The archive of a simulation tells it.
        assert {scene.radiometry for scene in found} == {"sigma0"}


def test_a_collection_of_items_behind_an_address_is_enough(archive, catalogue, calm, api):
    calm.files["/items.json"] = catalogue.read_bytes()
    calm.folder = None
    stac, limits = source(f"{calm.url}/items.json")
    found = stac.find("sentinel2", archive[1], WINDOW)
    assert limits.requests == 1
    assert {scene.id for scene in found} == {item["id"] for item in features(archive[0], "sentinel-2-l2a")}


def test_a_collection_that_is_not_there_is_named_with_those_that_are(archive, api, calm):
    stac, _ = source(api, collections={"sentinel2": "sentinel-2-l3"})
    with pytest.raises(CropflowError, match=r"no collection 'sentinel-2-l3'; it has sentinel-1-grd, sentinel-2-l2a"):
        stac.find("sentinel2", archive[1], WINDOW)


def test_a_season_without_scenes_is_empty_not_an_error(archive, api, calm):
    stac, _ = source(api)
    assert stac.find("sentinel2", archive[1], (datetime.date(2019, 1, 1), datetime.date(2019, 1, 31))) == []


@pytest.mark.parametrize("sensor", ["sentinel2", "sentinel1_descending"])
def test_a_service_brings_the_same_pixels_as_local_files(archive, api, calm, sensor):
    stac, _ = source(api, collections={"sentinel1": "sentinel-1-grd"})
    there = {scene.id: scene for scene in stac.find(sensor, archive[1], WINDOW)}
    here = {scene.id: scene for scene in local(archive).find(sensor, archive[1], WINDOW)}
    assert there.keys() == here.keys()
    for name, scene in sorted(here.items()):
        for grid in archive[1].values():
            if scene.outline.intersects(footprint(grid)):
                layers = [layer for layer in (*LAYERS, "VV", "angle") if layer in scene.layers]
                assert same(stac.read(there[name], grid, layers), local(archive).read(scene, grid, layers))


@pytest.mark.parametrize(
    ("grid", "xmin"),
    [
        (Grid(32631, 470_000.0, 5_450_010.0, 30, 50, 10.0), 468_000),
        (Grid(32632, 33_500.0, 5_469_200.0, 40, 40, 10.0), 468_000),
        (Grid(32631, 470_000.0, 5_450_000.0, 20, 20, 10.0), 468_003),
        (Grid(32631, 467_900.0, 5_451_900.0, 20, 20, 10.0), 468_000),
    ],
)
def test_a_part_of_a_scene_is_read_as_from_local_files_whatever_its_grid(
    archive, api, calm, tmp_path, grid, xmin, raster, monkeypatch
):
    monkeypatch.setattr("cropflow.imagery.stac.sparse.HEAD", 4096)
    values = np.random.default_rng(3).integers(1, 9000, (600, 600), dtype=np.uint16)
    raster(tmp_path / "B02.tif", values, xmin, 5_452_000, 10.0)
    raster(tmp_path / "B05.tif", values[:300, :300], xmin, 5_452_000, 20.0)
    (scene, *_) = local(archive).find("sentinel2", archive[1], WINDOW)
    here = replace(scene, layers={name: str(tmp_path / f"{name}.tif") for name in ("B02", "B05")})
    stac, _ = source(api)
    calm.folder = tmp_path
    there = replace(scene, layers={name: f"{calm.url}/{name}.tif" for name in ("B02", "B05")})
    read = stac.read(there, grid, ("B02", "B05"))
    assert same(read, local(archive).read(here, grid, ("B02", "B05")))
    assert read["B02"].values.max() > 0


def test_one_request_a_layer_is_planned_with_its_bytes(archive, api, calm):
    stac, _ = source(api)
    (scene, *_) = local(archive).find("sentinel2", archive[1], WINDOW)
    grid = Grid(32631, 500_000.0, 5_000_000.0, 1000, 1000, 10.0)
    planned = stac.requests(scene, grid, LAYERS)
    assert [request.layers for request in planned] == [("B02",), ("B05",), (SCL,)]
    assert all(
        (request.row, request.column, request.height, request.width) == (0, 0, 1000, 1000) for request in planned
    )
    sizes = [request.bytes for request in planned]
    assert sizes[0] > sizes[1] > sizes[2] > 0
    assert 2e6 < sizes[0] < 6e6
    assert [request.calls for request in planned] == [4, 3, 3]
    jpeg = replace(scene, layers={"B02": "s3://eodata/B02_10m.jp2", "B05": "s3://eodata/B05_20m.jp2"})
    assert [request.calls for request in stac.requests(jpeg, grid, ("B02", "B05"))] == [123, 83]


def test_a_plan_counts_as_many_requests_as_are_made(archive, api, calm, tmp_path):
    """Windows of a large file, each read by a source that has not seen it."""
    values = np.random.default_rng(5).integers(1, 9000, (4096, 4096), dtype=np.uint16)
    with rasterio.open(
        tmp_path / "B02.tif", "w", driver="COG", height=4096, width=4096, count=1, dtype="uint16", crs="EPSG:32631",
        transform=rasterio.transform.from_origin(470_000, 5_450_000, 10, 10), blocksize=512, overviews="NONE",
    ) as raster:  # fmt: skip
        raster.write(values, 1)
    (scene, *_) = local(archive).find("sentinel2", archive[1], WINDOW)
    calm.folder = tmp_path
    scene = replace(scene, layers={"B02": f"{calm.url}/B02.tif"})
    made = planned = 0
    draw = np.random.default_rng(2)
    for _ in range(12):
        stac, limits = source(api)
        row, column = (int(place) for place in draw.integers(0, 3000, 2))
        height, width = (int(size) for size in draw.integers(100, 1000, 2))
        grid = Grid(32631, 470_000.0 + 10 * column, 5_450_000.0 - 10 * row, height, width, 10.0)
        (request,) = stac.requests(scene, grid, ("B02",))
        read = stac.read(scene, grid, ("B02",))["B02"].values
        np.testing.assert_array_equal(read, values[row : row + height, column : column + width])
        made, planned = made + limits.requests, planned + request.calls
    assert made == pytest.approx(planned, rel=0.15)


def read_all(stac, scenes, grid, workers=8):
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda scene: stac.read(scene, grid, LAYERS), scenes))


def test_with_a_fifth_of_the_requests_failing_the_pixels_are_the_same(archive, api, calm):
    grid = archive[1]["a"]
    calm_source, least = source(api)
    scenes = calm_source.find("sentinel2", {"a": grid}, WINDOW)
    found = least.requests
    expected = read_all(calm_source, scenes, grid)
    minimum = least.requests - found
    calm.requests.clear()
    calm.share, calm.seed = 0.2, 4
    stac, limits = source(api)
    read = read_all(stac, scenes, grid)
    assert all(same(one, other) for one, other in zip(read, expected, strict=True))
    assert calm.faults > 0.1 * minimum
    assert minimum < limits.requests < 1.5 * minimum


@pytest.mark.parametrize("fault", ["status:429:0", "status:500", "status:503", "stall:9", "reset", "break:50", "lie:3",
                                   "short:3", "wrong range"])  # fmt: skip
def test_what_fails_once_is_asked_again(archive, api, calm, fault):
    grid = archive[1]["a"]
    (scene, *_) = source(api)[0].find("sentinel2", {"a": grid}, WINDOW)
    expected = source(api)[0].read(scene, grid, ("B02",))
    stac, limits = source(api)
    calm.plans[httpx.URL(scene.layers["B02"]).path] = [fault]
    assert same(stac.read(scene, grid, ("B02",)), expected)
    assert limits.requests == 2


@pytest.mark.parametrize(
    ("fault", "error", "expected"),
    [
        ("status:404", GoneError, "is gone"),
        ("status:410", GoneError, "is gone"),
        ("status:403", CropflowError, "wants an account"),
        ("status:401", CropflowError, "wants an account"),
        ("status:451", CropflowError, "answered 451"),
        ("page", CropflowError, "expected a GeoTIFF"),
    ],
)
def test_what_is_final_is_asked_once(archive, api, calm, fault, error, expected):
    grid = archive[1]["a"]
    stac, limits = source(api)
    (scene, *_) = stac.find("sentinel2", {"a": grid}, WINDOW)
    before = limits.requests
    calm.plans[httpx.URL(scene.layers["B02"]).path] = [fault] * 9
    with pytest.raises(error, match=expected):
        stac.read(scene, grid, ("B02",))
    assert limits.requests == before + 1


def test_a_service_that_never_answers_is_given_up_after_eight_attempts(archive, api, calm):
    grid = archive[1]["a"]
    stac, limits = source(api)
    (scene, *_) = stac.find("sentinel2", {"a": grid}, WINDOW)
    before = limits.requests
    calm.status = 503
    with pytest.raises(TransientError, match="503"):
        stac.read(scene, grid, ("B02",))
    assert limits.requests == before + 8


def test_a_server_without_ranges_is_named(archive, api, calm, tmp_path):
    calm.folder = None
    calm.files["/large.tif"] = b"II*\0" + bytes(100_000)
    calm.ranges = False
    (scene, *_) = local(archive).find("sentinel2", archive[1], WINDOW)
    stac, _ = source(api)
    with pytest.raises(CropflowError, match="cannot be read by parts"):
        stac.read(replace(scene, layers={"B02": f"{calm.url}/large.tif"}), archive[1]["a"], ("B02",))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_search_is_asked_again(archive, catalogue, calm, status):
    content = catalogue.read_bytes()
    calm.folder = None
    calm.files["/items.json"] = content
    calm.plans["/items.json"] = [f"status:{status}", "reset", "break:100"]
    stac, limits = source(f"{calm.url}/items.json")
    assert stac.find("sentinel2", archive[1], WINDOW)
    assert limits.requests == 4
    calm.status = status
    with pytest.raises(CropflowError, match=f"did not answer the search .*{status}"):
        stac.find("sentinel2", archive[1], WINDOW)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_service_that_refuses_the_connection_is_told_after_three_attempts(archive, calm):
    stac, limits = source(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(
        CropflowError, match=r"reached \(the connection is refused\)\. Check imagery\.<name>\.url"
    ) as caught:
        stac.find("sentinel2", archive[1], WINDOW)
    assert "requests_per_second" not in str(caught.value)
    assert limits.requests == 3


def test_a_host_that_nobody_knows_is_told_after_three_attempts(archive, calm, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    stac, limits = source("http://stac.invalid/v1")
    with pytest.raises(CropflowError, match=r"cannot be reached \(the host is unknown\)\. Check imagery\.<name>\.url"):
        stac.find("sentinel2", archive[1], WINDOW)
    assert limits.requests == 3


def test_a_proxy_that_refuses_the_connection_is_told(archive, calm, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    stac, _ = source("http://stac.invalid/v1")
    with pytest.raises(CropflowError, match=r"the connection is refused, that of the proxy.*proxy included"):
        stac.find("sentinel2", archive[1], WINDOW)


def test_a_host_that_answered_before_is_waited_for(calm, monkeypatch):
    limits = Limits(1, 10_000)
    asked = web.Web(limits, 1)
    calm.folder = None
    calm.files["/a"] = b"x"
    assert asked.ask("GET", f"{calm.url}/a", cure="") == "x"
    with pytest.raises(TransientError, match="the connection is refused"):
        asked.ask("GET", f"http://127.0.0.1:{free_port()}/a", cure="")
    assert limits.requests == 1 + 8


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[]", "answers no JSON object"),
        ("oh", "answers no JSON object"),
        ('{"type": "Catalog"}', "neither the landing page of a STAC API nor an item collection"),
        ('{"type": "Catalog", "conformsTo": ["x"]}', "a landing page that is not whole"),
        (
            '{"type": "Catalog", "id": "a", "description": "a", "stac_version": "1.0.0", "links": [], '
            '"conformsTo": ["https://api.stacspec.org/v1.0.0/core"]}',
            "does not conform to item-search",
        ),
    ],
)
def test_what_is_no_stac_is_named(archive, calm, content, expected):
    calm.folder = None
    calm.files["/odd"] = content.encode()
    with pytest.raises(CropflowError, match=expected):
        source(f"{calm.url}/odd")[0].find("sentinel2", archive[1], WINDOW)
    with pytest.raises(CropflowError, match=r"is gone .* expected a STAC service"):
        source(f"{calm.url}/nowhere")[0].find("sentinel2", archive[1], WINDOW)


def test_a_proxy_that_the_environment_names_is_used(calm, monkeypatch):
    monkeypatch.setenv("http_proxy", calm.url)
    monkeypatch.setenv("no_proxy", "")
    calm.folder = None
    calm.files["/items.json"] = b"{}"
    connection = web.Web(Limits(1, 1000), 1)
    assert connection.ask("GET", "http://service.invalid/items.json", cure="") == "{}"
    monkeypatch.setenv("no_proxy", "service.invalid")
    with pytest.raises(TransientError, match=r"the host is unknown|there is no way|Timeout"):
        connection.ask("GET", "http://service.invalid/items.json", cure="")


@pytest.fixture
def signed(calm, api, flaky_http, monkeypatch):
    """Planetary Computer, with the loopback for its search, its tokens and its files."""

    def signer(connection):
        return PlanetaryComputer(connection, tokens=f"{calm.url}/token", storage="127.0.0.1")

    there = replace(providers.PROVIDERS["planetary-computer"], url=api, signer=signer)
    monkeypatch.setitem(providers.PROVIDERS, "planetary-computer", there)
    calm.signatures = flaky_http.Signatures()
    return calm


def computer():
    limits = Limits(8, 10_000)
    return StacSource(Imagery(source="stac", provider="planetary-computer"), limits), limits


def tokens(server):
    return sum(path.startswith("/token/") for path, _ in server.requests)


def test_addresses_are_signed_as_they_are_read_and_nowhere_else(archive, signed, caplog):
    caplog.set_level(logging.DEBUG)
    grid = archive[1]["a"]
    stac, _ = computer()
    scenes = stac.find("sentinel2", {"a": grid}, WINDOW)
    assert tokens(signed) == 0
    here = {scene.id: scene for scene in local(archive).find("sentinel2", archive[1], WINDOW)}
    for scene, read in zip(scenes, read_all(stac, scenes, grid), strict=True):
        assert same(read, local(archive).read(here[scene.id], grid, LAYERS))
    assert tokens(signed) == 1
    assert "secret" not in "".join(f"{scene}{dict(scene.layers)}" for scene in scenes)
    assert "sig=secret" not in "".join(record.getMessage() for record in caplog.records if record.name != "httpcore")


def test_no_file_of_an_export_holds_a_signature(archive, signed, tmp_path, monkeypatch, caplog):
    """The commands as the rules call them; an export that stops before its end leaves its ledger too."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "secret-key")
    write_table(tmp_path / "sites.parquet", sites_table({"a": archive[1]["a"]}))
    settings = {"source": "stac", "provider": "planetary-computer", "bands": ["B02", "B05"], "requests_per_second": 100}
    common = ["--sites", tmp_path / "sites.parquet", "--settings", json.dumps(settings), "--season", SEASON_JSON]
    found, store = tmp_path / "found.parquet", tmp_path / "sentinel2.zarr"
    fetch = ["export", "--sensor", "sentinel2", *common, "--found", found, "--work", tmp_path / "work"]
    fetch += ["--pace", tmp_path / "pace.json", "--catalogue", tmp_path / "sentinel2.parquet", "--output", store]
    fetch += ["--completeness", tmp_path / "sentinel2.json"]
    find = ["find", "--sensor", "sentinel2", *common, "--output", found]
    plan = ["plan", "--found", found, *common, "--output", tmp_path / "plan.json"]
    broken = ["status:403"] * 2
    for number, arguments in enumerate((find, plan, fetch, fetch)):
        if number == 2:
            last = max(read_found(found), key=lambda scene: scene.time)
            signed.plans[httpx.URL(last.layers["B02"]).path] = broken
        result = CliRunner().invoke(imagery, [str(argument) for argument in arguments])
        assert (result.exception is None) is (number != 2), result.exception
        if number == 2:
            assert "A new token was refused as well" in str(result.exception)
            assert "secret" not in str(result.exception)
        held = [path for path in tmp_path.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
        assert not held
    assert store.is_dir()
    assert any(headers.get("ocp-apim-subscription-key") == "secret-key" for _, headers in signed.requests)
    assert "secret" not in caplog.text


@pytest.mark.parametrize("fault", ["redirect", "reset", "status:503", "status:403", "break:50"])
def test_no_log_repeats_a_signature_whatever_goes_wrong(archive, signed, caplog, fault):
    caplog.set_level(logging.DEBUG)
    grid = archive[1]["a"]
    stac, _ = computer()
    scene = next(one for one in stac.find("sentinel2", {"a": grid}, WINDOW) if one.outline.intersects(footprint(grid)))
    signed.plans[httpx.URL(scene.layers["B02"]).path] = [fault]
    if fault == "redirect":
        # The new address is signed by whoever sent there.
        signed.signatures.until["secret-of-the-redirect"] = time.monotonic() + 60
    stac.read(scene, grid, ("B02",))
    assert not signed.plans[httpx.URL(scene.layers["B02"]).path]
    assert "secret" not in "".join(record.getMessage() for record in caplog.records)


def test_an_account_of_the_users_own_is_sent_to_its_host_alone(archive, catalogue, calm, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password se-cret\ndefault login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    calm.files["/items.json"] = catalogue.read_bytes()
    calm.folder = None
    stac, _ = source(f"{calm.url}/items.json")
    (scene, *_) = stac.find("sentinel2", archive[1], WINDOW)
    calm.folder = archive[0]
    stac.read(scene, archive[1]["a"], ("B02",))
    assert {headers.get("authorization") for _, headers in calm.requests} == {"Basic bWU6c2UtY3JldA=="}
    assert "se-cret" not in caplog.text + repr(Unsigned().sign(calm.url))
    assert account_of("https://elsewhere.example/x") is None
    assert account_of(calm.url) == "me:se-cret"
    (tmp_path / "netrc").write_text("machine service.example login me password se-cret\n")
    assert account_of("https://service.example/x") == "me:se-cret"
    assert account_of("http://service.example/x") is None


def test_a_broken_file_of_accounts_is_named_without_its_content(calm, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me\nse-cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(CropflowError, match=r"Line \d of .*netrc") as caught:
        source(f"{calm.url}/items.json")[0].find("sentinel2", {}, WINDOW)
    assert "se-cret" not in str(caught.value)


def test_a_token_that_the_service_forgot_is_renewed_once_for_all_threads(archive, signed):
    grid = archive[1]["a"]
    stac, _ = computer()
    scenes = stac.find("sentinel2", {"a": grid}, WINDOW)
    stac.read(scenes[0], grid, ("B02",))
    signed.signatures.until.clear()
    assert len(read_all(stac, scenes[1:], grid)) == len(scenes) - 1
    assert tokens(signed) == 2


def test_a_token_is_renewed_before_it_expires(archive, signed, monkeypatch):
    monkeypatch.setattr("cropflow.imagery.stac.signing.SLACK_S", 300.0)
    signed.signatures.told_s = signed.signatures.lasts_s = 299.0
    grid = archive[1]["a"]
    stac, _ = computer()
    (first, *_) = stac.find("sentinel2", {"a": grid}, WINDOW)
    stac.read(first, grid, ("B02", "B05"))
    # Each has less time left than a request may take; none was refused.
    assert tokens(signed) == 2
    assert not any(signed.status != 200 for _ in signed.requests)


def test_tokens_that_are_always_refused_are_one_line(archive, signed):
    signed.signatures.lasts_s = -1.0
    grid = archive[1]["a"]
    stac, _ = computer()
    (scene, *_) = stac.find("sentinel2", {"a": grid}, WINDOW)
    with pytest.raises(CropflowError, match="A new token was refused as well") as caught:
        stac.read(scene, grid, ("B02",))
    assert "secret" not in str(caught.value)
    assert tokens(signed) == 2


def test_far_apart_sites_are_asked_for_without_the_ground_between():
    sites = [Grid(32600 + zone, 500_000.0, 5_000_000.0 + 20_000 * row, 100, 100, 10.0) for zone in (10, 31, 55)
             for row in range(50)]  # fmt: skip
    outlines = [footprint(grid) for grid in sites]
    groups = site_groups(outlines)
    assert len(groups) == 4
    assert sum(group.area for group in groups) < 1.1 * sum(outline.area for outline in outlines)
    assert all(any(group.covers(outline) for group in groups) for outline in outlines)


def test_a_site_across_the_antimeridian_asks_on_both_sides():
    grid = Grid(32660, 729_000.0, 5_000_000.0, 2000, 2000, 10.0)
    groups = site_groups([footprint(grid)])
    assert sum(group.area for group in groups) < 1
    bounds = [group.bounds for group in groups]
    assert min(west for west, *_ in bounds) == -180
    assert max(east for _, _, east, _ in bounds) == 180


def test_jpeg_2000_files_of_an_object_store_are_read_with_its_keys(archive, calm, tmp_path, monkeypatch):
    for name, value in zip(Copernicus.KEYS, ("key", "secret"), strict=True):
        monkeypatch.setenv(name, value)
    there = replace(providers.PROVIDERS["copernicus"], signer=lambda connection: Copernicus(calm.url))
    monkeypatch.setitem(providers.PROVIDERS, "copernicus", there)
    monkeypatch.setattr("cropflow.imagery.stac.sparse.HEAD", 2048)
    values = np.random.default_rng(3).integers(1, 9000, (400, 400), dtype=np.uint16)
    file = tmp_path / "eodata" / "Sentinel-2" / "B02.jp2"
    file.parent.mkdir(parents=True)
    with rasterio.open(
        file, "w", driver="JP2OpenJPEG", height=400, width=400, count=1, dtype="uint16", crs="EPSG:32631",
        transform=rasterio.transform.from_origin(470_000, 5_450_000, 10, 10), blockxsize=64, blockysize=64,
        reversible="YES", quality=100,
    ) as raster:  # fmt: skip
        raster.write(values, 1)
    (scene, *_) = local(archive).find("sentinel2", archive[1], WINDOW)
    stac = StacSource(Imagery(source="stac", provider="copernicus"), Limits(2, 10_000))
    calm.folder = tmp_path
    grid = Grid(32631, 470_500.0, 5_449_000.0, 50, 60, 10.0)
    read = stac.read(replace(scene, layers={"B02": "s3://eodata/Sentinel-2/B02.jp2"}), grid, ("B02",))
    np.testing.assert_array_equal(read["B02"].values, values[100:150, 50:110])
    assert calm.sent < file.stat().st_size / 4
    assert all("X-Amz-Signature=" in path for path, _ in calm.requests)


def test_signs_are_for_their_own_hosts(monkeypatch):
    monkeypatch.setenv("CDSE_ACCESS_TOKEN", "secret")
    signer = Copernicus()
    assert signer.sign("https://zipper.dataspace.copernicus.eu/odata/x").headers
    assert not signer.sign("https://example.org/x").headers
    assert "?" not in PlanetaryComputer(None).sign("https://example.org/x").url  # type: ignore[arg-type]
