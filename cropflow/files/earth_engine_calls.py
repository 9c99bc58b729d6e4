"""Calls of the Earth Engine client: the account, what is asked again, and what is told of a refusal."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from cropflow.config.addresses import public
from cropflow.errors import CropflowError

logger = logging.getLogger(__name__)

PROJECT = "CROPFLOW_EE_PROJECT"
ADDRESS = "CROPFLOW_EE_URL"
# The variable that Google's clients read.
KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
ATTEMPTS = 8
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
# A part of a map takes seconds; the service itself gives up after five minutes.
DEADLINE_S = 300
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _TransientError(Exception):
    """What may be gone when asked again."""


def asked(name: str, call: Callable[[Any], Any]) -> Any:
    """Make a call, with an account, and again where the service is busy or out of reach.

    Args:
        name: What is asked for, as messages call it.
        call: Is given the client, the module ``ee``.

    Returns:
        What the call returns.

    Raises:
        CropflowError: If there is no account, or the service refuses or does not answer in eight attempts.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(_TransientError),
        wait=wait_exponential_jitter(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
        stop=stop_after_attempt(ATTEMPTS),
        before_sleep=_tell,
        reraise=True,
    )
    try:
        return attempts(_once, name, call)
    except _TransientError as error:
        raise CropflowError(
            f"{name} cannot be read from Earth Engine ({error}), asked {ATTEMPTS} times. Try again later."
        ) from None


def _tell(state: RetryCallState) -> None:
    outcome, action = state.outcome, state.next_action
    if outcome is not None and action is not None:
        logger.info("%s: %s; asking again in %.0f s", state.args[0], outcome.exception(), action.sleep)


def _once(name: str, call: Callable[[Any], Any]) -> Any:
    # The client takes a second to import and is needed for its assets alone.
    import ee
    from google.auth.exceptions import GoogleAuthError, TransportError
    from googleapiclient.errors import HttpError

    try:
        if not ee.data.is_initialized():
            _initialise(ee)
        return call(ee)
    except (ee.EEException, HttpError) as error:
        status = _status(error, HttpError)
        reason = _line(error.reason if isinstance(error, HttpError) else error)
        if status in TRANSIENT:
            raise _TransientError(f"{status}: {reason}") from None
        raise CropflowError(_refusal(name, status, reason)) from None
    except (TransportError, ConnectionError, TimeoutError) as error:
        raise _TransientError(f"{type(error).__name__}: {_line(error)}") from None
    except GoogleAuthError as error:
        raise CropflowError(_refusal(name, None, _line(error))) from None


def _initialise(ee: Any) -> None:
    """Connect the client; after a failure it is as it was, so that it can be tried again."""
    url = os.environ.get(ADDRESS, "").rstrip("/") or None
    with ExitStack() as undone:
        undone.callback(ee.Reset)
        # Waiting is done above, where the log tells of it.
        ee.data.setMaxRetries(0)
        try:
            ee.Initialize(_account(ee, url), url=url, project=os.environ.get(PROJECT) or None)
        except json.JSONDecodeError as error:
            raise CropflowError(
                f"The store of the Earth Engine client is no JSON ({error}). Run `earthengine authenticate`."
            ) from None
        ee.data.setDeadline(DEADLINE_S * 1000)
        undone.pop_all()


def _account(ee: Any, url: str | None) -> Any:
    """The key file that the environment names, or what the client's own store holds; none without encryption."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    place = urlsplit(url or "https:")
    if place.scheme == "http" and place.hostname in LOOPBACK:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    if place.scheme != "https":
        raise CropflowError(f"{ADDRESS} is {public(url)!r}; expected an https address, as an account goes with it.")
    if os.environ.get(KEY_FILE):
        return google.auth.default(scopes=ee.oauth.SCOPES)[0]
    return "persistent"


def _status(error: BaseException, kind: type[Any]) -> int | None:
    """The status of the answer behind an error: the client raises its own while it handles the answer's."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__context__
    return None if cause is None else int(cause.resp.status)


def _line(error: Any) -> str:
    text = " ".join(str(error).split())
    return str(public(text)) if text else "no reason given"


def _refusal(name: str, status: int | None, reason: str) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return (
            f"{name} does not exist on Earth Engine, or not for this account ({reason}); check the asset's id. Named "
            f"instead, its collection, such as JRC/D5/EUCROPMAP/V1, tells its images."
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, None):
        return (
            f"{name} cannot be read without an account of Earth Engine that may ({reason}). Run `earthengine "
            f"authenticate`, or name a key file in {KEY_FILE}; and a project that is registered for Earth Engine in "
            f"{PROJECT}."
        )
    return f"{name} cannot be read from Earth Engine ({status}: {reason}); check the asset's id and its layer."
