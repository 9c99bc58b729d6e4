"""Asking a service over HTTP: signed when it is asked, judged by its answer, asked again under the shared limits."""

from __future__ import annotations

import datetime
import email.utils
import logging
import re
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ResponseError,
)

from cropflow.config.addresses import public
from cropflow.errors import CropflowError
from cropflow.files.accounts import account_of
from cropflow.files.remote import GONE, TRANSIENT, GoneError, Limits, TransientError, UnreachableError, asked_again

# Without a sign of the server; a stalled connection is given up and asked again.
TIMEOUT_S = 60.0
CONNECT_S = 20.0
REFUSED = frozenset({401, 403})
PARTIAL, UNSATISFIABLE = 206, 416
# Redirects are followed; whatever else fails is judged here.
REDIRECTS = urllib3.Retry(
    total=None, connect=0, read=0, status=0, other=0, redirect=5, respect_retry_after_header=False,
    # Accounts and keys are for the host that they were made for.
    remove_headers_on_redirect=frozenset({"Authorization", "Cookie", "Ocp-Apim-Subscription-Key"}),
)  # fmt: skip

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class Signed:
    """How an address is asked for now; neither part is ever logged or kept.

    Attributes:
        url: The address with what its service wants in it.
        headers: What its service wants beside it.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Signer(Protocol):
    """What a service wants of whoever reads its files."""

    def sign(self, address: str) -> Signed:
        """Sign an address; called before each request, so that no signature is older than it may be.

        Raises:
            CropflowError: If no signature is to be had: what to do.
        """

    def renew(self, address: str, refused: Signed) -> bool:
        """Forget a signature that was refused; False where another try would carry the same one."""

    def cure(self, address: str) -> str:
        """What a user can do where a signed address is refused, a sentence."""


class RefusedError(Exception):
    """Status 401 or 403."""


@dataclass(frozen=True)
class Part:
    """Some bytes of a file, and the size of the whole."""

    content: bytes
    size: int


def own_account(url: str) -> dict[str, str]:
    """The header that carries the user's own account of a host; none where there is none."""
    account = account_of(url)
    return {} if account is None else urllib3.make_headers(basic_auth=account)


