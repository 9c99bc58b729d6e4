"""Boosted trees, and baselines whose unit is the parcel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys

from cropflow.errors import CropflowError
from cropflow.models import create, load_predictor
from cropflow.models.applying.series import stored_batch
from cropflow.models.baselines.boosting import fit_boosted
from cropflow.models.baselines.forest import Pixels, predict_pixels
from cropflow.models.baselines.parcels import average_parcels, average_rows
from cropflow.models.baselines.skops_files import read_skops, write_skops
from cropflow.models.data.pixel_sets import read_pixel_sets
from cropflow.models.data.samples import Split
from cropflow.models.data.survey import survey
from cropflow.models.engine.fitting import Job, train_model


def fit(folder: Path, output: Path, threads: int = 1, **settings: Any) -> dict[str, Any]:
    job = Job(("r/s",), (folder,), "turkoglu", False, 5, 0, 1, threads)
    fitted = train_model(job, json.dumps(settings), output.parent / "work", output)
    assert fitted is not None
    return fitted.counts


def history(output: Path) -> dict[str, float]:
    header, row = (output / "history.csv").read_text().splitlines()
    return {key: float(value) for key, value in zip(header.split(","), row.split(","), strict=True) if value}


BOOSTED = {"name": "gradient_boosting", "iterations": 20, "minimum_leaf": 3, "patience": 3}


def test_boosted_trees_learn_the_toy_and_tell_no_random_split(
    make_samples: Callable[..., Path], tmp_path: Path
) -> None:
    counts = fit(make_samples(), tmp_path / "model", **BOOSTED, pixels_per_parcel=4)
    assert counts["drawn_training_pixels"] == 9 * 4 * 4
    row = history(tmp_path / "model")
    assert row["validation_balanced_accuracy"] > 0.95 and 1 <= row["epoch"] <= 20
    assert "random_split" not in json.loads((tmp_path / "model/model.json").read_text())


def test_equal_boosted_trees_give_equal_bytes(make_samples: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_samples()
    for name in ("one", "two"):
        fit(folder, tmp_path / name, **BOOSTED)
    for file in ("model.skops", "model.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def noise(seed: int, count: int = 60) -> Pixels:
    generator = np.random.default_rng(seed)
    return Pixels(generator.random((count, 4), np.float32), generator.integers(3, size=count), count)


def test_the_validation_fold_alone_ends_boosting() -> None:
    section = {"iterations": 30, "minimum_leaf": 2}
    training, validation = noise(0), noise(1)
    assert fit_boosted(create("gradient_boosting", **section), training, validation, None, 1) == 30
    # Nothing can be learnt from noise: its loss on other noise soon gets no better.
    model = create("gradient_boosting", **section)
    assert fit_boosted(model, training, validation, 3, 1) < 30
    expected = create("gradient_boosting", **section)
    expected.set_params(early_stopping=True, n_iter_no_change=3)
    expected.fit(training.features, training.classes, X_val=validation.features, y_val=validation.classes)
    np.testing.assert_array_equal(model.predict_proba(validation.features), expected.predict_proba(validation.features))


def test_without_a_validation_sample_of_a_known_class_all_rounds_are_run() -> None:
    training, validation = noise(0), noise(1)
    strange = Pixels(validation.features, np.full(60, 7), 60)
    nothing = Pixels(validation.features[:0], validation.classes[:0], 0)
    for watched in (strange, nothing):
        assert fit_boosted(create("gradient_boosting", iterations=5, minimum_leaf=2), training, watched, 1, 1) == 5


def test_boosted_trees_survive_the_archive_and_threads_change_no_probability(tmp_path: Path) -> None:
    training = noise(0)
    model = create("gradient_boosting", iterations=5, minimum_leaf=2, class_weights="balanced")
    fit_boosted(model, training, noise(1), 2, 1)
    write_skops(tmp_path / "m.skops", model)
    expected = model.predict_proba(training.features)
    for threads in (1, 3):
        found = predict_pixels(read_skops(tmp_path / "m.skops"), training.features, 3, threads)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["random_forest", "gradient_boosting"])
def test_parcels_are_learnt_by_their_mean_series(name: str, tmp_path: Path) -> None:
    folder = toys.write_parcels(tmp_path / "sets", "pixel_sets", layouts=(toys.OPTICS, toys.RADAR))
    settings = {"trees": 20} if name == "random_forest" else {"iterations": 10, "minimum_leaf": 2}
    counts = fit(folder, tmp_path / "model", name=name, unit="parcel", **settings)
    assert (counts["averaged_training_parcels"], counts["averaged_validation_parcels"]) == (18, 6)
    assert history(tmp_path / "model")["validation_accuracy"] == 1
    assert "random_split" not in json.loads((tmp_path / "model/model.json").read_text())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_parcel_is_predicted_from_the_mean_that_was_learnt_from(threads: int, tmp_path: Path) -> None:
    folder = toys.write_parcels(tmp_path / "sets", "pixel_sets")
    fit(folder, tmp_path / "model", name="gradient_boosting", unit="parcel", iterations=5, minimum_leaf=2)
    predictor = load_predictor(tmp_path / "model", threads)
    assert predictor.kind == "pixel_sets"
    place = (samples := read_pixel_sets(["r/s"], [folder], "pixel_sets")).places[0]
    values = np.full((len(place), 6, 2, int(place.counts.max())), 0, np.uint16)
    for parcel, (start, count) in enumerate(zip(place.starts, place.counts, strict=True)):
        values[parcel, ..., :count] = np.moveaxis(place.values["sentinel2"][start : start + count], 0, -1)
    batch = stored_batch({"sentinel2": values}, {"sentinel2": np.arange(6)}, None)
    features = average_rows(place, np.arange(len(place)), samples.layouts)
    expected = predict_pixels(read_skops(tmp_path / "model/model.skops"), features, 3, 1)
    np.testing.assert_allclose(predictor.probability(batch), expected, atol=1e-6)


def test_a_mean_counts_the_pixels_that_have_a_value_in_every_band(tmp_path: Path) -> None:
    def gap(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values[0, 2, 1] = 0
        return values

    folder = toys.write_parcels(tmp_path / "sets", "pixel_sets", seed=3, change={"sentinel2": gap})
    samples = read_pixel_sets(["r/s"], [folder], "pixel_sets")
    place = samples.places[0]
    assert place.counts[0] > 1
    found = average_rows(place, np.arange(len(place)), samples.layouts).reshape(len(place), 6, 2)
    for parcel in range(len(place)):
        own = place.values["sentinel2"][place.starts[parcel] :][: place.counts[parcel]].astype(float)
        valid = (own > 0).all(2, keepdims=True)
        np.testing.assert_allclose(found[parcel], (own * valid).sum(0) / valid.sum(0) / 10_000, rtol=1e-5)


def test_means_do_not_depend_on_how_many_are_taken_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = toys.write_parcels(tmp_path / "sets", "pixel_sets")
    samples = read_pixel_sets(["r/s"], [folder], "pixel_sets")
    known = survey(samples, Split(0, 5, False), complete=True)
    expected = average_parcels(samples, known, known.training)
    monkeypatch.setattr("cropflow.models.baselines.parcels._PIXELS", 7)
    found = average_parcels(samples, known, known.training)
    np.testing.assert_array_equal(found.features, expected.features)
    assert found.classes.tolist() == expected.classes.tolist()
    assert len(average_parcels(samples, known, known.training[:0]).features) == 0


def test_settings_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(CropflowError, match="learns from all parcels and all of their pixels; drop maximum_pixels"):
        create("random_forest", unit="parcel", maximum_pixels=500)
    assert create("gradient_boosting", unit="parcel", l2=0.5).l2_regularization == 0.5
