import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from cropflow.errors import CropflowError
from cropflow.files.manifest import manifest_path
from cropflow.labels.legend import read_legend

ALL = (1, 2, 3)


def value(metrics, key):
    return metrics["metrics"][key]["value"]


def test_perfect_predictions_score_one_at_every_level_and_unit(region, predict, run):
    metrics, confusion, parcels = run([region], predict([region.truth] * 3, [ALL] * 3))
    for key, entry in metrics["metrics"].items():
        if not key.endswith("kappa"):
            assert entry["value"] == 1.0, key
    assert (confusion["truth"] == confusion["predicted"]).all()
    assert parcels["predicted"].tolist() == [1, 2, 3, 1, 2, 3]
    assert metrics["metrics"]["level_3.pixel.overall_accuracy"]["support"] == 96
    assert metrics["metrics"]["level_3.rim.overall_accuracy"]["support"] == 24
    assert metrics["metrics"]["level_3.parcel_area.overall_accuracy"]["support"] == 20.5
    assert metrics["counts"]["test parcels scored"] == 6


def test_each_fold_is_scored_with_its_own_model_on_its_own_pixels(region, predict, run):
    # Every model is right on its test columns and wrong everywhere else.
    stores = []
    for fold in range(3):
        stores.append(np.where(region.folds == fold, region.truth, region.truth % 3 + 1))
    metrics, _, _ = run([region], predict(stores, [ALL] * 3))
    assert value(metrics, "level_3.pixel.overall_accuracy") == 1.0
    assert value(metrics, "level_3.parcel.overall_accuracy") == 1.0


def test_scores_equal_scikit_learn_on_the_pixels_at_every_level(make_region, predict, run):
    legend = read_legend("turkoglu")
    crops = list(legend.ids[3:9])
    region = make_region(crops)
    generator = np.random.default_rng(8)
    ids = np.where(
        generator.random(region.truth.shape) < 0.5, region.truth, generator.choice(crops, region.truth.shape)
    )
    metrics, confusion, _ = run([region], predict([ids] * 3, [sorted(crops)] * 3))
    for level in (1, 2, 3):
        truth, predicted = (
            [legend.ancestor(int(crop), level) for crop in layer.ravel()] for layer in (region.truth, ids)
        )
        prefix = f"level_{level}.pixel."
        assert value(metrics, prefix + "overall_accuracy") == pytest.approx(
            sklearn_metrics.accuracy_score(truth, predicted)
        )
        assert value(metrics, prefix + "kappa") == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, predicted))
        assert value(metrics, prefix + "weighted_f1") == pytest.approx(
            sklearn_metrics.f1_score(truth, predicted, average="weighted")
        )
        rows = confusion[(confusion["level"] == level) & (confusion["unit"] == "pixel")]
        assert rows["count"].sum() == 96


def test_a_class_that_its_fold_never_learnt_stays_an_error(region, predict, run):
    # The model of fold 2 does not know class 3, which grows in fold 2 alone.
    stores = predict([region.truth, region.truth, np.full_like(region.truth, 1)], [ALL, ALL, (1, 2)])
    metrics, confusion, parcels = run([region], stores)
    assert value(metrics, "level_3.parcel.overall_accuracy") == pytest.approx(4 / 6)
    assert value(metrics, "level_3.parcel.balanced_accuracy") == pytest.approx(2 / 3)
    lost = confusion[(confusion["truth"] == 3) & (confusion["unit"] == "parcel") & (confusion["level"] == 3)]
    assert lost[["predicted", "count"]].to_numpy().tolist() == [[1, 2.0]]
    (entry,) = [found for found in metrics["classes"]["level_3"]["parcel"] if found["id"] == 3]
    assert entry["recall"] == entry["f1"] == 0.0 and entry["precision"] is None
    assert entry["untrained_folds"] == [2] and entry["absent_folds"] == [0, 1]
    assert metrics["folds"][2]["classes_untrained"] == [3]
    assert parcels.loc[parcels["crop"] == 3, "predicted"].tolist() == [1, 1]


def test_a_class_absent_from_a_fold_is_listed_and_never_averaged_as_zero(region, predict, run):
    metrics, _, _ = run([region], predict([region.truth] * 3, [(1, 2, 3, 4)] * 3))
    assert metrics["metrics"]["level_3.pixel.macro_f1"]["per_fold"] == [1.0, 1.0, 1.0]
    assert metrics["folds"][0]["classes"] == [1]
    assert metrics["folds"][0]["classes_absent"] == [2, 3, 4]
    (entry,) = [found for found in metrics["classes"]["level_3"]["pixel"] if found["id"] == 4]
    assert entry["support"] == 0 and entry["f1"] is None and entry["absent_folds"] == [0, 1, 2]
    assert metrics["chance_balanced_accuracy"] == pytest.approx(1 / 3)


