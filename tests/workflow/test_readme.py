"""What the README tells its reader to type works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
COMPOSITE = "results/composites/monthly/beauce/2023/sentinel2.zarr"
# Commands that need what a test has not: software environments, a finished run, a cluster.
ELSEWHERE = ("--use-conda", "--report", "--executor")
PLACEHOLDERS = {"<region>": "perche", "<season>": "2023"}
NEW_REGION = {
    "regions": {"perche": {"sites": {"a": {"centre": [0.9, 48.4], "side_km": 1.28}}, "imagery": "demo"}},
    "experiments": {"demo": {"map": [{"region": "perche", "season": "2023"}]}},
}


def commands() -> list[str]:
    """Every call of Snakemake: indented blocks, and the code of the table and of the text."""
    blocks = re.findall(r"^    (snakemake .*?)(?:\s+#.*)?$", README, flags=re.M)
    inline = [code for code in re.findall(r"`([^`\n]+)`", README) if re.match(r"snakemake\s+\S*(-|results/)", code)]
    return list(dict.fromkeys([*blocks, *inline]))


def fenced(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)
    assert len(found) == 1, f"{len(found)} blocks of {language}"
    return found[0]


@pytest.fixture
def overlays(folder: Path) -> Path:
    """The overlays that the README speaks of, with stand-ins for the data of the first."""
    mine = yaml.safe_load(fenced("yaml"))
    (folder / "my-region.yaml").write_text(yaml.safe_dump(mine))
    register = folder / mine["registers"]["rpg"]["files"]["2023"]["path"]
    register.parent.mkdir(parents=True)
    register.touch()
    (folder / "new.yaml").write_text(yaml.safe_dump(NEW_REGION))
    return folder


def test_the_commands_of_the_readme_are_found():
    assert len(commands()) >= 9
    assert sum(any(word in command for word in ELSEWHERE) for command in commands()) == 3


@pytest.mark.parametrize("command", [c for c in commands() if not any(word in c for word in ELSEWHERE)])
def test_a_command_of_the_readme_can_be_planned(command, plan, overlays, root, request):
    arguments = shlex.split(command)[1:]
    for placeholder, name in PLACEHOLDERS.items():
        arguments = [argument.replace(placeholder, name) for argument in arguments]
    if any(argument.startswith("experiments/") for argument in arguments):
        beside = overlays.parent / "shared"
        beside.unlink(missing_ok=True)
        beside.symlink_to(request.getfixturevalue("shared"))
        arguments = [str(root / a) if a.startswith("experiments/") else a for a in arguments]
    code, jobs, text = plan(*arguments)
    assert code == 0, text[-3000:]
    assert jobs


def test_one_rule_of_one_region_is_run_again_for_that_region_alone(plan):
    [recipe] = [command for command in commands() if "-R" in command]
    code, jobs, text = plan(*shlex.split(recipe)[1:])
    assert code == 0
    assert COMPOSITE in recipe
    assert "reason: Forced execution" in text
    assert jobs == {"simulation": 1, "regions": 1, "imagery_find": 1, "imagery_plan": 1, "imagery": 1, "composites": 1}


def test_a_new_region_is_mapped_without_the_jobs_of_another_map(plan, overlays):
    [recipe] = [command for command in commands() if "<region>" in command]
    for placeholder, name in PLACEHOLDERS.items():
        recipe = recipe.replace(placeholder, name)
    code, jobs, text = plan(*shlex.split(recipe)[1:])
    assert code == 0
    # The region that is learnt from, and the new one.
    assert (jobs["maps"], jobs["composites"], jobs["regions"]) == (1, 2, 2)
    assert "lauragais" not in text


def test_the_python_of_the_readme_runs_and_prints_what_it_says(tmp_path, root):
    script = fenced("python")
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == script.rstrip().rsplit("  # ", 1)[1]
