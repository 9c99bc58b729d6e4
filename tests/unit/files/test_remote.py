"""Calls that fail are made again, within limits, until they succeed or the work ends."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cropflow.files import remote
from cropflow.files.remote import (
    ATTEMPTS,
    FEW_ATTEMPTS,
    GoneError,
    Limits,
    StoppedError,
    TransientError,
    UnreachableError,
    asked_again,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(remote, "LONGEST_WAIT_S", 0.002)


def failing(times, error):
    """A call that fails so often, then answers; and how often it was made."""
    made = []

    def call():
        made.append(time.monotonic())
        if len(made) <= times:
            raise error
        return "answer"

    return call, made


def test_a_passing_failure_is_asked_again_and_the_answer_comes():
    call, made = failing(3, TransientError("status 503"))
    assert asked_again("x", call, Limits(1, 10_000)) == "answer"
    assert len(made) == 4


def test_a_failure_that_does_not_pass_is_told_after_eight_attempts():
    call, made = failing(100, TransientError("status 503"))
    with pytest.raises(TransientError, match="503"):
        asked_again("x", call)
    assert len(made) == ATTEMPTS == 8


def test_a_host_that_never_answered_is_given_up_after_three_attempts():
    call, made = failing(100, UnreachableError("the connection is refused"))
    with pytest.raises(TransientError, match="refused"):
        asked_again("x", call)
    assert len(made) == FEW_ATTEMPTS == 3


def test_what_is_gone_is_not_asked_again():
    call, made = failing(100, GoneError("status 404"))
    with pytest.raises(GoneError):
        asked_again("x", call)
    assert len(made) == 1


def test_the_wait_that_a_service_asks_for_is_kept(monkeypatch):
    monkeypatch.setattr(remote, "LONGEST_WAIT_S", 0.2)
    call, made = failing(1, TransientError("status 429", wait_s=0.1))
    asked_again("x", call)
    assert 0.1 <= made[1] - made[0] < 0.2


def test_no_more_are_in_flight_and_begin_in_a_second_than_allowed():
    limits = Limits(3, 50)
    flying, most, begun = set(), [0], []

    def call():
        begun.append(time.monotonic())
        flying.add(threading.get_ident())
        most[0] = max(most[0], len(flying))
        time.sleep(0.03)
        flying.discard(threading.get_ident())

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: asked_again("x", call, limits), range(20)))
    assert most[0] <= 3
    assert limits.requests == 20
    assert begun[-1] - begun[0] >= 0.9 * 19 / 50


def test_when_the_work_ends_nobody_waits_on(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 30.0)
    monkeypatch.setattr(remote, "LONGEST_WAIT_S", 60.0)
    limits = Limits(8, 0.01)
    call, _ = failing(100, TransientError("status 503"))
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(asked_again, "x", call, limits) for _ in range(4)]
        time.sleep(0.05)
        limits.stop()
        for future in waiting:
            with pytest.raises(StoppedError):
                future.result()
    assert time.monotonic() - begun < 2
    with pytest.raises(StoppedError):
        asked_again("x", call, limits)
