"""A finished experiment on one tiny site, made by hand in the formats that the other rooms write."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest

from cropflow.evaluation.confusion import UNITS, long_table
from cropflow.evaluation.metrics import average_metrics, class_metrics, fold_summaries
from cropflow.files.atomic import write_json
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.rasters import write_cog
from cropflow.files.tables import write_table
from cropflow.labels.legend import read_legend
from cropflow.regions.grid import Grid

BANDS = ["B02", "B03", "B04", "B08"]
RADAR_BANDS = ["VV", "VH", "VH-VV"]
PERIODS = ["2018-11-01", "2018-12-01", "2019-01-01"]
SHAPE = (6, 8)
GRID = Grid(32631, 400_000.0, 5_000_060.0, *SHAPE, 10.0)
# Finest crops of the legend "turkoglu": vines, winter wheat, meadow.
CROPS = (21, 44, 48)
FOLDS = 3


class World:
    """Files of an experiment, and the options of ``cropflow report`` that name them."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        self.folder = folder
        self.labels = folder / "labels" / "cadastre" / "2019" / "summary.json"
        self.crops = self.labels.parent / "legends" / "turkoglu.json"
        self.parcels = folder / "regions" / "dale" / "parcels.json"
        self.scenes = folder / "imagery" / "dale" / "2019" / "sentinel2.parquet"
        self.composites = folder / "sentinel2.zarr"
        self.radar_scenes = self.scenes.with_name("sentinel1_ascending.parquet")
        self.radar = folder / "sentinel1_ascending.zarr"
        self.stores = {"sentinel2": self.composites}
        self.samples = folder / "samples" / "2019"
        self.folds = folder / "folds.json"
        self.models = [folder / "models" / str(fold) / "model" for fold in range(FOLDS)]
        self.metrics = {name: folder / "evaluation" / name / "metrics.json" for name in ("net", "forest")}
        self.index = np.zeros(SHAPE, dtype=np.uint32)
        self.index[:, 1:3], self.index[:, 3:5], self.index[:, 5:7] = 1, 2, 3
        self.place = "dale/2019"
        self.legend = read_legend("turkoglu")
        self.experiment = {
            "set": "dale",
            "model": {"name": "temporal_unet"},
            "train": [{"region": "dale", "season": "2019"}],
        }
        self.settings = {
            "experiment": self.experiment,
            "set": {"series": "monthly", "legend": "turkoglu"},
            "series": {"max_gap": 3},
            "seasons": {"2019": {"start": "2018-11-01", "end": "2019-01-31"}},
            "simulations": [],
        }
        self.maps: list[Path] = []
        self.truth: list[Path] = []
        self.compared_models: list[str] = []
        if template is not None:
            shutil.copytree(template, folder)
            self.maps.append(folder / "maps" / self.place)
            return
        self._labels()
        self._scenes()
        self._composites()
        self._samples()
        self._models()
        for seed, (name, path) in enumerate(self.metrics.items()):
            self._evaluation(name, path, seed)
        self.add_map(self.place, ["a"])

    def _labels(self) -> None:
        write_json(
            self.labels,
            {
                "read": {"parcels": 14, "hectares": 7.0},
                "kept": {"parcels": 12, "hectares": 6.5},
                "dropped": {"too_small": {"parcels": 2, "hectares": 0.5}},
                "repaired": 1,
                "renamed": 0,
                "codes": {},
            },
        )
        write_json(
            self.crops,
            {
                "crops": {str(crop): {"name": self.legend.name(crop), "parcels": 3, "hectares": 1.5} for crop in CROPS},
                "out_of_scope": {"XYZ": {"parcels": 3, "hectares": 2.0}},
                "ignored": {},
                "rare": {},
                "years": None,
                "unknown": {},
                "total": {"parcels": 12, "hectares": 6.5},
            },
        )
        count = {"parcels": 11, "hectares": 6.0, "cut": 1, "dropped": 0}
        write_json(self.parcels, {"sites": {"a": count}, "total": count})

    def _scenes(self) -> None:
        write_table(
            self.scenes,
            pandas.DataFrame(
                {
                    "scene": ["one", "two", "three"],
                    "site": "a",
                    "time": ["2018-11-03T10:50:21Z", "2018-11-08T10:50:21Z", "2018-12-01T10:50:21Z"],
                    "baseline": ["05.09", "05.09", "02.07"],
                    "offset": [-1000, -1000, 0],
                    "kept": [True, False, False],
                    "reason": ["", "cloud: 91 % by the metadata", "cloud: 97 % by the metadata"],
                }
            ),
        )

    def _composites(self) -> None:
        store = create_store(self.composites)
        group = add_site(store, "a", GRID, {"bands": BANDS, "periods": PERIODS, "scenes": [1, 0, 0], "left_out": 0})
        rng = np.random.default_rng(3)
        reflectance = rng.integers(300, 3000, (len(PERIODS), len(BANDS), *SHAPE)).astype(np.uint16)
        observations = np.full((len(PERIODS), *SHAPE), 2, dtype=np.uint8)
        observations[1] = 0
        filled = observations == 0
        # One pixel is never seen and never filled.
        reflectance[:, :, 0, 0], observations[:, 0, 0], filled[:, 0, 0] = 0, 0, False
        for name, values in (("reflectance", reflectance), ("observations", observations), ("filled", filled)):
            dimensions = ("period", "band", "y", "x") if values.ndim == 4 else ("period", "y", "x")
            array = add_array(group, name, dimensions, values.shape, values.dtype, chunks=values.shape)
            array[...] = values

    def _samples(self) -> None:
        crops = np.array([65534, *CROPS], dtype=np.uint16)[self.index]
        write_cog(self.samples / "a" / "parcels.tif", self.index, GRID, 0)
        write_cog(self.samples / "a" / "crops.tif", crops, GRID, None)
        write_table(
            self.samples / "parcels.parquet",
            pandas.DataFrame({"site": "a", "index": np.arange(1, 4, dtype=np.uint32), "crop": CROPS}),
        )
        reasons = {"outside": 12, "rim": 6, "usable": 30}
        classes = {
            str(crop): {
                "parcels": 1,
                "hectares": 0.12,
                "pixels_in_parcels": 12,
                "reasons": {"outside": 0, "rim": 2, "usable": 10},
            }
            for crop in CROPS
        }
        write_json(
            self.samples / "summary.json",
            {
                "pixels": {
                    "total": 48,
                    "in_parcels": 36,
                    "reasons": reasons,
                    "no_value_of": {},
                    "lacking": {},
                    "dates": {},
                },
                "set": {"minimum_dates": None},
                "parcels": {
                    "total": 3,
                    "without_pixels": 1,
                    "without_pixels_ha": 0.01,
                    "smaller_buffer": {"5": 2},
                },
                "classes": classes,
            },
        )
        write_json(
            self.folds,
            {
                "count": FOLDS,
                "classes": {str(crop): {"blocks": 2, "folds": [0, 1]} for crop in CROPS},
                "rare_classes": [48],
                "folds": [{"fold": fold, "nearest_other_fold_m": {"minimum": 40.0}} for fold in range(FOLDS)],
            },
        )

    def _models(self) -> None:
        for folder in self.models:
            write_json(folder / "model.json", {"classes": list(CROPS), "best_epoch": 2})
            (folder / "history.csv").write_text(
                "epoch,train_loss,validation_loss,validation_balanced_accuracy,learning_rate\n"
                "1,1.5,1.4,0.4,0.001\n2,1.1,1.2,0.5,0.001\n3,0.9,,0.6,0.001\n"
            )

    def _evaluation(self, name: str, path: Path, seed: int) -> None:
        rng = np.random.default_rng(seed)
        confusions = rng.integers(0, 6, (FOLDS, len(UNITS), len(CROPS), len(CROPS))).astype(np.float64)
        confusions[0, :, 2] = 0  # the third crop is absent from the first fold
        models = [CROPS] * FOLDS
        averages = average_metrics(confusions, CROPS, self.legend)
        averages["level_3.parcel.overall_accuracy"]["interval"] = [0.2, 0.5]
        write_json(
            path,
            {
                "settings": self.experiment | ({"model": {"name": "random_forest"}} if name == "forest" else {}),
                "metrics": averages,
                "baseline": {"majority": average_metrics(confusions * np.eye(len(CROPS)), CROPS, self.legend)},
                "classes": class_metrics(confusions, CROPS, self.legend, models),
                "folds": fold_summaries(confusions, CROPS, models, 30),
                "chance_balanced_accuracy": 1 / 3,
                "interval_method": "bootstrap over parcels",
                "not_predicted": {"pixel": {"count": 4, "of": 100, "share": 0.04}},
                "counts": {
                    "parcels": 11,
                    "parcels out of scope or unknown": 1,
                    "parcels without fold": 0,
                    "test parcels": 10,
                    "test parcels scored": 9,
                },
            },
        )
        write_table(path.with_name("confusion.parquet"), long_table(confusions, CROPS, self.legend))

    def add_map(self, place: str, sites: list[str], grid: Grid = GRID, seed: int = 0, register: bool = True) -> None:
        """Write the map of a place, noise all over; with or without a register that covers it."""
        rng = np.random.default_rng(seed)
        folder = self.folder / "maps" / place
        for site in sites:
            crops = rng.choice(np.array([*CROPS, 255], dtype=np.uint8), grid.shape)
            write_cog(folder / site / "crops.tif", crops, grid, 255)
            confidence = rng.integers(0, 101, grid.shape).astype(np.uint8)
            write_cog(folder / site / "confidence.tif", confidence, grid, 255, categorical=False)
        site = {"pixels": 48, "not_predicted": 5, "filled_share": 0.334}
        counts = {"read": 3, "predicted": 3, "in doubt": 1, "with a declared crop": 3, "agreeing": 2}
        parcels = counts if register else None
        write_json(folder / "summary.json", {"sites": dict.fromkeys(sites, site), "parcels": parcels})
        self.maps.append(folder)

    def catalogues(self) -> list[Path]:
        """The catalogues of the sensors that the samples hold."""
        return [self.scenes.with_name(f"{sensor}.parquet") for sensor in self.stores]

    def add_radar(self) -> None:
        """Give the samples a second sensor: crops of constant backscatter but for one pixel without a value."""
        group = add_site(
            create_store(self.radar),
            "a",
            GRID,
            {
                "bands": RADAR_BANDS,
                "periods": PERIODS,
                "scenes": [1, 1, 0],
                "left_out": 1,
                "relative_orbits": ["59"],
            },
        )
        vv = np.array([-1700, -1200, -900, -1500], dtype=np.int16)[self.index]
        backscatter = np.broadcast_to(np.stack([vv, vv - 600, np.full_like(vv, -600)]), (3, 3, *SHAPE)).copy()
        observations = np.full((len(PERIODS), *SHAPE), 4, dtype=np.uint8)
        backscatter[0, :, 2, 3], observations[0, 2, 3] = -32768, 0
        for name, values in (
            ("backscatter", backscatter),
            ("observations", observations),
            ("filled", np.zeros(observations.shape, dtype=bool)),
        ):
            dimensions = ("period", "band", "y", "x") if values.ndim == 4 else ("period", "y", "x")
            array = add_array(group, name, dimensions, values.shape, values.dtype, chunks=values.shape)
            array[...] = values
        rows = [
            ("a", "2018-11-05T17:00:00Z", True, "", 59, "sigma0"),
            ("a", "2018-12-05T17:00:00Z", True, "", 59, "sigma0"),
        ]
        columns = ["site", "time", "kept", "reason", "relative_orbit", "radiometry"]
        write_table(self.radar_scenes, pandas.DataFrame(rows, columns=columns))
        self.stores["sentinel1_ascending"] = self.radar
        self.settings["set"]["sensors"] = list(self.stores)

    def compare_forest(self) -> None:
        """Give the models of the compared forest; the last fold has no pixel out of bag."""
        for fold, (accuracy, balanced, pixels) in enumerate([(0.9, 0.8, 1000), (0.96, 0.84, 2000), (None, None, 0)]):
            folder = self.folder / "models" / "forest" / str(fold) / "model"
            split = {"accuracy": accuracy, "balanced_accuracy": balanced, "pixels": pixels, "what": "out-of-bag pixels"}
            write_json(folder / "model.json", {"classes": list(CROPS), "random_split": split})
            self.compared_models.append(f"forest={folder}")

    def simulate(self) -> None:
        """Say that the place is simulated, with a true model of known score."""
        self.settings["simulations"] = ["toyland"]
        truth = self.folder / "simulation" / "toyland" / "truth"
        scores = {"overall_accuracy": 0.876, "balanced_accuracy": 0.812, "parcels": 77}
        declared = {**scores, "overall_accuracy": 0.654}
        write_json(truth / "oracle.json", {self.place: {**scores, "declared": declared, "shrinkage": 0.1}})
        self.truth.append(truth)

    def options(self, output: Path) -> list[str]:
        """Arguments of ``cropflow report``."""
        named = {
            "--place": [self.place],
            "--samples": [self.samples],
            "--folds": [self.folds],
            "--composites": list(self.stores.values()),
            "--scenes": self.catalogues(),
            "--labels": [self.labels],
            "--crops": [self.crops],
            "--parcels": [self.parcels],
            "--model": self.models,
            "--evaluation": list(self.metrics.values()),
            "--confusion": [self.metrics["net"].with_name("confusion.parquet")],
            "--map": self.maps,
            "--truth": self.truth,
            "--compared-model": self.compared_models,
            "--output": [output],
        }
        given = ["--experiment", "net", "--settings", json.dumps(self.settings)]
        return given + [str(word) for name, values in named.items() for value in values for word in (name, value)]

    def inputs(self):
        """The same, read."""
        from cropflow.files.atomic import read_json
        from cropflow.files.tables import read_table
        from cropflow.report.inputs import ReportInputs, read_history, read_places

        return ReportInputs(
            tuning=[],
            experiment="net",
            settings=self.settings,
            legend=self.legend,
            places=read_places(
                [self.place],
                samples=[self.samples],
                folds=[self.folds],
                composites=list(self.stores.values()),
                sensors=tuple(self.stores),
                scenes=self.catalogues(),
                labels=[self.labels],
                crops=[self.crops],
                parcels=[self.parcels],
            ),
            models={fold: read_json(folder / "model.json") for fold, folder in enumerate(self.models)},
            histories={fold: read_history(folder / "history.csv") for fold, folder in enumerate(self.models)},
            metrics={name: read_json(path) for name, path in self.metrics.items()},
            confusion=read_table(self.metrics["net"].with_name("confusion.parquet")),
            maps={"/".join(folder.parts[-2:]): folder for folder in self.maps},
            oracles={folder.parent.name: read_json(folder / "oracle.json") for folder in self.truth},
            compared_models={
                "forest": [read_json(Path(given.partition("=")[2]) / "model.json") for given in self.compared_models]
            },
        )


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """The files of the world, written once; nobody changes them."""
    return World(tmp_path_factory.mktemp("world") / "results").folder


@pytest.fixture
def world(template, tmp_path) -> World:
    """A world of one's own."""
    return World(tmp_path / "results", template)


@pytest.fixture(scope="session")
def plain_page(template, tmp_path_factory) -> str:
    """The page of the world as it is; for tests that only look."""
    from cropflow.report.page import render

    return render(World(tmp_path_factory.mktemp("plain") / "results", template).inputs())


@pytest.fixture(scope="session")
def full_page(template, tmp_path_factory) -> str:
    """The page of a simulated place, with a second map where there are no labels."""
    from cropflow.report.page import render

    world = World(tmp_path_factory.mktemp("full") / "results", template)
    world.simulate()
    world.add_map("hill/2019", ["a"], register=False)
    return render(world.inputs())


@pytest.fixture
def run(monkeypatch):
    """Call ``cropflow report``; its exit code."""
    import sys

    from cropflow.cli import main

    def call(arguments: list[str]) -> int:
        monkeypatch.setattr(sys, "argv", ["cropflow", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return call


@pytest.fixture(scope="session")
def visible_text():
    """The text of a page as a reader sees it."""
    import html

    def read(page: str) -> str:
        body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())

    return read
