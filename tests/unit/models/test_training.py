"""Training: it learns, it does not peek, and a killed run ends as if it had not been killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_toy import DieAfter
from lightning.pytorch import Callback

from cropflow.config.base import dump
from cropflow.config.models.patches import TemporalUnet
from cropflow.errors import CropflowError
from cropflow.models.checkpoints import describe, read_weights
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split
from cropflow.models.data.survey import survey
from cropflow.models.engine.fitting import Job, train_model
from cropflow.models.engine.training import train_network


def job(folder: Path, **changes: Any) -> Job:
    content: dict[str, Any] = {
        "places": ("r/s",),
        "folders": (folder,),
        "legend": "turkoglu",
        "background": False,
        "folds": 5,
        "fold": 0,
        "seed": 1,
        "threads": 1,
    }
    return Job(**{**content, **changes})


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as handle:
        return list(csv.DictReader(handle))


def network(folder: Path, settings: dict[str, Any], work: Path, callbacks: tuple[Callback, ...] = ()) -> Any:
    samples, split, section = read_samples("patches", ("r/s",), (folder,)), Split(0, 5, False), TemporalUnet(**settings)
    found = survey(samples, split, complete=True)
    return train_network(
        samples,
        found,
        split,
        section,
        describe(section, samples, found, split),
        seed=1,
        threads=1,
        work=work,
        key="0123456789abcdef0",
        callbacks=callbacks,
    )


def swap_validation(crops: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    crops = crops.copy()
    crops[1::5] = np.where(crops[1::5] == 3, 7, np.where(crops[1::5] == 7, 3, crops[1::5]))
    return crops


def test_a_separable_toy_is_learnt_and_written(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**narrow, "epochs": 6}
    fitted = train_model(job(make_samples()), json.dumps(settings), tmp_path / "work", tmp_path / "model")
    assert fitted is not None
    rows = history(tmp_path / "model")
    best = json.loads((tmp_path / "model/model.json").read_text())
    assert len(rows) == best["epochs_run"]
    assert float(rows[best["best_epoch"] - 1]["validation_balanced_accuracy"]) > 0.95
    assert best["classes"] == [3, 7]
    assert best["stopped_by"] == "validation loss"
    assert best["settings"] == dump(TemporalUnet(**settings))  # as the user wrote them, training changes none
    assert fitted.counts["pixels"]["training"] == {"3": 9 * 13 * 8, "7": 9 * 13 * 8}
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "history.csv",
        "model.json",
        "model.safetensors",
        "statistics.json",
    ]
    assert best["parameters"] == sum(
        value.numel()
        for name, value in read_weights(tmp_path / "model/model.safetensors").items()
        if "running" not in name and "num_batches" not in name
    )


@pytest.mark.parametrize("cutout", [None, 8])
def test_a_run_that_dies_and_resumes_equals_one_that_does_not(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path, cutout: int | None
) -> None:
    folder, settings = make_samples(), {**narrow, "epochs": 4, "dropout": 0.3, "cutout": cutout}
    whole = network(folder, settings, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="power"):
        network(folder, settings, tmp_path / "broken", (DieAfter(2),))
    resumed = network(folder, settings, tmp_path / "broken")
    assert len(resumed.rows) == 4
    np.testing.assert_equal(resumed.rows, whole.rows)
    assert resumed.best_epoch == whole.best_epoch
    assert resumed.weights.keys() == whole.weights.keys()
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)
    last = [torch.load(run.resume_file, weights_only=True)["state_dict"] for run in (whole, resumed)]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])
    complete = network(folder, settings, tmp_path / "broken", (DieAfter(4),))
    np.testing.assert_equal(complete.rows, whole.rows)


def test_a_finished_run_is_not_trained_on_when_its_result_was_not_yet_written(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    folder, settings = make_samples(), {**narrow, "epochs": 8, "patience": 1, "learning_rate": 0.3}
    first = network(folder, settings, tmp_path / "work")
    assert len(first.rows) < 8  # stopped early, or the test shows nothing
    again = network(folder, settings, tmp_path / "work", (DieAfter(len(first.rows)),))
    np.testing.assert_equal(again.rows, first.rows)
    assert all(torch.equal(again.weights[name], first.weights[name]) for name in first.weights)


def test_the_best_weights_are_a_copy_of_their_epoch(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    # The better the training, the worse the validation.
    folder, settings = make_samples(crops=swap_validation), {**narrow, "epochs": 4, "patience": 4}
    whole = network(folder, settings, tmp_path / "long")
    assert whole.best_epoch < 4
    short = network(folder, {**settings, "epochs": whole.best_epoch}, tmp_path / "short")
    assert all(torch.equal(short.weights[name], whole.weights[name]) for name in whole.weights)


def test_the_epoch_of_the_best_balanced_accuracy_is_kept_where_that_is_watched(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    # The better the training, the worse the validation: the loss says so sooner than the accuracy.
    settings = {**narrow, "epochs": 5, "patience": 5, "learning_rate": 0.1}
    folder = make_samples(crops=swap_validation)
    by_loss = network(folder, settings, tmp_path / "loss")
    by_accuracy = network(folder, {**settings, "watch": "balanced_accuracy"}, tmp_path / "accuracy")
    np.testing.assert_equal(by_accuracy.rows, by_loss.rows)
    losses = [row[2] for row in by_loss.rows]
    accuracies = [row[4] for row in by_loss.rows]
    assert by_loss.best_epoch == int(np.argmin(losses)) + 1
    assert by_accuracy.best_epoch == int(np.argmax(accuracies)) + 1
    assert by_loss.best_epoch != by_accuracy.best_epoch  # or the test shows nothing
    assert (by_loss.watched, by_accuracy.watched) == ("validation loss", "validation balanced accuracy")


@pytest.mark.parametrize(
    ("cutout", "message"),
    [
        (40, "cutout of the model is 40; expected at most .*, the patch_size of the sample set"),
        (4, "Squares of 4 pixels are too small for a network that halves .*; expected at least 8. Raise cutout,"),
    ],
)
def test_squares_that_do_not_fit_the_patches_or_the_network_are_refused(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path, cutout: int, message: str
) -> None:
    with pytest.raises(CropflowError, match=message):
        network(make_samples(), {**narrow, "cutout": cutout, "widths": [8, 8, 8, 8]}, tmp_path)


def test_kill_9_in_the_middle_of_an_epoch_changes_no_byte(
    make_fused: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    drawn = {"optimiser": "adamw", "weight_decay": 0.1, "schedule": "one_cycle", "sensor_dropout": 0.5, "dropout": 0.3}
    folder, settings = make_fused(), json.dumps(narrow | drawn)
    train_model(job(folder), settings, tmp_path / "calm/work", tmp_path / "calm/model")
    script = """
