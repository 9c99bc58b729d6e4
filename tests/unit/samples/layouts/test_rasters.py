"""Patches and chips: no mask of the target in the input, places whole in one fold, labels by name."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json, write_json
from cropflow.samples.layouts.zuericrop import _own

UNKNOWN, IGNORE, NO_FOLD = 65534, 65535, 255


def test_inputs_zeroed_outside_parcels_have_no_value_and_are_counted(samples, zones):
    found = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    crops, values = found.array("crops"), found.array("sentinel2/values")
    with h5py.File(zones) as file:
        labels, data = file["labels"][:], file["data"][:]
    zeroed = ~data.any(axis=(1, 2))
    assert zeroed.any()
    assert found.summary["found"]["pixels zeroed in all months"] == zeroed.sum()
    assert (crops[zeroed] == IGNORE).all()
    assert (found.array("folds")[zeroed] == NO_FOLD).all()
    assert (values.transpose(0, 3, 4, 1, 2)[zeroed] == 0).all()
    assert (crops[labels == 255] == IGNORE).all()
    np.testing.assert_array_equal(crops[labels == 30], 30)
    np.testing.assert_array_equal(values, data)


def test_a_zone_is_in_one_fold_and_the_months_are_calendar_periods(samples, zones):
    found = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    assert found.table.groupby("site").size().tolist() == [2, 2, 2, 2]
    folds = found.array("folds")
    for site in found.table["site"].unique():
        here = folds[found.table["site"] == site]
        assert len(set(here[here != NO_FOLD])) == 1
    assert found.about["sensors"][0]["periods"][:2] == ["2023-01-01", "2023-02-01"]
    assert found.array("sentinel2/dates")[0, :2].tolist() == [15, 45]


def test_class_0_with_values_is_background(samples, zones):
    with h5py.File(zones, "r+") as file:
        file["data"][...] = np.maximum(file["data"][:], 300)
    found = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    assert found.about["background"] is True
    with h5py.File(zones) as file:
        np.testing.assert_array_equal(found.array("crops") == 0, file["labels"][:] == 0)


def test_export_and_import_of_zones_give_the_same_arrays(samples, zones, exported, same_arrays):
    first = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    written = exported("temporal_unet_hdf5", first.folder)
    with h5py.File(written / "samples.h5") as file, h5py.File(zones) as original:
        np.testing.assert_array_equal(file["coords"][:], original["coords"][:])
        assert file["data"].dtype == np.float32
    again = samples("temporal_unet_hdf5", written, name="again", folds={"count": 3})
    same_arrays(first.folder, again.folder)
    assert first.table.equals(again.table)


def test_zones_of_one_site_come_back_in_their_folds_with_the_table_of_the_export(samples, zones, exported):
    first = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    first.table.assign(site="valley").to_parquet(first.folder / "index.parquet")
    written = exported("temporal_unet_hdf5", first.folder)
    folds = {"count": 3, "table": str(written / "folds.csv")}
    again = samples("temporal_unet_hdf5", written, name="again", folds=folds)
    np.testing.assert_array_equal(again.array("folds"), first.array("folds"))
    assert set(again.table["site"]) == {"valley-fold0", "valley-fold1", "valley-fold2"}


def test_no_table_is_written_where_a_patch_lies_in_several_folds(samples, zones, exported, caplog):
    first = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    folds = np.load(first.folder / "folds.npy")
    folds[0, 0, :] = [0, 1] * (folds.shape[2] // 2)
    np.save(first.folder / "folds.npy", folds)
    written = exported("temporal_unet_hdf5", first.folder)
    assert not (written / "folds.csv").exists()
    assert "folds.csv is not written" in caplog.text


def test_too_few_zones_are_told_with_all_ways_out(samples, zones):
    with h5py.File(zones, "r+") as file:
        file["zones"][...] = "valley"
    message = (
        r"hold 1 zone \(valley\); expected at least 3, one for each of folds\.count\. Import more zones; or say the "
        r"fold of each in folds\.table"
    )
    with pytest.raises(CropflowError, match=message):
        samples("temporal_unet_hdf5", zones, folds={"count": 3})
    with pytest.raises(CropflowError, match=r"Name the bands of the file, in its order, as bands of --settings"):
        samples("temporal_unet_hdf5", zones, bands=["B02"])


def test_background_is_in_the_table_of_an_export(samples, zones, exported, same_arrays):
    with h5py.File(zones, "r+") as file:
        file["data"][...] = np.maximum(file["data"][:], 300)
        file["labels"][0, 0, 0] = 0
    first = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    assert (first.array("crops") == 0).any()
    written = exported("temporal_unet_hdf5", first.folder)
    again = samples(
        "temporal_unet_hdf5", written, name="again", classes=written / "classes.csv", legend=first.about["legend"],
        folds={"count": 3, "table": str(written / "folds.csv")},
    )  # fmt: skip
    same_arrays(first.folder, again.folder)


def test_a_pointer_of_git_lfs_is_no_data(samples, tmp_path):
    (tmp_path / "data.hdf5").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CropflowError, match=r"data\.hdf5 \(43 bytes\) is no HDF5 file.*git lfs pull"):
        samples("canadian_hdf5", tmp_path / "data.hdf5")


def test_a_sequence_is_of_one_point_region_and_crop(samples, canadian):
    found = samples("canadian_hdf5", canadian, folds={"count": 3})
    assert list(found.table["parcel_id"]) == ["1_AB_barley", "1_ON_corn", "2_AB_canola", "7_QC_oat"]
    assert list(found.table["crop"]) == [1, 3, 2, 5]
    assert found.summary["read"] == 6
    assert found.summary["dropped"] == {"of an unknown crop": 1, "too few dates": 1}
    assert found.summary["found"]["points with several crops"] == 1
    assert found.array("sentinel2/dates").tolist()[:2] == [[165, 195, 226, 257], [165, 195, 226, -32768]]


def test_a_grey_comes_back_from_what_is_stored_and_black_is_a_value(samples, canadian):
    found = samples("canadian_hdf5", canadian, folds={"count": 3})
    assert found.about["sensors"][0]["bands"] == ["RED", "GREEN", "BLUE", "NDVI45", "GNDVI"]
    values = found.array("sentinel2/values")
    greys = np.rint((values[0].astype(float) - 32768) / 10000 * 255)
    assert greys.min() >= 0
    assert greys.max() <= 255
    assert (values[0] > 0).all()
    assert (values[1, 3] == 0).all()


def test_regions_are_the_folds_of_points_without_coordinates(samples, canadian):
    found = samples("canadian_hdf5", canadian, folds={"count": 3})
    assert found.table.groupby("site")["fold"].nunique().eq(1).all()
    with pytest.raises(CropflowError, match=r"3 regions \(.*\); expected at least 5"):
        samples("canadian_hdf5", canadian, name="other")


def test_a_damaged_picture_costs_its_record_alone(samples, canadian):
    with h5py.File(canadian, "r+") as file:
        file["GNDVI"][1] = file["GNDVI"][1][:20]
        file["RGB"][0] = file["RGB"][0]
    found = samples("canadian_hdf5", canadian, folds={"count": 3})
    assert found.summary["found"]["records with a damaged picture"] == 1
    assert found.array("sentinel2/dates")[0].tolist() == [165, 195, 257, -32768]


def test_export_and_import_of_chips_give_the_same_arrays(samples, canadian, exported, same_arrays, tmp_path):
    (tmp_path / "folds.csv").write_text("unit,fold\nAB,0\nON,1\nQC,2\n")
    folds = {"count": 3, "table": str(tmp_path / "folds.csv")}
    first = samples("canadian_hdf5", canadian, folds=folds)
    written = exported("canadian_hdf5", first.folder)
    with h5py.File(written / "samples.hdf5") as file:
        assert file["CROP_TYPE"].asstr()[0] == "BARLEY"
        assert file["LABEL"][:4].tolist() == [0, 0, 0, 0]
    again = samples("canadian_hdf5", written, name="again", folds=folds)
    same_arrays(first.folder, again.folder)
    assert first.table.equals(again.table)


def test_reflectance_is_no_picture(samples, zones, exported):
    first = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    with pytest.raises(CropflowError, match=r"'patches'; expected chips"):
        exported("canadian_hdf5", first.folder)


def test_two_sensors_become_patches_and_an_area_is_in_one_fold(samples, siamese, tifs):
    found = samples("siamese_geotiff", siamese, start="2018-05-01", folds={"count": 3})
    assert list(found.table["site"]) == ["a", "a", "b", "b", "c", "c"]
    assert [sensor["sensor"] for sensor in found.about["sensors"]] == ["sentinel2", "sentinel1_ascending"]
    folds = found.array("folds")
    of_areas = [set(folds[first : first + 2].ravel().tolist()) - {NO_FOLD} for first in (0, 2, 4)]
    assert sorted(map(list, of_areas)) == [[0], [1], [2]]
    codes = tifs.read(siamese / "crop_map" / "a_r00_c00.tif")[0]
    crops = found.array("crops")[0]
    labelled = (codes > 0) & (crops != IGNORE)
    assert (crops[(codes == 0) & (crops != IGNORE)] == UNKNOWN).all()
    assert len(set(crops[labelled & (codes == 211)])) == 1
    assert found.summary["found"]["unlabelled pixels"] > 0


def test_a_pixel_without_a_month_of_radar_is_not_learnt_from_by_whole_series(samples, siamese):
    found = samples("siamese_geotiff", siamese, start="2018-05-01", folds={"count": 3})
    assert found.array("sentinel1_ascending/values")[0, 0, :, 5, 5].tolist() == [-32768, -32768]
    assert (found.array("folds")[:, 5, 5] == NO_FOLD).all()
    found = samples("siamese_geotiff", siamese, name="some", start="2018-05-01", folds={"count": 3}, minimum_dates=1)
    assert (found.array("folds")[:, 5, 5] != NO_FOLD).all()


def test_connected_pixels_of_a_crop_are_numbered_as_parcels(samples, siamese):
    found = samples("siamese_geotiff", siamese, start="2018-05-01", folds={"count": 3})
    first = found.array("parcels")[0, 0]
    assert first[3] == first[4] != first[5]
    assert (first[:3] == 0).all()


def test_a_mask_of_one_crop_takes_its_name(samples, siamese):
    settings = {"start": "2018-05-01", "folds": {"count": 3}, "legend": "isrc_8", "crop": "tomato"}
    found = samples("siamese_geotiff", siamese, **settings)
    assert set(np.unique(found.array("crops"))) <= {8, UNKNOWN, IGNORE}
    found = samples("siamese_geotiff", siamese, name="told", **settings, unlabelled="background")
    assert set(np.unique(found.array("crops"))) == {0, 8, IGNORE}


def test_areas_are_told_by_site_row_and_column_and_a_site_is_parted_by_its_folds(samples, siamese, exported):
    first = samples("siamese_geotiff", siamese, start="2018-05-01", folds={"count": 3})
    count = len(first.table)
    own = first.table.drop(columns="patch_id").assign(site="valley", row=range(count), column=0)
    own.to_parquet(first.folder / "index.parquet")
    written = exported("siamese_geotiff", first.folder)
    folds = {"count": 3, "table": str(written / "folds.csv")}
    again = samples("siamese_geotiff", written, name="again", start="2018-05-01", folds=folds)
    order = [int(name.split("_r")[1].split("_")[0]) for name in again.table["patch_id"]]
    np.testing.assert_array_equal(again.array("folds"), first.array("folds")[order])
    assert set(again.table["site"]) == {"valley-fold0", "valley-fold1", "valley-fold2"}


def test_sensors_that_a_layout_lacks_are_told_in_a_sentence(samples, siamese, exported):
    first = samples("siamese_geotiff", siamese, start="2018-05-01", folds={"count": 3})
    message = r"The sensors of the samples are 'sentinel2, sentinel1_ascending'; expected no others than"
    with pytest.raises(CropflowError, match=message):
        exported("temporal_unet_hdf5", first.folder)


def test_names_that_differ_between_folders_are_refused(samples, siamese):
    (siamese / "s1" / "2" / "b_r00_c01.tif").unlink()
    with pytest.raises(CropflowError, match=r"differ in 1 of their files, such as b_r00_c01"):
        samples("siamese_geotiff", siamese, start="2018-05-01", folds={"count": 3})


def test_radar_scaled_to_0_and_1_is_refused(samples, siamese, tifs):
    for file in (siamese / "s1").rglob("*.tif"):
        tifs.write(file, (tifs.read(file) + 25) / 20)
    with pytest.raises(CropflowError, match=r"of s1 lie above .* expected backscatter in dB"):
        samples("siamese_geotiff", siamese, start="2018-05-01", folds={"count": 3})


def test_export_and_import_of_two_sensors_give_the_same_patches(samples, siamese, exported, same_arrays, tifs):
    settings = {"start": "2018-05-01", "folds": {"count": 3}, "minimum_dates": 1}
    first = samples("siamese_geotiff", siamese, **settings)
    written = exported("siamese_geotiff", first.folder)
    assert np.isnan(tifs.read(written / "s1" / "1" / "a_r00_c00.tif")[:, 5, 5]).all()
    again = samples("siamese_geotiff", written, name="again", **settings)
    same_arrays(first.folder, again.folder)
    assert first.table.equals(again.table)


@pytest.fixture
def pastis_classes(tmp_path):
    (tmp_path / "pastis.csv").write_text("code,crop\n1,meadow\n3,maize\n")
    return tmp_path / "pastis.csv"


def test_the_published_folds_dates_and_void_label_of_pastis(samples, pastis, pastis_classes):
    found = samples(
        "pastis", pastis, legend="turkoglu", classes=pastis_classes, sensors=["sentinel2", "sentinel1_ascending"]
    )
    folds, crops = found.array("folds"), found.array("crops")
    assert [set(np.unique(fold)) for fold in folds] == [{0}, {1}, {2}, {3}, {4}]
    assert crops[:, 0, :4].tolist() == [[0, 21, 20, IGNORE]] * 5
    assert found.about["background"] is True
    # Dates are sorted, and the values with them.
    assert found.array("sentinel2/dates")[0].tolist() == [20, 21, 22, *[-32768] * 4]
    raw = np.load(pastis / "DATA_S2" / "S2_10000.npy")
    np.testing.assert_array_equal(found.array("sentinel2/values")[0, :3], np.maximum(raw[::-1], 1))
    assert found.summary["found"]["values below 0.0001 raised to it"] > 0
    assert found.array("sentinel1_ascending/values").shape[1:3] == (2, 2)


def test_pastis_has_a_legend_of_its_own_and_another_needs_a_table(samples, pastis, pastis_classes):
    assert samples("pastis", pastis).array("crops")[0, 0, :4].tolist() == [0, 1, 3, IGNORE]
    with pytest.raises(CropflowError, match=r"nothing of the legend turkoglu.*Give --classes"):
        samples("pastis", pastis, name="other", legend="turkoglu")
    content = read_json(pastis / "metadata.geojson")
    content["features"][2]["properties"]["Fold"] = 9
    write_json(pastis / "metadata.geojson", content)
    with pytest.raises(CropflowError, match=r"Fold of patch 10002 is 9; expected 1 to 5"):
        samples("pastis", pastis, legend="turkoglu", classes=pastis_classes)


ZUERICH = {"bands": ["B02", "B03", "B04", "B08"], "start": "2019-01-01", "end": "2019-12-31", "folds": {"count": 3}}


def test_every_second_date_and_crops_by_name(samples, zuericrop):
    found = samples("zuericrop", zuericrop, labels=str(zuericrop / "labels.csv"), **ZUERICH)
    with h5py.File(zuericrop / "data.hdf5") as file:
        data, codes = file["data"][:], file["gt"][..., 0]
    np.testing.assert_array_equal(found.array("sentinel2/values"), data[:, ::2, ..., :4].transpose(0, 1, 4, 2, 3))
    crops = found.array("crops")
    for code, crop in ((0, UNKNOWN), (1, 37), (2, UNKNOWN), (3, 20)):
        assert (crops[codes == code] == crop).all()
    assert found.array("sentinel2/dates")[0].tolist() == [0, 104, 208, 312]


def test_a_row_more_in_labels_csv_renumbers_nothing(samples, zuericrop):
    before = samples("zuericrop", zuericrop, labels=str(zuericrop / "labels.csv"), **ZUERICH).array("crops")
    with (zuericrop / "labels.csv").open("a") as file:
        file.write("4,504,a,Vegetation,b,c,Apples\n")
    after = samples("zuericrop", zuericrop, "more", labels=str(zuericrop / "labels.csv"), **ZUERICH).array("crops")
    np.testing.assert_array_equal(before, after)


def test_a_field_in_two_folds_is_in_none(samples, zuericrop):
    found = samples("zuericrop", zuericrop, labels=str(zuericrop / "labels.csv"), **ZUERICH)
    folds, parcels = found.array("folds"), found.array("parcels")
    assert (folds[parcels == 50] == NO_FOLD).all()
    assert (folds[parcels != 50] == np.repeat([0, 0, 1, 1, 2, 2], 16).reshape(6, 4, 4)[parcels != 50]).all()
    assert found.summary["found"]["pixels of fields in several folds"] == 2


def test_cloudy_pixels_have_no_value(samples, zuericrop):
    found = samples("zuericrop", zuericrop, labels=str(zuericrop / "labels.csv"), maximum_cloud=0.1, **ZUERICH)
    assert (found.array("sentinel2/values")[0, 1] == 0).all()
    assert found.summary["found"]["cloudy values hidden"] == 16


def test_the_published_hierarchy_is_that_of_the_legend(shared):
    from cropflow.config.layouts import Zuericrop

    path = shared / "reference" / "classes" / "F_labels_hierarchy.csv"
    settings = Zuericrop(labels=str(path), **ZUERICH)
    codes = _own(path, settings)
    kept = [crop for crop in codes.values() if crop != UNKNOWN]
    assert (len(codes), len(kept), len(set(kept))) == (125, 80, 48)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": {"count": 3, "unit": "sample"}}, r"folds\.unit is no key"),
        ({"crop": "wheat", "classes": "table.csv"}, "expected one of them"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(samples, siamese, settings, message):
    with pytest.raises(CropflowError, match=message):
        samples("siamese_geotiff", siamese, start="2018-05-01", **settings)


def test_pastis_has_five_folds_unless_a_table_says_otherwise(samples, pastis, tmp_path):
    with pytest.raises(CropflowError, match=r"folds\.count is 3; expected 5, as published"):
        samples("pastis", pastis, folds={"count": 3})
    rows = "".join(f"{10000 + number},{number % 3}\n" for number in range(5))
    (tmp_path / "folds.csv").write_text("unit,fold\n" + rows)
    found = samples("pastis", pastis, folds={"count": 3, "table": str(tmp_path / "folds.csv")})
    assert found.array("folds")[:, 0, 0].tolist() == [0, 1, 2, 0, 1]


def test_a_folder_of_somebody_else_is_not_replaced(samples, zones, exported, tmp_path):
    first = samples("temporal_unet_hdf5", zones, folds={"count": 3})
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(CropflowError, match=r"foreign holds thesis\.txt and is no result"):
        samples("temporal_unet_hdf5", zones, name="foreign", folds={"count": 3})
    with pytest.raises(CropflowError, match=r"is .*, which is read"):
        samples("temporal_unet_hdf5", first.folder, name=first.folder.name)
    with pytest.raises(CropflowError, match="foreign holds"):
        exported("temporal_unet_hdf5", first.folder, name="foreign")
    assert (foreign / "thesis.txt").read_text() == "years of work"
    # A result of ours is.
    samples("temporal_unet_hdf5", zones, folds={"count": 3})
