"""``cropflow models apply``: samples of every kind and whole sites, by one model, several, or a checkpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pytest
import shapely
import torch

import cropflow.models
from cropflow import cli
from cropflow.config.models.reading import parse_model
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.cubes import add_array, add_site, create_store, open_store
from cropflow.files.tables import write_table
from cropflow.models import load_predictor
from cropflow.models.applying.ensemble import Ensemble, join
from cropflow.models.applying.prediction import NetworkPredictor, Predictor
from cropflow.models.batch import batch_of
from cropflow.models.checkpoints import NETWORK_FILE, Description, write_description, write_weights
from cropflow.models.data.samples import Split
from cropflow.models.data.statistics import FeatureStatistics, Statistics
from cropflow.models.registry import build_network
from cropflow.regions.grid import Grid
from cropflow.samples.sensors import Layout
from tests.unit.models.toys import CROPS, OPTICS, write_parcels

GRID = Grid(32631, 400_000.0, 5_000_120.0, 12, 20, 10.0)
SETTINGS: dict[str, dict[str, Any]] = {
    "pse_ltae": {"pixel_widths": (8,), "date_width": 8, "attention_width": 16, "heads": 2, "width": 8},
    "temp_cnn": {"width": 8},
    "temporal_unet": {"temporal_width": 8, "temporal_layers": 1, "widths": (8, 8)},
    "conv_lstm": {},
}
FEATURES = FeatureStatistics((300.0, 6.0, 0.75, 0.075), (60.0, 3.0, 0.15, 0.01), 10)


def statistics_of(layout: Layout) -> Statistics:
    count = len(layout.bands)
    return Statistics(layout.sensor, layout.bands, (2000.0,) * count, (500.0,) * count, (9,) * count, (0,) * count)


def write_model(folder: Path, name: str, seed: int = 0, **changes: Any) -> Path:
    """A model folder with fresh weights, as training writes it."""
    torch.manual_seed(seed)
    settings = parse_model({"name": name, **SETTINGS[name]}, "test")
    known = Description(
        settings,
        kind=settings.kind,
        legend="turkoglu",
        classes=CROPS,
        levels=(),
        layouts=(OPTICS,),
        patch_size=16 if settings.kind == "patches" else 1,
        lags=0,
        fold=0,
        folds=5,
        statistics=(statistics_of(OPTICS),),
        features=FEATURES if settings.kind == "pixel_sets" else None,
    )
    known = replace(known, **changes)
    folder.mkdir(parents=True)
    write_weights(folder / NETWORK_FILE, build_network(settings, known.inputs()).state_dict())
    write_description(folder, known, Split(known.fold, known.folds, False), seed, "none", {})
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["cropflow", "models", "apply", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


@pytest.fixture
def apply(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Apply and give the output back."""

    def call(*arguments: str | Path) -> Path:
        samples = dict(zip(arguments[::2], arguments[1::2], strict=True)).get("--samples")
        table = samples is not None and not (Path(samples) / "patches.json").is_file()
        output = tmp_path / f"out-{len(list(tmp_path.iterdir()))}{'.parquet' if table else ''}"
        assert run(monkeypatch, *arguments, "--output", output) == 0
        return output

    return call


def probabilities(table: pandas.DataFrame) -> np.ndarray[Any, Any]:
    return table[[f"probability_{crop}" for crop in CROPS]].to_numpy()


