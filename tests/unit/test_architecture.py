"""The rules that hold the package together: who imports what, and what each environment carries."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOMS = ["labels", "regions", "imagery", "composites", "samples", "models", "evaluation", "maps", "report"]
GROUND = ["config", "errors", "files", "lazy"]
COMMAND_ENTRIES = {
    "labels.command": {"labels.history_command", "labels.legend_command"},
    "samples.command": {"samples.kinds_command", "samples.layouts.command"},
    "imagery.command": {"imagery.preview.command"},
    "composites.command": {"composites.server.command"},
    "models.command": {"models.tuning.command", "models.apply_command"},
}
# What draws the preview is an extra: heavy, and nothing else needs it.
EXTRA = {"geemap", "folium"}
LONGEST_MODULE = 320
# Where the name of a distribution is not the name that is imported.
DISTRIBUTIONS = {"yaml": "pyyaml", "PIL": "pillow", "sklearn": "scikit-learn"}
DISTRIBUTIONS |= {"ee": "earthengine-api", "google": "google-auth", "googleapiclient": "google-api-python-client"}
DISTRIBUTIONS |= {"pystac_client": "pystac-client"}
ENVIRONMENT_COMMANDS = re.compile(r"python -m cropflow (\w+)")
COMMAND_ROOMS = {"simulate": "simulation"}


def modules(root: Path) -> dict[str, Path]:
    """Name below ``cropflow`` -> file; a package goes by its folder's name."""
    found = {}
    for file in sorted((root / "cropflow").rglob("*.py")):
        parts = list(file.relative_to(root / "cropflow").with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(file: Path) -> Iterator[str]:
    """Full names that a module imports anywhere, in functions and for type checkers too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def inside(file: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that a module imports, by their names below ``cropflow``."""
    found = set()
    for name in imported(file):
        parts = name.split(".")[1:] if name.startswith("cropflow.") else []
        while parts and ".".join(parts) not in known:
            parts.pop()
        if parts:
            found.add(".".join(parts))
    return found


def outside(file: Path) -> set[str]:
    """Third-party packages that a module imports."""
    return {name.split(".")[0] for name in imported(file)} - set(sys.stdlib_module_names) - {"cropflow"}


@pytest.fixture(scope="module")
def known(root) -> dict[str, Path]:
    return modules(root)


def test_every_package_is_a_room_the_ground_floor_or_the_simulation(known):
    assert {name.split(".")[0] for name in known} == {*ROOMS, *GROUND, "simulation", "cli", "__main__", ""}


def test_a_room_imports_the_ground_floor_the_grid_and_rooms_to_its_left(known):
    for name, file in known.items():
        room = name.split(".")[0]
        if room not in ROOMS:
            continue
        allowed = {*GROUND, *ROOMS[: ROOMS.index(room) + 1]}
        wrong = {other for other in inside(file, known) if other.split(".")[0] not in allowed} - {"regions.grid"}
        assert not wrong, f"{name} imports {wrong}"


def test_the_ground_floor_and_the_simulation_import_no_room_but_the_grid(known):
    for name, file in known.items():
        room = name.split(".")[0]
        if room in GROUND or room == "simulation":
            wrong = {other for other in inside(file, known) if other.split(".")[0] not in {*GROUND, room}}
            assert wrong <= {"regions.grid"}, f"{name} imports {wrong}"


def test_the_grid_imports_the_ground_floor_alone(known):
    assert {name.split(".")[0] for name in inside(known["regions.grid"], known)} <= set(GROUND)


def test_nothing_imports_a_command_but_the_command_line(known):
    for name, file in known.items():
        commands = {other for other in inside(file, known) if other.endswith("command")}
        assert commands <= COMMAND_ENTRIES.get(name, set()), f"{name} imports {commands}"


def test_torch_stays_in_models_and_maps_and_numba_in_composites_and_kernels(known):
    homes = {"torch": {"models", "maps"}, "lightning": {"models", "maps"}, "numba": {"composites"}}
    for name, file in known.items():
        parts = name.split(".")
        for package in outside(file) & set(homes):
            compiled = package == "numba" and "kernels" in parts
            assert compiled or parts[0] in homes[package], f"{name} imports {package}"


def test_no_module_is_longer_than_a_reader_takes_in(known):
    lengths = {name: len(file.read_text().splitlines()) for name, file in known.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


@pytest.mark.parametrize("arguments", [["--help"], ["models", "--help"], ["maps", "--help"], ["report", "--help"]])
def test_help_imports_no_heavy_package(arguments, root):
    script = (
        f"import sys, json; sys.argv = ['cropflow', *{arguments}]\n"
        "from cropflow.cli import main\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
        "print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert set(loaded) & {"numpy", "pandas", "geopandas", "torch", "zarr", "rasterio", "numba", "matplotlib"} == set()


@pytest.mark.parametrize("command", ["config", "simulate", "composites", "evaluation", "maps", "report", "verify"])
def test_help_is_about_the_command_and_not_about_shells(command, root):
    arguments = [sys.executable, "-m", "cropflow", command, "--help"]
    done = subprocess.run(arguments, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "completion" not in done.stdout


def rule_environments(root: Path) -> dict[str, set[str]]:
    """Room -> names of the environments that its rules use."""
    found: dict[str, set[str]] = {}
    for file in sorted((root / "rules").glob("*.smk")):
        for rule in re.split(r"^rule ", file.read_text(), flags=re.M)[1:]:
            environment = re.search(r'conda:\s+"\.\./envs/(\w+)\.yaml"', rule)
            command = ENVIRONMENT_COMMANDS.search(rule)
            assert environment and command, f"{file.name}: rule {rule.split(':')[0]}"
            room = COMMAND_ROOMS.get(command[1], command[1])
            found.setdefault(room, set()).add(environment[1])
    return found


def reached(start: str, known: dict[str, Path]) -> set[str]:
    """The modules of a room, and all that they import in turn."""
    todo = [name for name in known if name.split(".")[0] == start]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += inside(known[name], known)
    return found


def test_the_environment_of_a_rule_carries_what_its_room_imports(root, known):
    environments = rule_environments(root)
    assert set(environments) == {*ROOMS, "simulation"}
    for room, names in environments.items():
        needed = {package for name in reached(room, known) for package in outside(known[name])}
        if room == "models":
            assert {"torch", "lightning", "sklearn"} <= needed
        for environment in names:
            items = yaml.safe_load((root / "envs" / f"{environment}.yaml").read_text())["dependencies"]
            flat = [part for item in items for part in (item["pip"] if isinstance(item, dict) else [item])]
            carried = {re.split(r"[ =]", item)[0] for item in flat}
            missing = {DISTRIBUTIONS.get(package, package) for package in needed} - carried
            assert not missing, f"{room} runs in envs/{environment}.yaml, which lacks {missing}"


def test_the_project_declares_what_the_package_imports_and_nothing_else(root, known):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = {pin.split("==")[0] for pin in project["dependencies"]}
    needed = {package for file in known.values() for package in outside(file)}
    assert {DISTRIBUTIONS.get(package, package) for package in needed - EXTRA} == declared - {"xarray"}
    assert {pin.split("==")[0] for pin in project["optional-dependencies"]["preview"]} == EXTRA


def test_every_declared_package_stands_in_the_table_of_dependencies(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    table = (root / "docs" / "architecture.md").read_text().split("## Dependencies", 1)[1].split("\n## ", 1)[0]
    named = {name for row in re.findall(r"^\| ([^|]+) \|", table, flags=re.M) for name in row.split(", ")}
    optional = [pin for group in project["optional-dependencies"].values() for pin in group]
    declared = {re.split(r"[=\[]", pin)[0] for pin in [*project["dependencies"], *optional]} - {"cropflow"}
    assert declared <= named


def _blocker(allowed: list[str]) -> str:
    """A program that runs ``cropflow`` where of the third-party packages only some, and what they need, are there."""
    return f"""
import importlib.abc, re, sys
from importlib.metadata import distribution, packages_distributions, PackageNotFoundError

def needs(names):
    found, todo = set(), list(names)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        todo += [re.match(r"[\\w.-]+", line)[0] for line in requires if "extra ==" not in line]
    return found

present = needs({allowed})
blocked = {{
    module
    for module, owners in packages_distributions().items()
    if module != "cropflow" and not any(re.sub(r"[-_.]+", "-", owner).lower() in present for owner in owners)
}}
assert {{"numpy", "pandas", "rasterio", "geopandas", "torch", "zarr"}} <= blocked

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError("absent here: " + name, name=name)

sys.meta_path.insert(0, Absent())
from cropflow.cli import main
main()
"""


def snakemake_packages(root: Path) -> list[str]:
    line = re.search(r"Snakemake's own needs\s+`([^`]+)`", (root / "README.md").read_text())
    assert line
    return line[1].split()


def check_without(packages: list[str], root: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _blocker(packages), "config", "check", *map(str, files)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)


def test_the_readme_names_all_that_snakemakes_own_environment_needs(root):
    packages = snakemake_packages(root)
    assert {"snakemake", "pydantic", "pyyaml", "typer"} <= set(packages)
    for package in packages:
        importlib.metadata.distribution(package)
    needed = check_without(packages, root, root / "config.yaml")
    assert needed.returncode == 0, needed.stderr


def test_an_overlay_with_a_crs_is_checked_in_snakemakes_own_environment(root, shared):
    for overlay in sorted((root / "experiments").glob("*.yaml")):
        done = check_without(snakemake_packages(root), root, root / "config.yaml", overlay)
        assert done.returncode == 0, f"{overlay.name}: {done.stderr[-2000:]}"


def test_a_package_that_is_left_out_is_noticed(root, shared):
    packages = [package for package in snakemake_packages(root) if package != "pyproj"]
    overlay = root / "experiments" / "flanders_2018.yaml"
    done = check_without(packages, root, root / "config.yaml", overlay)
    assert done.returncode != 0
    assert "pyproj" in done.stderr
