"""What was fetched survives whatever happens to the process that wrote it."""

from __future__ import annotations

import datetime
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.imagery.fetching.ledger import Ledger, Unit, nodata_share
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sources import Layer, Request
from cropflow.regions.grid import Grid

GRID = Grid(32631, 500_000.0, 4_900_000.0, 4, 6, 10.0)
TIME = datetime.datetime(2023, 6, 1, tzinfo=datetime.UTC)


def unit(number, layers=("B02", "SCL"), grid=GRID, sensor="sentinel2", address="a"):
    scene = Scene(
        f"s{number}", TIME, "p", "31TEJ", 8, "", "", 5.0, None, None,
        dict.fromkeys(layers, address), f"s{number}", sensor,
    )  # fmt: skip
    return Unit("site", scene, grid, Request(tuple(layers), 0, 0, grid.height, grid.width, 10))


def pixels(number, layers=("B02", "SCL"), dtype="uint16"):
    return {
        name: Layer(np.full(GRID.shape, 10 * number + place, dtype), 48, place == 1)
        for place, name in enumerate(layers)
    }


def test_what_is_kept_comes_back_also_in_another_run(tmp_path):
    with Ledger(tmp_path / "work", "stac a") as ledger:
        assert ledger.load(unit(1)) is None
        ledger.keep(unit(1), pixels(1), 0.5)
        assert ledger.holds(unit(1))
    with Ledger(tmp_path / "work", "stac a") as ledger:
        found = ledger.load(unit(1))
        assert list(found) == ["B02", "SCL"]
        np.testing.assert_array_equal(found["SCL"].values, pixels(1)["SCL"].values)
        assert (found["SCL"].bytes, found["SCL"].resampled, found["B02"].resampled) == (48, True, False)
        assert ledger.load(unit(2)) is None


@pytest.mark.parametrize(
    "other",
    [
        unit(1, layers=("B02",)),
        unit(1, grid=GRID.window(1, 0, 3, 6)),
        unit(1, address="b"),
        unit(1, sensor="sentinel1_ascending"),
    ],
    ids=["layers", "part", "address", "sensor"],
)
def test_other_pixels_are_another_unit(other):
    assert other.key("stac a") != unit(1).key("stac a")
    assert unit(1).key("stac b") != unit(1).key("stac a")


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A ledger of five units."""
    folder = tmp_path_factory.mktemp("ledger") / "work"
    with Ledger(folder, "stac a") as ledger:
        for number in range(5):
            ledger.keep(unit(number), pixels(number), 0.5)
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(length=st.integers(0, 3000))
def test_a_journal_cut_at_any_byte_costs_the_units_behind_the_cut_alone(five, tmp_path, length):
    folder = tmp_path / "work"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(five, folder)
    journal = (five / "journal.jsonl").read_bytes()[:length]
    (folder / "journal.jsonl").write_bytes(journal)
    # A line that lost nothing but its end is whole.
    lines = (five / "journal.jsonl").read_bytes().splitlines()
    whole = sum(len(b"".join(line + b"\n" for line in lines[: n + 1])) - 1 <= length for n in range(5))
    with Ledger(folder, "stac a") as ledger:
        assert [ledger.holds(unit(number)) for number in range(5)] == [number < whole for number in range(5)]
        ledger.keep(unit(7), pixels(7), 0.5)
    with Ledger(folder, "stac a") as ledger:
        assert ledger.holds(unit(7))
        assert sum(ledger.holds(unit(number)) for number in range(5)) == whole


@pytest.mark.parametrize("line", [b"[]\n", b"null\n", b'{"key": 1}\n', b"\xff\xfe\n", b"\n"])
def test_a_line_that_is_no_entry_is_passed_over(five, tmp_path, line):
    folder = tmp_path / "work"
    shutil.copytree(five, folder)
    journal = folder / "journal.jsonl"
    journal.write_bytes(line + journal.read_bytes())
    with Ledger(folder, "stac a") as ledger:
        assert all(ledger.holds(unit(number)) for number in range(5))


def test_a_file_that_was_being_written_is_swept_away(five, tmp_path):
    folder = tmp_path / "work"
    shutil.copytree(five, folder)
    part = next(folder.glob("*/*.npy")).with_suffix(".part")
    part.write_bytes(b"half")
    with Ledger(folder, "stac a"):
        assert not part.exists()


def test_threads_write_whole_lines(tmp_path):
    start = threading.Barrier(8)

    def write(number):
        start.wait()
        for step in range(20):
            ledger.keep(unit(100 * number + step), pixels(number), 0.1)

    with Ledger(tmp_path / "work", "stac a") as ledger, ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    with Ledger(tmp_path / "work", "stac a") as ledger:
        assert all(ledger.holds(unit(100 * number + step)) for number in range(8) for step in range(20))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"B02": pixels(1)["B02"]}, r"sent the layers \['B02'\]"),
        (pixels(1, dtype="uint8"), r"came as uint8 \(4, 6\) at site site; expected uint16 \(4, 6\)"),
        (
            {name: Layer(np.zeros((4, 5), "uint16"), 1, False) for name in ("B02", "SCL")},
            r"came as uint16 \(4, 5\) .* expected uint16 \(4, 6\)",
        ),
    ],
    ids=["layers", "kind", "shape"],
)
def test_what_is_not_the_units_is_refused_and_not_kept(tmp_path, layers, message):
    with Ledger(tmp_path / "work", "stac a") as ledger:
        with pytest.raises(CropflowError, match=message):
            ledger.keep(unit(1), layers, 0.1)
        assert not ledger.holds(unit(1))
    assert not list((tmp_path / "work").glob("*/*"))


@pytest.mark.parametrize(
    ("name", "values", "share"),
    [
        ("B02", np.array([[0, 1], [2, 3]], "uint16"), 0.25),
        ("cloud_score", np.array([[0, 255], [255, 3]], "uint16"), 0.5),
        ("VV", np.array([[np.nan, 0], [0, 0]], "float32"), 0.25),
    ],
)
def test_the_share_of_nodata_follows_the_layer(name, values, share):
    assert nodata_share(name, Layer(values, 1, False)) == share