def test_nothing_predicted_gives_no_score_and_says_how_much_is_missing(region, predict, run):
    nothing = np.full(region.truth.shape, -1)
    metrics, confusion, parcels = run([region], predict([nothing] * 3, [ALL] * 3))
    assert len(confusion) == len(parcels) == 0
    assert {entry["value"] for entry in metrics["metrics"].values()} == {None}
    assert metrics["not_predicted"]["pixel"] == {"count": 96, "of": 96, "share": 1.0}
    assert metrics["not_predicted"]["parcel"] == {"count": 6, "of": 6, "share": 1.0}
    assert metrics["not_predicted"]["parcel_area"]["count"] == 20.5
    assert metrics["chance_balanced_accuracy"] is None


def test_pixels_without_a_prediction_are_counted_by_unit_and_enter_no_score(region, predict, run):
    ids = region.truth.astype(int)
    ids[0, :4] = -1
    metrics, _, parcels = run([region], predict([ids] * 3, [ALL] * 3))
    assert [metrics["not_predicted"][unit]["count"] for unit in ("pixel", "interior", "rim", "parcel")] == [4, 0, 4, 0]
    assert parcels["pixels"].tolist() == [12, 16, 16, 16, 16, 16]


def test_unknown_and_out_of_scope_parcels_do_not_count(make_region, predict, run):
    region = make_region([1, 65534, 0, 2, 2, 1])
    metrics, _, parcels = run([region], predict([np.full((8, 12), 1)] * 3, [(1, 2)] * 3))
    assert parcels["index"].tolist() == [1, 4, 5, 6]
    assert metrics["counts"]["parcels out of scope or unknown"] == 2
    assert metrics["metrics"]["level_3.pixel.overall_accuracy"]["support"] == 64
    assert "without_background" not in metrics


def test_background_is_scored_where_it_was_learnt_and_left_out_beside(make_region, predict, run):
    region = make_region([1, 0, 0, 0, 1, 0])
    metrics, _, _ = run([region], predict([np.zeros((8, 12))] * 3, [(0, 1)] * 3))
    assert value(metrics, "level_3.parcel.overall_accuracy") == pytest.approx(4 / 6)
    crops_only = metrics["without_background"]["level_3.parcel.overall_accuracy"]
    assert crops_only["value"] == 0.0 and crops_only["support"] == 2
    assert metrics["classes"]["level_1"]["pixel"][0]["name"] == "background"


def test_the_ring_between_folds_counts_for_nothing(region, predict, run):
    region.folds[:, 3:5] = 255
    wrong_in_ring = np.where(region.folds == 255, 3, region.truth)
    wrong_in_ring[:, 8:] = region.truth[:, 8:]
    metrics, _, parcels = run([region], predict([wrong_in_ring] * 3, [ALL] * 3))
    assert value(metrics, "level_3.pixel.overall_accuracy") == 1.0
    assert metrics["metrics"]["level_3.pixel.overall_accuracy"]["support"] == 80
    assert parcels["pixels"].tolist() == [12, 12, 16, 12, 12, 16]


def test_a_parcel_that_lies_in_the_ring_alone_is_counted_as_not_predicted(region, predict, run):
    region.folds[:4, :4] = 255
    metrics, _, parcels = run([region], predict([region.truth] * 3, [ALL] * 3))
    assert parcels["index"].tolist() == [2, 3, 4, 5, 6]
    assert metrics["not_predicted"]["parcel"]["count"] == 1


def test_places_are_pooled_and_told_apart(make_region, predict, run, tmp_path):
    first, second = make_region([1, 2, 3, 1, 2, 3]), make_region([2, 2, 2, 2, 2, 2], "hills/2022")
    stores = predict([first.truth] * 3, [ALL] * 3)
    import zarr

    for path in stores:
        store = zarr.open_group(str(path), mode="a")
        store.require_group("hills/2022").create_group("a", attributes=store["plain/2021/a"].attrs.asdict())
        store["hills/2022/a"].create_array("probability", data=store["plain/2021/a/probability"][:])
    metrics, _, parcels = run([first, second], stores)
    assert value(metrics, "level_3.parcel.overall_accuracy") == pytest.approx(8 / 12)
    assert parcels["region"].tolist() == ["hills"] * 6 + ["plain"] * 6


def test_the_majority_baseline_predicts_the_commonest_training_class(make_region, predict, run):
    # Fold f learns from fold f + 2 alone: folds 2, 0 and 1.
    region = make_region([1, 2, 3, 1, 2, 3])
    metrics, _, _ = run([region], predict([region.truth] * 3, [ALL] * 3))
    majority = metrics["baseline"]["majority"]
    assert majority.keys() == metrics["metrics"].keys()
    assert majority["level_3.parcel.overall_accuracy"]["per_fold"] == [0.0, 0.0, 0.0]
    same_everywhere = make_region([1, 1, 1, 1, 2, 1])
    metrics, _, _ = run([same_everywhere], predict([same_everywhere.truth] * 3, [(1, 2)] * 3))
    assert metrics["baseline"]["majority"]["level_3.parcel.overall_accuracy"]["per_fold"][1] == 0.5


