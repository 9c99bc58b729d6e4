"""What the pages say of the project holds: links lead somewhere, tests and files that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Defects of each published system that are known, and those that are of no room of samples, models or evaluation.
DEFECTS = {"A": 20, "B": 22, "C": 20, "D": 12, "E": 25, "F": 11}
ELSEWHERE = {*(f"B{number}" for number in (11, 12, 13, 14, 15, 16, 22)), "D11", "E10", "E22", "E23", "E24", "E25"}
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def pages(root: Path) -> dict[Path, str]:
    """Every page of the project, without its fenced code."""
    files = [*root.glob("*.md"), *(root / "docs").glob("*.md"), *(root / "experiments").rglob("*.md")]
    return {file: FENCE.sub("", file.read_text()) for file in files}


def anchors(text: str) -> set[str]:
    """Headings as a link writes them: lower case, without punctuation, hyphens for blanks."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def rows(root) -> list[tuple[str, str, str]]:
    """Rows of the page of published systems: defect, what it was, what shows that it is not here."""
    text = (root / "docs" / "published.md").read_text()
    # Rows of what was kept on purpose have a cell more.
    cells = re.findall(r"^\| ([A-F]\d+) \| (.+?) \| (.+) \|$", text, re.M)
    assert cells
    return cells


def test_every_link_leads_to_a_file_and_a_heading(root):
    texts = pages(root)
    for page, text in texts.items():
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            file = (page.parent / target).resolve() if target else page
            assert file.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(texts[file]), f"{page.name} links to {target}#{anchor}"


def test_every_file_that_the_page_on_the_architecture_names_exists(root):
    text = (root / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|smk))`", text))
    assert len(named) > 50
    assert {name for name in named if not ((root / name).is_file() or (root / "cropflow" / name).is_file())} == set()


def test_every_test_that_a_page_names_exists(root):
    files = (root / "tests").rglob("*.py")
    known = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)}
    named = {name for text in pages(root).values() for name in re.findall(r"`(test_\w+)`", text)}
    assert len(named) > 80
    assert named - known == set()


def test_every_defect_of_the_published_systems_stands_there_once(rows):
    known = {f"{system}{number}" for system, count in DEFECTS.items() for number in range(1, count + 1)}
    assert sorted(defect for defect, *_ in rows) == sorted(known - ELSEWHERE)


def test_every_defect_has_a_test_or_a_reason(rows):
    for defect, _, shown in rows:
        assert "`test_" in shown or "does not apply: " in shown, defect
