"""A loopback HTTP server that misbehaves as told, for tests of downloads.

``server.files`` maps paths to content; ``server.plans`` maps paths to the behaviours of the next answers,
used up one per request, after which answers are plain. Behaviours:

================== ====================================================================
``break:N``        promise everything, send N bytes of what is asked for, hang up
``stall:N``        send N bytes, then nothing until the server is closed
``lie:N``          promise N bytes more than there are, send all there is, hang up
``page``           answer 200 with an HTML page
``status:S``       answer with status S
``status:S:W``     the same, asking to wait W seconds
``ignore range``   answer 200 with the whole file although a range is asked for
``wrong range``    answer 206 with a range that was not asked for
``no length``      answer 200 without a length; the end of the connection ends the file
================== ====================================================================
"""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class FlakyServer(ThreadingHTTPServer):
    """Serves ``files``, with or without ETags and ranges, and remembers every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.plans: dict[str, list[str]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.etags = True
        self.ranges = True
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.requests]

    def __enter__(self) -> FlakyServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FlakyServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        server = self.server
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.requests.append((self.path, headers))
        plan = server.plans.get(path, [])
        kind, _, rest = (plan.pop(0) if plan else "").partition(":")
        self.close_connection = True
        if kind == "status":
            status, _, wait = rest.partition(":")
            self._head(int(status), 0, {"Retry-After": wait} if wait else {})
        elif kind == "page":
            page = b"<!DOCTYPE html><title>Log in</title>"
            self._head(200, len(page), {"Content-Type": "text/html"})
            self.wfile.write(page)
        elif path not in server.files:
            self._head(404, 0, {})
        else:
            self._send(server.files[path], headers, kind, int(rest or 0))

    def _head(self, status: int, length: int | None, extra: dict[str, str]) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, content: bytes, headers: dict[str, str], kind: str, number: int) -> None:
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        extra = {"ETag": tag} if self.server.etags else {}
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        unchanged = headers.get("if-range", tag) == tag
        if asked and self.server.ranges and unchanged and kind != "ignore range":
            start = int(asked[1])
            if start >= len(content):
                self._head(416, 0, {"Content-Range": f"bytes */{len(content)}"})
                return
            told = start + (kind == "wrong range")
            extra["Content-Range"] = f"bytes {told}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        promised = None if kind == "no length" else len(body) + (number if kind == "lie" else 0)
        self._head(206 if "Content-Range" in extra else 200, promised, extra)
        self.wfile.write(body[:number] if kind in ("break", "stall") else body)
        self.wfile.flush()
        if kind == "stall":
            self.server.closing.wait(30)
