"""Calls of the Earth Engine client: the account, what is asked again, and what is told of a refusal."""

from __future__ import annotations

import email.utils
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from cropflow.config.addresses import public
from cropflow.errors import CropflowError
from cropflow.files.accounts import LOOPBACK
from cropflow.files.earth_engine_transport import Transport, in_turn
from cropflow.files.remote import (
    ATTEMPTS,
    GONE,
    TRANSIENT,
    GoneError,
    Limits,
    TooLargeError,
    TransientError,
    asked_again,
)

logger = logging.getLogger(__name__)

PROJECT = "CROPFLOW_EE_PROJECT"
ADDRESS = "CROPFLOW_EE_URL"
# The variable that Google's clients read.
KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
# Made for many small requests of programs.
HIGH_VOLUME = "https://earthengine-highvolume.googleapis.com"
# What the service says, with status 400, of a request that it would answer in smaller parts.
TOO_LARGE = re.compile(
    r"memory limit exceeded|request size .* must be|grid dimensions .* must be|timed out",
    re.IGNORECASE,
)
# What it says, whatever the status, where waiting for seconds is of no use.
USED_UP = re.compile(r"EECU|non-?commercial|per (?:day|month)|(?:daily|monthly) (?:limit|quota)", re.IGNORECASE)
# What the client says where it expected JSON.
CUT_SHORT = "Unexpected response type"

_connecting = threading.Lock()


def asked(name: str, call: Callable[[Any], Any], limits: Limits | None = None) -> Any:
    """Make a call, with an account, and again where the service is busy or out of reach; every failure is one line.

    Args:
        name: What is asked for, as messages call it.
        call: Is given the client, the module ``ee``.
        limits: Where given, every request waits for its turn.

    Returns:
        What the call returns.

    Raises:
        CropflowError: If there is no account, or the service refuses or does not answer in eight attempts.
    """
    try:
        return called(name, call, limits)
    except TransientError as error:
        raise CropflowError(
            f"{name} cannot be read from Earth Engine ({error}), asked {ATTEMPTS} times. Try again later."
        ) from None
    except GoneError as error:
        raise CropflowError(
            f"{name} does not exist on Earth Engine, or not for this account ({error}); check the asset's id. Named "
            f"instead, its collection, such as JRC/D5/EUCROPMAP/V1, tells its images."
        ) from None
    except TooLargeError as error:
        raise CropflowError(_refusal(name, HTTPStatus.BAD_REQUEST, str(error))) from None


def called(name: str, call: Callable[[Any], Any], limits: Limits | None = None) -> Any:
    """Make a call as :func:`asked` does, and leave it to the caller what a failure means.

    Args:
        name: What is asked for, as messages call it.
        call: Is given the client, the module ``ee``; may raise :class:`TransientError` to be made again.
        limits: Where given, every request waits for its turn.

    Raises:
        CropflowError: If there is no account, or the service refuses for good.
        GoneError: If what is asked for does not exist.
        TooLargeError: If less must be asked for.
        TransientError: The last failure, after eight attempts.
    """

    def once() -> Any:
        with in_turn(limits):
            return _once(name, call)

    return asked_again(name, once)


def _once(name: str, call: Callable[[Any], Any]) -> Any:
    # The client takes a second to import and is needed for its assets alone.
    import ee
    from google.auth.exceptions import GoogleAuthError, TransportError
    from googleapiclient.errors import HttpError, InvalidJsonError

    try:
        with _connecting:
            if not ee.data.is_initialized():
                _initialise(ee)
        return call(ee)
    except (ee.EEException, HttpError) as error:
        reason = _line(error.reason if isinstance(error, HttpError) else error)
        raise _kind(name, _answer(error, HttpError), reason) from None
    except (TransportError, ConnectionError, TimeoutError, InvalidJsonError, json.JSONDecodeError) as error:
        raise TransientError(f"{type(error).__name__}: {_line(error)}") from None
    except GoogleAuthError as error:
        raise CropflowError(_refusal(name, None, _line(error))) from None


def _kind(name: str, answer: Any, reason: str) -> Exception:
    """What a failure means, by the answer behind it and what is told."""
    status = None if answer is None else int(answer.status)
    if status is None:
        cut_short = reason.startswith(CUT_SHORT)
        return TransientError("the answer is no JSON") if cut_short else CropflowError(_refusal(name, None, reason))
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.FORBIDDEN) and USED_UP.search(reason):
        return CropflowError(
            f"{name} cannot be read: the project has used up what Earth Engine computes for it ({reason}). The free "
            f"tier has 150 EECU-hours a month: wait for the next one, name another project in {PROJECT}, or apply for "
            f"a larger tier."
        )
    if status in TRANSIENT:
        return TransientError(f"{status}: {reason}", _wait(answer.get("retry-after", "")))
    if status in GONE:
        return GoneError(reason)
    if status == HTTPStatus.BAD_REQUEST and TOO_LARGE.search(reason):
        return TooLargeError(reason)
    return CropflowError(_refusal(name, status, reason))


def _wait(told: str) -> float | None:
    """Seconds that a Retry-After asks for, as a number or as a date; None where it is neither."""
    if told.strip().isdigit():
        return float(told)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None


def _initialise(ee: Any) -> None:
    """Connect the client; after a failure it is as it was, so that it can be tried again."""
    url = os.environ.get(ADDRESS, "").rstrip("/") or HIGH_VOLUME
    with ExitStack() as undone:
        undone.callback(ee.Reset)
        account = _account(ee, url)
        # Waiting is done above, where the log tells of it.
        ee.data.setMaxRetries(0)
        ee.Initialize(account, url=url, project=os.environ.get(PROJECT) or None, http_transport=Transport())
        undone.pop_all()


def _account(ee: Any, url: str) -> Any:
    """The key file that the environment names, or what the client's own store holds; none without encryption."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    place = urlsplit(url)
    if place.scheme == "http" and place.hostname in LOOPBACK:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    if place.scheme != "https":
        raise CropflowError(f"{ADDRESS} is {public(url)!r}; expected an https address, as an account goes with it.")
    if os.environ.get(KEY_FILE):
        return google.auth.default(scopes=ee.oauth.SCOPES)[0]
    try:
        return ee.data.get_persistent_credentials()
    except json.JSONDecodeError as error:
        raise CropflowError(
            f"The store of the Earth Engine client is no JSON ({error}). Run `earthengine authenticate`."
        ) from None


def _answer(error: BaseException, kind: type[Any]) -> Any:
    """The answer behind an error, None where there is none: the client raises its own while it handles the answer's."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__context__
    return None if cause is None else cause.resp


def _line(error: Any) -> str:
    text = " ".join(str(error).split())
    return str(public(text)) if text else "no reason given"


def _refusal(name: str, status: int | None, reason: str) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, None):
        return (
            f"{name} cannot be read without an account of Earth Engine that may ({reason}). Run `earthengine "
            f"authenticate`, or name a key file in {KEY_FILE}; and a project that is registered for Earth Engine in "
            f"{PROJECT}."
        )
    return f"{name} cannot be read from Earth Engine ({status}: {reason}); check the asset's id and its layer."
