"""Models of several sensors: one normalisation per band of each, and what none of them tells alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cropflow.config.models.drawing import CutoutDrawing
from cropflow.errors import CropflowError
from cropflow.models import load_predictor
from cropflow.models.applying.prediction import check_series
from cropflow.models.applying.series import days_of, stored_batch
from cropflow.models.batch import batch_of
from cropflow.models.data.alignment import on_one_axis
from cropflow.models.data.batches import dataset_of
from cropflow.models.data.drawing import Draws
from cropflow.models.data.normalisation import Normalise
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split
from cropflow.models.data.statistics import Statistics
from cropflow.models.data.survey import survey
from cropflow.models.engine.fitting import Job, train_model

RADAR = "sentinel1_ascending"
FOREST = {"name": "random_forest", "trees": 20}
NETWORK = {
    "temporal_width": 16,
    "widths": [16, 16],
    "positions": True,
    "schedule": "one_cycle",
    "epochs": 20,
    "dropout": 0.0,
}
PERIODS = ("2021-01-01", "2021-02-01")


def fit(folder: Path, settings: dict[str, Any], output: Path) -> float:
    """Train and give the best balanced accuracy on the validation fold."""
    job = Job(("r/s",), (folder,), "turkoglu", False, 5, 0, 1, 1)
    train_model(job, json.dumps(settings), output.parent / "work", output)
    with (output / "history.csv").open() as handle:
        return max(float(row["validation_balanced_accuracy"]) for row in csv.DictReader(handle))


@pytest.mark.parametrize("model", ["forest", "network"])
def test_sensors_together_tell_what_none_of_them_tells_alone(
    make_fused: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path, model: str
) -> None:
    settings = FOREST if model == "forest" else narrow | NETWORK
    assert fit(make_fused(), settings, tmp_path / "both") > 0.97
    assert fit(make_fused("optics", without="backscatter"), settings, tmp_path / "optics") < 0.8
    assert fit(make_fused("radar", without="reflectance"), settings, tmp_path / "radar") < 0.9
    described = json.loads((tmp_path / "both/model.json").read_text())["sensors"]
    assert [(one["sensor"], one["bands"], one["unit"]) for one in described] == [
        ("sentinel2", ["B04", "B08"], "reflectance x 10000"),
        (RADAR, ["VV", "VH", "VH-VV"], "dB x 100"),
    ]
    predictor = load_predictor(tmp_path / "both")
    samples = read_samples("patches", ["r/s"], [tmp_path / "fused"])
    assert predictor.layouts == samples.layouts
    series = samples.places[0].series[:3].read()
    days = days_of(predictor.layouts)
    whole = predictor.probability(predictor.prepare(stored_batch(series.values, days, None)))
    assert whole.shape == (3, 4, 16, 16)
    backwards = stored_batch(dict(reversed(series.values.items())), days, None)
    np.testing.assert_array_equal(predictor.probability(predictor.prepare(backwards)), whole)


def measured_as(radiometry: str, folder: Path) -> Path:
    """The same samples, their radar in a radiometry."""
    about = json.loads((folder / "patches.json").read_text())
    about["sensors"][1]["radiometry"] = radiometry
    (folder / "patches.json").write_text(json.dumps(about))
    return folder


def test_places_of_sigma0_and_gamma0_are_never_learnt_from_together(make_fused: Callable[..., Path]) -> None:
    folders = [measured_as("sigma0", make_fused("one")), measured_as("gamma0", make_fused("other"))]
    with pytest.raises(CropflowError, match=r"b/s has gamma0 of sentinel1_ascending; expected sigma0, as a/s has\. .*"):
        read_samples("patches", ["a/s", "b/s"], folders)


def test_a_model_of_sigma0_refuses_gamma0(make_fused: Callable[..., Path], tmp_path: Path) -> None:
    fit(measured_as("sigma0", make_fused()), FOREST, tmp_path / "model")
    predictor = load_predictor(tmp_path / "model")
    assert [layout.radiometry for layout in predictor.layouts] == ["", "sigma0"]
    check_series(predictor, predictor.layouts, "it")
    optics, radar = predictor.layouts
    with pytest.raises(CropflowError, match="it has gamma0 of sentinel1_ascending; expected sigma0, which the model"):
        check_series(predictor, [optics, replace(radar, radiometry="gamma0")], "it")


def test_statistics_of_backscatter_are_those_of_its_decibels(make_fused: Callable[..., Path]) -> None:
    def gaps(backscatter: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        backscatter[:, 1, 0, 3:5] = -32768
        backscatter[2, 0, 1, 6, 6] = 0
        return backscatter

    samples = read_samples("patches", ["r/s"], [make_fused(backscatter=gaps)])
    optics, radar = survey(samples, Split(0, 5, False)).statistics
    assert (optics.sensor, radar.sensor) == ("sentinel2", RADAR)
    training = [i for i in range(15) if i % 5 >= 2]
    for band in range(3):
        values = samples.places[0].series.values[RADAR][training][:, :, band].astype(float)
        known = values[values != -32768]
        assert radar.values[band] == known.size
        assert radar.mean[band] == pytest.approx(known.mean(), rel=1e-12)
        assert radar.deviation[band] == pytest.approx(known.std(), rel=1e-9)


def test_a_pixel_without_radar_is_no_target_and_counted(make_fused: Callable[..., Path]) -> None:
    def gap(backscatter: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        backscatter[:, 2, 1, :, 8] = -32768
        return backscatter

    samples, split = read_samples("patches", ["r/s"], [make_fused(backscatter=gap)]), Split(0, 5, False)
    found = survey(samples, split, complete=True)
    assert found.incomplete == (9 * 16, 3 * 16, 3 * 16)
    batch = dataset_of(samples, found, split.training)[[2]]
    targets = batch.target[0]
    assert {sensor: (one.values.dtype, one.values.shape[1:3]) for sensor, one in batch.series.items()} == {
        "sentinel2": (torch.uint16, (4, 2)),
        RADAR: (torch.int16, (4, 3)),
    }
    assert (targets[:, 8] == -1).all()
    assert (targets[:, :8] >= 0).all()


def test_a_turn_is_one_draw_for_all_sensors(make_fused: Callable[..., Path]) -> None:
    def spot(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values[2, :, :, 7, 8] = 7777
        return values

    samples = read_samples("patches", ["r/s"], [make_fused(reflectance=spot, backscatter=spot)])
    split = Split(0, 5, False)
    found = survey(samples, split)
    settings = CutoutDrawing(cutout=9)
    seen = set()
    for epoch in range(12):
        series = dataset_of(samples, found, split.training, Draws(settings, 3, epoch, {}))[[2 * 4]].series
        places = [(one.values.numpy()[0, 0, 0] == 7777).nonzero() for one in series.values()]
        np.testing.assert_array_equal(*places)
        seen.add(np.concatenate(places[0]).tobytes())
    assert len(seen) > 3


def test_normalisation_knows_each_sensors_nodata_and_joins_their_bands() -> None:
    normalise = Normalise(
        [
            Statistics("sentinel2", ("B04", "NDVI"), (1000.0, 5000.0), (500.0, 1000.0), (1, 1), (0, 32768)),
            Statistics(RADAR, ("VV",), (-1500.0,), (200.0,), (1,), (0,)),
        ]
    )
    optics = np.array([[1500, 32768 + 4000], [0, 0]], np.uint16).reshape(2, 2, 1, 1)
    radar = np.array([[-1300], [-32768]], np.int16).reshape(2, 1, 1, 1)
    stored = {RADAR: torch.from_numpy(radar)[None], "sentinel2": torch.from_numpy(optics)[None]}
    found = normalise(batch_of(stored))
    assert list(found.series) == ["sentinel2", RADAR]
    np.testing.assert_allclose(on_one_axis(found).values[0, :, :, 0, 0], [[1, -1, 1], [0, 0, 0]])
    # 0 dB is a value, 0 as reflectance is none.
    stored = {RADAR: torch.zeros(1, 1, 1, 1, 1, dtype=torch.int16), "sentinel2": torch.from_numpy(optics[1:])[None]}
    np.testing.assert_allclose(on_one_axis(normalise(batch_of(stored))).values[0, 0, :, 0, 0], [0, 0, 7.5])
    assert normalise.state_dict() == {}