@pytest.mark.parametrize("name", ["pse_ltae", "temp_cnn"])
def test_samples_are_predicted_as_each_would_be_alone(name: str, apply: Callable[..., Path], tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", name)
    whole = write_parcels(tmp_path / "sets", "pixel_sets")
    output = apply("--model", model, "--samples", whole)
    table = pandas.read_parquet(output)
    assert table.columns.tolist()[:7] == ["site", "index", "parcel_id", "crop", "fold", "predicted", "probability"]
    assert table["parcel_id"].tolist() == [f"p{number}" for number in range(30)]
    found = probabilities(table)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert (table["predicted"] == np.array(CROPS)[found.argmax(1)]).all()
    np.testing.assert_allclose(table["probability"], found.max(1))
    values, first = np.load(whole / "sentinel2/values.npy"), pandas.read_parquet(whole / "parcels.parquet")
    predictor = load_predictor(model)
    for number in (0, 7, 29):
        own = first.iloc[number]
        rows = values[own["start"] : own["start"] + own["pixels"]]
        np.testing.assert_allclose(found[number], alone(predictor, rows, own), atol=1e-5)
    manifest = read_json(output.with_name(output.name + ".manifest.json"))
    assert manifest["counts"] == {"samples": 30, "predicted": 30}


def alone(predictor: Predictor, rows: np.ndarray[Any, Any], own: Any) -> np.ndarray[Any, Any]:
    """The probability of one parcel by itself, ``(class,)``."""
    from cropflow.models.applying.series import days_of, stored_batch

    pixels = rows if predictor.kind == "pixels" else np.moveaxis(rows, 0, -1)[None]
    batch = stored_batch({"sentinel2": pixels}, days_of([OPTICS]), None)
    if predictor.kind == "pixel_sets":
        features = own[["perimeter_m", "pixels", "fill_ratio", "perimeter_area_ratio"]].to_numpy(np.float32)
        batch = replace(
            batch, pixels=torch.ones(1, len(rows), dtype=torch.bool), features=torch.from_numpy(features[None])
        )
    found: np.ndarray[Any, Any] = predictor.probability(predictor.prepare(batch)).mean(0)
    return found


def test_two_folds_are_averaged(apply: Callable[..., Path], tmp_path: Path) -> None:
    models = [write_model(tmp_path / f"model{fold}", "pse_ltae", seed=fold, fold=fold) for fold in range(2)]
    samples = write_parcels(tmp_path / "sets", "pixel_sets")
    apart = [probabilities(pandas.read_parquet(apply("--model", one, "--samples", samples))) for one in models]
    assert np.abs(apart[0] - apart[1]).max() > 0.01
    both = ("--model", models[0], "--model", models[1], "--samples", samples)
    np.testing.assert_allclose(probabilities(pandas.read_parquet(apply(*both))), np.mean(apart, axis=0), atol=1e-6)
    logs = np.exp(np.mean(np.log(apart), axis=0))
    found = probabilities(pandas.read_parquet(apply(*both, "--average", "log")))
    np.testing.assert_allclose(found, logs / logs.sum(1, keepdims=True), atol=1e-6)


def test_a_sample_without_the_dates_that_training_asked_for_is_left_out(
    apply: Callable[..., Path], tmp_path: Path
) -> None:
    def cut(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values[:10, 2] = 0
        return values

    samples = write_parcels(tmp_path / "sets", "pixel_sets", change={"sentinel2": cut})
    pixels = pandas.read_parquet(samples / "parcels.parquet")["pixels"]
    assert pixels[0] == 10  # the first parcel has no other pixel
    output = apply("--model", write_model(tmp_path / "model", "pse_ltae"), "--samples", samples)
    table = pandas.read_parquet(output)
    assert table["predicted"][0] == -1 and np.isnan(table["probability"][0])
    assert (table["predicted"][1:] > 0).all()
    seen = write_model(tmp_path / "seen", "pse_ltae", minimum_dates=3)
    assert (pandas.read_parquet(apply("--model", seen, "--samples", samples))["predicted"] > 0).all()


def test_the_pixels_of_patches_are_stored(
    apply: Callable[..., Path], make_samples: Callable[..., Path], tmp_path: Path
) -> None:
    from cropflow.models.applying.series import days_of, stored_batch

    def cut(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values[2, 1, 0, 3, 4] = 0
        return values

    samples = make_samples(reflectance=cut)
    layout = replace(OPTICS, periods=OPTICS.periods[:4])
    model = write_model(tmp_path / "model", "temporal_unet", layouts=(layout,))
    store = open_store(apply("--model", model, "--samples", samples))
    attributes = store.attrs.asdict()
    assert (attributes["classes"], attributes["legend"], attributes["sites"]) == (list(CROPS), "turkoglu", ["a"])
    found = np.asarray(store["probability"])
    assert found.shape == (15, 3, 16, 16)
    assert (found[2, :, 3, 4] == 65535).all() and (found == 65535).sum() == 3
    predictor, values = load_predictor(model), np.load(samples / "sentinel2/values.npy")
    batch = predictor.prepare(stored_batch({"sentinel2": values[7:8]}, days_of([layout]), None))
    np.testing.assert_allclose(found[7] / 1e4, predictor.probability(batch)[0], atol=1e-4)


def test_a_network_of_pixels_is_applied_to_patches_pixel_by_pixel(
    apply: Callable[..., Path], make_samples: Callable[..., Path], tmp_path: Path
) -> None:
    from cropflow.models.applying.series import days_of
    from cropflow.models.applying.windows import pixel_probability

    def cut(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values[2, 1, 0, 3, 4] = 0
        return values

    samples = make_samples(reflectance=cut)
    layout = replace(OPTICS, periods=OPTICS.periods[:4])
    model = write_model(tmp_path / "model", "temp_cnn", layouts=(layout,))
    found = np.asarray(open_store(apply("--model", model, "--samples", samples))["probability"])
    assert (found[2, :, 3, 4] == 65535).all() and (found == 65535).sum() == 3
    values = np.load(samples / "sentinel2/values.npy")[7]
    expected = pixel_probability(
        load_predictor(model), {"sentinel2": values[..., 5, :].transpose(2, 0, 1)}, days_of([layout])
    )
    np.testing.assert_allclose(found[7][:, 5].T / 1e4, expected, atol=1e-4)


def write_place(folder: Path) -> dict[str, Path]:
    """Composites, sites and parcels of one site."""
    group = add_site(
        create_store(folder / "sentinel2.zarr"),
        "a",
        GRID,
        {"bands": list(OPTICS.bands), "periods": list(OPTICS.periods)},
    )
    shape = (6, 2, *GRID.shape)
    array = add_array(group, "reflectance", ("period", "band", "y", "x"), shape, "uint16", chunks=shape)
    array[:] = np.random.default_rng(0).integers(500, 4000, shape)
    for name, dtype, nodata in (("observations", "uint8", 1), ("filled", "bool", 0)):
        add_array(group, name, ("period", "y", "x"), (6, *GRID.shape), dtype, chunks=(6, 20, 20), nodata=nodata)
    row = {"site": "a", "epsg": 32631, "transform": list(GRID.transform)[:6], "height": 12, "width": 20}
    sites = geopandas.GeoDataFrame([{**row, "geometry": shapely.box(2, 45, 3, 46)}], crs="EPSG:4326")
    write_table(folder / "sites.parquet", sites)
    boxes = [shapely.box(400_000, 5_000_000, 400_080, 5_000_120), shapely.box(400_100, 5_000_000, 400_150, 5_000_060)]
    table = {
        "index": np.array([1, 2], dtype=np.uint32),
        "parcel_id": ["p1", "p2"],
        "crop_code": ["A", "B"],
        "area_ha": [0.96, 0.3],
        "site_area_ha": [0.96, 0.3],
        "cut": [False, False],
    }
    write_table(folder / "parcels/a.parquet", geopandas.GeoDataFrame(table, geometry=boxes, crs="EPSG:32631"))
    return {"composites": folder / "sentinel2.zarr", "sites": folder / "sites.parquet", "parcels": folder / "parcels"}


def test_sites_are_predicted_pixel_by_pixel_and_parcel_by_parcel(apply: Callable[..., Path], tmp_path: Path) -> None:
    place = write_place(tmp_path / "place")
    arguments = ("--composites", place["composites"], "--sites", place["sites"])
    pixels = write_model(tmp_path / "pixels", "temp_cnn")
    output = apply("--model", pixels, *arguments)
    assert (np.asarray(open_store(output)["a/probability"]) != 65535).all()
    counts = read_json(output.with_name(output.name + ".manifest.json"))["counts"]
    assert counts == {"a": {"pixels": 240, "predicted": 240}}
    parcels = write_model(tmp_path / "parcels", "pse_ltae")
    output = apply("--model", parcels, *arguments, "--parcels", place["parcels"], "--inner-buffer", "10")
    found = np.asarray(open_store(output)["a/probability"])
    counts = read_json(output.with_name(output.name + ".manifest.json"))["counts"]
    assert counts == {"a": {"pixels": 240, "predicted": 96 + 30, "outside_parcels": 240 - 96 - 30}}
    for columns, rows in ((slice(0, 8), slice(0, 12)), (slice(10, 15), slice(6, 12))):
        assert (found[:, rows, columns] == found[:, rows, columns][:, :1, :1]).all()


def test_what_does_not_fit_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, place = write_parcels(tmp_path / "sets", "pixel_sets"), write_place(tmp_path / "place")
    good = ("--model", write_model(tmp_path / "good", "pse_ltae"))
    sites = ("--composites", place["composites"], "--sites", place["sites"])
    of_patches = ("--model", write_model(tmp_path / "unet", "temporal_unet"))
    bands = replace(OPTICS, bands=("B08", "B04"))
    swapped = write_model(tmp_path / "bands", "pse_ltae", layouts=(bands,), statistics=(statistics_of(bands),))
    foreign = ("--checkpoint", tmp_path / "x.pth", "--samples", samples)
    known = tmp_path / "statistics.json"
    known.write_text(json.dumps({"sensors": [{"sensor": "sentinel2", "bands": ["B04"]}]}))
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        ((*of_patches, "--samples", samples), "holds pixel_sets; the model takes patches"),
        ((*good, "--samples", tmp_path), "holds none of patches.json, pixel_sets.json, chips.json"),
        (
            ("--model", write_model(tmp_path / "legend", "pse_ltae", legend="cropflow"), "--samples", samples),
            "is of the legend 'turkoglu'; the model of 'cropflow'",
        ),
        (("--model", swapped, "--samples", samples), "has the bands B04, B08 of sentinel2; expected B08, B04"),
        (
            (*good, "--model", write_model(tmp_path / "other", "pse_ltae", legend="cropflow"), "--samples", samples),
            "has legend 'cropflow'",
        ),
        ((*good, *sites), "--parcels is missing"),
        ((*good, "--samples", samples, *sites), "either --samples, or --composites"),
        (("--samples", samples), "0 --model and 0 --checkpoint were given"),
        ((*good, "--samples", samples, "--classes", "1,2"), "--classes belongs to --checkpoint"),
        ((*good, "--samples", samples, "--parcels", place["parcels"]), "--samples has its own"),
        (foreign, "--checkpoint needs --statistics"),
        ((*foreign, "--statistics", known), "--checkpoint needs --classes"),
        ((*foreign, "--statistics", known, "--classes", "1,x"), "--classes is '1,x'; expected different whole numbers"),
        ((*foreign, "--statistics", known, "--classes", "1,2"), "lacks 'mean'; expected sensors"),
    ]
    for arguments, message in cases:
        assert run(monkeypatch, *arguments, "--output", tmp_path / "out.parquet") == 2, message
        error = capsys.readouterr().err
        assert message in error
        assert len([line for line in error.splitlines() if " INFO " not in line]) == 1
        assert not (tmp_path / "out.parquet").exists()


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, model = write_parcels(tmp_path / "sets", "pixel_sets"), write_model(tmp_path / "model", "pse_ltae")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.txt").write_text("mine")
    for output, message in {
        tmp_path / "kept": "is a folder that exists; expected a file",
        tmp_path / "a.csv": "expected a file whose name ends in .parquet",
        model / "table.parquet": "lies inside",
        tmp_path / "kept" / "a.txt": "exists and is no result",
    }.items():
        assert run(monkeypatch, "--model", model, "--samples", samples, "--output", output) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "kept" / "a.txt").read_text() == "mine"


def test_published_checkpoints_are_applied_with_the_statistics_that_are_given(
    apply: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = write_model(tmp_path / "ours", "pse_ltae")
    samples = write_parcels(tmp_path / "sets", "pixel_sets")

    def load(path: Path) -> Any:
        assert path.name == "published.pth"
        predictor: Any = load_predictor(ours)
        return predictor.network

    monkeypatch.setattr(cropflow.models, "load_published", load, raising=False)
    arguments = ("--checkpoint", tmp_path / "published.pth", "--statistics", ours / "statistics.json")
    found = apply(*arguments, "--classes", "3,7,21", "--samples", samples)
    expected = pandas.read_parquet(apply("--model", ours, "--samples", samples))
    pandas.testing.assert_frame_equal(pandas.read_parquet(found), expected)
    wrong = (*arguments, "--classes", "3,7", "--samples", samples)
    assert run(monkeypatch, *wrong, "--output", tmp_path / "x.parquet") == 2
    assert "has 3 outputs, and --classes names 2 ids" in capsys.readouterr().err


def test_what_is_given_with_a_checkpoint_is_held_against_its_weights_and_the_legend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cropflow.config.models.patches import ConvLstm as Settings
    from cropflow.models.networks.conv_lstm import ConvLstm
    from cropflow.models.published import conv_lstm

    samples, known = write_parcels(tmp_path / "sets", "chips"), tmp_path / "statistics.json"
    torch.save(conv_lstm.save(Settings(), ConvLstm(5, 3, hidden=(8,)).state_dict()), tmp_path / "weights.pth")
    sensor = {"sensor": "sentinel2", "bands": list(OPTICS.bands), "mean": [2000, 2000], "deviation": [500, 500]}
    arguments = ("--checkpoint", tmp_path / "weights.pth", "--statistics", known, "--samples", samples)
    for content, classes, message in (
        (json.dumps({"sensors": [sensor]}), "3,7,21", "takes 5 bands per date, and --statistics tells of 2"),
        (json.dumps({"sensors": [sensor]}), "3,7,999", "--classes names 999, which the legend turkoglu lacks"),
        ("{", "3,7,21", "Give a file such as statistics.json of a trained model."),
        (json.dumps({"sensors": [sensor | {"shifts": [0]}]}), "3,7,21", "2 bands, 2 means, 2 deviations and 1 shifts"),
    ):
        known.write_text(content)
        assert run(monkeypatch, *arguments, "--classes", classes, "--output", tmp_path / "out.parquet") == 2
        assert message in capsys.readouterr().err


def test_an_ensemble_has_what_its_members_share(tmp_path: Path) -> None:
    members = tuple(load_predictor(write_model(tmp_path / str(seed), "temp_cnn", seed)) for seed in range(2))
    found = Ensemble(members)
    for key in ("classes", "layouts", "legend", "kind", "patch_size", "minimum_dates", "features", "lags"):
        assert getattr(found, key) == getattr(members[0], key)


def test_a_crop_that_one_fold_never_learnt_gets_its_chance_from_the_others_alone(tmp_path: Path) -> None:
    few, more = (load_predictor(write_model(tmp_path / str(seed), "temp_cnn", seed)) for seed in range(2))
    assert isinstance(few, NetworkPredictor)
    other = replace(few, description=replace(few.description, classes=(2, *CROPS[:2])))
    found = join([other, more], ["other", "more"])
    assert found.classes == (2, *CROPS)
    values = torch.full((3, len(OPTICS.periods), len(OPTICS.bands)), 2000, dtype=torch.int32)
    batch = batch_of({"sentinel2": values})
    apart = [member.probability(member.prepare(batch)) for member in (other, more)]
    expected = np.zeros((3, 4))
    expected[:, :3] += apart[0] / 2
    expected[:, 1:] += apart[1] / 2
    np.testing.assert_allclose(found.probability(found.prepare(batch)), expected, atol=1e-6)
    of_history = [replace(one, description=replace(one.description, lags=1)) for one in (other, few)]
    with pytest.raises(CropflowError, match=r"b has classes \(3, 7, 21\), a \(2, 3, 7\); expected the same of all"):
        join(of_history, ["a", "b"])


def test_a_real_checkpoint_is_applied_to_pixel_sets(
    shared: Path,
    apply: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = shared / "checkpoints" / "deep_crop_rotation_Mdec_fold1.pth.tar"
    if not checkpoint.is_file():
        pytest.skip("the checkpoint is not there")
    wide = replace(OPTICS, bands=tuple(f"B{number:02d}" for number in range(10)))
    samples = write_parcels(tmp_path / "sets", "pixel_sets", layouts=(wide,), lags=2)
    bands = {"bands": list(wide.bands), "mean": [2500.0] * 10, "deviation": [500.0] * 10}
    known: dict[str, Any] = {
        "sensors": [{"sensor": "sentinel2", **bands}],
        "features": {"mean": [300.0, 6.0, 0.75, 0.075], "deviation": [60.0, 3.0, 0.15, 0.01]},
    }
    (tmp_path / "statistics.json").write_text(json.dumps(known))
    arguments = ("--checkpoint", checkpoint, "--statistics", tmp_path / "statistics.json", "--samples", samples)
    table = pandas.read_parquet(apply(*arguments, "--classes", ",".join(str(number) for number in range(1, 21))))
    found = table[[f"probability_{number}" for number in range(1, 21)]].to_numpy()
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert table["predicted"].between(1, 20).all()
    (tmp_path / "statistics.json").write_text(json.dumps({"sensors": known["sensors"]}))
    assert run(monkeypatch, *arguments, "--classes", "1", "--output", tmp_path / "out.parquet") == 2
    assert "takes the features of parcels, and --statistics has none" in capsys.readouterr().err
