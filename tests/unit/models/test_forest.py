"""The forest: its draw, its bytes, and what its file may hold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import FunctionTransformer

from cropflow.errors import CropflowError
from cropflow.models import load_predictor
from cropflow.models.applying.series import days_of, stored_batch
from cropflow.models.baselines.forest import draw_pixels, predict_pixels, to_features
from cropflow.models.baselines.skops_files import read_skops, write_skops
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split
from cropflow.models.data.survey import survey
from cropflow.models.engine.fitting import Job, train_model
from cropflow.samples.sensors import Layout

SETTINGS = json.dumps({"name": "random_forest", "trees": 5, "pixels_per_parcel": 4})


def fit(folder: Path, output: Path, threads: int = 1) -> Any:
    job = Job(("r/s",), (folder,), "turkoglu", False, 5, 0, 1, threads)
    return train_model(job, SETTINGS, output.parent / "work", output)


def test_a_forest_learns_the_toy(make_samples: Callable[..., Path], tmp_path: Path) -> None:
    fitted = fit(make_samples(), tmp_path / "model")
    assert fitted.counts["drawn_training_pixels"] == 9 * 4 * 4
    assert fitted.counts["drawn_from_parcels"] == 36
    header, row = (tmp_path / "model/history.csv").read_text().splitlines()
    assert float(dict(zip(header.split(","), row.split(","), strict=True))["validation_balanced_accuracy"]) > 0.95
    split = json.loads((tmp_path / "model/model.json").read_text())["random_split"]
    assert split["accuracy"] > 0.9 and split["balanced_accuracy"] > 0.9 and 0 < split["pixels"] <= 9 * 4 * 4
    assert split["what"] == "out-of-bag pixels: neighbours of the same parcel in training"
    predictor = load_predictor(tmp_path / "model")
    reflectance = np.array([[500, 800], [1500, 1800], [2500, 2800], [3500, 3800]], np.uint16)[..., None, None]
    series = stored_batch({"sentinel2": reflectance[None]}, days_of(predictor.layouts), None)
    probability = predictor.probability(predictor.prepare(series))
    assert probability.shape == (1, 2, 1, 1)
    assert predictor.classes[int(probability[0, :, 0, 0].argmax())] == 3


def test_equal_forests_give_equal_bytes_with_any_number_of_threads(
    make_samples: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_samples()
    fit(folder, tmp_path / "one")
    fit(folder, tmp_path / "two", threads=3)
    for file in ("model.skops", "model.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_labels_outside_the_training_folds_change_no_byte_of_the_forest(
    make_samples: Callable[..., Path], tmp_path: Path
) -> None:
    def other(crops: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        crops = crops.copy()
        crops[::5], crops[1::5] = 11, 65535
        return crops

    fit(make_samples("a"), tmp_path / "one")
    fit(make_samples("b", crops=other), tmp_path / "two")
    for file in ("model.skops", "statistics.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_parcel_in_two_patches_gives_its_pixels_once(make_samples: Callable[..., Path]) -> None:
    folder = make_samples(parcels=lambda parcels: (parcels - 1) % 4 + 1, crops=lambda crops: np.full_like(crops, 3))
    samples, split = read_samples("patches", ["r/s"], [folder]), Split(0, 5, False)
    found = survey(samples, split, complete=True)
    pixels = draw_pixels(samples, found, split, split.training, 6, 100, 0)
    assert (pixels.parcels, len(pixels.classes)) == (4, 24)
    assert len(draw_pixels(samples, found, split, split.training, 6, 10, 0).classes) == 10


def test_pixels_that_are_dropped_site_by_site_would_not_have_been_drawn(
    make_samples: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_samples()
    index = pandas.read_parquet(folder / "index.parquet")
    index.assign(site=[f"s{row // 3}" for row in range(len(index))]).to_parquet(folder / "index.parquet")
    samples, split = read_samples("patches", ["r/s"], [folder]), Split(0, 5, False)
    found = survey(samples, split, complete=True)
    drawn = []
    for held in (10**9, 0):
        monkeypatch.setattr("cropflow.models.baselines.forest._HELD", held)
        drawn.append(draw_pixels(samples, found, split, split.training, 6, 20, 0))
    np.testing.assert_array_equal(drawn[0].features, drawn[1].features)
    assert len(drawn[0].features) == 20 and drawn[0].parcels == drawn[1].parcels > 20


def test_probabilities_equal_scikit_learns_own() -> None:
    generator = np.random.default_rng(0)
    features = generator.random((50, 6), dtype=np.float32)
    forest = RandomForestClassifier(7, random_state=0).fit(features, np.where(features[:, 0] > 0.5, 2, 0))
    found = predict_pixels(forest, features, 4, 2)
    np.testing.assert_allclose(found[:, [0, 2]], forest.predict_proba(features), atol=1e-6)
    assert not found[:, [1, 3]].any()


def test_features_are_reflectance_period_by_period() -> None:
    series = np.array([[[1000, 2000], [3000, 4000]]], np.uint16)
    layout = Layout("sentinel2", ("B04", "B08"), (), ("2021-01-01", "2021-02-01"))
    found = to_features({"sentinel2": series}, [layout])
    np.testing.assert_allclose(found, [[0.1, 0.2, 0.3, 0.4]], rtol=1e-6)


def test_features_of_several_sensors_stand_side_by_side_each_in_its_unit() -> None:
    periods = ("2021-01-01", "2021-02-01")
    layouts = [
        Layout("sentinel2", ("B04", "NDVI"), ("NDVI",), periods),
        Layout("sentinel1_ascending", ("VH",), (), (*periods, "2021-03-01")),
    ]
    optics = np.array([[[1000, 32768 + 5000], [2000, 32768 - 1000]]], np.uint16)
    radar = np.array([[[-2000], [-1550], [100]]], np.int16)
    found = to_features({"sentinel1_ascending": radar, "sentinel2": optics}, layouts)
    np.testing.assert_allclose(found, [[0.1, 0.5, 0.2, -0.1, -2.0, -1.55, 0.1]], rtol=1e-6)


def test_a_rewritten_archive_reads_like_skops_own(tmp_path: Path) -> None:
    features = np.random.default_rng(0).random((60, 3), dtype=np.float32)
    forest = RandomForestClassifier(4, random_state=0).fit(features, features[:, 0] > 0.5)
    write_skops(tmp_path / "f.skops", forest)
    np.testing.assert_array_equal(
        read_skops(tmp_path / "f.skops").predict_proba(features), forest.predict_proba(features)
    )


def test_an_archive_with_another_type_is_refused_unopened(tmp_path: Path) -> None:
    skops.io.dump(FunctionTransformer(func=json.loads), tmp_path / "f.skops")
    with pytest.raises(CropflowError, match=r"holds the types .*json"):
        read_skops(tmp_path / "f.skops")
    (tmp_path / "g.skops").write_bytes(b"no archive")
    with pytest.raises(CropflowError, match="no skops archive"):
        read_skops(tmp_path / "g.skops")


def test_a_forest_is_trained_and_applied_without_torch() -> None:
    modules = "cropflow.models.engine.fitting", "cropflow.models.applying.held_out", "cropflow.models.baselines.forest"
    script = f"import sys, {', '.join(modules)}; assert not {{'torch', 'lightning'}} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
