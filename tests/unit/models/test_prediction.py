"""Trained models from their folders, and the commands from end to end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from cropflow import cli
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json, write_json
from cropflow.files.cubes import add_array, add_site, create_store, open_store
from cropflow.files.rasters import write_cog
from cropflow.models import load_predictor
from cropflow.models.applying.prediction import check_series
from cropflow.models.applying.series import days_of, stored_batch
from cropflow.regions.grid import Grid
from cropflow.samples.sensors import Layout

GRID = Grid(32631, 500_000.0, 5_000_000.0, 32, 32, 10.0)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["cropflow", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


@pytest.fixture
def trained(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    folder = make_samples()
    code = run(
        monkeypatch,
        *("models", "train", "--place", "r/2021", "--samples", folder, "--settings", json.dumps(narrow)),
        *("--legend", "turkoglu", "--no-background", "--folds", "5", "--fold", "0", "--seed", "1"),
        *("--threads", "1", "--work", tmp_path / "work", "--output", tmp_path / "model"),
    )
    assert code == 0
    return tmp_path / "model"


def write_composites(path: Path, bands: tuple[str, ...] = ("B04", "B08"), periods: int = 4) -> Path:
    group = add_site(
        create_store(path),
        "a",
        GRID,
        {"bands": list(bands), "periods": [f"2021-{n + 1:02d}-01" for n in range(periods)]},
    )
    shape = (periods, len(bands), *GRID.shape)
    array = add_array(group, "reflectance", ("period", "band", "y", "x"), shape, "uint16", chunks=shape)
    array[:] = np.random.default_rng(0).integers(500, 4000, shape)
    array[1, 0, 0, 0] = 0
    counts = (periods, *GRID.shape)
    add_array(group, "observations", ("period", "y", "x"), counts, "uint8", chunks=counts, nodata=1)
    add_array(group, "filled", ("period", "y", "x"), counts, "bool", chunks=counts)
    return path


def write_labels(folder: Path) -> Path:
    write_cog(folder / "a/crops.tif", np.zeros(GRID.shape, np.uint16), GRID, None)
    return folder


def write_folds(path: Path) -> Path:
    # Blocks of 160 m: the left half of the site is fold 0, the right half fold 1.
    rows = [(32631, 500_000 // 160 + x, 5_000_000 // 160 - y, x % 2, 160.0) for x in range(3) for y in range(4)]
    columns = ["epsg", "block_x", "block_y", "fold", "block_m"]
    pandas.DataFrame(rows, columns=columns).astype({"fold": "uint8"}).to_parquet(path)
    return path


def test_train_and_predict_write_what_the_contract_says(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list((tmp_path / "work").glob("*")) == []
    manifest = read_json(trained.with_name("model.manifest.json"))
    assert manifest["counts"]["training_samples"] == 9
    store = tmp_path / "predictions.zarr"
    code = run(
        monkeypatch,
        *("models", "predict", "--place", "r/2021", "--samples", write_labels(tmp_path / "labels")),
        *("--composites", write_composites(tmp_path / "c.zarr"), "--folds", write_folds(tmp_path / "folds.parquet")),
        *("--model", trained, "--fold", "0", "--threads", "1", "--output", store),
    )
    assert code == 0
    root = open_store(store)
    assert root.attrs.asdict() == {"classes": [3, 7], "legend": "turkoglu", "fold": 0}
    assert "r/2021" in root
    probability = np.asarray(root["r/2021/a/probability"])
    assert probability.shape == (2, 32, 32)
    predicted = probability[0] != 65535
    columns = predicted[8].nonzero()[0]
    assert 0 < len(columns) < 32
    assert not predicted[0, 0]
    sums = probability[:, predicted].astype(int).sum(0)
    assert sums.min() >= 9999
    assert sums.max() <= 10001
    counts = read_json(tmp_path / "predictions.zarr.manifest.json")["counts"]["r/2021"]["a"]
    assert counts["predicted"] == int(predicted.sum())


def test_the_test_fold_of_another_model_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(
        monkeypatch,
        *("models", "predict", "--place", "r/2021", "--samples", tmp_path, "--composites", tmp_path),
        *("--folds", tmp_path, "--model", trained, "--fold", "1", "--output", tmp_path / "out.zarr"),
    )
    assert code == 2
    assert "was trained with test fold 0; expected 1" in capsys.readouterr().err


def test_composites_of_other_bands_are_one_line(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(
        monkeypatch,
        *("models", "predict", "--place", "r/2021", "--samples", write_labels(tmp_path / "labels")),
        *("--composites", write_composites(tmp_path / "c.zarr", ("B08", "B04"))),
        *("--folds", write_folds(tmp_path / "folds.parquet")),
        *("--model", trained, "--fold", "0", "--output", tmp_path / "out.zarr"),
    )
    assert code == 2
    assert "has the bands B08, B04 of sentinel2; expected B04, B08" in capsys.readouterr().err
    assert not (tmp_path / "out.zarr").exists()


def test_a_season_of_another_length_is_refused(trained: Path) -> None:
    predictor = load_predictor(trained)
    shorter = Layout("sentinel2", ("B04", "B08"), (), predictor.layouts[0].periods[:3])
    with pytest.raises(CropflowError, match="has 3 periods of sentinel2; expected 4"):
        check_series(predictor, [shorter], "it")


def test_stores_of_other_sensors_than_the_models_are_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("models", "predict", "--place", "r/2021", "--samples", write_labels(tmp_path / "labels"))
    optics = write_composites(tmp_path / "sentinel2.zarr")
    for stores, message in (
        (("--composites", optics) * 2, "--composites is given 2 times; expected 1"),
        (("--composites", tmp_path / "sentinel1_ascending.zarr"), "sentinel1_ascending.zarr where sentinel2 is due"),
    ):
        code = run(
            monkeypatch,
            *(*arguments, *stores, "--folds", write_folds(tmp_path / "folds.parquet")),
            *("--model", trained, "--fold", "0", "--output", tmp_path / "out.zarr"),
        )
        assert code == 2
        assert message in capsys.readouterr().err


def test_windows_of_a_batch_equal_windows_alone(trained: Path) -> None:
    predictor = load_predictor(trained)
    windows = np.random.default_rng(0).integers(0, 4000, (3, 4, 2, 16, 16)).astype(np.uint16)

    def predict(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        batch = stored_batch({"sentinel2": values}, days_of(predictor.layouts), None)
        return predictor.probability(predictor.prepare(batch))

    together = predict(windows)
    assert together.shape == (3, 2, 16, 16)
    np.testing.assert_allclose(together.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(together[1:2], predict(windows[1:2]), atol=1e-5)


def test_weights_that_do_not_fit_their_description_are_refused(trained: Path) -> None:
    content = read_json(trained / "model.json")
    write_json(trained / "model.json", {**content, "classes": [3, 7, 9]})
    with pytest.raises(CropflowError, match=r"does not fit its model\.json"):
        load_predictor(trained)
    (trained / "model.safetensors").write_bytes(b"short")
    with pytest.raises(CropflowError, match="no whole safetensors file"):
        load_predictor(trained)
    with pytest.raises(CropflowError, match=r"holds no model\.json"):
        load_predictor(trained.parent)


def test_training_and_export_replace_nothing_that_is_not_theirs(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("years of work")
    (tmp_path / "weights.json").write_text("{}")
    train = ("models", "train", "--place", "r/s", "--samples", trained, "--legend", "turkoglu", "--folds", "5")
    more = ("--settings", "{}", "--fold", "0", "--work", tmp_path / "w")
    export = ("models", "export", "--model", trained)
    for arguments, output, message in (
        ((*train, *more), tmp_path / "own", "own holds thesis.txt and is no result"),
        ((*train, *more), trained, "is "),
        (export, tmp_path / "own" / "thesis.txt", "exists and is no result"),
        (export, tmp_path / "own", "is a folder that exists; expected a file"),
        (export, tmp_path / "weights.pth", "weights.json exists and is no result"),
        (export, tmp_path / "other.json", "a file of another suffix"),
        (export, trained / "weights.pth", "lies inside"),
    ):
        assert run(monkeypatch, *arguments, "--output", output) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "own" / "thesis.txt").read_text() == "years of work"
    assert (trained / "model.json").is_file()


def test_a_wrong_setting_is_one_line(
    make_samples: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run(
        monkeypatch,
        *("models", "train", "--place", "r/s", "--samples", make_samples(), "--legend", "turkoglu", "--folds", "5"),
        *("--settings", '{"name": "temporal_unet", "epoch": 3}', "--fold", "0"),
        *("--work", tmp_path / "w", "--output", tmp_path / "m"),
    )
    assert code == 2
    assert "epoch" in capsys.readouterr().err
