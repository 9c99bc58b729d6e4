"""Dry runs of the workflow in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Plan = Callable[..., tuple[int, dict[str, int], str]]


def with_python(path: str) -> str:
    """A search path on which the rules find the Python that runs the tests, activated or not."""
    return os.pathsep.join([str(Path(sys.executable).parent), path])


@pytest.fixture
def folder(tmp_path: Path, root: Path) -> Path:
    """An empty working folder with the project's config."""
    shutil.copy(root / "config.yaml", tmp_path / "config.yaml")
    return tmp_path


@pytest.fixture
def snakemake(folder: Path, root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Snakemake in the folder; dictionaries become overlays."""

    def run(*arguments: str, overlay: dict | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "workflow" / "Snakefile")]
        command += ["--workflow-profile", str(root / "workflow" / "profiles" / "default"), "--cores", "2", *arguments]
        if overlay is not None:
            file = folder / "overlay.yaml"
            file.write_text(yaml.safe_dump(json.loads(json.dumps(overlay))))
            command += ["--configfile", str(file)]
        environment = {**os.environ, "PYTHONPATH": str(root), "PATH": with_python(os.environ["PATH"])}
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=300)

    return run


@pytest.fixture
def plan(snakemake: Callable[..., subprocess.CompletedProcess[str]]) -> Plan:
    """Exit code, jobs per rule and the output of a dry run."""

    def dry(*arguments: str, overlay: dict | None = None) -> tuple[int, dict[str, int], str]:
        done = snakemake("--dry-run", *arguments, overlay=overlay)
        text = done.stdout + done.stderr
        table = text.split("Job stats:", 1)[-1].split("Reasons:", 1)[0] if "Job stats:" in text else ""
        jobs = {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.M)}
        jobs.pop("total", None)
        return done.returncode, jobs, text

    return dry
