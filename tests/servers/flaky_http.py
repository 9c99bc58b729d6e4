"""A loopback HTTP server of files that misbehaves as told, for tests of downloads and of reading by ranges.

``server.files`` maps paths to content, or ``server.folder`` is a folder of files; ``server.plans`` maps paths to the
behaviours of the next answers, used up one per request, after which answers are plain; of a ``server.share`` of all
other requests each meets one of ``FAULTS`` at random, by ``server.seed``. Behaviours:

================== ====================================================================
``break:N``        promise everything, send N bytes of what is asked for, hang up
``stall:N``        send N bytes, then nothing until the server is closed
``lie:N``          promise N bytes more than there are, send all there is, hang up
``short:N``        promise and send N bytes less than there are
``reset``          reset the connection without an answer
``page``           answer 200 with an HTML page
``status:S``       answer with status S
``status:S:W``     the same, asking to wait W seconds
``redirect``       answer with status 302 and an address that carries a secret, where the file is
``ignore range``   answer 200 with the whole file although a range is asked for
``wrong range``    answer 206 with a range that was not asked for
``no length``      answer 200 without a length; the end of the connection ends the file
================== ====================================================================

Where ``server.signatures`` is set, files want one in their query, and ``/token/...`` hands it out as Planetary Computer
does; the server may forget it earlier than it tells.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
import random
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

FAULTS = (
    "status:429", "status:429:0", "status:500", "status:502", "status:503:0", "stall:20", "reset", "break:100", "lie:5",
    "short:7",
)  # fmt: skip


class Signatures:
    """Tokens that are handed out: for ``told_s`` seconds, as is said; the server knows them for ``lasts_s``."""

    def __init__(self, told_s: float = 3600.0, lasts_s: float = 3600.0) -> None:
        self.told_s = told_s
        self.lasts_s = lasts_s
        self.until: dict[str, float] = {}
        self._number = itertools.count()

    def token(self) -> dict[str, str]:
        name = f"secret{next(self._number)}"
        self.until[name] = time.monotonic() + self.lasts_s
        expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.told_s)
        return {"token": f"sig={name}", "msft:expiry": expiry.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def known(self, query: str) -> bool:
        name = parse_qs(query).get("sig", [""])[0]
        return self.until.get(name, 0.0) > time.monotonic()


class FlakyServer(ThreadingHTTPServer):
    """Serves files, with or without ETags and ranges, and remembers every request."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.folder: Path | None = None
        self.plans: dict[str, list[str]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.etags = True
        self.ranges = True
        self.keep_alive = False
        self.status = 200
        self.share = 0.0
        self.seed = 0
        self.signatures: Signatures | None = None
        self.sent = 0
        self.faults = 0
        self.closing = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.requests]

    def content(self, path: str) -> bytes | None:
        if self.folder is not None:
            file = self.folder / path.lstrip("/")
            return file.read_bytes() if file.is_file() else None
        return self.files.get(path)

    def behaviour(self, path: str, headers: dict[str, str]) -> str:
        """Remember a request, and say how it is answered."""
        with self._lock:
            number = len(self.requests)
            self.requests.append((path, headers))
            plan = self.plans.get(urlsplit(path).path, [])
            if plan:
                return plan.pop(0)
            draw = random.Random(f"{self.seed}/{number}")
            if draw.random() < self.share:
                self.faults += 1
                return draw.choice(FAULTS)
            return ""

    def __enter__(self) -> FlakyServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FlakyServer
    protocol_version = "HTTP/1.1"
    # The head and the body are sent apart; the second must not wait for the first to be acknowledged.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Refuse, as addresses do that are signed for GET."""
        self.close_connection = True
        self._head(403, 0, {})

    def do_GET(self) -> None:
        server = self.server
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        kind, _, rest = server.behaviour(self.path, headers).partition(":")
        self.close_connection = not server.keep_alive or bool(kind)
        signed = server.signatures is None or server.signatures.known(parts.query)
        if kind == "status" or server.status != 200:
            status, _, wait = (rest or str(server.status)).partition(":")
            self._head(int(status), 0, {"Retry-After": wait} if wait else {})
        elif kind == "redirect":
            self._head(302, 0, {"Location": f"{parts.path}?sig=secret-of-the-redirect"})
        elif kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif kind == "page":
            page = b"<!DOCTYPE html><title>Log in</title>"
            self._head(200, len(page), {"Content-Type": "text/html"})
            self.wfile.write(page)
        elif server.signatures is not None and path.startswith("/token/"):
            content = json.dumps(server.signatures.token()).encode()
            self._head(200, len(content), {"Content-Type": "application/json"})
            self.wfile.write(content)
        elif not signed:
            self._head(403, 0, {})
        elif (content := server.content(path)) is None:
            self._head(404, 0, {})
        else:
            self._send(content, headers, kind, int(rest or 0))

    def _head(self, status: int, length: int | None, extra: dict[str, str]) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in extra.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, content: bytes, headers: dict[str, str], kind: str, number: int) -> None:
        extra = {"Accept-Ranges": "bytes"}
        tag = f'"{hashlib.md5(content).hexdigest()}"' if self.server.etags else ""
        if tag:
            extra["ETag"] = tag
        start, end = 0, len(content)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        unchanged = headers.get("if-range", tag) == tag
        if asked and self.server.ranges and unchanged and kind != "ignore range":
            start = int(asked[1])
            end = min(int(asked[2]) + 1, end) if asked[2] else end
            if start >= len(content):
                self._head(416, 0, {"Content-Range": f"bytes */{len(content)}"})
                return
            told = start + (kind == "wrong range")
            extra["Content-Range"] = f"bytes {told}-{end - 1}/{len(content)}"
        body = content[start : end - number] if kind == "short" else content[start:end]
        promised = None if kind == "no length" else len(body) + (number if kind == "lie" else 0)
        self._head(206 if "Content-Range" in extra else 200, promised, extra)
        body = body[:number] if kind in ("break", "stall") else body
        self.wfile.write(body)
        self.server.sent += len(body)
        if kind == "stall":
            self.server.closing.wait(30)