import os, signal, sys
from pathlib import Path
from cropflow.models.engine import learning
from cropflow.models.engine.fitting import Job, train_model

step = learning.Learner.training_step
def killed(self, batch, batch_idx):
    if self.current_epoch == 1 and batch_idx == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)
learning.Learner.training_step = killed
folder, settings, root = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
train_model(Job(("r/s",), (folder,), "turkoglu", False, 5, 0, 1, 1), settings, root / "work", root / "model")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), settings, str(tmp_path / "killed")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list((tmp_path / "killed/work").glob("*.ckpt"))) == 1
    assert not (tmp_path / "killed/model").exists()
    train_model(job(folder), settings, tmp_path / "killed/work", tmp_path / "killed/model")
    for path in sorted((tmp_path / "calm/model").iterdir()):
        assert (tmp_path / "killed/model" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_damaged_or_foreign_resume_file_is_not_used(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    folder, settings, work = make_samples(), {**narrow, "epochs": 1}, tmp_path / "work"
    calm = network(folder, settings, work)
    calm.resume_file.write_bytes(calm.resume_file.read_bytes()[:1000])
    again = network(folder, settings, work)
    np.testing.assert_equal(again.rows, calm.rows)
    content = torch.load(again.resume_file, weights_only=True)
    content["callbacks"]["Progress"]["key"] = "of another run"
    torch.save(content, again.resume_file)
    assert len(network(folder, {**settings, "epochs": 1}, work).rows) == 1


def test_labels_of_the_test_fold_change_no_byte_of_the_model(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    def swap_test(crops: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        crops = crops.copy()
        crops[::5] = np.where(crops[::5] < 65534, 11, crops[::5])  # 11: a crop that training lacks
        return crops

    settings = json.dumps({**narrow, "epochs": 2, "class_weights": "inverse_sqrt"})
    for name, folder in (("one", make_samples("a")), ("two", make_samples("b", crops=swap_test))):
        train_model(job(folder), settings, tmp_path / name / "work", tmp_path / name / "model")
    for file in ("model.safetensors", "statistics.json", "history.csv"):
        assert (tmp_path / "one/model" / file).read_bytes() == (tmp_path / "two/model" / file).read_bytes(), file


def test_labels_of_the_validation_fold_only_choose_the_epoch(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**narrow, "epochs": 2}
    one = network(make_samples("a"), settings, tmp_path / "one")
    two = network(make_samples("b", crops=swap_validation), settings, tmp_path / "two")
    assert [row[1] for row in one.rows] == [row[1] for row in two.rows]
    assert one.rows[-1][2] != two.rows[-1][2]
    last = [torch.load(run.resume_file, weights_only=True)["state_dict"] for run in (one, two)]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])


def test_without_a_validation_pixel_the_training_loss_decides(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    def silent(crops: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        crops = crops.copy()
        crops[1::5] = 65535
        return crops

    settings = json.dumps({**narrow, "epochs": 2})
    train_model(job(make_samples(crops=silent)), settings, tmp_path / "work", tmp_path / "model")
    assert json.loads((tmp_path / "model/model.json").read_text())["stopped_by"] == "training loss"
    assert history(tmp_path / "model")[0]["validation_loss"] == ""
    assert float(history(tmp_path / "model")[1]["train_loss"]) > 0


def test_a_unet_deeper_than_its_patches_is_refused(
    make_samples: Callable[..., Path], narrow: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(CropflowError, match=r"expected at least 32\. Raise patch_size"):
        network(make_samples(), {**narrow, "widths": [4] * 6}, tmp_path / "work")
