"""A small service of scenes on the loopback, and the source that asks it: for tests of fetching, with faults.

``server.put(scene, layers)`` puts a scene there: stored values per layer on one grid of 10 m. ``GET /scenes`` lists the
records, ``GET /pixels?...`` answers a part of some layers as one ``.npy`` array ``(layer, y, x)``. With ``faults`` that
share of the requests for pixels fails, chosen by the request and how often it was made, so that all runs see the same:
429 with and without Retry-After, 500, 503, connections that are reset, bodies that are cut short, lengths that lie,
answers that never come. ``statuses`` holds scenes that are answered with a status, for ever.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import numpy as np

from cropflow.errors import CropflowError
from cropflow.files.remote import GONE, TRANSIENT, GoneError, Limits, TransientError, asked_again
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sources import Layer, Request
from cropflow.regions.grid import Grid

FAULTS = ("429", "429 wait", "500", "503", "reset", "cut", "lie", "stall")
# Rows of a part: two parts for a site of 40 rows.
ROWS = 32
TIMEOUT_S = 0.3


class PartsServer(ThreadingHTTPServer):
    """Serves parts of scenes and remembers every request.

    Attributes:
        asked: Request for pixels -> how often it was made.
        delay_s: Time that an answer takes.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.records: dict[str, dict[str, Any]] = {}
        self.pixels: dict[str, dict[str, Any]] = {}
        self.faults = 0.0
        self.statuses: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.searches = 0
        self.delay_s = 0.0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, name: str, layers: Mapping[str, Any], grid: Grid, **fields: Any) -> None:
        """Put a scene there, or in the place of one; ``fields`` replace those of its record."""
        self.pixels[name] = {"grid": grid, "layers": {key: np.asarray(values) for key, values in layers.items()}}
        record = {
            "id": name, "time": "2023-06-01T10:40:21+00:00", "platform": "sentinel-2a", "tile": "31TEJ",
            "relative_orbit": 8, "baseline": "05.09", "made": "", "cloud_percent": 5.0, "source": name,
            "layers": {key: key for key in layers},
        }  # fmt: skip
        self.records[name] = record | fields

    def __enter__(self) -> PartsServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed."""


class _Handler(BaseHTTPRequestHandler):
    server: PartsServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/scenes":
            self.server.searches += 1
            self._send(json.dumps(list(self.server.records.values())).encode())
            return
        with self.server.lock:
            self.server.asked[self.path] += 1
            count = self.server.asked[self.path]
        time.sleep(self.server.delay_s)
        asked = dict(parse_qsl(address.query))
        fault = _fault(self.path, count, self.server.faults)
        if asked["scene"] in self.server.statuses:
            self._status(self.server.statuses[asked["scene"]])
            return
        if fault in ("429", "429 wait", "500", "503"):
            self._status(int(fault[:3]), {"Retry-After": "0"} if fault.endswith("wait") else {})
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault == "stall":
            time.sleep(2 * TIMEOUT_S)
            self.close_connection = True
        else:
            body = _part(self.server.pixels[asked["scene"]], asked)
            self._send(body, fault)

    def _status(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, body: bytes, fault: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (7 if fault == "lie" else 0)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
        self.close_connection = bool(fault)


def _fault(path: str, count: int, share: float) -> str:
    """The fault of a request, by what it asks for and how often it was made; empty for none."""
    number = int.from_bytes(hashlib.sha256(f"{path.partition('?')[2]} {count}".encode()).digest()[:8], "big")
    return FAULTS[number % len(FAULTS)] if (number >> 8) % 10_000 < 10_000 * share else ""


def _part(pixels: Mapping[str, Any], asked: Mapping[str, str]) -> bytes:
    xmin, ymax, height, width = float(asked["xmin"]), float(asked["ymax"]), int(asked["height"]), int(asked["width"])
    grid: Grid = pixels["grid"]
    row, column = round((grid.ymax - ymax) / 10), round((xmin - grid.xmin) / 10)
    names = asked["layers"].split(",")
    first = pixels["layers"][names[0]]
    out = np.zeros((len(names), height, width), first.dtype)
    top, bottom = max(row, 0), min(row + height, grid.height)
    left, right = max(column, 0), min(column + width, grid.width)
    for position, name in enumerate(names):
        if top < bottom and left < right:
            inside = pixels["layers"][name][top:bottom, left:right]
            out[position, top - row : bottom - row, left - column : right - column] = inside
    stream = io.BytesIO()
    np.save(stream, out)
    return stream.getvalue()


class PartsSource:
    """The source of such a server."""

    remote = True

    def __init__(self, url: str, limits: Limits) -> None:
        self._limits = limits
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=40))

    def find(self, sensor: str, sites: Mapping[str, Grid], window: Any) -> list[Scene]:
        records = asked_again("scenes", lambda: json.loads(self._get("/scenes", {})), self._limits)
        found = [
            Scene(**{**record, "time": datetime.datetime.fromisoformat(record["time"])}, extent=None, outline=None)
            for record in records
        ]
        return [scene for scene in found if scene.sensor == sensor]

    def requests(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> list[Request]:
        groups = [[name for name in layers if name != "SCL"], [name for name in layers if name == "SCL"]]
        return [
            Request(tuple(group), row, 0, height, grid.width, 2 * len(group) * height * grid.width)
            for group in groups
            if group
            for row in range(0, grid.height, ROWS)
            for height in [min(ROWS, grid.height - row)]
        ]

    def read(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> dict[str, Layer]:
        found: dict[str, list[Any]] = {}
        for request in self.requests(scene, grid, layers):
            part = grid.window(request.row, request.column, request.height, request.width)
            asked = {
                "scene": scene.source, "layers": ",".join(request.layers), "xmin": part.xmin, "ymax": part.ymax,
                "height": part.height, "width": part.width,
            }  # fmt: skip
            body = asked_again(scene.id, partial(self._get, "/pixels", asked), self._limits)
            for name, values in zip(request.layers, np.load(io.BytesIO(body)), strict=True):
                found.setdefault(name, []).append(values)
        return {
            name: Layer(np.concatenate(rows), sum(values.nbytes for values in rows), False)
            for name, rows in found.items()
        }

    def _get(self, path: str, asked: Mapping[str, Any]) -> bytes:
        try:
            answer = self._client.get(path, params=asked)
            body = answer.read()
        except httpx.TransportError as error:
            raise TransientError(f"{type(error).__name__}") from None
        if answer.status_code in TRANSIENT:
            wait = answer.headers.get("Retry-After")
            raise TransientError(f"status {answer.status_code}", None if wait is None else float(wait))
        if answer.status_code in GONE:
            raise GoneError(f"status {answer.status_code}")
        if answer.status_code != 200:
            raise CropflowError(f"The service refuses with status {answer.status_code}. Check the account.")
        return body
