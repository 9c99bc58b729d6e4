"""Parcels of DATA/META: paired and looked up by their ids, dated by one origin, never unpickled."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json, write_json
from cropflow.samples.command import app

FOLDS = {"count": 3, "unit": "sample"}
START = "2018-10-01"


def test_a_year_becomes_pixel_sets_whose_parcels_follow_each_other(samples, rotation):
    found = samples("deep_crop_rotation", rotation, year=2018, folds=FOLDS)
    assert list(found.table["parcel_id"]) == ["0", "1", "2", "3", "5"]
    assert list(found.table["crop"]) == [2, 3, 4, 5, 7]
    assert list(found.table["start"]) == [0, 2, 5, 9, 14]
    values = found.array("sentinel2/values")
    stored = np.load(rotation / "DATA" / "2018" / "1.npy")
    np.testing.assert_array_equal(values[2:5], np.moveaxis(stored, -1, 0))
    assert values.dtype == np.uint16
    assert found.array("sentinel2/dates")[0].tolist() == [4, 59, 121, 333]
    assert found.table["perimeter_m"].tolist()[:4] == [100, 101, 102, 103]
    assert set(found.table["fold"]) == {0, 1, 2}


def test_a_frame_of_zeros_is_no_date(samples, rotation):
    found = samples("deep_crop_rotation", rotation, year=2019, folds=FOLDS)
    assert found.array("sentinel2/dates")[0].tolist() == [4, 59, 333, -32768]
    assert found.array("sentinel2/observations")[0].tolist() == [1, 1, 1, 0]
    assert found.summary["found"]["dates of a parcel without a value"] == 1


def test_parcels_without_a_file_are_dropped_and_counted(samples, rotation):
    summary = samples("deep_crop_rotation", rotation, year=2019, folds=FOLDS).summary
    assert (summary["read"], summary["kept"], summary["dropped"]) == (6, 5, {"without a file": 1})


def test_history_is_looked_up_by_parcel_and_year_and_a_missing_year_is_unknown(samples, rotation):
    found = samples("deep_crop_rotation", rotation, year=2019, lags=2, folds=FOLDS)
    history = found.array("history")
    crops = found.about["history_crops"]
    assert crops == [2, 3, 4, 5]
    assert history.shape == (5, 2, 5)
    # The crop of 2018 is one higher than that of 2019; parcel 4 was not declared, and nobody knows 2017.
    assert [crops[position] for position in history[:4, 0].argmax(axis=1)] == [2, 3, 4, 5]
    assert history[4, 0].tolist() == [0, 0, 0, 0, 1]
    assert (history[:, 1, -1] == 1).all()
    np.testing.assert_array_equal(history.sum(axis=2), 1)


def test_a_layout_without_places_asks_how_to_make_folds(samples, rotation, tmp_path):
    with pytest.raises(CropflowError, match=r"keeps no places.*folds\.table.*folds\.unit to sample"):
        samples("deep_crop_rotation", rotation, year=2018)
    (tmp_path / "folds.csv").write_text("unit,fold\n0,0\n1,1\n2,2\n3,0\n5,1\n")
    found = samples("deep_crop_rotation", rotation, year=2018, folds={"count": 3, "table": str(tmp_path / "folds.csv")})
    assert list(found.table["fold"]) == [0, 1, 2, 0, 1]


def test_a_table_of_folds_that_lacks_a_parcel_is_refused(samples, rotation, tmp_path):
    (tmp_path / "folds.csv").write_text("unit,fold\n0,0\n1,1\n2,2\n")
    with pytest.raises(CropflowError, match=r"no fold to 2 of 5 samples, such as 3, 5"):
        samples("deep_crop_rotation", rotation, year=2018, folds={"count": 3, "table": str(tmp_path / "folds.csv")})


def test_pickled_parcels_are_refused_with_the_way_to_convert_them(samples, rotation, tmp_path):
    values = np.load(rotation / "DATA" / "2018" / "1.npy")
    (rotation / "DATA" / "2018" / "1.npy").unlink()
    (rotation / "DATA" / "2018" / "1.pkl").write_bytes(pickle.dumps(values))
    (rotation / "normvals_tot.pkl").write_bytes(pickle.dumps((np.zeros(10), np.ones(10))))
    with pytest.raises(CropflowError, match=r"1\.pkl.*--show-conversion > convert\.py"):
        samples("deep_crop_rotation", rotation, year=2018, folds=FOLDS)
    shown = CliRunner().invoke(app, ["import", "--show-conversion"])
    assert shown.exit_code == 0
    (tmp_path / "convert.py").write_text(shown.stdout)
    subprocess.run([sys.executable, tmp_path / "convert.py", rotation], check=True, timeout=60)
    assert json.loads((rotation / "normvals_tot.json").read_text())[1] == [1.0] * 10
    (rotation / "DATA" / "2018" / "1.pkl").unlink()
    found = samples("deep_crop_rotation", rotation, year=2018, folds=FOLDS)
    np.testing.assert_array_equal(found.array("sentinel2/values")[2:5], np.moveaxis(values, -1, 0))


def test_objects_in_an_npy_file_are_not_unpickled(samples, rotation):
    np.save(rotation / "DATA" / "2018" / "1.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CropflowError, match=r"1\.npy is no array of numbers"):
        samples("deep_crop_rotation", rotation, year=2018, folds=FOLDS)


def test_normalised_values_are_refused(samples, rotation):
    for file in (rotation / "DATA" / "2018").glob("*.npy"):
        np.save(file, (np.load(file) - 4500.0) / 2500)
    with pytest.raises(CropflowError, match=r"Half of the values .* Set scale"):
        samples("deep_crop_rotation", rotation, year=2018, folds=FOLDS)


def test_a_label_without_a_crop_is_refused_or_dropped(samples, rotation):
    labels = read_json(rotation / "META" / "labels.json")
    labels["2018"]["0"] = 77
    write_json(rotation / "META" / "labels.json", labels)
    with pytest.raises(CropflowError, match="Labels 77 have no crop of the legend deep_crop_rotation_20"):
        samples("deep_crop_rotation", rotation, year=2018, folds=FOLDS)
    summary = samples("deep_crop_rotation", rotation, year=2018, folds=FOLDS, unmapped="unknown").summary
    assert summary["dropped"] == {"of an unknown crop": 1}


def test_a_table_leads_to_another_legend(samples, rotation, tmp_path):
    rows = "".join(f"{code},{'maize' if code < 4 else 'meadow'}\n" for code in range(20))
    (tmp_path / "table.csv").write_text("code,crop\n" + rows)
    found = samples(
        "deep_crop_rotation", rotation, year=2018, folds=FOLDS, legend="turkoglu", classes=tmp_path / "table.csv"
    )
    assert list(found.table["crop"]) == [20, 20, 20, 21, 21]


def test_export_and_import_of_a_year_give_the_same_arrays(samples, rotation, exported, same_arrays):
    first = samples("deep_crop_rotation", rotation, year=2019, folds=FOLDS)
    written = exported("deep_crop_rotation", first.folder)
    assert read_json(written / "META" / "labels.json")["2019"] == {str(id): id for id in range(5)}
    again = samples("deep_crop_rotation", written, name="again", year=2019, folds=FOLDS)
    same_arrays(first.folder, again.folder)
    kept = ["parcel_id", "crop", "start", "pixels", "perimeter_m", "fill_ratio", "perimeter_area_ratio"]
    assert first.table[kept].equals(again.table[kept])


def test_both_sensors_count_days_from_one_origin_and_are_paired_by_id(samples, districts):
    found = samples("pse_tsa", districts, start=START, folds={"count": 3})
    assert list(found.table["site"]) == ["East", "East", "North", "North", "West", "West"]
    assert found.array("sentinel1_descending/dates")[0].tolist() == [3, 4, 5, 6, 7]
    assert found.array("sentinel2/dates")[0].tolist() == [0, 7, 14, -32768]
    radar = np.load(districts / "s1_data" / "East" / "DATA" / "1.npy")
    np.testing.assert_array_equal(
        found.array("sentinel1_descending/values")[3:7], np.rint(radar * 100).transpose(2, 0, 1)
    )
    assert list(found.table["crop"]) == [1, 12] * 3
    # A district is in one fold.
    assert found.table.groupby("site")["fold"].nunique().tolist() == [1, 1, 1]
    assert found.about["sensors"][1]["radiometry"] == "sigma0"


def test_a_parcel_that_one_sensor_lacks_is_kept_without_it(samples, districts):
    (districts / "s1_data" / "East" / "DATA" / "1.npy").unlink()
    found = samples("pse_tsa", districts, start=START, folds={"count": 3})
    assert found.summary["found"]["parcels that a sensor lacks"] == 1
    assert (found.array("sentinel1_descending/values")[3:7] == -32768).all()
    assert (found.array("sentinel1_descending/dates")[1] == -32768).all()


def test_sensors_of_different_pixels_are_not_paired(samples, districts):
    file = districts / "s1_data" / "East" / "DATA" / "1.npy"
    np.save(file, np.load(file)[..., :2])
    summary = samples("pse_tsa", districts, start=START, folds={"count": 3}).summary
    assert summary["dropped"] == {"pixels of the sensors differ": 1}


@pytest.mark.parametrize("sensor", ["s1_data", "s2_data"])
def test_values_scaled_by_percentiles_of_scenes_are_refused(samples, districts, sensor):
    for file in (districts / sensor).rglob("*.npy"):
        values = np.load(file)
        np.save(file, (values - values.min()) / (values.max() - values.min()))
    with pytest.raises(CropflowError, match=rf"{sensor} lie .*cannot be taken back"):
        samples("pse_tsa", districts, start=START, folds={"count": 3})


def test_too_few_districts_for_the_folds_are_refused(samples, districts):
    with pytest.raises(CropflowError, match=r"3 splits \(East, North, West\); expected at least 5"):
        samples("pse_tsa", districts, start=START)


def test_export_and_import_of_two_sensors_give_the_same_arrays(samples, districts, exported, same_arrays):
    first = samples("pse_tsa", districts, start=START, folds={"count": 3})
    written = exported("pse_tsa", first.folder)
    assert read_json(written / "s2_data" / "West" / "META" / "labels.json")["CODE_GROUP"] == {"20": 1, "21": 25}
    again = samples("pse_tsa", written, name="again", start=START, folds={"count": 3})
    same_arrays(first.folder, again.folder)
    assert first.table.equals(again.table)


def test_parcels_of_different_dates_share_the_list_of_a_year(samples, districts, exported):
    shutil.rmtree(districts / "s1_data")
    file = districts / "s2_data" / "East" / "META" / "dates.json"
    write_json(file, read_json(file) | {"0": [20181002, 20181008, 20181016]})
    first = samples("pse_tsa", districts, start=START, folds={"count": 3})
    written = exported("deep_crop_rotation", first.folder)
    days = read_json(written / "META" / "dates.json")["2018"]
    assert list(days.values()) == ["1001", "1002", "1008", "1015", "1016", "1022"]
    again = samples(
        "deep_crop_rotation", written, name="again", year=2018, start=START, folds=FOLDS,
        legend="rpg_groups_finistere", classes=written / "META" / "classes.csv",
    )  # fmt: skip
    for name, nothing in (("values", 0), ("dates", -32768)):
        whole = again.array(f"sentinel2/{name}")
        np.testing.assert_array_equal(first.array(f"sentinel2/{name}"), whole[:, :4])
        assert (whole[:, 4:] == nothing).all()


def test_a_season_across_new_year_cannot_be_written_as_one_year(samples, districts, exported):
    shutil.rmtree(districts / "s1_data")
    file = districts / "s2_data" / "East" / "META" / "dates.json"
    write_json(file, read_json(file) | {"0": [20181002, 20181008, 20190116]})
    found = samples("pse_tsa", districts, start=START, folds={"count": 3})
    with pytest.raises(CropflowError, match=r"2018, 2019.*one calendar year"):
        exported("deep_crop_rotation", found.folder)


def test_groups_that_are_one_crop_do_not_contradict_each_other(samples, districts):
    for sensor, group in (("s1_data", 18), ("s2_data", 19)):
        file = districts / sensor / "East" / "META" / "labels.json"
        write_json(file, {"CODE_GROUP": {"0": group, "1": (1, 2)[sensor == "s1_data"]}})
    found = samples("pse_tsa", districts, start=START, folds={"count": 3})
    assert found.table["crop"].tolist()[0] == 10
    assert found.summary["dropped"] == {"of two crops": 1}


def test_a_day_0_centuries_away_is_refused(samples, districts):
    with pytest.raises(CropflowError, match=r"days from 1800-01-01, day 0; expected fewer than 32768\. Set start"):
        samples("pse_tsa", districts, start="1800-01-01", folds={"count": 3})


def test_ids_of_registers_make_safe_file_names(samples, rotation, exported):
    found = samples("deep_crop_rotation", rotation, year=2018, folds=FOLDS)
    found.table.assign(parcel_id=["../a", "b c", "d", "d", "5"]).to_parquet(found.folder / "parcels.parquet")
    written = exported("deep_crop_rotation", found.folder)
    names = sorted(file.name for file in (written / "DATA" / "2018").iterdir())
    assert names == ["..%2Fa.npy", "2-d.npy", "3-d.npy", "5.npy", "b%20c.npy"]


@pytest.mark.parametrize(("layout", "table"), [("pse_tsa", "folds.csv"), ("deep_crop_rotation", "META/folds.csv")])
def test_parcels_of_one_site_come_back_in_their_folds(samples, districts, exported, layout, table):
    shutil.rmtree(districts / "s1_data")
    first = samples("pse_tsa", districts, start=START, folds={"count": 3})
    first.table.assign(site="valley").to_parquet(first.folder / "parcels.parquet")
    written = exported(layout, first.folder)
    more = {} if layout == "pse_tsa" else {"year": 2018, "legend": "rpg_groups_finistere"}
    again = samples(
        layout, written, name="again", start=START, folds={"count": 3, "table": str(written / table)},
        classes=(written / table).with_name("classes.csv"), **more,
    )  # fmt: skip
    folds = [found.table.set_index("parcel_id")["fold"].to_dict() for found in (first, again)]
    assert folds[0] == folds[1]
    assert len(set(folds[0].values())) == 3
