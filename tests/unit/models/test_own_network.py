"""A network of one's own, added to a copy of the checkout in the steps of docs/models.md and no others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from toys import write_parcels

SECTION = '''"""The section of a network of one's own."""

from typing import ClassVar, Literal

from cropflow.config.models.drawing import Kind, PixelDrawing
from cropflow.config.models.training import Training


class OwnMean(PixelDrawing, Training):
    """A line through the mean of a pixel's dates."""

    kind: ClassVar[Kind] = "pixels"
    name: Literal["own_mean"] = "own_mean"
'''
NETWORK = '''"""A network of one's own."""

from typing import ClassVar

from torch import nn

from cropflow.config.models.drawing import Kind
from cropflow.models.layers.dates import seen
from cropflow.models.network import Network


class OwnMean(Network):
    """Scores of a pixel from its mean.

    Input ``(B, T, C)``, output ``(B, outputs)``.

    Source:
        Nobody (2024), https://example.org.
    """

    kind: ClassVar[Kind] = "pixels"
    masked: ClassVar[bool] = True

    def __init__(self, bands, outputs):
        super().__init__()
        self.head = nn.Linear(bands, outputs)

    def replace_head(self, outputs):
        self.head = nn.Linear(self.head.in_features, outputs)

    def forward(self, batch):
        series, counts = seen(batch, "nearest")
        dates = series.valid.shape[1] if counts is None else counts.sum(1, keepdim=True)
        return self.head(series.values.sum(1) / dates)


def build(settings, inputs):
    return OwnMean(inputs.channels, inputs.outputs)
'''


@pytest.fixture(scope="module")
def own(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the network, and what `cropflow config schema` prints of it."""
    checkout = tmp_path_factory.mktemp("checkout")
    for folder in ("cropflow", "rules", "workflow", "envs"):
        shutil.copytree(root / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "config.yaml", checkout)
    package = checkout / "cropflow"
    (package / "config" / "models" / "own.py").write_text(SECTION)
    (package / "models" / "networks" / "own_mean.py").write_text(NETWORK)
    listed = package / "config" / "models" / "__init__.py"
    text = listed.read_text()
    assert text.count("    | Transformer\n") == 1
    text = text.replace("    | Transformer\n", "    | Transformer\n    | OwnMean\n")
    listed.write_text(text.replace("from pydantic", "from cropflow.config.models.own import OwnMean\nfrom pydantic", 1))
    schema = run(checkout, "cropflow", "config", "schema")
    (checkout / "workflow" / "schemas" / "config.schema.json").write_text(schema)
    return checkout


def run(checkout: Path, module: str, *arguments: str, folder: Path | None = None) -> str:
    python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder or checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "PATH": python},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + (done.stderr if module == "snakemake" else "")


def test_the_rules_plan_a_network_of_ones_own_on_the_samples_of_its_kind(own: Path) -> None:
    demo = yaml.safe_load((own / "config.yaml").read_text())["experiments"]["demo"]
    experiment = {key: demo[key] for key in ("set", "train")} | {"model": {"name": "own_mean"}}
    (own / "overlay.yaml").write_text(json.dumps({"run": ["own"], "experiments": {"own": experiment}}))
    snakefile = str(own / "workflow" / "Snakefile")
    plan = run(own, "snakemake", "--snakefile", snakefile, "--dry-run", "--configfile", "config.yaml", "overlay.yaml")
    training = plan.split("rule models:", 1)[1].split("rule ", 1)[0]
    assert "/pixel_sets/" in training and "/patches/" not in training


def test_a_network_of_ones_own_is_shown_and_trained(own: Path, tmp_path: Path) -> None:
    shown = run(own, "cropflow", "models", "show", "own_mean", "--bands", "4", "--outputs", "3")
    assert "https://example.org" in shown and "15" in shown
    samples = write_parcels(tmp_path / "samples", "pixel_sets")
    run(
        own, "cropflow", "models", "train", "--place", "r/s", "--samples", str(samples), "--legend", "turkoglu",
        "--folds", "5", "--fold", "0", "--settings", '{"name": "own_mean", "epochs": 1}',
        "--work", str(tmp_path / "work"), "--output", str(tmp_path / "model"),
    )  # fmt: skip
    assert json.loads((tmp_path / "model" / "model.json").read_text())["settings"]["name"] == "own_mean"
