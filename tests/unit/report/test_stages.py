from __future__ import annotations

import dataclasses

import pandas

from cropflow.report.series import observations
from cropflow.report.stages import (
    MOST_ROWS,
    Step,
    composites_stage,
    legend_stage,
    map_stage,
    place_stages,
    register_stage,
    samples_stage,
    scenes_stage,
    scoring_stage,
    sites_stage,
)


def place_of(world):
    return world.inputs().places[0]


def test_every_drop_of_the_register_is_named_with_its_size(world):
    stage = register_stage(place_of(world))
    assert stage.rows == [("too small: smaller than minimum_area_m2", "2", "0.5")]
    assert "Kept 12 of 14 parcels (6.5 of 7.0 ha); repaired 1 geometry" in stage.summary
    assert stage.steps[0].cells == ("Register cleaned", "cadastre/2019", "parcels", "14", "12", "2", "14 %")


def test_a_reason_that_nobody_described_is_shown_by_its_key(world):
    place = place_of(world)
    place.labels["dropped"] = {"odd_shape": {"parcels": 1, "hectares": 0.1}}
    assert register_stage(place).rows == [("odd shape", "1", "0.1")]


def test_what_the_reader_found_stands_in_a_sentence(world):
    place = place_of(world)
    assert "As read" not in register_stage(place).summary
    place.labels["findings"] = {
        "named_only": 3,
        "codes_with_blanks": {"' 1'": {"parcels": 2, "hectares": 0.1}, "'2 '": {"parcels": 3, "hectares": 0.1}},
        "contradictions": [{"code": "1", "name": "b", "parcels": 1, "hectares": 0.1}],
        "without_calendar": {"pea": 4},
    }
    assert register_stage(place).summary.endswith(
        "As read: 5 parcels with blanks around the code; 1 parcel with a code and a name of different crops, of which "
        "the code counts; 4 parcels without a crop calendar."
    )


def test_codes_out_of_scope_are_listed_largest_first(world):
    place = place_of(world)
    place.crops["out_of_scope"] = {f"C{n}": {"parcels": 1, "hectares": float(n)} for n in range(MOST_ROWS + 3)}
    stage = legend_stage(place)
    assert len(stage.rows) == MOST_ROWS
    assert stage.rows[0][1] == f"C{MOST_ROWS + 2}"
    assert f"The first {MOST_ROWS} of {MOST_ROWS + 3} codes are shown." in stage.summary


def test_unknown_codes_come_before_codes_out_of_scope(world):
    place = place_of(world)
    place.crops["unknown"] = {"ZZ": {"parcels": 1, "hectares": 0.1}}
    assert [row[:2] for row in legend_stage(place).rows] == [
        ("unknown code", "ZZ"),
        ("out of the legend's scope", "XYZ"),
    ]


def test_codes_that_are_ignored_and_crops_that_are_rare_are_listed_by_their_reason(world):
    place = place_of(world)
    place.crops["ignored"] = {"MIX": {"parcels": 1, "hectares": 0.1}}
    place.crops["rare"] = {"3": {"name": "rye", "parcels": 1, "hectares": 0.2}}
    assert [row[:2] for row in legend_stage(place).rows] == [
        ("ignored by the table", "MIX"),
        ("too rare a crop", "rye"),
        ("out of the legend's scope", "XYZ"),
    ]


def test_codes_outside_their_years_and_merged_ones_are_told(world):
    place = place_of(world)
    count = {"parcels": 2, "hectares": 1.0}
    place.crops["years"] = {"campaign": 2023, "outside_years": {"MIE": count}, "merged": {"MIS": count, "JAC": count}}
    assert legend_stage(place).summary.endswith(
        " In the campaign 2023: 1 code (MIE; 2 parcels) used outside the years of the list; 2 codes (JAC, MIS; 4 "
        "parcels) standing for others too."
    )
    many = {f"C{number:02}": count | {"hectares": number} for number in range(10)}
    place.crops["years"] = {"campaign": 2023, "outside_years": many, "merged": {}}
    assert "10 codes (C09, C08, C07, C06, C05, C04, C03, C02, ...; 20 parcels)" in legend_stage(place).summary
    place.crops["years"] = {"campaign": 2023, "outside_years": {}, "merged": {}}
    assert "campaign" not in legend_stage(place).summary


def test_several_sites_have_a_line_of_totals(world):
    place = place_of(world)
    count = place.parcels["sites"]["a"]
    place.parcels["sites"] = {"a": count, "b": count}
    place.parcels["total"] = {key: 2 * value for key, value in count.items()}
    assert sites_stage(place).rows[-1] == ("all", "22", "12.0", "2", "0")


def test_more_parcels_out_than_in_is_no_negative_drop():
    assert Step("clip", "here", "parcels", 10, 12).cells[-2:] == ("–", "–")