def test_small_test_folds_are_warned_about_and_parcels_get_an_interval(region, predict, run):
    metrics, _, _ = run([region], predict([region.truth] * 3, [ALL] * 3), minimum=3)
    assert "Test fold 1 has 2 parcels, fewer than 3" in metrics["folds"][1]["warning"]
    assert metrics["metrics"]["level_3.parcel.overall_accuracy"]["interval"] == [1.0, 1.0]
    assert metrics["metrics"]["level_3.pixel.overall_accuracy"]["interval"] is None
    assert run([region], predict([region.truth] * 3, [ALL] * 3), minimum=2)[0]["folds"][1]["warning"] is None


def test_the_same_input_gives_the_same_bytes_and_every_file_its_manifest(region, predict, run, tmp_path):
    stores = predict([region.truth % 3 + 1] * 3, [ALL] * 3)
    names = ("metrics.json", "confusion.parquet", "parcels.parquet")
    contents = []
    for _ in range(2):
        run([region], stores)
        files = [tmp_path / "out" / name for name in names]
        contents.append([path.read_bytes() for path in [*files, *map(manifest_path, files)]])
    assert contents[0] == contents[1]
    assert json.loads(contents[0][3])["counts"]["parcels"] == 6


def test_confusion_and_parcel_tables_agree(region, predict, run):
    _, confusion, parcels = run([region], predict([np.full((8, 12), 2)] * 3, [ALL] * 3))
    rows = confusion[(confusion["level"] == 3) & (confusion["unit"] == "parcel_area")]
    assert rows["count"].sum() == parcels["site_area_ha"].sum()
    assert parcels.columns.tolist()[:4] == ["region", "season", "site", "index"]
    np.testing.assert_allclose(parcels["probability"], 0.7)
    np.testing.assert_allclose(parcels["second_probability"], 0.15)


def refused(run, regions, stores, message):
    with pytest.raises(CropflowError, match=message):
        run(regions, stores)


def test_folds_must_be_complete(region, predict, run):
    stores = predict([region.truth] * 3, [ALL] * 3)
    refused(run, [region], stores[1:], r"folds \[1, 2\]")
    refused(run, [region], stores[:2], "fold 2, but there are predictions of 2 folds")
    refused(run, [region], [stores[0], stores[0]], "each of 0 to 1 once")


def test_predictions_must_hold_every_site_that_they_test(region, predict, run):
    stores = predict([region.truth] * 3, [ALL] * 3, place="elsewhere/2021")
    refused(run, [region], stores, "fold 0 lack plain/2021/a")


def test_predictions_on_another_grid_are_refused(region, predict, run):
    from cropflow.regions.grid import Grid

    moved = Grid(32631, 400_010.0, 5_000_000.0, 8, 12, 10.0)
    refused(run, [region], predict([region.truth] * 3, [ALL] * 3, grid=moved), "the samples on")


def test_different_legends_are_refused(region, predict, run):
    import zarr

    stores = predict([region.truth] * 3, [ALL] * 3)
    zarr.open_group(str(stores[1]), mode="a").attrs["legend"] = "other"
    refused(run, [region], stores, "legends other, turkoglu")


def test_places_and_samples_must_pair_up(region, predict, tmp_path):
    from cropflow.evaluation.command import evaluation

    files = {"output": tmp_path / "m.json", "confusion": tmp_path / "c.parquet", "parcels": tmp_path / "p.parquet"}
    settings = json.dumps({"set": "s", "model": {"name": "random_forest"}, "train": [{"region": "a", "season": "b"}]})
    for place, samples, message in (
        (["a/b"], [], "1 --place and 0 --samples"),
        (["ab"], [tmp_path], "region/season"),
        (["a/b", "a/b"], [tmp_path] * 2, "twice"),
    ):
        with pytest.raises(CropflowError, match=message):
            evaluation(place=place, samples=samples, predictions=[], settings=settings, **files)


def test_scores_against_a_map_are_called_agreement(region, predict, run, caplog):
    stores = predict([region.truth] * 3, [ALL] * 3)
    survey = run([region], stores)[0]
    assert (survey["labels"], survey["scores"]) == ({"plain/2021": "survey"}, "accuracy")
    against_map = run([region], stores, more=["--labels", "map"])[0]
    assert (against_map["labels"], against_map["scores"]) == ({"plain/2021": "map"}, "agreement")
    assert against_map["metrics"] == survey["metrics"]
    assert "the labels of plain/2021 come from a map" in caplog.text


def test_missing_columns_and_sites_are_named(region, predict, run):
    stores = predict([region.truth] * 3, [ALL] * 3)
    whole = region.table
    region.table = whole.drop(columns="site_area_ha")
    refused(run, [region], stores, "lacks the columns site_area_ha")
    region.table = whole.assign(site="b")
    refused(run, [region], stores, "no crops.tif of the site 'b'")
    region.table = whole.assign(index=1)
    refused(run, [region], stores, "index twice")
