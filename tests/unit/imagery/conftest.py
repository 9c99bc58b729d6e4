"""A tiny collection of scenes with known pixels."""

from __future__ import annotations

import datetime
import importlib.util
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from cropflow.regions.grid import Grid

EPSG = 32631
XMIN, YMAX = 500_000.0, 4_900_000.0


def write_raster(path: Path, values, xmin, ymax, pixel_m, epsg=EPSG, nodata=None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype=values.dtype,
        crs=f"EPSG:{epsg}",
        transform=from_origin(xmin, ymax, pixel_m, pixel_m),
        nodata=nodata,
    ) as raster:
        raster.write(values, 1)
    return str(path)


class Collection:
    """A STAC item collection that is put together scene by scene: B02 (10 m), B05 (20 m) and the SCL (20 m)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.features: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        blue,
        *,
        rededge=None,
        scl=None,
        time: str = "2023-06-01T10:40:21Z",
        baseline: str | None = "05.09",
        cloud: float | None = 5.0,
        tile: str = "31TEJ",
        corner: tuple[float, float] = (XMIN, YMAX),
        epsg: int = EPSG,
        outline: tuple[float, float, float, float] | None = None,
        properties: dict[str, Any] | None = None,
        only: tuple[str, ...] = ("B02", "B05", "SCL"),
        file_name: str | None = None,
    ) -> None:
        """Add a scene; ``blue`` is ``(2n, 2m)`` at 10 m, ``rededge`` and ``scl`` ``(n, m)`` at 20 m."""
        blue = np.asarray(blue, dtype=np.uint16)
        rededge = blue[::2, ::2] if rededge is None else np.asarray(rededge, dtype=np.uint16)
        scl = np.where(rededge > 0, 4, 0).astype(np.uint8) if scl is None else np.asarray(scl)
        layers = {"B02": (blue, 10.0), "B05": (rededge, 20.0), "SCL": (scl, 20.0)}
        assets = {}
        for band in only:
            values, pixel_m = layers[band]
            file = f"{file_name or name}/{band}.tif"
            write_raster(self.folder / file, values, *corner, pixel_m, epsg)
            assets[band] = {"href": f"./{file}"}
        xmin, ymax = corner
        to_geographic = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
        extent = (xmin, ymax - 10 * blue.shape[0], xmin + 10 * blue.shape[1], ymax)
        bounds = outline or to_geographic.transform_bounds(*extent)
        content: dict[str, Any] = {"datetime": time, "platform": "Sentinel-2A", "s2:mgrs_tile": tile}
        if baseline is not None:
            content["s2:processing_baseline"] = baseline
        if cloud is not None:
            content["eo:cloud_cover"] = cloud
        self.features.append(
            {
                "type": "Feature",
                "id": name,
                "bbox": list(bounds),
                "geometry": shapely.geometry.mapping(shapely.box(*bounds)),
                "properties": content | (properties or {}),
                "assets": assets,
            }
        )

    def write(self) -> Path:
        path = self.folder / "sentinel-2-l2a.items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": self.features}), encoding="utf-8")
        return path


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path / "archive")


@pytest.fixture
def grid() -> Grid:
    """A site of 40 x 40 pixels of 10 m whose corner is the collection's."""
    return Grid(EPSG, XMIN, YMAX, 40, 40, 10.0)


@pytest.fixture
def raster():
    """Write a GeoTIFF of one band."""
    return write_raster


