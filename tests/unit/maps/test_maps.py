import json
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy as copy_raster

from cropflow.errors import CropflowError
from cropflow.files.manifest import content_hash, manifest_path
from cropflow.files.rasters import read_raster
from cropflow.regions.grid import Grid


def read(path):
    return read_raster(path)[0][0]


def fold_of_columns(site):
    left = {"a": 0, "b": 20}[site]
    width = {"a": 12, "b": 8}[site]
    return (np.arange(width) + left) // 4 % 3


def test_a_region_without_labels_is_mapped_by_the_mean_of_all_models(place, run, three_models):
    output, summary, parcels = run(three_models)
    for site in ("a", "b"):
        np.testing.assert_array_equal(read(output / site / "crops.tif"), place.truth[site])
        assert (read(output / site / "confidence.tif") == 70).all()
        assert summary["sites"][site]["how"] == "mean of all folds"
        assert summary["sites"][site]["seams"] is None
    assert parcels is None and summary["parcels"] is None
    assert [(entry["id"], entry["hectares"]) for entry in summary["hectares"]] == [(1, 0.72), (2, 0.48), (3, 0.24)]
    assert sorted(path.name for path in output.iterdir()) == [
        "a", "b", "mosaic.qml", "mosaic.tif", "mosaic.tif.aux.xml", "summary.json",
    ]  # fmt: skip


def test_another_season_of_a_trained_region_is_mapped_out_of_fold_by_the_models(place, run, three_models):
    output, summary, _ = run(three_models, "plain/2022", folds=place.write_folds())
    for site in ("a", "b"):
        expected = np.broadcast_to(60 + 10 * fold_of_columns(site), place.truth[site].shape)
        np.testing.assert_array_equal(read(output / site / "confidence.tif"), expected)
        assert summary["sites"][site]["how"] == "out of fold, by the models"
    seams = summary["sites"]["a"]["seams"]
    assert seams["across"]["pairs"] == 16 and seams["across"]["confidence_step_percent"] == 10.0
    assert seams["within"]["confidence_step_percent"] == 0.0


def test_a_trained_place_is_mapped_from_its_stored_predictions(place, run, three_models):
    stores = place.write_predictions("plain/2021", [3, 1, 2])
    output, summary, _ = run(three_models, predictions=stores, folds=place.write_folds())
    for site in ("a", "b"):
        expected = np.broadcast_to(np.array([3, 1, 2])[fold_of_columns(site)], place.truth[site].shape)
        np.testing.assert_array_equal(read(output / site / "crops.tif"), expected)
        assert summary["sites"][site]["how"] == "out of fold, from stored predictions"


def test_predictions_of_other_places_are_not_read(place, run, three_models):
    stores = place.write_predictions("hills/2021", [3, 1, 2])
    output, summary, _ = run(three_models, predictions=stores)
    np.testing.assert_array_equal(read(output / "a" / "crops.tif"), place.truth["a"])
    assert summary["sites"]["a"]["how"] == "mean of all folds"


def test_a_trained_region_without_folds_is_refused(place, run, three_models):
    stores = place.write_predictions("plain/2021", [3, 1, 2])
    for season in ("plain/2021", "plain/2022"):
        with pytest.raises(CropflowError, match=r"learnt in region 'plain', but --folds is missing"):
            run(three_models, season, predictions=stores)


def test_models_are_sorted_by_their_fold(place, run, three_models):
    output, _, _ = run(three_models[::-1], "plain/2022", folds=place.write_folds())
    assert read(output / "a" / "confidence.tif")[0, 0] == 60


def test_a_class_that_one_model_does_not_know_gets_nothing_from_it(run, predictor):
    models = [predictor(0, (1, 2, 3)), predictor(1, (1, 2)), predictor(2, (1, 2, 3))]
    output, summary, _ = run(models)
    # Class 3 in the lower half of site b: (0.6 + 0 + 0.8) / 3.
    assert (read(output / "b" / "crops.tif")[3:] == 3).all()
    assert (read(output / "b" / "confidence.tif")[3:] == 47).all()
    assert [entry["id"] for entry in summary["classes"]] == [1, 2, 3]


def test_pixels_without_a_whole_series_stay_nodata_and_are_counted(place, run, three_models):
    place.missing["a"][:2, :3] = True
    output, summary, _ = run(three_models)
    crops, confidence = read(output / "a" / "crops.tif"), read(output / "a" / "confidence.tif")
    assert (crops[:2, :3] == 255).all() and (confidence[:2, :3] == 255).all()
    assert (crops == 255).sum() == 6
    assert summary["sites"]["a"]["not_predicted"] == 6
    assert summary["sites"]["a"]["not_predicted_share"] == 6 / 96


