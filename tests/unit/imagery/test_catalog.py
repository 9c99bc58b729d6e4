import datetime
from dataclasses import replace

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.imagery.catalog import check_baselines, check_layers, judge_scenes, reasons
from cropflow.imagery.names import read_baseline, read_product_name, read_tile
from cropflow.imagery.scenes import Scene
from cropflow.imagery.seasons import whole_months

SITE = shapely.box(3.0, 43.0, 3.1, 43.1)
JUNE = (datetime.date(2023, 6, 1), datetime.date(2023, 6, 30))
TILE = shapely.box(2.5, 42.5, 3.5, 43.5)


def scene(name, time="2023-06-10T10:40:21+00:00", baseline="05.09", made="", cloud=5.0, outline=TILE, tile="31TEJ"):
    return Scene(
        id=name,
        time=datetime.datetime.fromisoformat(time),
        platform="sentinel-2a",
        tile=tile,
        relative_orbit=8,
        baseline=baseline,
        made=made,
        cloud_percent=cloud,
        extent=outline,
        outline=outline,
        layers={"B02": "a", "SCL": "b"},
        source=f"items#{name}",
    )


def judge(scenes, cloud=100.0):
    return {
        decision.scene.id: decision.reason.partition(":")[0] for decision in judge_scenes(scenes, SITE, JUNE, cloud)
    }


def test_the_first_and_last_day_of_the_season_belong_to_it_in_utc():
    found = judge(
        [
            scene("before", "2023-05-31T23:59:59+00:00"),
            scene("first", "2023-06-01T00:00:00+00:00"),
            scene("last", "2023-06-30T23:59:59+00:00"),
            scene("after", "2023-07-01T00:00:00+00:00"),
            scene("offset", "2023-07-01T01:00:00+02:00"),
        ]
    )
    assert found == {"before": "season", "first": "", "last": "", "after": "season", "offset": ""}


def test_cloud_at_the_limit_is_kept_and_unknown_cloud_too():
    found = judge(
        [scene("a", cloud=40.0, tile="1"), scene("b", cloud=40.1, tile="2"), scene("c", cloud=float("nan"))], 40
    )
    assert found == {"a": "", "b": "cloud", "c": ""}


def test_a_scene_elsewhere_is_dropped_and_one_without_an_extent_is_read():
    found = judge([scene("far", outline=shapely.box(9, 9, 10, 10)), scene("unknown", outline=None, tile="31TFJ")])
    assert found == {"far": "place", "unknown": ""}


def test_of_two_processings_the_higher_baseline_stays_then_the_newer():
    found = judge(
        [scene("old", baseline="02.09"), scene("new", baseline="05.00", time="2023-06-10T10:40:21.900+00:00")]
    )
    assert found == {"old": "duplicate", "new": ""}
    found = judge([scene("later", made="20230612T000000"), scene("earlier", made="20230611T000000")])
    assert found == {"later": "", "earlier": "duplicate"}


def test_the_same_record_twice_counts_once():
    decisions = judge_scenes([scene("same"), scene("same")], SITE, JUNE, 100)
    assert [decision.kept for decision in decisions].count(True) == 1
    assert reasons(decisions) == {"duplicate": 1}


def test_other_tiles_times_and_the_granules_of_a_split_acquisition_are_no_duplicates():
    left, right = shapely.box(2.5, 42.5, 3.05, 43.5), shapely.box(3.0, 42.5, 3.5, 43.5)
    found = judge(
        [
            scene("tile", tile="31TFJ"),
            scene("left", outline=left),
            scene("right", outline=right),
            scene("later", "2023-06-10T10:40:24+00:00"),
        ]
    )
    assert set(found.values()) == {""}


def test_scenes_of_one_overpass_are_in_order_of_their_tiles_whatever_they_are_called():
    one, other = scene("z", tile="31TEJ"), scene("a", tile="31TFJ")
    for scenes in ([one, other], [other, one]):
        assert [decision.scene.tile for decision in judge_scenes(scenes, SITE, JUNE)] == ["31TEJ", "31TFJ"]


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_the_records_does_not_matter(order):
    known = {
        "a": scene("a", baseline="02.09"),
        "b": scene("b", baseline="05.00"),
        "c": scene("c", tile="31TFJ"),
        "d": scene("d", cloud=90.0),
    }
    assert judge([known[name] for name in order], 50) == {"a": "duplicate", "b": "", "c": "", "d": "cloud"}


def test_a_missing_band_is_named_with_what_is_offered():
    with pytest.raises(CropflowError, match=r"Scene x has no bands B03, B8A \(2 of 2 scenes .*it offers B02, SCL"):
        check_layers([scene("x"), scene("y")], ("B02", "B03", "B8A"))
    check_layers([scene("x")], ("B02",))


def test_a_product_that_lacks_what_the_others_have_is_to_be_fetched_again():
    whole = replace(scene("y"), layers=scene("y").layers | {"B03": scene("y").layers["B02"]})
    with pytest.raises(CropflowError, match=r"Scene x has no band B03 \(1 of 2 .*Fetch it again, or take it away: 1 "):
        check_layers([scene("x"), whole], ("B02", "B03"))


def test_a_record_without_a_baseline_needs_an_assumption():
    with pytest.raises(CropflowError, match=r"Scene x .*1 of 2 scenes.*imagery\.<name>\.assume_baseline"):
        check_baselines([scene("x", baseline=""), scene("y")], None)
    check_baselines([scene("x", baseline="")], "02.07")


def test_a_season_is_widened_to_whole_months_across_new_year_and_leap_days():
    day = datetime.date
    assert whole_months(day(2023, 10, 15), day(2024, 2, 3)) == (day(2023, 10, 1), day(2024, 2, 29))
    assert whole_months(day(2018, 1, 1), day(2018, 12, 31)) == (day(2018, 1, 1), day(2018, 12, 31))


def test_product_names_are_read():
    name = read_product_name("S2A_MSIL2A_20180627T104021_N0208_R008_T31TEJ_20180627T143337.SAFE")
    assert (name.platform, name.baseline, name.relative_orbit, name.tile) == ("sentinel-2a", "02.08", 8, "31TEJ")
    assert name.made == "20180627T143337"
    without = read_product_name("S2B_MSIL2A_20200606T080609_R078_T35LNK_20201027T072717")
    assert (without.baseline, without.relative_orbit, without.tile) == ("", 78, "35LNK")


@pytest.mark.parametrize(("text", "tile"), [("MGRS-5QKB", "05QKB"), ("T31TEJ", "31TEJ"), ("2023", ""), ("L2A", "")])
def test_tiles_are_read(text, tile):
    assert read_tile(text) == tile


@pytest.mark.parametrize(("text", "baseline"), [("05.11", "05.11"), ("2.12", "02.12"), ("unknown", ""), ("0511", "")])
def test_baselines_are_read(text, baseline):
    assert read_baseline(text) == baseline
