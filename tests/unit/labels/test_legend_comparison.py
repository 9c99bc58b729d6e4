"""What `labels legend diff` finds, and how it says so."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.labels.comparison import Difference, as_lines, compare_codes, compare_legends, pairs_of_tables
from cropflow.labels.hierarchy import Crop, Legend
from cropflow.labels.legend import read_legend
from cropflow.labels.legend_command import app
from cropflow.labels.tables import UNKNOWN


def legend(*crops):
    """A legend of (id, level, name, parent) rows; colours follow the id."""
    rows = tuple(Crop(id, level, name, parent, (id % 256, level, 0)) for id, level, name, parent in crops)
    return Legend("mine", rows, Path("mine.csv"))


BASE = ((11, 1, "arable", None), (12, 1, "grass", None), (2, 2, "maize", 11), (4, 2, "wheat", 11), (9, 2, "ley", 12))


def changed(old, new):
    return compare_legends(legend(*BASE), legend(*(new if row == old else row for row in BASE if new or row != old)))


def test_a_legend_equals_itself():
    assert compare_legends(legend(*BASE), legend(*BASE)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((4, 2, "wheat", 11), (4, 2, "rye", 11), [("level 2", "renamed", "4", "wheat", "rye")]),
        ((4, 2, "wheat", 11), None, [("level 2", "removed", "wheat", "4", "")]),
        ((9, 2, "ley", 12), (9, 2, "ley", 11), [("level 2", "moved", "ley", "grass", "arable")]),
        (
            (4, 2, "wheat", 11),
            (5, 2, "wheat", 11),
            [("level 2", "renumbered", "wheat", "4", "5"), ("level 2", "recoloured", "wheat", "#040200", "#050200")],
        ),
        (
            (4, 2, "wheat", 11),
            (5, 2, "rye", 11),
            [("level 2", "removed", "wheat", "4", ""), ("level 2", "added", "rye", "", "5")],
        ),
    ],
)
def test_each_kind_of_change_is_named(old, new, expected):
    assert changed(old, new) == [Difference(*row) for row in expected]


def test_a_level_that_one_of_them_lacks_is_all_added():
    flat = legend((11, 1, "arable", None), (12, 1, "grass", None))
    found = compare_legends(flat, legend(*BASE))
    assert [(one.where, one.change, one.what) for one in found] == [
        ("level 2", "added", name) for name in ("maize", "wheat", "ley")
    ]


def test_codes_differ_by_the_names_of_their_crops_and_not_by_ids():
    renumbered = legend((11, 1, "arable", None), (7, 2, "maize", 11), (4, 2, "rye", 11))
    one = {"MIS": 2, "BTH": 4, "BR": 0, "MIX": UNKNOWN, "OLD": 4}
    other = {"MIS": 7, "BTH": 4, "BR": UNKNOWN, "MIX": UNKNOWN, "NEW": 0}
    assert compare_codes(legend(*BASE), one, renumbered, other) == [
        Difference("", "mapped", "BR", "-", "?"),
        Difference("", "mapped", "BTH", "wheat", "rye"),
        Difference("", "added", "NEW", "", "-"),
        Difference("", "removed", "OLD", "wheat", ""),
    ]


@given(st.dictionaries(st.text("AB", min_size=1, max_size=3), st.sampled_from([0, 2, 4, 9, UNKNOWN])))
def test_a_table_equals_itself(codes):
    assert compare_codes(legend(*BASE), codes, legend(*BASE), dict(reversed(codes.items()))) == []


def test_the_tables_that_both_have_are_compared_unless_told():
    shared = [
        (name, name) for name in ("aafc", "canadian_cropland", "eucropmap", "eurocrops", "isrc", "rpg", "worldcereal")
    ]
    assert pairs_of_tables("turkoglu", "cropflow", []) == shared
    assert pairs_of_tables("turkoglu", "cropflow", ["rpg"]) == [("rpg", "rpg")]
    assert pairs_of_tables("turkoglu", "cropflow", ["rpg", "x.csv"]) == [("rpg", "x.csv")]
    with pytest.raises(CropflowError, match="3 times; expected at most 2"):
        pairs_of_tables("turkoglu", "cropflow", ["a", "b", "c"])


def test_lines_are_columns_under_a_header():
    lines = as_lines([Difference("rpg", "mapped", "BTH", "wheat", "rye"), Difference("level 1", "added", "x", "", "3")])
    assert lines == [
        "where    change  what  first  second",
        "rpg      mapped  BTH   wheat  rye",
        "level 1  added   x            3",
    ]
    assert as_lines([]) == []


def test_the_command_says_by_its_exit_code_whether_anything_differs(tmp_path):
    same = CliRunner().invoke(app, ["diff", "turkoglu", "turkoglu"])
    assert (same.exit_code, same.stdout) == (0, "")
    version = tmp_path / "turkoglu.csv"
    version.write_text(read_legend("turkoglu").path.read_text().replace(",hops,", ",hop,"))
    differs = CliRunner().invoke(app, ["diff", "turkoglu", str(version)])
    assert differs.exit_code == 1
    assert differs.stdout.splitlines()[1].split() == ["level", "3", "renamed", "16", "hops", "hop"]


def test_the_command_compares_two_tables_of_one_legend(tmp_path):
    table = tmp_path / "codes.csv"
    table.write_text("code,crop\n213,winter_barley\n")
    done = CliRunner().invoke(app, ["diff", "turkoglu", "turkoglu", "--table", "eucropmap", "--table", str(table)])
    assert done.exit_code == 1
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    assert ["eucropmap", "and", str(table), "mapped", "213", "?", "winter_barley"] in lines
    assert ["eucropmap", "and", str(table), "removed", "216", "maize"] in lines