@pytest.fixture
def export(tmp_path: Path):
    """Run search and export of a collection or folder; the catalogue and the site groups of the store."""
    import zarr
    from typer.testing import CliRunner

    from cropflow.files.tables import read_table, write_table
    from cropflow.imagery.command import app
    from cropflow.regions.sites import sites_table

    def run(
        source: Path,
        grid: Grid | dict[str, Grid],
        *,
        bands=("B02", "B05"),
        season=("2023-06-01", "2023-06-30"),
        workers=1,
        name="run",
        reader="items",
        sensor="sentinel2",
        **settings,
    ):
        folder = tmp_path / name
        write_table(folder / "sites.parquet", sites_table(grid if isinstance(grid, dict) else {"one": grid}))
        content = {"source": reader, "path": "x", "bands": list(bands), "sensors": [sensor], **settings}
        common = ["--source", str(source), "--sites", str(folder / "sites.parquet"), "--settings", json.dumps(content)]
        common += ["--season", json.dumps({"start": season[0], "end": season[1]})]
        export = ["export", "--sensor", sensor, *common, "--work", str(folder / "work"), "--workers", str(workers)]
        export += ["--catalogue", str(folder / f"{sensor}.parquet"), "--output", str(folder / f"{sensor}.zarr")]
        export += ["--found", str(folder / "found" / f"{sensor}.parquet")]
        export += ["--completeness", str(folder / f"{sensor}.json")]
        find = ["find", "--sensor", sensor, *common, "--output", str(folder / "found" / f"{sensor}.parquet")]
        for arguments in (find, export):
            result = CliRunner().invoke(app, arguments)
            if result.exception is not None:
                raise result.exception
        return read_table(folder / f"{sensor}.parquet"), zarr.open_group(str(folder / f"{sensor}.zarr"), mode="r")

    return run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Folder of an archive of April to mid-June 2023 with all its faults, and the grids of its two landscapes."""
    from cropflow.config.sections import Season
    from cropflow.config.simulation import Landscape, Simulation
    from cropflow.simulation.archive import write_archive
    from cropflow.simulation.landscape import make_landscape

    squares = {"a": Landscape(centre=(2.6, 49.2), side_km=0.6), "b": Landscape(centre=(9.3, 47.9), side_km=0.3)}
    made = Simulation(seed=6, landscapes=squares, seasons=("s",), imagery_seasons=("s",))
    lands = [make_landscape(name, square, made) for name, square in made.landscapes.items()]
    folder = tmp_path_factory.mktemp("archive")
    season = Season(start=datetime.date(2023, 4, 1), end=datetime.date(2023, 6, 15))
    write_archive(folder, lands, made, {"s": season})
    return folder, {land.name: land.grid for land in lands}


class Counted:
    """A source that remembers what it was read for, and may spoil what it reads."""

    def __init__(self, source: Any, service: Any) -> None:
        self._source = source
        self._service = service
        self.remote = source.remote
        self.find = source.find
        self.requests = source.requests

    def read(self, scene: Any, grid: Grid, layers: Any) -> Any:
        found = self._source.read(scene, grid, layers)
        with self._service.lock:
            self._service.fetched[f"{scene.id} {','.join(layers)} {grid}"] += 1
        return self._service.spoil(found)


class Service:
    """What the scenarios of fetching need of a service; each source that runs them brings one.

    Attributes:
        units: Requests of the ledger per scene and site.
        calls: Requests to the service that a plan counts for each of them.
        settings: Entry of imagery.
        runner: Arguments of ``tests/servers/export_runner.py``.
        environment: Variables that its processes need.
        server: What answers, a context.
        fetched: Part of a scene -> how often it was read in full, in this process.
        spoil: What is done with layers that were read.
        scenes: Scene as tests call it -> its id.
    """

    units: int
    calls = 1
    settings: dict[str, Any]
    runner: list[str]
    environment: dict[str, str]
    server: Any

    def __init__(self) -> None:
        self.fetched: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.spoil = lambda layers: layers
        self.scenes: dict[str, str] = {}

    def put(self, name: str, blue: Any, day: int, baseline: str) -> None:
        """Put a Sentinel-2 scene there, or in the place of one: B02 as given, B05 and SCL after it."""
        raise NotImplementedError

    def behave(
        self,
        faults: float = 0.0,
        gone: tuple[str, ...] = (),
        refused: tuple[str, ...] = (),
        down: tuple[str, ...] = (),
        delay_s: float = 0.0,
    ) -> None:
        """Say how pixels are answered from now on.

        Args:
            faults: Share of the requests that fail.
            gone: Scenes whose pixels are not there.
            refused: Scenes that nobody may read.
            down: Scenes that are answered with 503 for ever.
            delay_s: Time that each answer takes.
        """
        raise NotImplementedError

    def quicken(self, patch: pytest.MonkeyPatch) -> None:
        """Let waits and time-outs pass quickly."""
        from cropflow.files import remote

        patch.setattr(remote, "FIRST_WAIT_S", 0.01)
        patch.setattr(remote, "LONGEST_WAIT_S", 0.05)

    @property
    def requests(self) -> int:
        """Requests for pixels since the last :meth:`forget`."""
        raise NotImplementedError

    def forget(self) -> None:
        """Forget what was asked so far."""
        self.fetched.clear()

    def source(self, settings: Any, limits: Any) -> Any:
        """A source that asks it."""
        raise NotImplementedError

    def open(self, settings: Any, place: Path | None, limits: Any) -> Any:
        """The same, counted; stands in for ``cropflow.imagery.opening.open_source``."""
        return Counted(self.source(settings, limits), self)


def server_module(root: Path, name: str) -> Any:
    """A module of ``tests/servers``."""
    spec: Any = importlib.util.spec_from_file_location(name, root / "tests" / "servers" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PartsService(Service):
    """The small service of ``tests/servers/parts_http.py``: two parts, bands and classes apart."""

    units = 4

    def __init__(self, root: Path, folder: Path) -> None:
        super().__init__()
        self.module = server_module(root, "parts_http")
        self.server = self.module.PartsServer()
        self.settings = {"source": "stac", "url": self.server.url}
        self.runner = [str(root / "tests" / "servers" / "parts_http.py"), self.server.url]
        self.environment = {}

    def put(self, name: str, blue: Any, day: int, baseline: str) -> None:
        layers = {"B02": blue, "B05": blue, "SCL": np.where(blue > 0, 4, 0).astype(np.uint16)}
        time = f"2023-06-{day:02}T10:40:21+00:00"
        self.scenes[name] = name
        self.server.put(name, layers, WIDE, time=time, baseline=baseline)

    def behave(self, faults=0.0, gone=(), refused=(), down=(), delay_s=0.0) -> None:
        self.server.faults, self.server.delay_s = faults, delay_s
        self.server.statuses = dict.fromkeys(gone, 404) | dict.fromkeys(refused, 403) | dict.fromkeys(down, 503)

    @property
    def requests(self) -> int:
        return self.server.asked.total()

    def forget(self) -> None:
        super().forget()
        self.server.asked.clear()

    def source(self, settings: Any, limits: Any) -> Any:
        return self.module.PartsSource(self.server.url, limits)


class FilesService(Service):
    """Scenes as GeoTIFFs in a folder, with the records of a collection of items: what other services serve."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.files = Collection(folder)
        self.names: dict[str, str] = {}

    def put(self, name: str, blue: Any, day: int, baseline: str) -> None:
        # As the simulation names its products: the last number tells which of an acquisition.
        item = f"S2A_31TEJ_202306{day:02}_{int(baseline < '05')}_L2A"
        self.files.features = [one for one in self.files.features if one["id"] != item]
        told = {"platform": "sentinel-2a", "sat:relative_orbit": 8, "proj:epsg": EPSG, "instruments": ["msi"]}
        time = f"2023-06-{day:02}T10:40:21+00:00"
        self.files.add(item, blue, time=time, baseline=baseline, properties=told)
        feature = self.files.features[-1]
        feature |= {"type": "Feature", "stac_version": "1.0.0", "links": [], "collection": "sentinel-2-l2a"}
        for band, asset in feature["assets"].items():
            pixel = 10.0 if band == "B02" else 20.0
            shape = [side // round(pixel / 10) for side in blue.shape]
            asset |= {"proj:transform": [pixel, 0, XMIN, 0, -pixel, YMAX], "proj:shape": shape}
        self.names[name] = item
        self.scenes[name] = item


class StacService(FilesService):
    """A collection of items behind an address, whose files are read by ranges (``tests/servers/flaky_http.py``)."""

    units = 3
    # The directory, and a row of blocks.
    calls = 2

    def __init__(self, root: Path, folder: Path) -> None:
        super().__init__(folder)
        self.server = server_module(root, "flaky_http").FlakyServer()
        self.server.folder, self.server.keep_alive, self.server.seed = folder, True, 1
        self.settings = {"source": "stac", "url": f"{self.server.url}/sentinel-2-l2a.items.json"}
        self.runner = []
        self.environment = {}

    def put(self, name: str, blue: Any, day: int, baseline: str) -> None:
        super().put(name, blue, day, baseline)
        self.files.write()

    def quicken(self, patch: pytest.MonkeyPatch) -> None:
        super().quicken(patch)
        patch.setattr("cropflow.imagery.stac.web.TIMEOUT_S", 0.3)

    def behave(self, faults=0.0, gone=(), refused=(), down=(), delay_s=0.0) -> None:
        self.server.share = faults
        statuses = dict.fromkeys(gone, 404) | dict.fromkeys(refused, 403) | dict.fromkeys(down, 503)
        self.server.plans = {
            f"/{self.names[name]}/{band}.tif": [f"status:{status}"] * 1000
            for name, status in statuses.items()
            for band in ("B02", "B05", "SCL")
        }
        if delay_s:
            content = self.server.content
            self.server.content = lambda path: (time.sleep(delay_s), content(path))[1]

    @property
    def requests(self) -> int:
        return sum(path.endswith(".tif") for path, _ in self.server.requests)

    def forget(self) -> None:
        super().forget()
        self.server.requests.clear()

    def source(self, settings: Any, limits: Any) -> Any:
        from cropflow.imagery.stac.source import StacSource

        return StacSource(settings, limits)


class EarthEngineService(Service):
    """The stand-in for Earth Engine, asked through its real client: two parts, one per resolution."""

    units = 2

    def __init__(self, root: Path, folder: Path) -> None:
        super().__init__()
        from earth_engine_archive import SENTINEL2, Archive
        from earth_engine_http import EarthEngineServer

        self.archive = Archive(folder)
        self.collection = SENTINEL2
        self.http = EarthEngineServer()
        self.http.serve_archive(self.archive)
        self.http.per_second = 10_000
        self.server = self._running()
        self.settings = {"source": "earth_engine"}
        self.runner = []
        self.environment = {"CROPFLOW_EE_URL": self.http.url, "CROPFLOW_EE_PROJECT": "mine"}

    @contextmanager
    def _running(self) -> Iterator[None]:
        """The server; the client is one for the whole process, and forgets it afterwards."""
        import ee

        ee.Reset()
        with self.http:
            yield
        ee.Reset()

    def put(self, name: str, blue: Any, day: int, baseline: str) -> None:
        from earth_engine_compute import StoredBand

        self.scenes[name] = f"202306{day:02}T104021_{name}_T31TEJ"
        seen, coarse = blue > 0, blue[::2, ::2]
        fine, wide = from_origin(XMIN, YMAX, 10, 10), from_origin(XMIN, YMAX, 20, 20)
        crs = f"EPSG:{EPSG}"
        bands = {
            # What the service keeps of values with an offset.
            "B2": StoredBand(np.where(seen, blue - 1000, 0).astype(np.uint16), seen, crs, fine),
            "B5": StoredBand(np.where(coarse > 0, coarse - 1000, 0).astype(np.uint16), coarse > 0, crs, wide),
            "SCL": StoredBand(np.full(coarse.shape, 4, np.uint8), coarse > 0, crs, wide),
        }
        bounds = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True).transform_bounds(*WIDE.bounds)
        image = {
            "type": "IMAGE",
            "id": f"{self.collection}/{self.scenes[name]}",
            "startTime": f"2023-06-{day:02}T10:40:21Z",
            "endTime": f"2023-06-{day:02}T10:40:21Z",
            "geometry": {"type": "LinearRing", "coordinates": list(shapely.box(*bounds).exterior.coords)},
            "bands": [{"id": band} for band in bands],
            "properties": {"PROCESSING_BASELINE": baseline, "MGRS_TILE": "31TEJ", "SPACECRAFT_NAME": "Sentinel-2A"},
        }
        self.archive.put(image, bands)

    def behave(self, faults=0.0, gone=(), refused=(), down=(), delay_s=0.0) -> None:
        from earth_engine_faults import Faults

        asset = {name: f"{self.collection}/{index}" for name, index in self.scenes.items()}
        self.http.faults, self.http.delay_s = Faults(faults, seed=3), delay_s
        statuses = dict.fromkeys(gone, 404) | dict.fromkeys(refused, 403) | dict.fromkeys(down, 503)
        self.http.refusals = {asset[name]: status for name, status in statuses.items()}

    def quicken(self, patch: pytest.MonkeyPatch) -> None:
        from cropflow.files import earth_engine_transport

        super().quicken(patch)
        patch.setattr(earth_engine_transport, "DEADLINE_S", 1.0)

    @property
    def requests(self) -> int:
        return sum(not path.endswith(":listAssets") for path in self.http.asked)

    def forget(self) -> None:
        super().forget()
        self.http.asked.clear()

    def source(self, settings: Any, limits: Any) -> Any:
        from cropflow.imagery.earth_engine.source import EarthEngineSource

        return EarthEngineSource(settings, limits)


