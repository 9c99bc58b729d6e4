"""The page in a real browser, without a network."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    # Whatever the page asked for outside would fail, and be seen in the log.
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
# Runs after the page's own script and writes what it finds where --dump-dom shows it.
PROBE = """
<script>
window.addEventListener("load", function () {
  var root = document.documentElement, images = Array.from(document.images), found = {};
  found.broken = images.filter(function (image) { return !image.complete || !image.naturalWidth; }).length;
  found.images = images.length;
  found.overflow = root.scrollWidth - root.clientWidth;
  var texts = Array.from(document.querySelectorAll("p, td, th, figcaption, li, a, span, small"));
  var seen = texts.filter(function (element) { return element.textContent.trim() && element.offsetParent; });
  var sizes = seen.map(function (element) { return parseFloat(getComputedStyle(element).fontSize); });
  found.smallest = Math.min.apply(null, sizes);
  var table = document.querySelector("#classes table.sortable");
  var column = function (number) {
    return Array.from(table.tBodies[0].rows).map(function (row) { return row.cells[number].textContent.trim(); });
  };
  var buttons = table.querySelectorAll("th button");
  buttons[1].click(); found.down = column(1); buttons[1].click(); found.up = column(1);
  buttons[0].click(); found.names = column(0);
  root.setAttribute("data-found", JSON.stringify(found));
});
</script>
"""


@pytest.fixture
def browse(chromium, tmp_path):
    def call(page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        profile = tmp_path / f"profile-{len(list(tmp_path.iterdir()))}"
        profile.mkdir()
        return subprocess.run(
            [chromium, *QUIET, f"--user-data-dir={profile}", *arguments, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )

    return call


@pytest.fixture
def page(full_page, tmp_path) -> Path:
    path = tmp_path / "index.html"
    path.write_text(full_page, encoding="utf-8")
    return path


def probe(browse, page: Path, width: int) -> dict:
    import html
    import json

    probed = page.with_name(f"probed-{width}.html")
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
    done = browse(probed, f"--window-size={width},900", "--dump-dom")
    assert "Content Security Policy" not in done.stderr
    assert "Uncaught" not in done.stderr
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found, done.stdout[:500]
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("width", [1280, 420])
def test_the_page_shows_all_pictures_and_fits_the_window(browse, page, width):
    found = probe(browse, page, width)
    assert found["images"] > 10
    assert found["broken"] == 0
    assert found["overflow"] <= 0
    assert found["smallest"] >= 11


def test_a_click_on_a_head_sorts_the_table(browse, page):
    found = probe(browse, page, 1280)
    counts = [int(text) for text in found["down"]]
    assert counts == sorted(counts, reverse=True)
    assert [int(text) for text in found["up"]] == counts[::-1]
    assert found["names"] == sorted(found["names"])


def test_the_page_is_painted(browse, page, tmp_path):
    picture = tmp_path / "page.png"
    browse(page, "--window-size=1280,2400", f"--screenshot={picture}")
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape == (2400, 1280, 3)
    # Text, maps and the warning's amber are there, not one blank sheet.
    assert len(np.unique(pixels.astype(np.uint32) @ [65536, 256, 1])) > 200
    assert (pixels == (0xFF, 0xF7, 0xE4)).all(axis=2).sum() > 5000
    middle = pixels[600:1400]
    assert (middle.max(axis=2) < 250).mean() > 0.05
