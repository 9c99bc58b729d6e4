"""Calls of remote services: how many at once and a second, which failures are asked again, and what is final.

Failures are of three kinds. A :class:`TransientError` may be gone when asked again: status 408, 429, 500, 502, 503 and
504, timeouts, connections that broke, answers that are cut short. A :class:`TooLargeError` says the same however often
it is asked, until less is asked for. A :class:`GoneError` says that what is asked for does not exist any more. All else
(no account, no right, no quota left, an answer that makes no sense) is a :class:`cropflow.errors.CropflowError`, which
stops the work with the way out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

logger = logging.getLogger(__name__)

ATTEMPTS = 8
# A host that nobody knows, or that refuses, and never answered before.
FEW_ATTEMPTS = 3
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
GONE = frozenset({404, 410})

Answer = TypeVar("Answer")


class TransientError(Exception):
    """What may be gone when asked again.

    Attributes:
        wait_s: How long the service asks to wait, seconds; None where it does not say.
    """

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class UnreachableError(TransientError):
    """No connection to a host that never answered: more often a mistake in its name than a passing failure."""


class TooLargeError(Exception):
    """More was asked for than the service computes or sends at once."""


class GoneError(Exception):
    """What is asked for does not exist any more."""


class StoppedError(Exception):
    """The work has ended: nothing is asked for any more."""


class Limits:
    """How many requests are in flight, and how many begin in a second; shared by all threads.

    After :meth:`stop` every thread that waits for its turn, or to ask again, ends with a :class:`StoppedError`.

    Args:
        at_once: Requests in flight, at most.
        per_second: Requests that begin in a second, at most; they are spread evenly.
    """

    def __init__(self, at_once: int, per_second: float) -> None:
        self._free = threading.BoundedSemaphore(at_once)
        self._gap_s = 1 / per_second
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._stopped = threading.Event()
        self.requests = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn, and hold a place while the request is in flight."""
        with self._free:
            with self._lock:
                now = time.monotonic()
                start = max(now, self._next_s)
                self._next_s = start + self._gap_s
                self.requests += 1
            if start > now:
                self.pause(start - now)
            yield

    def pause(self, seconds: float) -> None:
        """Sleep, unless the work ends.

        Raises:
            StoppedError: If it has ended.
        """
        if self._stopped.wait(seconds):
            raise StoppedError("the work has ended")

    def stop(self) -> None:
        """End the work of all threads."""
        self._stopped.set()


def asked_again(name: str, call: Callable[[], Answer], limits: Limits | None = None) -> Answer:
    """Make a call, again after every :class:`TransientError`, with waits that grow at random, and so often at most.

    Args:
        name: What is asked for, as the log calls it; no signature, no password.
        call: The call; each attempt takes its own turn.
        limits: Where given, every attempt waits for its turn.

    Raises:
        TransientError: The last one, after eight attempts; after three where it is an :class:`UnreachableError`.
        StoppedError: If the work ends before.
    """

    def once() -> Answer:
        if limits is None:
            return call()
        with limits.turn():
            return call()

    def tell(state: RetryCallState) -> None:
        outcome, action = state.outcome, state.next_action
        if outcome is not None and action is not None:
            logger.info("%s: %s; asking again in %.1f s", name, outcome.exception(), action.sleep)

    growing = wait_exponential_jitter(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S, jitter=FIRST_WAIT_S)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told = error.wait_s if isinstance(error, TransientError) else None
        return growing(state) if told is None else min(max(told, 0.0), LONGEST_WAIT_S)

    def enough(state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        return state.attempt_number >= (FEW_ATTEMPTS if isinstance(error, UnreachableError) else ATTEMPTS)

    attempts = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait,
        stop=enough,
        before_sleep=tell,
        sleep=time.sleep if limits is None else limits.pause,
        reraise=True,
    )
    return attempts(once)
