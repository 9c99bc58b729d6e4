"""Bring one file over http(s) into a partial file that survives every interruption."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter
from tqdm import tqdm

from cropflow.config.addresses import public
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json, write_json

logger = logging.getLogger(__name__)

TRANSIENT = {408, 425, 429, *range(500, 600)}
ABSENT = {404, 410}
# However often a few more bytes arrive, a transfer ends.
MOST_ATTEMPTS = 200
# Smaller files are there before a line about them is read.
_WORTH_TELLING = 10_000_000


class AbsentError(CropflowError):
    """The server has no such file."""


class _TransientError(Exception):
    """Worth another attempt, perhaps after a time that the server names."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Patience:
    """How long a transfer is tried.

    Attributes:
        attempts: In a row without a single new byte.
        first_wait_s: Before the second attempt; doubles, with jitter.
        longest_wait_s: Between two attempts, whatever the server asks for.
        timeout_s: Without a sign of the server, until an attempt is given up.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    timeout_s: float = 60.0


def fetch(client: httpx.Client, url: str, partial: Path, patience: Patience) -> None:
    """Fill a partial file until it is whole; go on where an earlier transfer ended.

    Beside the partial file lies ``<name>.json`` with the length and the validator (ETag or date) of
    the server's file: bytes of two versions of it are never mixed.

    Args:
        client: Follows redirects.
        url: Address.
        partial: Where the bytes go; its folder exists.
        patience: How long to try.

    Raises:
        AbsentError: If the server has no such file.
        CropflowError: If the server refuses it, keeps failing, or the disk is too small.
    """
    transfer = _Transfer(client, url, partial)

    def wait(state: RetryCallState) -> float:
        pause = wait_exponential_jitter(
            multiplier=patience.first_wait_s, max=patience.longest_wait_s, jitter=patience.first_wait_s
        )(state)
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_s if isinstance(error, _TransientError) else 0.0
        return min(max(pause, asked), patience.longest_wait_s)

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0.0
        logger.warning("%s: %s; attempt %d in %.1f s", public(url), error, state.attempt_number + 1, pause)

    retrying = Retrying(
        retry=retry_if_exception_type(_TransientError),
        stop=lambda state: transfer.fruitless >= patience.attempts or state.attempt_number >= MOST_ATTEMPTS,
        wait=wait,
        before_sleep=tell,
        reraise=True,
    )
    try:
        retrying(transfer.attempt)
    except _TransientError as error:
        raise CropflowError(
            f"{public(url)} could not be fetched: {error}, {patience.attempts} times in a row. The "
            f"{transfer.size} bytes so far are kept; run the same command again to go on."
        ) from None


class _Transfer:
    """One file on its way: what has arrived, and which version of the server's file that belongs to."""

    def __init__(self, client: httpx.Client, url: str, partial: Path) -> None:
        self.client = client
        self.url = url
        self.partial = partial
        self.notes_path = partial.with_name(partial.name + ".json")
        self.fruitless = 0

    @property
    def size(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def notes(self) -> dict[str, Any]:
        return dict(read_json(self.notes_path)) if self.notes_path.exists() else {}

    def discard(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.notes_path.unlink(missing_ok=True)

    def attempt(self) -> None:
        """Ask for what is missing, once."""
        notes = self.notes()
        # Without a length, half a file cannot be told from a whole one: start over.
        if notes.get("length") is None:
            self.discard()
        elif self.size == notes["length"]:
            return
        before = self.size
        headers = {"Accept-Encoding": "identity"}
        if before:
            headers["Range"] = f"bytes={before}-"
            if notes["validator"]:
                headers["If-Range"] = notes["validator"]
        try:
            with self.client.stream("GET", self.url, headers=headers) as response:
                offset = self._accept(response, notes, before)
                self._store(response, offset)
        except httpx.UnsupportedProtocol as error:
            raise CropflowError(f"{public(self.url)} cannot be fetched: {error}") from None
        except httpx.TransportError as error:
            raise _TransientError(f"{type(error).__name__}: {error}") from None
        except httpx.TooManyRedirects:
            raise CropflowError(f"{public(self.url)} redirects without end; check the address.") from None
        finally:
            self.fruitless = 0 if self.size > before else self.fruitless + 1

    def _accept(self, response: httpx.Response, notes: Mapping[str, Any], before: int) -> int:
        """Judge an answer; return the offset at which its bytes begin."""
        status = response.status_code
        if status == HTTPStatus.PARTIAL_CONTENT and before:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            same = found is not None and (int(found[1]), int(found[2])) == (before, notes["length"])
            if not same or _validator(response) != notes["validator"]:
                self.discard()
                raise _TransientError("the file changed on the server; starting over")
            return before
        if status == HTTPStatus.OK:
            length = response.headers.get("Content-Length")
            self.discard()
            write_json(
                self.notes_path,
                {"length": None if length is None else int(length), "validator": _validator(response)},
            )
            return 0
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
            self.discard()
            raise _TransientError("the file is shorter than what was fetched; starting over")
        answer = f"the server answered {status} {response.reason_phrase}"
        if status in TRANSIENT:
            raise _TransientError(answer, _retry_after(response))
        if status in ABSENT:
            raise AbsentError(f"{public(self.url)} does not exist: {answer}; check the address.")
        way_out = " Put credentials for this host into ~/.netrc." if status in {401, 403} else " Check the address."
        raise CropflowError(f"{public(self.url)} cannot be fetched: {answer}.{way_out}")

    def _store(self, response: httpx.Response, offset: int) -> None:
        length: int | None = self.notes()["length"]
        self._check_disk(offset, length)
        name = Path(response.url.path).name
        tenth = 0
        with (
            self.partial.open("ab" if offset else "wb") as target,
            tqdm(total=length, initial=offset, unit="B", unit_scale=True, desc=name, disable=None) as bar,
        ):
            for block in response.iter_raw():
                target.write(block)
                offset += len(block)
                bar.update(len(block))
                # On a terminal the bar tells; a log gets one line per tenth.
                if bar.disable and length and length > _WORTH_TELLING and offset * 10 // length > tenth:
                    tenth = offset * 10 // length
                    logger.info("%s: %.0f of %.0f MB (%d %%)", name, offset / 1e6, length / 1e6, tenth * 10)
        if length is None:
            write_json(self.notes_path, self.notes() | {"length": offset})
        elif offset != length:
            if offset > length:
                self.discard()
            raise _TransientError(f"{offset} of {length} bytes arrived")

    def _check_disk(self, offset: int, length: int | None) -> None:
        needed = (length or 0) - offset
        free = shutil.disk_usage(self.partial.parent).free
        if needed > free:
            raise CropflowError(
                f"{public(self.url)} needs {needed / 1e9:.2f} GB more, but {self.partial.parent} has {free / 1e9:.2f} "
                f"GB free; free some space, or choose another folder with --work."
            )


def _validator(response: httpx.Response) -> str | None:
    """What names this version of a file: a strong ETag or, failing that, its date."""
    tag: str = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    date: str | None = response.headers.get("Last-Modified")
    return date


def _retry_after(response: httpx.Response) -> float:
    value: str = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