class Web:
    """Connections for all threads, kept between requests; every request waits for its turn.

    Args:
        limits: Requests in flight and a second, shared with all other callers of the service.
        at_once: Connections kept, the requests in flight.
    """

    def __init__(self, limits: Limits, at_once: int) -> None:
        # Its logs repeat whole addresses, signatures included, of redirects too; failures are told by ours.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._limits = limits
        self._at_once = at_once
        self._lock = threading.Lock()
        # Proxy, empty for none -> connections.
        self._pools: dict[str, urllib3.PoolManager] = {}
        # Hosts that answered: where one is away later on, it is waited for.
        self._reached: set[str | None] = set()

    def ask(
        self, method: str, url: str, *, cure: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> str:
        """Ask for a document.

        Args:
            method: GET or POST.
            url: The address.
            cure: What a user can do where it is refused, a sentence.
            body: What a POST sends, as JSON.
            headers: Beside the usual ones.

        Raises:
            TransientError: If the service never answered.
            GoneError: If there is no such document.
            CropflowError: If the service refuses it.
        """
        name = str(public(url))
        sent = {**own_account(url), **(headers or {})}

        def once() -> str:
            with self._open(name, method, url, sent, body) as answer:
                judge(answer, name)
                return _content(answer, name, decoded=True).decode("utf-8", errors="replace")

        try:
            return asked_again(name, once, self._limits)
        except RefusedError as error:
            raise CropflowError(f"{name} is refused ({error}). {cure}") from None

    def part(self, address: str, start: int, end: int, signer: Signer) -> Part:
        """Ask for the bytes ``start`` to ``end`` (exclusive) of a file, or for as many of them as there are.

        Args:
            address: The address of the file, without signature.
            start: First byte.
            end: One after the last byte.
            signer: Who signs it.

        Raises:
            TransientError: If the service never answered, or always with other bytes than it promised.
            GoneError: If there is no such file.
            CropflowError: If the service refuses it, or does not answer ranges.
        """
        name = str(public(address))
        renewed = False

        def once() -> Part:
            nonlocal renewed
            # Before the turn: a new signature may need one of its own.
            signed = signer.sign(address)
            try:
                with self._limits.turn():
                    return self._part(name, signed, start, end)
            except RefusedError as error:
                if renewed or not signer.renew(address, signed):
                    raise CropflowError(f"{name} is refused ({error}). {signer.cure(address)}") from None
                renewed = True
                raise TransientError(f"{error}; signed anew", 0.0) from None

        return asked_again(name, once)

    def _part(self, name: str, signed: Signed, start: int, end: int) -> Part:
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity", **signed.headers}
        with self._open(name, "GET", signed.url, headers) as answer:
            judge(answer, name)
            first, last, size = _promised(answer, name, start, end)
            content = _content(answer, name, decoded=False)
        if first != start or last != min(end, size) - 1 or len(content) != last - first + 1:
            raise TransientError(
                f"{len(content)} bytes from {first} of {size} arrived, {start} to {end} were asked for"
            )
        return Part(content, size)

    @contextmanager
    def _open(
        self, name: str, method: str, url: str, headers: Mapping[str, str], body: Any = None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """An answer whose body is still to be read."""
        host = urlsplit(url).hostname
        try:
            answer = self._pool(url).request(
                method, url, headers=dict(headers), json=body, preload_content=False, retries=REDIRECTS,
                timeout=urllib3.Timeout(connect=min(CONNECT_S, TIMEOUT_S), read=TIMEOUT_S),
            )  # fmt: skip
        except HTTPError as error:
            raise _broken(name, error, reached=host in self._reached) from None
        self._reached.add(host)
        try:
            yield answer
        finally:
            # A connection whose answer was read to its end is back in the pool by now; any other is of no more use.
            answer.close()

    def _pool(self, url: str) -> urllib3.PoolManager:
        """The connections that lead to an address, through the proxy that the environment names for it."""
        parts = urlsplit(url)
        bypassed = urllib.request.proxy_bypass(parts.hostname or "")
        proxy = "" if bypassed else urllib.request.getproxies().get(parts.scheme, "")
        with self._lock:
            if proxy not in self._pools:
                made = urllib3.ProxyManager(proxy, maxsize=self._at_once) if proxy else None
                self._pools[proxy] = made or urllib3.PoolManager(maxsize=self._at_once)
            return self._pools[proxy]


def judge(answer: urllib3.BaseHTTPResponse, name: str) -> None:
    """Say by its status what kind of failure an answer is; nothing where it is none.

    Raises:
        TransientError: Statuses that may be gone when asked again, and 416: the file was not there as a whole.
        GoneError: 404 and 410.
        RefusedError: 401 and 403.
        CropflowError: All other failures.
    """
    status = answer.status
    if status < 300:
        return
    told = f"{status} {answer.reason or ''}".strip()
    if status in TRANSIENT or status == UNSATISFIABLE:
        raise TransientError(told, retry_after(answer.headers.get("Retry-After", "")))
    if status in GONE:
        raise GoneError(f"{name} is gone ({told})")
    if status in REFUSED:
        raise RefusedError(told)
    raise CropflowError(f"{name} cannot be read: the server answered {told}. Check the address and the collection.")


def retry_after(text: str) -> float | None:
    """Seconds that a ``Retry-After`` asks to wait: a number, or a date; None where it says neither."""
    if text.strip().isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date.replace(tzinfo=datetime.UTC) if date.tzinfo is None else date
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())


def _promised(answer: urllib3.BaseHTTPResponse, name: str, start: int, end: int) -> tuple[int, int, int]:
    """First and last byte of an answer to a range, and the size of the file, by its headers."""
    if answer.status == PARTIAL:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None:
            raise TransientError(f"Content-Range {answer.headers.get('Content-Range')!r}, which is none")
        return int(found[1]), int(found[2]), int(found[3])
    length = answer.headers.get("Content-Length", "")
    # The whole of a file that is no longer than what was asked for.
    if start == 0 and length.isdigit() and int(length) <= end:
        return 0, int(length) - 1, int(length)
    raise CropflowError(
        f"{name} cannot be read by parts: the server answered {answer.status} with the whole file where a range "
        "was asked for. Choose a provider that answers ranges, or download the files and use source items."
    )


def _content(answer: urllib3.BaseHTTPResponse, name: str, *, decoded: bool) -> bytes:
    """The body of an answer, with or without undoing its compression."""
    try:
        return answer.read(decode_content=decoded)
    except HTTPError as error:
        raise _broken(name, error, reached=True) from None


def _broken(name: str, error: HTTPError, *, reached: bool) -> Exception:
    """What a failure below HTTP means, of a host that answered before or not; its text may repeat a signed address."""
    reason = error.reason if isinstance(error, MaxRetryError) else error
    proxied = isinstance(reason, ProxyError)
    if isinstance(reason, ProxyError):
        reason = reason.original_error
    if isinstance(reason, NewConnectionError):
        cause = reason.__cause__
        told = "the host is unknown" if isinstance(reason, NameResolutionError) else "there is no way to the host"
        told = "the connection is refused" if isinstance(cause, ConnectionRefusedError) else told
        told = f"{told}, that of the proxy" if proxied else told
        return TransientError(told) if reached else UnreachableError(told)
    if isinstance(reason, LocationValueError | ResponseError):
        return CropflowError(f"{name} cannot be asked ({type(reason).__name__}); expected an http(s) address.")
    return TransientError(type(reason).__name__)
