"""Calls of Earth Engine by kind of failure, and how they travel."""

from __future__ import annotations

import datetime
import email.utils
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from affine import Affine

from cropflow.errors import CropflowError
from cropflow.files import earth_engine_calls as calls
from cropflow.files import remote
from cropflow.files.remote import GoneError, Limits, TooLargeError, TransientError

NAME = "JRC/D5/EUCROPMAP/V1/2018"


@pytest.fixture
def asset(earth_engine):
    """The stand-in with one asset."""
    earth_engine.add(NAME, [[1, 2], [3, 4]], Affine(10.0, 0.0, 0.0, 0.0, -10.0, 0.0))
    return earth_engine


def describe(limits=None):
    return calls.called(NAME, lambda ee: ee.data.getAsset(NAME), limits)


def answer(server, status, message, headers=None):
    """Let the next answer about assets be a refusal with a message."""
    server.answers.append((status, message, headers or {}))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "User memory limit exceeded.", TooLargeError),
        (400, "Total request size (75497472 bytes) must be less than or equal to 50331648 bytes.", TooLargeError),
        (400, "Pixel grid dimensions (4x65536) must be less than or equal to 32768.", TooLargeError),
        (400, "Computation timed out.", TooLargeError),
        (404, "Image asset not found.", GoneError),
        (400, "Invalid band.", CropflowError),
        (403, "Permission denied.", CropflowError),
    ],
)
def test_what_is_of_no_use_to_repeat_is_told_by_its_kind(asset, status, message, kind):
    answer(asset, status, message)
    with pytest.raises(kind, match=message.split(" (")[0].rstrip(".")):
        describe()
    assert len(asset.asked) == 1


@pytest.mark.parametrize("message", ["Too many concurrent requests.", "Quota exceeded: requests per minute and user."])
def test_too_many_requests_for_now_are_asked_again(asset, message):
    answer(asset, 429, message)
    assert describe()["id"] == NAME
    assert len(asset.asked) == 2


@pytest.mark.parametrize("status", [403, 429])
def test_compute_that_is_used_up_stops_at_once_with_the_cure(asset, status):
    answer(asset, status, "Noncommercial quota of 150 EECU-hours exceeded.")
    with pytest.raises(CropflowError, match=r"has used up .*150 EECU-hours a month.*CROPFLOW_EE_PROJECT") as caught:
        describe()
    assert "\n" not in str(caught.value)
    assert len(asset.asked) == 1


def test_the_service_is_given_the_time_it_asks_for(asset, monkeypatch):
    monkeypatch.setattr(remote, "LONGEST_WAIT_S", 60.0)
    answer(asset, 429, "not now", {"Retry-After": "1"})
    start = time.monotonic()
    describe()
    assert time.monotonic() - start >= 1.0


def test_the_time_to_wait_may_be_a_date_and_nonsense_is_none():
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    assert calls._wait(email.utils.format_datetime(soon, usegmt=True)) == pytest.approx(30, abs=2)
    assert calls._wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert calls._wait("7") == 7.0
    assert calls._wait("") is None
    assert calls._wait("soon") is None


def test_a_list_that_is_cut_short_is_asked_for_again(asset):
    asset.cut_short = 2
    found = calls.called(NAME, lambda ee: ee.data.listAssets({"parent": "JRC/D5/EUCROPMAP/V1", "pageSize": 5}))
    assert [image["id"] for image in found["assets"]] == [NAME]
    assert len(asset.asked) == 3


def test_threads_connect_once_and_share_the_connections(asset):
    asset.delay_s = 0.02
    limits = Limits(3, 1000.0)
    ready = threading.Barrier(10)

    def work(_):
        ready.wait()
        return describe(limits)["id"]

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(work, range(10))) == {NAME}
    assert asset.most_in_flight <= 3
    assert asset.connections <= 3
    # Two descriptions of the service, its algorithms, and ten of the asset.
    assert limits.requests == 13


def test_what_a_call_raises_to_be_made_again_is_heard(asset):
    found = []

    def call(ee):
        found.append(ee.data.getAsset(NAME))
        if len(found) < 3:
            raise TransientError("half of it")
        return len(found)

    assert calls.called(NAME, call) == 3