def test_a_site_without_any_value_is_mapped_as_nodata(place, run, three_models):
    place.missing["b"][:] = True
    output, summary, _ = run(three_models)
    assert (read(output / "b" / "crops.tif") == 255).all()
    assert summary["sites"]["b"]["hectares"] == [] and summary["sites"]["b"]["mean_confidence_percent"] is None


def test_the_share_of_filled_values_counts_mapped_pixels_alone(place, run, three_models):
    place.missing["a"][:2, :3] = True
    place.missing["b"][:] = True
    place.filled["a"][:3, :5] = True
    _, summary, _ = run(three_models)
    # 9 of the 15 filled pixels are mapped; three periods of 90 mapped pixels.
    assert summary["sites"]["a"]["filled_share"] == pytest.approx(9 / 270)
    assert summary["sites"]["b"]["filled_share"] is None


def test_composites_that_do_not_say_what_was_filled_are_refused(place, run, three_models, monkeypatch):
    import shutil

    write = place.write_composites

    def without(**options):
        path = write(**options)
        shutil.rmtree(path / "b" / "filled")
        return path

    monkeypatch.setattr(place, "write_composites", without)
    with pytest.raises(CropflowError, match=r"site b, lacks 'filled'; expected bool \(3, 6, 8\)"):
        run(three_models)


def test_parcels_get_crop_runner_up_and_doubt(place, run, three_models):
    parcels, crops = place.write_parcels()
    _, summary, table = run(three_models, parcels=parcels, crops=crops)
    assert table["parcel_id"].tolist() == ["p1", "p2", "p3"]
    assert table["predicted"].tolist() == [1, 2, -1]
    assert table["crop"].tolist() == [2, 2, 65534]
    assert table["doubt"].tolist() == [True, False, False]
    assert table["pixels"].tolist() == [32, 48, 0]
    assert table["crop_code"].tolist() == ["BTH", "NA", "MIS"]
    assert table.crs.to_epsg() == 4326
    assert summary["parcels"] == {
        "read": 3, "predicted": 2, "with a declared crop": 2, "agreeing": 1, "in doubt": 1,
    }  # fmt: skip


def test_a_parcel_across_two_folds_is_predicted_from_its_own_fold_alone(place, run, three_models):
    parcels, crops = place.write_parcels()
    _, _, table = run(three_models, "plain/2022", folds=place.write_folds(), parcels=parcels, crops=crops)
    # Parcel p2 spans two columns of fold 1 and four of fold 2, where its representative point lies.
    assert table["pixels"].tolist() == [32, 32, 0]
    np.testing.assert_allclose(table["probability"][:2], [0.6, 0.8])


def test_models_of_parcels_map_parcels_alone_and_average_their_folds(place, run, predictor):
    folder, crops = place.write_parcels()
    models = [predictor(fold, (1, 2, 3), kind="pixel_sets") for fold in range(3)]
    output, summary, parcels = run(models, parcels=folder, crops=crops)
    expected = np.full((8, 12), 255)
    expected[:, :4], expected[:, 6:] = 1, 2
    np.testing.assert_array_equal(read(output / "a" / "crops.tif"), expected)
    confidence = read(output / "a" / "confidence.tif")
    assert (confidence[expected < 255] == 70).all() and (confidence[expected == 255] == 255).all()
    assert summary["sites"]["a"]["outside_parcels"] == summary["sites"]["a"]["not_predicted"] == 16
    assert summary["sites"]["b"]["outside_parcels"] == summary["sites"]["b"]["not_predicted"] == 48
    assert parcels["predicted"].tolist() == [1, 2, -1]


def test_models_of_parcels_map_each_block_out_of_fold(place, run, predictor):
    models = [predictor(fold, (1, 2, 3), kind="pixel_sets") for fold in range(3)]
    folder, crops = place.write_parcels()
    output, _, _ = run(models, "plain/2022", folds=place.write_folds(), parcels=folder, crops=crops)
    confidence = read(output / "a" / "confidence.tif")
    spoken = np.broadcast_to(60 + 10 * fold_of_columns("a"), (8, 12))
    inside = confidence != 255
    np.testing.assert_array_equal(confidence[inside], spoken[inside])
    assert inside.sum() == 80


