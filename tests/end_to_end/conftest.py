"""Whole runs of the workflow in folders of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml


def with_python(path: str) -> str:
    """A search path on which the rules find the Python that runs the tests, activated or not."""
    return os.pathsep.join([str(Path(sys.executable).parent), path])


@dataclass(frozen=True)
class Workspace:
    """A working folder beside a link to the shared data, and the checkout whose workflow runs in it."""

    folder: Path
    root: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def command(self, *arguments: str, overlays: tuple[Path, ...] = ()) -> list[str]:
        profile = self.root / "workflow" / "profiles" / "default"
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.root / "workflow" / "Snakefile")]
        command += ["--workflow-profile", str(profile), "--cores", "2", *arguments]
        return command + (["--configfile", *map(str, overlays)] if overlays else [])

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.root), "PATH": with_python(os.environ["PATH"])}

    def run(self, *arguments: str, overlays: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, overlays=overlays),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def plan(self, *arguments: str, overlays: tuple[Path, ...] = ()) -> dict[str, int]:
        """Jobs per rule of a dry run."""
        done = self.run("--dry-run", *arguments, overlays=overlays)
        assert done.returncode == 0, done.stdout + done.stderr
        if "Job stats:" not in done.stdout:
            return {}
        table = done.stdout.split("Job stats:", 1)[1].split("Reasons:", 1)[0]
        jobs = {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.M)}
        jobs.pop("total")
        return jobs

    def overlay(self, name: str, content: dict) -> Path:
        file = self.folder / name
        file.write_text(yaml.safe_dump(content))
        return file


@pytest.fixture(scope="session")
def workspace(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Workspace]:
    """Make a working folder with a config; ``shared`` is linked beside it where it is given."""

    def make(name: str, shared: Path | None = None, config: dict | None = None) -> Workspace:
        folder = tmp_path_factory.mktemp(name) / "work"
        folder.mkdir()
        if shared is not None:
            (folder.parent / "shared").symlink_to(shared)
        text = yaml.safe_dump(config) if config is not None else (root / "config.yaml").read_text()
        (folder / "config.yaml").write_text(text)
        return Workspace(folder, root)

    return make
