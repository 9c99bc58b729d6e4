"""A loopback STAC API that answers searches with recorded answers, in their order, links to itself and all."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

CONFORMS = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]


class RecordedApi(ThreadingHTTPServer):
    """Answers the first search with the first of ``pages``, and each that follows with the next.

    ``statuses`` are those of the next answers to searches, used up one per request; ``bodies`` is what was asked for.
    """

    daemon_threads = True

    def __init__(self, pages: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages = [self._here(page) for page in pages]
        self.statuses: list[int] = []
        self.bodies: list[dict[str, Any]] = []
        self.answered = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def _here(self, page: dict[str, Any]) -> dict[str, Any]:
        """A page whose links lead here, and not to the service that was recorded."""
        links = [{**link, "href": self.url + "/search"} for link in page.get("links", []) if link["rel"] == "next"]
        return {**page, "links": links}

    def __enter__(self) -> RecordedApi:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: RecordedApi

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        names = sorted({item["collection"] for page in self.server.pages for item in page["features"]})
        if urlsplit(self.path).path == "/collections":
            self._send(200, {"collections": [{"id": name} for name in names]})
            return
        search = {"rel": "search", "type": "application/geo+json", "href": f"{self.server.url}/search"}
        landing = {"type": "Catalog", "stac_version": "1.0.0", "id": "recorded", "description": "recorded answers"}
        self._send(200, {**landing, "conformsTo": CONFORMS, "links": [{**search, "method": "POST"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.statuses:
            self._send(self.server.statuses.pop(0), {})
            return
        self.server.bodies.append(body)
        position = self.server.answered
        self.server.answered += 1
        self._send(200, self.server.pages[position])

    def _send(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
