"""Check results against their manifests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.manifest import SUFFIX, content_hash, find_manifests, is_foreign

# What Snakemake and the commands keep for themselves.
PRIVATE = {".work", "logs", "timings", "benchmarks"}


@dataclass(frozen=True)
class Finding:
    """One result that does not match, and why."""

    path: Path
    problem: str


def verify(root: Path) -> tuple[int, list[Finding]]:
    """Re-hash every result below a folder.

    Returns:
        The number of results checked, and what does not match: changed, missing, stale (made from a result that
        has been replaced since; asked of a run's whole results folder alone), or without a manifest.
    """
    manifests = [path for path in find_manifests(root) if not PRIVATE & set(path.relative_to(root).parts)]
    findings: list[Finding] = []
    described: set[Path] = set()
    whole = (root / ".work").is_dir()
    contents = {manifest: _read(manifest) for manifest in manifests}
    present = {content["sha256"] for content in contents.values() if content}
    for manifest in manifests:
        result = manifest.with_name(manifest.name.removesuffix(SUFFIX))
        described.add(result)
        if not result.exists():
            findings.append(Finding(result, "missing"))
            continue
        expected = contents[manifest]
        if expected is None:
            findings.append(Finding(result, "its manifest is damaged"))
            continue
        digest, size = content_hash(result)
        if digest != expected["sha256"]:
            findings.append(
                Finding(result, f"changed: {size} bytes, sha256 {digest[:12]}, manifest says {expected['sha256'][:12]}")
            )
        # Below a part of the results an input may simply lie elsewhere.
        roles = expected["results"] if whole else []
        stale = [role for role in roles if expected["inputs"][role] not in present]
        if stale:
            findings.append(Finding(result, f"stale: its input {', '.join(stale)} has been replaced or is gone"))
    findings += [Finding(path, "without a manifest") for path in _undescribed(root, described)]
    return len(manifests), findings


def _read(manifest: Path) -> dict[str, Any] | None:
    """Content of a manifest; None where it is damaged."""
    try:
        content = read_json(manifest)
    except CropflowError:
        return None
    whole = isinstance(content, dict) and {"sha256", "inputs", "results"} <= set(content)
    return content if whole else None


def _undescribed(folder: Path, described: set[Path], top: bool = True) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path in described or path.name.endswith(SUFFIX) or path.name.startswith(".") or is_foreign(path):
            continue
        if top and (path.name in PRIVATE or path.name == "README.md"):
            continue
        if path.is_dir():
            yield from _undescribed(path, described, top=False)
        else:
            yield path