def test_scenes_are_counted_by_the_kind_of_their_reason(world):
    stage = scenes_stage(place_of(world), "sentinel2")
    assert stage.rows == [("cloud", "such as 91 % by the metadata", "2")]
    assert "Kept 1 of 3 scenes, counted once per site: 1 of baseline 05.09 (offset -1000)" in stage.summary


def test_no_scene_at_all_is_told(world):
    none = place_of(world).scenes["sentinel2"].iloc[:0]
    place = dataclasses.replace(place_of(world), scenes={"sentinel2": none})
    assert scenes_stage(place, "sentinel2").steps[0].cells[-3:] == ("0", "0", "–")


def test_every_sensor_has_its_own_table_and_radar_tells_orbits_and_radiometry(world):
    place = place_of(world)
    place.scenes["sentinel1_ascending"] = pandas.DataFrame(
        {
            "kept": [True, True, False],
            "reason": ["", "", "season: outside"],
            "relative_orbit": [59, 132, 59],
            "radiometry": "gamma0",
        }
    )
    seen = {"sentinel2": observations(world.composites)}
    titles = [stage.name for stage in place_stages(place, seen, first_of_register=False)]
    assert titles[1:3] == ["Scenes of dale/2019, Sentinel-2", "Scenes of dale/2019, Sentinel-1 ascending"]
    stage = scenes_stage(place, "sentinel1_ascending")
    assert "Kept 2 of 3 scenes" in stage.summary
    assert "1 of relative orbit 59 (gamma0), 1 of relative orbit 132 (gamma0)" in stage.summary
    place.scenes["sentinel1_ascending"]["relative_orbit"] = -1
    assert "2 of relative orbit unknown (gamma0)" in scenes_stage(place, "sentinel1_ascending").summary


def test_a_reason_without_detail_is_counted_too(world):
    scenes = pandas.DataFrame(
        {"kept": [False, False], "reason": ["duplicate", "duplicate"], "baseline": "", "offset": 0}
    )
    place = dataclasses.replace(place_of(world), scenes={"sentinel2": scenes})
    assert scenes_stage(place, "sentinel2").rows == [("duplicate", "–", "2")]


def test_pixel_months_add_up(world):
    stage = composites_stage(place_of(world), "sentinel2", observations(world.composites))
    seen, filled, empty = (int(row[1]) for row in stage.rows)
    assert (seen, filled, empty) == (94, 47, 3)
    assert seen + filled + empty == 48 * 3


def test_samples_name_reasons_and_leave_out_those_that_did_not_occur(world):
    stage = samples_stage(place_of(world))
    assert [row[:2] for row in stage.rows] == [
        ("outside all parcels", "12"),
        ("rim of a parcel (inner buffer)", "6"),
        ("usable: learnt from and scored", "30"),
    ]
    assert "1 parcel (0.01 ha) too narrow to hold" in stage.summary
    assert "2 with 5 m" in stage.summary
    assert [step.given for step in stage.steps] == [36, 30]


def test_samples_tell_which_sensor_lacks_a_value(world):
    place = place_of(world)
    place.counts["pixels"]["no_value_of"] = {"sentinel2": 1200, "sentinel2 and sentinel1_ascending": 1}
    summary = samples_stage(place).summary
    assert "1,200 pixels, otherwise usable, without a value of Sentinel-2 in a period." in summary
    assert "1 pixel, otherwise usable, without a value of Sentinel-2 and Sentinel-1 ascending in a period." in summary


def test_samples_of_a_minimum_of_dates_tell_which_sensors_pixels_are_learnt_without(world):
    place = place_of(world)
    place.counts["set"]["minimum_dates"] = 5
    place.counts["pixels"] |= {
        "no_value_of": {"sentinel2": 12},
        "lacking": {"sentinel2": 1200},
        "dates": {"sentinel2": {"lacking": 1200, "minimum_dates": 5, "median_dates": 31}},
    }
    summary = samples_stage(place).summary
    assert "12 pixels, otherwise usable, without a value of Sentinel-2 on at least 5 dates." in summary
    assert "1,200 usable pixels without a value of Sentinel-2 on at least 5 dates, learnt by the other" in summary
    assert "Sentinel-2 sees usable pixels on 5 dates at least, 31 in the median." in summary


def test_unscored_parcels_are_counted(world):
    stage = scoring_stage(world.inputs().own)
    assert ("test parcels without a prediction", "1", "10") in stage.rows
    assert ("labelled test pixels without a prediction", "4", "100") in stage.rows


def test_a_map_without_parcels_counts_pixels_alone():
    stage = map_stage("dale/2019", {"sites": {"a": {"pixels": 10, "not_predicted": 2}}, "parcels": None})
    assert stage.rows == [("pixels without a prediction", "2", "10")]


def test_a_register_shared_by_places_is_told_once(world):
    place, seen = place_of(world), {"sentinel2": observations(world.composites)}
    first, second = place_stages(place, seen, True), place_stages(place, seen, False)
    assert len(first) - len(second) == 2
    assert not any(stage.name.startswith("Register") for stage in second)
