"""Rotations of a simulated landscape, found again from its registers alone: ids and outlines change every year."""

from __future__ import annotations

import json

import numpy as np
import pandas
import pytest
import shapely
from typer.testing import CliRunner

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.files.atomic import read_json
from cropflow.files.verify import verify
from cropflow.labels.command import app
from cropflow.labels.history import NOT_COVERED, as_arrays
from cropflow.labels.legend import read_table
from cropflow.simulation.crops import CROPS
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.register import declare
from cropflow.simulation.rpg_file import write_register

SEASONS = ("2020", "2021", "2022", "2023")
SQUARE = Landscape(centre=(2.5, 48.5), side_km=2.0, style="southern")
FAITHFUL = Difficulty(wrong_codes=0, missing_parcels=0, outline_errors=0)
REGISTER = {"reader": "rpg", "simulation": "plain", "history": {"years": 4}}

# The demo on two small squares.
SMALL = {
    "simulations": {
        "demo": {
            "sentinel1": False,
            "landscapes": {name: {"side_km": 0.64} for name in ("beauce", "lauragais")},
        }
    },
    "registers": {"demo": {"history": {"years": 2, "stable_iou": 0.6}}},
}


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output


class Chain:
    """The registers of a landscape, cleaned, mapped and laid over the last."""

    def __init__(self, folder, difficulty):
        simulation = Simulation(
            seed=5, landscapes={"plain": SQUARE}, seasons=SEASONS, imagery_seasons=SEASONS[-1:], difficulty=difficulty
        )
        self.land = make_landscape("plain", SQUARE, simulation)
        self.declared = {season: declare([self.land], season, simulation) for season in SEASONS}
        self.folder = folder
        settings = json.dumps(REGISTER)
        (folder / "register").mkdir()
        for season, register in self.declared.items():
            dates = Season(start=f"{season}-01-01", end=f"{season}-12-31")
            write_register(folder / "register", season, dates, register.parcels)
            words = ["--source", folder / "register", "--season", season, "--settings", settings]
            run("clean", *words, "--output", self.parcels(season), "--summary", folder / season / "summary.json")
            words = ["--parcels", self.parcels(season), "--settings", settings, "--legend", "turkoglu"]
            run("map", *words, "--output", self.crops(season), "--summary", folder / season / "turkoglu.json")
        words = ["--parcels", self.parcels("2023"), "--settings", settings, "--legend", "turkoglu"]
        chosen = ["--parcels", self.parcels("2023"), "--settings", json.dumps(REGISTER["history"])]
        for lag, season in enumerate(reversed(SEASONS[:-1]), start=1):
            laid = folder / "2023" / f"{season}.parquet"
            given = ["--parcels", self.parcels("2023"), "--earlier", self.parcels(season), "--settings", "{}"]
            run("overlay", *given, "--output", laid, "--summary", laid.with_suffix(".json"))
            words += ["--earlier", f"{lag}/{season}", "--overlay", laid, "--crops", self.crops(season)]
            words += ["--earlier-parcels", self.parcels(season)]
            chosen += ["--earlier", season, "--overlay", laid]
        self.output, self.stable = folder / "history.parquet", folder / "stable.parquet"
        run("history", *words, "--output", self.output, "--summary", self.output.with_suffix(".json"))
        run("stable", *chosen, "--output", self.stable, "--summary", self.stable.with_suffix(".json"))

    def parcels(self, season):
        return self.folder / season / "parcels.parquet"

    def crops(self, season):
        return self.folder / season / "turkoglu.parquet"

    def shares(self):
        """Parcels of the last season that lie in the square, their history, and the truth on 5 m pixels.

        Returns:
            Shares, ``(parcel, year, crop)``; known shares, ``(parcel, year)``; true shares like the first; pixels.
        """
        fields = self.declared["2023"].fields
        ids = set(pandas.read_parquet(self.parcels("2023"), columns=["parcel_id"])["parcel_id"])
        table = self.land.seasons["2023"].table
        inside = table.index[table.within(shapely.box(*self.land.grid.bounds))]
        fields = fields[fields["parcel_id"].isin(ids) & fields["field"].isin(inside)]
        code = read_table("turkoglu", "rpg")
        wanted = sorted({code[crop.rpg_code] for crop in CROPS.values()})
        history = pandas.read_parquet(self.output)
        shares, known = as_arrays(history, fields["parcel_id"].tolist(), wanted, 3)
        here = self.land.seasons["2023"].raster
        truth = np.zeros_like(shares)
        for year, season in enumerate(reversed(SEASONS[:-1])):
            crops = self.land.seasons[season].table["crop"]
            position = np.zeros(int(crops.index.max()) + 1, dtype=int)
            position[crops.index] = [wanted.index(code[CROPS[key].rpg_code]) for key in crops]
            then = self.land.seasons[season].raster
            both = (here > 0) & (then > 0)
            counted = np.zeros((int(here.max()) + 1, len(wanted)))
            np.add.at(counted, (here[both], position[then[both]]), 1)
            truth[:, year] = counted[fields["field"]]
        pixels = np.bincount(here.ravel(), minlength=int(here.max()) + 1)[fields["field"]]
        large = pixels >= 40
        return shares[large], known[large], truth[large] / pixels[large, None, None], pixels[large]


