"""A loopback stand-in for Earth Engine that speaks its protocol to the real client, and keeps its limits.

The methods of the service are those of the description of it that the client's package ships. It serves single assets
that tests put in, on their own grid alone, and the collections of a simulated archive, on any grid.
"""

from __future__ import annotations

import importlib.resources
import io
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import earth_engine_compute
import numpy as np
from earth_engine_archive import Archive
from earth_engine_faults import Faults

SHIPPED = importlib.resources.files("ee") / "tests"
PREFIX = "/v1alpha/projects/earthengine-public/assets/"
# As the service has them; a byte of mask per pixel counts.
LARGEST_BYTES = 48 * 2**20
LONGEST_SIDE = 32_768
MOST_AT_ONCE = 40
# Parameters of a list that the service has, and the description in the client's package lacks.
LIST_PARAMETERS = ("filter", "view")


@cache
def discovery() -> bytes:
    """The description of the service."""
    content = json.loads((SHIPPED / "cloud_api_discovery_document.json").read_bytes())
    parameters = content["resources"]["projects"]["resources"]["assets"]["methods"]["listAssets"]["parameters"]
    parameters |= {name: {"location": "query", "type": "string"} for name in LIST_PARAMETERS}
    return json.dumps(content).encode()


class EarthEngineServer(ThreadingHTTPServer):
    """Serves assets and an archive, and remembers what it was asked for.

    Attributes:
        descriptions: Id of a single asset -> its description.
        pixels: Id of a single asset -> its values.
        archive: Collections; None where there are none.
        compute: Body of a request to compute pixels -> the answer; that of the archive, where there is one.
        statuses: Of the next answers about assets, used up one per request, after which answers are plain.
        first_statuses: The same, of those to a client that connects.
        refusals: Id of an image -> the status that all requests for its pixels are answered with.
        answers: Refusals of the next requests about assets: status, message and headers.
        cut_short: So many of the next answers about assets end in the middle of their JSON, as if they were whole.
        broken: Pixels lack their last bytes.
        faults: Draws what goes wrong with requests about assets.
        page: Images of a page of a list.
        memory_bytes: Requests for more are refused for lack of memory.
        per_second: Requests that begin in a second, at most.
        delay_s: How long each answer about assets takes.
        asked: Paths of requests about assets, as they came, those that failed too.
        grids: Grids of the pixels that were sent.
        computed: Bodies of requests to compute pixels.
        connections: How many were made.
        most_in_flight: Requests in flight, at most.
        refused: Requests that exceeded a limit of requests.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.descriptions: dict[str, dict[str, Any]] = {}
        self.pixels: dict[str, np.ndarray] = {}
        self.archive: Archive | None = None
        self.compute: Callable[[dict[str, Any]], bytes] | None = None
        self.statuses: list[int] = []
        self.first_statuses: list[int] = []
        self.refusals: dict[str, int] = {}
        self.answers: list[tuple[int, str, dict[str, str]]] = []
        self.cut_short = 0
        self.broken = False
        self.faults = Faults(0.0)
        self.page = 1000
        self.memory_bytes = LARGEST_BYTES
        self.per_second = 100
        self.delay_s = 0.0
        self.asked: list[str] = []
        self.grids: list[dict[str, Any]] = []
        self.computed: list[dict[str, Any]] = []
        self.accounts: set[str | None] = set()
        self.connections = 0
        self.most_in_flight = 0
        self.refused = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.in_flight = 0
        self._begun: deque[float] = deque()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def serve_archive(self, archive: Archive) -> None:
        """Serve the collections of an archive too."""
        self.archive = archive
        self.compute = lambda body: earth_engine_compute.answer(body, archive.load)

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

    def begin(self) -> bool:
        """Take a request in; False where there are too many at once or in this second."""
        with self.lock:
            now = time.monotonic()
            while self._begun and self._begun[0] <= now - 1:
                self._begun.popleft()
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            if self.in_flight > MOST_AT_ONCE or len(self._begun) >= self.per_second:
                self.refused += 1
                return False
            self._begun.append(now)
            return True

    def end(self) -> None:
        """A request is answered."""
        with self.lock:
            self.in_flight -= 1

    def __enter__(self) -> EarthEngineServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: EarthEngineServer
    # Connections are used again, as the service does it.
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with self.server.lock:
            self.server.connections += 1
        # A client that goes away in the middle of an answer.
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._answer({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("X-HTTP-Method-Override") == "GET":
            # How the client sends a long query.
            self._answer({name: values[0] for name, values in parse_qs(content.decode()).items()})
        else:
            self._answer(json.loads(content))

    def _answer(self, body: dict[str, Any]) -> None:
        self.server.accounts.add(self.headers.get("Authorization"))
        path = unquote(urlsplit(self.path).path)
        self.in_flight = True
        try:
            if not self.server.begin():
                self._refuse(429, "Too many requests.")
            elif path == "/$discovery/rest":
                self._send(200, discovery())
            elif path.endswith("/algorithms") and self.server.first_statuses:
                self._refuse(self.server.first_statuses.pop(0), "not now")
            elif path.endswith("/algorithms"):
                self._send(200, (SHIPPED / "algorithms.json").read_bytes())
            else:
                self._asset(path, body)
        finally:
            self._leave()

    def _leave(self) -> None:
        """Count the request out, before the client can know of the answer and send the next."""
        if self.in_flight:
            self.in_flight = False
            self.server.end()

    def _asset(self, path: str, body: dict[str, Any]) -> None:
        """Answer about assets, which may fail as told, or as drawn."""
        server = self.server
        name, _, verb = path.removeprefix(PREFIX).partition(":")
        with server.lock:
            server.asked.append(path.removesuffix(":getPixels"))
            status = server.statuses.pop(0) if server.statuses else 200
            told = server.answers.pop(0) if server.answers else None
            server.cut_short, cut = max(server.cut_short - 1, 0), server.cut_short > 0
        fault = server.faults.draw()
        time.sleep(server.delay_s)
        if status != 200:
            return self._refuse(status, f"answer {status} as\ntold")
        if told:
            return self._refuse(*told)
        if name in server.refusals:
            return self._refuse(server.refusals[name], f"answer {server.refusals[name]} as told")
        if fault in ("429", "429 wait", "500", "503"):
            return self._refuse(int(fault[:3]), "try again", {"Retry-After": "0"} if fault == "429 wait" else {})
        if fault == "reset":
            return self._reset()
        try:
            content, kind = self._content(name, verb, path, body)
        except KeyError:
            return self._refuse(404, f"Asset {name} not found.")
        except ValueError as error:
            return self._refuse(400, str(error))
        self._send(200, content[: len(content) // 2] if cut else content, kind, fault=fault)

    def _content(self, name: str, verb: str, path: str, body: dict[str, Any]) -> tuple[bytes, str]:
        server = self.server
        if verb == "listAssets":
            return json.dumps(self._list(name, body)).encode(), "application/json"
        if verb == "":
            images = server.archive.images if server.archive else {}
            return json.dumps((server.descriptions | images)[name]).encode(), "application/json"
        if path.endswith("image:computePixels"):
            with server.lock:
                server.computed.append(body)
            if server.compute is None:
                raise ValueError("nothing is computed here")
            content = server.compute(body)
        elif server.archive is not None and name in server.archive.images:
            content = server.archive.pixels(name, body)
        else:
            content = self._pixels(name, body)
        if len(content) > server.memory_bytes:
            raise ValueError("User memory limit exceeded.")
        with server.lock:
            server.grids.append(body["grid"])
        return content[: -5 if server.broken else None], "application/octet-stream"

    def _list(self, parent: str, query: dict[str, Any]) -> dict[str, Any]:
        server = self.server
        if server.archive is None or parent not in server.archive.collections():
            inside = [asset for name, asset in server.descriptions.items() if name.startswith(parent + "/")]
            if not inside and parent not in server.descriptions:
                raise KeyError(parent)
            return {"assets": inside}
        found = server.archive.find(parent, query.get("filter", ""))
        start = int(query.get("pageToken", 0))
        end = start + min(int(query.get("pageSize", server.page)), server.page)
        return {"assets": found[start:end]} | ({"nextPageToken": str(end)} if end < len(found) else {})

    def _pixels(self, name: str, body: dict[str, Any]) -> bytes:
        values, described = self.server.pixels[name], self.server.descriptions[name]["bands"][0]
        grid, own = body["grid"], described["grid"]
        asked, stored = grid["affineTransform"], own["affineTransform"]
        height, width = grid["dimensions"]["height"], grid["dimensions"]["width"]
        column = (asked["translateX"] - stored["translateX"]) / stored["scaleX"]
        row = (asked["translateY"] - stored["translateY"]) / stored["scaleY"]
        same = all(asked[key] == stored[key] for key in ("scaleX", "scaleY")) and grid["crsCode"] == own["crsCode"]
        if not (same and column.is_integer() and row.is_integer() and body["bandIds"] == [described["id"]]):
            raise ValueError("not the asset's grid and band")
        if max(height, width) > LONGEST_SIDE or height * width * (values.itemsize + 1) > LARGEST_BYTES:
            raise ValueError("the request is too large")
        part = np.zeros((height, width), dtype=[(described["id"], values.dtype)])
        part[described["id"]] = values[int(row) : int(row) + height, int(column) : int(column) + width]
        content = io.BytesIO()
        np.save(content, part)
        return content.getvalue()

    def _reset(self) -> None:
        self._leave()
        self.close_connection = True
        # Closing a socket that does not linger breaks the connection.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps({"error": {"code": status, "message": message}}).encode(), headers=headers)

    def _send(
        self,
        status: int,
        content: bytes,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
        fault: str = "",
    ) -> None:
        self._leave()
        half = len(content) // 2
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(half if fault == "length" else len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if fault:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(content[:half] if fault in ("truncate", "stall") else content)
        if fault == "stall":
            self.server.closing.wait(30)
