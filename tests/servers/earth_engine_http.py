"""A loopback stand-in for Earth Engine: it describes image assets and answers parts of them, on their own grid alone.

The methods of the service are those of the description of it that the client's package ships.
"""

from __future__ import annotations

import importlib.resources
import io
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

SHIPPED = importlib.resources.files("ee") / "tests"
PREFIX = "/v1alpha/projects/earthengine-public/assets/"
# As the service has them; a byte of mask per pixel counts.
LARGEST_BYTES = 48 * 2**20
LONGEST_SIDE = 32_768


class EarthEngineServer(ThreadingHTTPServer):
    """Serves ``descriptions`` and ``pixels`` (asset id -> content), and remembers what it was asked for.

    ``statuses`` are those of the next answers about assets, and ``first_statuses`` of those to a client that connects,
    used up one per request, after which answers are plain. Where ``broken``, pixels lack their last bytes.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.descriptions: dict[str, dict[str, Any]] = {}
        self.pixels: dict[str, np.ndarray] = {}
        self.statuses: list[int] = []
        self.first_statuses: list[int] = []
        self.broken = False
        # Body of a request -> content: what ``earth_engine_compute.answer`` makes of it.
        self.compute: Callable[[dict[str, Any]], bytes] | None = None
        self.computed: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.grids: list[dict[str, Any]] = []
        self.accounts: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, name: str, values: Any, transform: Any, crs: str = "EPSG:3035", band: str = "classification") -> None:
        """Serve an array as an asset with one band; like the service, leave out what is 0."""
        values = np.asarray(values)
        limits = np.iinfo(values.dtype)
        affine = {"scaleX": transform.a, "translateX": transform.c, "scaleY": transform.e, "translateY": transform.f}
        grid = {
            "crsCode": crs,
            "dimensions": {"width": values.shape[1], "height": values.shape[0]},
            "affineTransform": affine,
        }
        limited = {key: value for key, value in (("min", int(limits.min)), ("max", int(limits.max))) if value}
        described = {"id": band, "dataType": {"precision": "INT", "range": limited}, "grid": grid}
        self.pixels[name] = values
        self.descriptions[name] = {
            "type": "IMAGE",
            "name": f"projects/earthengine-public/assets/{name}",
            "id": name,
            "updateTime": "2023-01-02T03:04:05Z",
            "bands": [described],
        }

    def __enter__(self) -> EarthEngineServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: EarthEngineServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.accounts.add(self.headers.get("Authorization"))
        if path == "/$discovery/rest":
            self._send(200, (SHIPPED / "cloud_api_discovery_document.json").read_bytes())
        elif path.endswith("/algorithms") and self.server.first_statuses:
            self._refuse(self.server.first_statuses.pop(0), "not now")
        elif path.endswith("/algorithms"):
            self._send(200, (SHIPPED / "algorithms.json").read_bytes())
        elif path.endswith(":listAssets"):
            parent = path.removesuffix(":listAssets").removeprefix(PREFIX) + "/"
            found = [asset for name, asset in self.server.descriptions.items() if name.startswith(parent)]
            self._send(200, json.dumps({"assets": found}).encode())
        elif not self._refused(path):
            self._send(200, json.dumps(self.server.descriptions[path.removeprefix(PREFIX)]).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = unquote(urlsplit(self.path).path).removesuffix(":getPixels")
        if path.endswith("image:computePixels"):
            return self._compute(body)
        if not self._refused(path):
            self._pixels(path.removeprefix(PREFIX), body)

    def _compute(self, body: dict[str, Any]) -> None:
        self.server.computed.append(body)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status != 200:
            return self._refuse(status, f"answer {status} as told")
        try:
            content = self.server.compute(body)
        except KeyError as error:
            return self._refuse(404, f"Image asset {error} not found.")
        except ValueError as error:
            return self._refuse(400, str(error))
        self._send(200, content[: -5 if self.server.broken else None], "application/octet-stream")

    def _refused(self, path: str) -> bool:
        self.server.asked.append(path)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200 and path.removeprefix(PREFIX) not in self.server.descriptions:
            status = 404
        if status != 200:
            self._refuse(status, f"answer {status} as\ntold")
        return status != 200

    def _pixels(self, name: str, body: dict[str, Any]) -> None:
        values, described = self.server.pixels[name], self.server.descriptions[name]["bands"][0]
        grid, own = body["grid"], described["grid"]
        asked, stored = grid["affineTransform"], own["affineTransform"]
        height, width = grid["dimensions"]["height"], grid["dimensions"]["width"]
        column = (asked["translateX"] - stored["translateX"]) / stored["scaleX"]
        row = (asked["translateY"] - stored["translateY"]) / stored["scaleY"]
        same = all(asked[key] == stored[key] for key in ("scaleX", "scaleY")) and grid["crsCode"] == own["crsCode"]
        if not (same and column.is_integer() and row.is_integer() and body["bandIds"] == [described["id"]]):
            return self._refuse(400, "not the asset's grid and band")
        if max(height, width) > LONGEST_SIDE or height * width * (values.itemsize + 1) > LARGEST_BYTES:
            return self._refuse(400, "the request is too large")
        self.server.grids.append(grid)
        part = np.zeros((height, width), dtype=[(described["id"], values.dtype)])
        part[described["id"]] = values[int(row) : int(row) + height, int(column) : int(column) + width]
        content = io.BytesIO()
        np.save(content, part)
        self._send(200, content.getvalue()[: -5 if self.server.broken else None], "application/octet-stream")

    def _refuse(self, status: int, message: str) -> None:
        self._send(status, json.dumps({"error": {"code": status, "message": message}}).encode())

    def _send(self, status: int, content: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
