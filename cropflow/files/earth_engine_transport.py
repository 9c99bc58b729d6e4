"""How requests of the Earth Engine client travel: one pool of connections for all threads, each request in its turn.

The client's own transports have one connection each, and are not made for several threads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import httpx

from cropflow.files.remote import Limits

# The service answers so many requests of a project at once, and refuses more.
MOST_AT_ONCE = 40
# Pixels take seconds; the service itself gives up after five minutes.
DEADLINE_S = 300.0
CONNECT_S = 30.0

_limits: ContextVar[Limits | None] = ContextVar("limits", default=None)


@contextmanager
def in_turn(limits: Limits | None) -> Iterator[None]:
    """Let every request that this thread sends meanwhile wait for its turn, those that connect the client too."""
    token = _limits.set(limits)
    try:
        yield
    finally:
        _limits.reset(token)


class Answer(dict[str, str]):
    """Headers of an answer, names in lower case, and its status, as the client reads them."""

    def __init__(self, response: httpx.Response) -> None:
        # The body is unpacked already.
        dropped = ("content-encoding", "content-length")
        super().__init__({name.lower(): value for name, value in response.headers.items() if name not in dropped})
        self.status = response.status_code
        self.reason = response.reason_phrase
        self["status"] = str(response.status_code)


class Transport:
    """What the client sends its requests with; safe to use from several threads.

    There are never more connections than requests in flight, and each is used again.
    """

    def __init__(self) -> None:
        # A line per request, with the account's project in it, would bury all others.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        pool = httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=MOST_AT_ONCE)
        timeout = httpx.Timeout(DEADLINE_S, connect=CONNECT_S, pool=None)
        self._client = httpx.Client(limits=pool, timeout=timeout)

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        redirections: int | None = None,
        connection_type: type | None = None,
    ) -> tuple[Answer, bytes]:
        """Send a request; the last two arguments are the client's custom and mean nothing here.

        Raises:
            ConnectionError: If no whole answer arrives.
            TimeoutError: If nothing arrives for five minutes.
        """
        limits = _limits.get()
        with nullcontext() if limits is None else limits.turn():
            try:
                response = self._client.request(method, uri, content=body, headers=headers)
            except httpx.TimeoutException as error:
                raise TimeoutError(str(error) or type(error).__name__) from error
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise ConnectionError(str(error) or type(error).__name__) from error
        return Answer(response), response.content