def test_models_of_parcels_need_parcels(run, predictor):
    models = [predictor(fold, (1, 2, 3), kind="pixel_sets") for fold in range(3)]
    with pytest.raises(CropflowError, match=r"\(pixel_sets\), and plain/2021 comes without parcels; expected"):
        run(models)


def test_parcels_without_declared_crops_are_never_doubtful(place, run, three_models):
    parcels, _ = place.write_parcels()
    _, summary, table = run(three_models, parcels=parcels)
    assert table["crop"].tolist() == [-1, -1, -1] and not table["doubt"].any()
    assert summary["parcels"]["with a declared crop"] == 0


def test_rasters_carry_colours_and_a_style(run, three_models):
    from cropflow.labels.legend import read_legend

    output, _, _ = run(three_models)
    legend = read_legend("turkoglu")
    for path in (output / "a" / "crops.tif", output / "mosaic.tif"):
        with rasterio.open(path) as raster:
            assert raster.colormap(1)[1] == (*legend.colour(1), 255)
            assert raster.crs.to_epsg() == 32631
            assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert raster.overviews(1)
        assert legend.name(1) in path.with_suffix(".qml").read_text(encoding="utf-8")
        copy_raster(path, output.parent / "copy.vrt", driver="VRT")
        names = ElementTree.parse(output.parent / "copy.vrt").findall(".//CategoryNames/Category")
        assert [name.text for name in names] == [None, *(legend.name(crop) for crop in (1, 2, 3))]


def test_the_mosaic_holds_both_sites(place, run, three_models):
    output, summary, _ = run(three_models)
    mosaic = read(output / "mosaic.tif")
    assert summary["mosaic"] == {"epsg": 32631, "shape": [8, 28]}
    np.testing.assert_array_equal(mosaic[:, :12], place.truth["a"])
    np.testing.assert_array_equal(mosaic[:6, 20:], place.truth["b"])
    assert (mosaic[:, 12:20] == 255).all() and (mosaic[6:, 20:] == 255).all()


def test_the_same_input_gives_the_same_bytes_and_a_manifest(place, run, three_models):
    parcels, crops = place.write_parcels()
    hashes = []
    for _ in range(2):
        output, _, _ = run(three_models, parcels=parcels, crops=crops)
        hashes.append(content_hash(output))
    assert hashes[0] == hashes[1]
    manifest = json.loads(manifest_path(output).read_text())
    assert manifest["sha256"] == hashes[0][0]
    assert manifest["counts"]["pixels"] == 144 and manifest["counts"]["parcels read"] == 3


def test_composites_that_the_models_were_not_trained_for_are_refused(run, three_models):
    with pytest.raises(CropflowError, match="B08, B04"):
        run(three_models, bands=("B08", "B04"))
    with pytest.raises(CropflowError, match="4 periods"):
        run(three_models, periods=4)


def test_composites_without_a_site_or_on_another_grid_are_refused(run, three_models):
    a = Grid(32631, 400_000.0, 5_000_080.0, 8, 12, 10.0)
    with pytest.raises(CropflowError, match="lacks the site 'b'"):
        run(three_models, sites={"a": a})
    with pytest.raises(CropflowError, match="lies on"):
        run(three_models, sites={"a": Grid(32631, 400_010.0, 5_000_080.0, 8, 12, 10.0)})


def test_models_that_do_not_belong_together_are_refused(place, run, predictor, three_models):
    with pytest.raises(CropflowError, match=r"folds \[0, 2\]"):
        run([predictor(0, (1, 2)), predictor(2, (1, 2))])
    with pytest.raises(CropflowError, match="legends other, turkoglu"):
        run([predictor(0, (1, 2)), predictor(1, (1, 2), legend="other")])
    stores = place.write_predictions("plain/2021", [3, 1, 2], classes=(1, 2, 3, 4))
    with pytest.raises(CropflowError, match="differ in number or classes"):
        run(three_models, predictions=stores, folds=place.write_folds())
    with pytest.raises(CropflowError, match="fold 2, but 2 --model"):
        run(three_models[:2], folds=place.write_folds())


def test_wrong_options_are_refused(run, three_models, tmp_path):
    with pytest.raises(CropflowError, match="expected region/season"):
        run(three_models, "plain")
    with pytest.raises(CropflowError, match="--crops was given without --parcels"):
        run(three_models, crops=tmp_path / "crops.parquet")