WIDE = Grid(EPSG, XMIN, YMAX, 40, 120, 10.0)


def blue(day: int) -> Any:
    """Stored values of a scene, uint16, ``(40, 120)``."""
    return np.random.default_rng(day).integers(1200, 1500, WIDE.shape).astype(np.uint16)


@pytest.fixture(params=[PartsService, StacService, EarthEngineService])
def service(request, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A service of four scenes over two sites of 40 x 40 pixels, whose faults pass quickly."""
    from cropflow.imagery import opening

    running = request.param(root, tmp_path / "service")
    running.quicken(monkeypatch)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(opening, "open_source", running.open)
    with running.server:
        for day in range(1, 5):
            running.put(f"scene{day}", blue(day), day, "05.09")
        yield running


class Export:
    """A plan and export of Sentinel-2 from a service, in a folder of its own.

    Attributes:
        folder: Where its files lie.
        work: The ledger's folder.
        units: Requests of the ledger that four scenes need at both sites.
    """

    def __init__(self, folder: Path, service: Any) -> None:
        self.folder = folder
        self.service = service
        self.work = folder / "work"
        self.units = 4 * 2 * service.units
        self.settings: dict[str, Any] = {**service.settings, "bands": ["B02", "B05"], "requests_at_once": 4}
        self.settings |= {"requests_per_second": 100}
        self.sites = {"a": Grid(EPSG, XMIN, YMAX, 40, 40, 10.0), "b": Grid(EPSG, XMIN + 800, YMAX, 40, 40, 10.0)}

    def arguments(self, command: str) -> list[str]:
        """Arguments of ``cropflow``, after the sites are written."""
        from cropflow.files.tables import write_table
        from cropflow.regions.sites import sites_table

        write_table(self.folder / "sites.parquet", sites_table(self.sites))
        found = self.folder / "found" / "sentinel2.parquet"
        given = {
            "--sites": self.folder / "sites.parquet",
            "--settings": json.dumps(self.settings),
            "--season": json.dumps({"start": "2023-06-01", "end": "2023-06-30"}),
        }
        given |= {
            "find": {"--sensor": "sentinel2", "--output": found},
            "plan": {"--found": found, "--output": self.folder / "plan.json"},
            "export": {
                "--sensor": "sentinel2",
                "--found": found,
                "--work": self.work,
                "--catalogue": self.folder / "sentinel2.parquet",
                "--completeness": self.folder / "sentinel2.json",
                "--output": self.folder / "sentinel2.zarr",
            },
        }[command]
        return ["imagery", command, *(str(part) for item in given.items() for part in item)]

    def run(self, command: str) -> None:
        """Run a command here; its error is raised."""
        from typer.testing import CliRunner

        from cropflow.imagery.command import app

        result = CliRunner().invoke(app, self.arguments(command)[1:])
        if result.exception is not None:
            raise result.exception

    @property
    def bytes(self) -> tuple[str, str, str]:
        """Hashes of store, catalogue and completeness."""
        from cropflow.files.manifest import content_hash

        names = ("sentinel2.zarr", "sentinel2.parquet", "sentinel2.json")
        return tuple(content_hash(self.folder / name)[0] for name in names)


@pytest.fixture
def remote_export(service, tmp_path: Path):
    """Make exports from the service; the scenes are found already."""

    def make(name: str = "run", **settings: Any) -> Export:
        (tmp_path / name).mkdir()
        made = Export(tmp_path / name, service)
        made.settings |= settings
        made.run("find")
        return made

    return make
