"""Networks of every kind learn through one command, and say what they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo
from toys import CROPS, OPTICS, RADAR, write_parcels

from cropflow.config.models import NETWORKS
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json, write_json
from cropflow.labels.legend import read_legend
from cropflow.models import load_predictor
from cropflow.models.batch import IGNORED, UNKNOWN, batch_of
from cropflow.models.checkpoints import describe, read_description, read_weights
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split
from cropflow.models.data.survey import survey
from cropflow.models.engine.fitting import Job, train_model
from cropflow.models.engine.losses import Loss
from cropflow.models.levels import group_classes
from cropflow.models.registry import build_network

SHORT: dict[str, Any] = {"epochs": 6, "learning_rate": 0.03, "batch_size": 6}


def fit(folder: Path, output: Path, name: str, **options: Any) -> float:
    """Train a small network and give its best balanced accuracy on the validation fold."""
    settings = {**zoo.SMALL[name].settings, "name": name.partition(":")[0], **SHORT, **options}
    job = Job(("r/s",), (folder,), "turkoglu", False, 5, 0, 1, 1)
    fitted = train_model(job, json.dumps(settings), output.parent / "work", output)
    assert fitted is not None
    with (output / "history.csv").open() as handle:
        return max(float(row["validation_balanced_accuracy"]) for row in csv.DictReader(handle))


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "a parcel with its features and history": (
        "pse_ltae", {"lags": 2}, {"loss": "focal", "gamma": 1.0, "epochs": 14, "learning_rate": 0.01, "patience": 14},
    ),
    "a parcel of two sensors, one of which is lost": (
        "pse_tsa:tsa", {"layouts": (OPTICS, RADAR)},
        {"sensor_dropout": 0.5, "class_weights": "balanced", "epochs": 24, "patience": 24},
    ),
    "pixels over the levels of the legend": ("temp_cnn:mean", {}, {"loss": "hierarchical", "optimiser": "adamw"}),
    "chips": ("conv_lstm", {}, {"gradient_clip": 1.0, "schedule": "step", "schedule_epochs": 20}),
    "pixels, each class against the rest": (
        "temp_cnn:mean", {}, {"loss": "binary", "class_weights": "effective_number", "schedule": "one_cycle"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_network_of_any_kind_learns_and_says_what_it_is(case: str, tmp_path: Path) -> None:
    name, written, options = CASES[case]
    kind = NETWORKS[name.partition(":")[0]].kind
    stored = "pixel_sets" if kind == "pixels" else kind
    folder, output = write_parcels(tmp_path / "samples", stored, **written), tmp_path / "model"
    assert fit(folder, output, name, **options) > 0.8
    found = read_description(output)
    samples, split = read_samples(kind, ("r/s",), (folder,)), Split(0, 5, False)
    assert found == describe(found.settings, samples, survey(samples, split), split)
    assert (found.kind, found.classes, found.lags, found.folds) == (kind, CROPS, written.get("lags", 0), 5)
    assert (found.features is None) == (kind != "pixel_sets")
    network = build_network(found.settings, found.inputs())
    network.load_state_dict(read_weights(output / "model.safetensors"))


def test_a_head_per_level_learns_by_the_sum_over_the_levels(make_samples: Callable[..., Path], tmp_path: Path) -> None:
    seen: list[int] = []
    forward = Loss.forward

    def watched(self: Loss, stages: Any, target: Any) -> Any:
        seen.append(len(stages))
        return forward(self, stages, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Loss, "forward", watched)
        summed = fit(make_samples(), tmp_path / "model", "conv_star", loss="hierarchical", layers=3, epochs=4)
        assert set(seen) == {len(read_description(tmp_path / "model").levels) + 2}
        seen.clear()
        fit(make_samples("again"), tmp_path / "plain", "conv_star", loss="cross_entropy", layers=3, epochs=1)
        assert set(seen) == {1}
    assert summed > 0.9


@pytest.mark.parametrize("legend", ["turkoglu", "eucropmap", "hcat"])
def test_any_hierarchy_goes_from_the_legend_to_the_heads_the_loss_and_the_model_and_back(
    legend: str, make_samples: Callable[..., Path], tmp_path: Path
) -> None:
    ids = read_legend(legend).ids[::5][:3]
    crops = np.array(ids, dtype=np.uint16)
    folder = make_samples(
        crops=lambda found: np.where(found < 65_000, crops[np.arange(found.size) % 3].reshape(found.shape), found)
    )
    about = read_json(folder / "patches.json")
    write_json(folder / "patches.json", {**about, "legend": legend})
    levels = group_classes(legend, sorted(ids))
    assert len(levels) == read_legend(legend).levels - 1
    settings = {"name": "conv_star", "hidden": 4, "layers": len(levels) + 1, "refinement": 4, "loss": "hierarchical"}
    job = Job(("r/s",), (folder,), legend, False, 5, 0, 1, 1)
    train_model(job, json.dumps({**settings, "epochs": 1}), tmp_path / "work", tmp_path / "model")
    found = read_description(tmp_path / "model")
    assert (found.legend, found.classes, found.levels) == (legend, tuple(sorted(ids)), levels)
    predictor = load_predictor(tmp_path / "model")
    batch = batch_of(torch.randn(2, 4, 2, 8, 8))
    with torch.no_grad():
        stages = predictor.network.stages(batch)  # type: ignore[attr-defined]
    groups = [max(level) + 1 for level in levels]
    assert [stage.shape[1] for stage in stages] == [*groups, 3, 3]
    weights = {**settings, "epochs": 1, "level_weights": [1.0] * (len(levels) + 2)}
    with pytest.raises(CropflowError, match=f"one weight for each of the {len(levels) + 1} levels of the legend"):
        train_model(job, json.dumps(weights), tmp_path / "work", tmp_path / "other")


def test_nothing_is_learnt_from_pixels_that_nobody_knows_whatever_the_loss(
    make_samples: Callable[..., Path], tmp_path: Path
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    forward = Loss.forward

    def watched(self: Loss, stages: Any, target: torch.Tensor) -> Any:
        if stages[-1].requires_grad:
            stages[-1].register_hook(lambda slope: seen.append((target, slope)))
        return forward(self, stages, target)

    folder = make_samples()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Loss, "forward", watched)
        for loss in ("binary", "cross_entropy", "focal", "hierarchical"):
            fit(folder, tmp_path / loss, "temporal_unet", loss=loss, epochs=1)
            target, slope = (torch.cat(parts) for parts in zip(*seen, strict=True))
            seen.clear()
            # One row of each patch is of no class, one unknown, one background, which is no class here.
            assert (target == UNKNOWN).sum() == (target == IGNORED).sum() / 2 == 9 * 16
            assert (slope[target < 0] == 0).all()
            assert (slope[target >= 0] != 0).any(1).all()


def test_a_model_keeps_the_levels_of_its_legend() -> None:
    legend = read_legend("turkoglu")
    found = group_classes("turkoglu", CROPS)
    assert len(found) == legend.levels - 1
    for level, groups in enumerate(found, start=1):
        above = [legend.ancestor(crop, level) for crop in CROPS]
        assert [above.index(each) for each in above] == [groups.index(each) for each in groups]
        assert sorted(set(groups)) == list(range(len(set(groups))))
    with_background = group_classes("turkoglu", (0, *CROPS))
    assert all(groups[0] == 0 and 0 not in groups[1:] for groups in with_background)


def test_the_one_sensor_of_the_samples_cannot_be_lost(tmp_path: Path) -> None:
    folder = write_parcels(tmp_path / "samples", "pixel_sets")
    with pytest.raises(CropflowError, match=r"sensor_dropout of the model is 0.5; expected 0: the samples have one"):
        fit(folder, tmp_path / "model", "temp_cnn:mean", sensor_dropout=0.5)
    assert not (tmp_path / "model").exists()