@pytest.fixture(scope="module")
def faithful(tmp_path_factory):
    return Chain(tmp_path_factory.mktemp("faithful"), FAITHFUL)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    return Chain(tmp_path_factory.mktemp("faulty"), Difficulty())


def test_the_rotation_of_every_parcel_is_that_of_the_truth(faithful):
    shares, known, truth, pixels = faithful.shares()
    assert len(pixels) > 100
    assert known.min() > 0.999
    # Some outlines were merged, so some parcels bore several crops in a year.
    assert ((truth > 0.1).sum(axis=2) > 1).sum() > 5
    # Only where a border ran through a parcel do its pixels belong to one side or the other.
    assert np.abs(shares - truth).max() < 0.02
    assert np.average(np.abs(shares - truth).max(axis=2).mean(axis=1), weights=pixels) < 0.001
    assert (shares.argmax(axis=2) == truth.argmax(axis=2))[truth.max(axis=2) > 0.6].all()


def test_the_years_come_in_order(faithful):
    shares, _, truth, _ = faithful.shares()
    main, true = shares.argmax(axis=2), truth.argmax(axis=2)
    rotated = (true[:, 0] != true[:, 1]) & (true[:, 1] != true[:, 2]) & (true[:, 0] != true[:, 2])
    assert rotated.sum() > 20
    assert (main[rotated] == true[rotated]).all()
    assert (main[rotated][:, ::-1] == true[rotated]).mean() < 0.5


def test_shares_add_up_to_one_in_every_year(faithful, faulty):
    for chain in (faithful, faulty):
        table = pandas.read_parquet(chain.output)
        total = table[~table["second"]].groupby(["parcel_id", "lag"])["share"].sum()
        assert len(total) == 4 * table["parcel_id"].nunique()
        assert total.to_numpy() == pytest.approx(np.ones(len(total)), abs=1e-9)
        assert (table.loc[table["lag"] == 4, "crop"] == NOT_COVERED).all()


def test_a_faulty_register_loses_some_history_and_invents_little(faulty):
    shares, known, truth, pixels = faulty.shares()
    weights = np.repeat(pixels[:, None], 3, axis=1)
    # Five to fifteen percent of the farmland are missing in each season, and outlines are shifted.
    assert 0.75 < np.average(known, weights=weights) < 0.97
    sure = known > 0.8
    right = shares.argmax(axis=2) == truth.argmax(axis=2)
    assert np.average(right[sure], weights=weights[sure]) > 0.93


def test_stable_outlines_are_those_that_nobody_split_or_merged(faithful):
    table = pandas.read_parquet(faithful.stable)
    summary = read_json(faithful.stable.with_suffix(".json"))
    dropped = sum(number["parcels"] for reasons in summary["dropped"].values() for number in reasons.values())
    assert summary["stable"]["parcels"] + dropped == summary["parcels"]["parcels"]
    assert 0.5 < len(table) / summary["parcels"]["parcels"] < 0.98
    outlines = {
        season: register.parcels.set_index("ID_PARCEL").geometry for season, register in faithful.declared.items()
    }
    for season in SEASONS[:-1]:
        then = outlines[season][table[f"parcel_id_{season}"]].to_numpy()
        now = outlines["2023"][table["parcel_id"]].to_numpy()
        common = shapely.area(shapely.intersection(then, now))
        assert (common / (shapely.area(then) + shapely.area(now) - common) >= 0.9 - 1e-9).all()
        assert table[f"parcel_id_{season}"].is_unique


def test_the_rules_write_the_history_and_another_publication_lag_reruns_nothing_else(workspace):
    made = workspace("history")
    small = made.overlay("small.yaml", SMALL)
    targets = [f"results/labels/demo/2023/{name}.parquet" for name in ("history/turkoglu", "stable")]
    done = made.run(*targets, overlays=(small,))
    assert done.returncode == 0, done.stderr[-6000:]
    checked, findings = verify(made.results)
    assert findings == []
    assert checked > 15
    table = pandas.read_parquet(made.folder / targets[0])
    assert table.loc[table["lag"] == 1, "season"].unique().tolist() == ["2022"]
    assert table.loc[table["lag"] == 2, "season"].unique().tolist() == ["2021"]
    assert table["known_share"].mean() > 0.5
    assert made.plan(*targets, overlays=(small,)) == {}
    lagging = made.overlay("lag.yaml", {"registers": {"demo": {"history": {"publication_lag": 1}}}})
    assert made.plan(*targets, overlays=(small, lagging)) == {"labels_history": 1}
