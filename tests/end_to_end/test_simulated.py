"""A simulated square of 64 x 64 pixels, undisturbed and killed on the way: the same results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
import zarr
import zoo

from cropflow import cli
from cropflow.config.models import NETWORKS
from cropflow.files.atomic import read_json
from cropflow.files.manifest import content_hash
from cropflow.files.verify import verify

CONFIG = {
    "run": ["tiny"],
    "simulations": {
        "tiny": {
            "seed": 3,
            "landscapes": {"plain": {"centre": [1.6, 48.2], "side_km": 0.64}},
            "seasons": ["2022", "2023"],
            "imagery_seasons": ["2023"],
            "sentinel1": False,
        }
    },
    "seasons": {
        "2022": {"start": "2022-01-01", "end": "2022-12-31"},
        "2023": {"start": "2023-01-01", "end": "2023-12-31"},
    },
    "registers": {"tiny": {"reader": "rpg", "simulation": "tiny"}},
    "imagery": {"tiny": {"source": "items", "simulation": "tiny"}},
    "regions": {
        "plain": {
            "sites": {"a": {"centre": [1.6, 48.2], "side_km": 0.64}},
            "imagery": "tiny",
            "register": "tiny",
        }
    },
    "series": {"monthly": {}},
    "sets": {
        "tiny": {
            "series": "monthly",
            "legend": "turkoglu",
            "patch_size": 32,
            "inner_buffer_m": 0,
            "chip_size": 17,
            "folds": {"count": 3, "block_m": 160, "ring_m": 0},
        }
    },
    "experiments": {
        "tiny": {
            "set": "tiny",
            "model": {
                "name": "temporal_unet",
                "temporal_width": 8,
                "widths": [8, 16],
                "epochs": 6,
                "batch_size": 2,
            },
            "train": [{"region": "plain", "season": "2023"}],
            "map": [{"region": "plain", "season": "2023"}],
        }
    },
}
# A rule's log appears when its job starts: killed while the landscape is made, while composites are made, while a
# network learns (its resume file is there), while maps are drawn, and while the report is written.
MOMENTS = {
    "simulation": "results/logs/simulation/tiny.log",
    "composites": "results/logs/composites/monthly/plain/2023/sentinel2.log",
    "models": "results/.work/models/tiny/*/*.ckpt",
    "maps": "results/logs/maps/tiny/plain/2023.log",
    "report": "results/logs/report/tiny.log",
}


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the whole group: nobody gets to tidy up."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_until(workspace, moment: str) -> bool:
    """Start the run and kill it when a file appears; False where it ended first."""
    with (workspace.folder / "killed.log").open("ab") as log:
        process = subprocess.Popen(
            workspace.command(),
            cwd=workspace.folder,
            env=workspace.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        ends = time.monotonic() + 600
        while process.poll() is None and time.monotonic() < ends:
            if any(workspace.folder.glob(moment)):
                time.sleep(0.3)
                kill_with_children(process)
                return True
            time.sleep(0.02)
    return False


def products(results: Path) -> dict[str, str]:
    """Hash of every map, metric and model."""
    names = ["maps/tiny/plain/2023", "evaluation/tiny/metrics.json", "evaluation/tiny/confusion.parquet"]
    names += [f"models/tiny/{fold}/model" for fold in range(3)]
    return {name: content_hash(results / name)[0] for name in names}


@pytest.fixture(scope="module")
def undisturbed(workspace: Callable):
    made = workspace("undisturbed", config=CONFIG)
    done = made.run()
    assert done.returncode == 0, done.stderr[-6000:]
    return made


def test_an_undisturbed_run_verifies_and_plans_nothing_more(undisturbed):
    checked, findings = verify(undisturbed.results)
    assert findings == []
    assert checked > 15
    assert undisturbed.plan() == {}


def test_a_run_killed_at_five_moments_ends_with_the_same_results(undisturbed, workspace):
    killed = workspace("killed", config=CONFIG)
    for rule, moment in MOMENTS.items():
        assert run_until(killed, moment), f"the run ended before {rule}"
        assert f"rule {rule}:" in (killed.folder / "killed.log").read_text()
    assert not (killed.results / "report" / "tiny" / "index.html").exists()
    done = killed.run()
    assert done.returncode == 0, done.stderr[-6000:]
    assert products(killed.results) == products(undisturbed.results)
    assert verify(killed.results)[1] == []
    left = [path for path in killed.results.rglob(".*") if path.name not in (".work", ".snakemake_timestamp")]
    assert left == []


def test_a_second_run_at_the_same_time_is_refused_in_one_line(undisturbed):
    first = subprocess.Popen(
        undisturbed.command("--forcerun", "models"),
        cwd=undisturbed.folder,
        env=undisturbed.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    lock = undisturbed.results / ".work" / "lock"
    while first.poll() is None and lock.read_text().strip() != str(first.pid):
        time.sleep(0.05)
    second = undisturbed.run("--forcerun", "evaluation")
    assert first.wait() == 0
    assert second.returncode == 2
    assert [line for line in second.stderr.splitlines() if line.startswith("Error: results/ is being written")]


def test_a_region_added_by_an_overlay_plans_its_own_jobs_and_the_report(undisturbed):
    overlay = undisturbed.overlay(
        "new.yaml",
        {
            "regions": {"corner": {"sites": {"a": {"centre": [1.601, 48.201], "side_km": 0.32}}, "imagery": "tiny"}},
            "experiments": {
                "tiny": {"map": [{"region": "plain", "season": "2023"}, {"region": "corner", "season": "2023"}]}
            },
        },
    )
    jobs = undisturbed.plan("results/maps/tiny/corner/2023", overlays=(overlay,))
    assert jobs == {"regions": 1, "imagery_find": 1, "imagery_plan": 1, "imagery": 1, "composites": 1, "maps": 1}
    assert undisturbed.plan(overlays=(overlay,)) == {**jobs, "report": 1, "all": 1}


def test_the_folds_hold_every_block_once(undisturbed):
    metrics = read_json(undisturbed.results / "evaluation" / "tiny" / "metrics.json")
    parcels = pandas.read_parquet(undisturbed.results / "samples" / "tiny" / "plain" / "2023" / "parcels.parquet")
    tested = parcels[parcels["crop"].between(1, 48) & (parcels["fold"] != 255)]
    assert [fold["fold"] for fold in metrics["folds"]] == [0, 1, 2]
    assert metrics["counts"]["test parcels"] == len(tested) > 0
    assert sum(fold["parcels"] for fold in metrics["folds"]) == metrics["counts"]["test parcels scored"]


KINDS = ("patches", "pixel_sets", "chips")


@pytest.fixture(scope="module")
def samples(undisturbed) -> dict[str, Path]:
    """The samples of every kind, made from the archive of the undisturbed run."""
    folders = {kind: Path(f"results/samples/tiny/plain/{kind}/2023") for kind in KINDS}
    done = undisturbed.run(*map(str, folders.values()))
    assert done.returncode == 0, done.stderr[-6000:]
    found = {kind: undisturbed.folder / folder for kind, folder in folders.items()}
    return {**found, "pixels": found["pixel_sets"]}


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run a command, which must succeed."""
    monkeypatch.setattr(sys, "argv", ["cropflow", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code


def killed(train: Callable[[], None]) -> None:
    """Train in a process of its own, which dies in the middle of its second epoch."""
    from cropflow.models.engine.learning import Learner

    child = os.fork()
    if child == 0:
        step = Learner.training_step

        def dying(self: Learner, batch: object, batch_idx: int) -> object:
            if self.current_epoch == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, batch, batch_idx)

        Learner.training_step = dying
        train()
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("name", [name for name in zoo.SMALL if name in NETWORKS])
def test_every_network_learns_goes_on_after_kill_9_and_predicts(name, undisturbed, samples, monkeypatch, tmp_path):
    """The same commands for all; killed, the same weights in the end; and what is written is read again."""
    entry = {"name": name, **zoo.SMALL[name].settings, "epochs": 2, "batch_size": 8}
    entry.pop("history", None)  # the register's earlier season is no part of this run
    if name == "conv_star":
        entry["layers"] = 3  # one for each level of the legend
    results = undisturbed.results
    base = results / "samples" / "tiny" / "plain"
    place = ("--place", "plain/2023")

    def train(folder: Path) -> None:
        command(
            monkeypatch, "models", "train", *place, "--samples", samples[NETWORKS[name].kind],
            "--settings", json.dumps(entry), "--legend", "turkoglu", "--no-background", "--folds", 3, "--fold", 0,
            "--seed", 1, "--work", folder / "work", "--output", folder / "model",
        )  # fmt: skip

    train(tmp_path / "calm")
    killed(lambda: train(tmp_path / "killed"))
    assert list((tmp_path / "killed" / "work").glob("*.ckpt"))
    train(tmp_path / "killed")
    weights = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("calm", "killed")]
    assert weights[0] == weights[1]
    command(
        monkeypatch, "models", "predict", *place, "--samples", base / "2023", "--folds", base / "folds.parquet",
        "--composites", results / "composites/monthly/plain/2023/sentinel2.zarr", "--model", tmp_path / "calm/model",
        "--fold", 0, "--output", tmp_path / "predictions.zarr",
    )  # fmt: skip
    probability = np.asarray(zarr.open_group(tmp_path / "predictions.zarr", mode="r")["plain/2023/a/probability"])
    predicted = probability[:, probability[0] != 65535].astype(int)
    assert predicted.shape[1] > 100
    assert np.abs(predicted.sum(axis=0) - 10_000).max() <= len(predicted)
