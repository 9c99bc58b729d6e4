import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.imagery.names import has_offset
from cropflow.imagery.offsets import (
    Consensus,
    Evidence,
    count_verdicts,
    decide_offset,
    harmonise,
    restore_clipped,
    strongest,
    weigh_pixels,
)

NOBODY = Consensus(0, 0)
PRESENT = Evidence(2000, 1150, 1300)
ABSENT = Evidence(2000, 150, 420)
UNCLEAR = Evidence(2000, 700, 1300)
CLOUDY = Evidence(12)


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=30), st.sampled_from([0, -1000]))
def test_harmonising_equals_the_rule_value_by_value(stored, offset):
    values, clipped = harmonise(np.array(stored, dtype=np.uint16), offset)
    expected = [0 if value == 0 else max(value + offset, 1) for value in stored]
    assert values.tolist() == expected
    assert clipped == sum(value > 0 and value + offset < 1 for value in stored)


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [("02.06", False), ("03.01", False), ("03.99", False), ("04.00", True), ("05.11", True), ("99.99", True)],
)
def test_the_offset_begins_with_baseline_04_00(baseline, expected):
    assert has_offset(baseline) is expected


@pytest.mark.parametrize(
    ("baseline", "evidence", "offset", "words"),
    [
        ("05.09", PRESENT, -1000, "confirmed"),
        ("02.07", ABSENT, 0, "confirmed"),
        ("05.09", ABSENT, 0, "pixels against baseline"),
        ("05.09", UNCLEAR, -1000, "not confirmed"),
        ("05.09", CLOUDY, -1000, "12 clear, 500 needed"),
        ("02.07", CLOUDY, 0, "not confirmed"),
        # Haze makes a scene bright: alone it does not overrule its baseline.
        ("02.07", PRESENT, 0, "not confirmed"),
    ],
)
def test_a_scene_alone(baseline, evidence, offset, words):
    decided, reason = decide_offset(baseline, evidence, NOBODY, assumed=False)
    assert decided == offset
    assert words in reason


def test_a_cloudy_scene_follows_the_others_of_an_archive_that_was_harmonised_before():
    assert decide_offset("05.09", CLOUDY, Consensus(0, 3), assumed=False)[0] == 0
    assert decide_offset("05.09", CLOUDY, Consensus(1, 3), assumed=False)[0] == -1000
    assert decide_offset("05.09", CLOUDY, Consensus(0, 2), assumed=False)[0] == -1000


def test_an_assumed_baseline_is_overruled_when_all_scenes_carry_the_offset():
    assert decide_offset("02.07", PRESENT, Consensus(3, 0), assumed=True)[0] == -1000
    assert decide_offset("02.07", CLOUDY, Consensus(3, 0), assumed=True)[0] == -1000
    assert decide_offset("02.07", PRESENT, Consensus(3, 1), assumed=True)[0] == 0


def test_a_stated_old_baseline_is_never_overruled_by_bright_ground():
    offset, reason = decide_offset("02.07", PRESENT, Consensus(30, 0), assumed=False)
    assert offset == 0
    assert reason.startswith("baseline 02.07, not confirmed by the pixels")


@pytest.mark.parametrize(("level", "verdict"), [(300, "absent"), (1300, "present")])
def test_dark_clear_pixels_tell_whether_the_offset_is_there(level, verdict):
    rng = np.random.default_rng(0)
    stored = rng.integers(level, level + 300, (3, 30, 30)).astype(np.uint16)
    scl = np.full((30, 30), 4, dtype=np.uint8)
    assert weigh_pixels(stored, scl, ("B02", "B03", "B04")).verdict == verdict


def test_clouds_and_nodata_are_no_evidence():
    stored = np.full((2, 30, 30), 300, dtype=np.uint16)
    scl = np.full((30, 30), 9, dtype=np.uint8)
    assert weigh_pixels(stored, scl, ("B02", "B05")).clear == 0
    scl[:] = 4
    stored[0] = 0
    assert weigh_pixels(stored, scl, ("B02", "B05")).clear == 0


def test_without_a_visible_band_there_is_no_evidence():
    stored = np.full((1, 30, 30), 300, dtype=np.uint16)
    assert weigh_pixels(stored, np.full((30, 30), 4, dtype=np.uint8), ("B05",)).verdict == "unclear"


def test_a_few_negative_reflectances_do_not_hide_the_offset():
    stored = np.full((3, 40, 40), 1200, dtype=np.uint16)
    stored[:, 0, :32] = 980  # two in a hundred
    evidence = weigh_pixels(stored, np.full((40, 40), 4, dtype=np.uint8), ("B02", "B03", "B04"))
    assert evidence.verdict != "absent"
    assert decide_offset("05.09", evidence, NOBODY, assumed=False)[0] == -1000


def test_dark_pixels_at_one_site_decide_for_all():
    assert strongest([PRESENT, ABSENT, CLOUDY]) == ABSENT
    assert strongest([CLOUDY, PRESENT]) == PRESENT
    assert count_verdicts([PRESENT, ABSENT, ABSENT, CLOUDY]) == Consensus(1, 2)


def test_a_harmonised_scene_keeps_its_values_whatever_its_baseline_and_its_pixels():
    for evidence, word in ((Evidence(5000, 120, 300), "confirmed"), (Evidence(5000, 1200, 1900), "not confirmed")):
        offset, reason = decide_offset("05.10", evidence, Consensus(9, 0), assumed=False, harmonised=True)
        assert offset == 0
        assert reason.startswith(f"harmonised by the provider, baseline 05.10, {word} by the pixels: ")


def test_what_was_clipped_to_zero_becomes_one_where_the_pixel_was_seen():
    bands = ("B02", "B03", "B05", "B11")
    reflectance = np.array([[[0, 0, 0, 0]], [[50, 0, 9, 0]], [[7, 7, 0, 7]], [[8, 8, 0, 8]]], dtype=np.uint16)
    scl = np.array([[4, 4, 4, 0]], dtype=np.uint8)
    restored, count = restore_clipped(reflectance, scl, bands)
    # Seen; no band of 10 m was; no band of 20 m was; unknown to the SCL.
    assert restored[:, 0].T.tolist() == [[1, 50, 7, 8], [0, 0, 7, 8], [1, 9, 0, 0], [0, 0, 7, 8]]
    assert count == 2
    assert reflectance[0, 0, 0] == 0


def test_a_band_alone_of_its_resolution_trusts_the_scl():
    restored, count = restore_clipped(
        np.array([[[0, 0, 3]]], dtype=np.uint16), np.array([[4, 0, 4]], dtype=np.uint8), ("B02",)
    )
    assert restored.tolist() == [[[1, 0, 3]]]
    assert count == 1
