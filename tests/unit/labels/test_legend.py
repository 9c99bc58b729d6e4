"""The reader of legends and tables, on tiny files of its own."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.labels.legend import (
    check_legend,
    legend_names,
    read_code_table,
    read_legend,
    read_table,
    table_names,
    table_path,
)
from cropflow.labels.tables import UNKNOWN, Code

HEADER = "id,level,name,parent,colour\n"
TREE = HEADER + (
    "11,1,arable,,#c8b45a\n12,1,grassland,,#6fae3d\n4,2,wheat,11,#e6b422\n2,2,maize,11,#ff8c00\n9,2,meadow,12,#3fa34d\n"
)
LOCK = "legend,id,level,name\nmine,2,2,maize\nmine,4,2,wheat\nmine,9,2,meadow\nmine,11,1,arable\nmine,12,1,grassland\n"


@pytest.fixture
def mine(tmp_path):
    """Writes a legend of two levels, and hands out the path of its file."""

    def write(text: str = TREE) -> Path:
        path = tmp_path / "mine.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def table(tmp_path):
    """Writes a table, and hands out its path."""

    def write(text: str) -> Path:
        path = tmp_path / "codes.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_legend_of_ones_own_is_read_by_its_path(mine):
    legend = read_legend(mine())
    assert legend.key == "mine"
    assert legend.levels == 2
    assert legend.ids == (2, 4, 9)
    assert legend.ids_at(1) == (11, 12)
    assert legend.name(9) == "meadow"
    assert legend.colour(2) == (255, 140, 0)
    assert [crop.id for crop in legend.crops] == [11, 12, 2, 4, 9]


def test_the_ancestor_at_its_own_level_is_the_crop_itself(mine):
    legend = read_legend(str(mine()))
    assert [legend.ancestor(id, 2) for id in legend.ids] == [2, 4, 9]
    assert [legend.ancestor(id, 1) for id in legend.ids] == [11, 11, 12]
    assert legend.ancestor(12, 1) == 12


def test_a_level_that_does_not_exist_is_a_bug_of_the_caller(mine):
    legend = read_legend(mine())
    for level in (0, 3):
        with pytest.raises(ValueError, match="level"):
            legend.ids_at(level)
        with pytest.raises(ValueError, match="level"):
            legend.ancestor(2, level)
    with pytest.raises(ValueError, match="has no level 2"):
        legend.ancestor(11, 2)


@pytest.mark.parametrize("id", [0, 1, 65534, 65535])
def test_values_of_a_raster_that_are_no_crop_have_no_name(mine, id):
    with pytest.raises(KeyError, match=f"no id {id}"):
        read_legend(mine()).name(id)


def test_a_name_is_looked_up_at_the_finest_level_unless_told(mine):
    text = TREE.replace("9,2,meadow", "9,2,grassland")
    legend = read_legend(mine(text))
    assert legend.id_of("grassland") == 9
    assert legend.id_of("grassland", level=1) == 12
    with pytest.raises(CropflowError, match=r"no crop 'maiz'. The closest names are maize"):
        legend.id_of("maiz")


def test_a_legend_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    with pytest.raises(CropflowError, match=r"'pastis'; expected one of canadian_.*, turkoglu, or the path"):
        read_legend("pastis")
    with pytest.raises(CropflowError, match=r"no legend file .*none\.csv"):
        read_legend(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2,2,maize", "4,2,maize", "Id 4 of legend 'mine' is used twice"),
        ("2,2,maize", "2,2,wheat", "is used twice"),
        ("#ff8c00", "#E6B422", "Colour .* is used twice"),
        ("#ff8c00", "orange", "expected #rrggbb"),
        ("2,2,maize", "2,2,Maize ", "expected lower-case"),
        ("2,2,maize", "0,2,maize", "expected 1 to 65533"),
        ("2,2,maize", "65534,2,maize", "expected 1 to 65533"),
        ("2,2,maize", "x,2,maize", "'x'; expected a whole number"),
        ("2,2,maize", "2,0,maize", "level of 'maize'"),
        ("maize,11", "maize,4", "parent of 'maize' .*expected an id of level 1"),
        ("maize,11", "maize,77", "parent of 'maize' .*expected an id of level 1"),
        ("maize,11", "maize,", "parent of 'maize' .*expected an id of level 1"),
        ("arable,,", "arable,12,", "parent of 'arable' .*expected none"),
        ("meadow,12", "meadow,11", "'grassland' .* has no children"),
        ("id,level", "nr,level", "header of mine.csv"),
        (",#ff8c00", "", "line 5 has not as many values"),
        ("#ff8c00", "#ff8c00,more", "line 5 has not as many values"),
    ],
)
def test_a_file_that_is_no_tree_of_crops_is_refused(mine, old, new, message):
    assert old in TREE
    with pytest.raises(CropflowError, match=message):
        read_legend(mine(TREE.replace(old, new)))


def test_an_empty_legend_is_refused(mine):
    with pytest.raises(CropflowError, match="no crops"):
        read_legend(mine(HEADER))


def test_a_file_that_is_not_utf_8_is_refused_in_one_line(mine):
    path = mine()
    path.write_bytes("id,level,name,parent,colour\n1,1,bl\xe9,,#000000\n".encode("cp1252"))
    with pytest.raises(CropflowError, match="UTF-8") as caught:
        read_legend(path)
    assert "\n" not in str(caught.value)


def test_a_legend_without_a_lock_is_checked_as_a_tree_only(mine):
    check_legend(read_legend(mine()))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", None),
        ("4,2,wheat", "4,2,rye", r"id 4 .* is \(2, 'rye'\); expected \(2, 'wheat'\)"),
        ("4,2,wheat", "5,2,wheat", "id 4 .* is None"),
        ("9,2,meadow", "9,2,meadow,12,#ffffff\n13,2,heath", r"Id 13 \('heath'\) .* not in ids.lock"),
    ],
)
def test_ids_are_never_renumbered_or_renamed(mine, old, new, message):
    path = mine(TREE.replace(old, new) if old else TREE)
    path.with_name("ids.lock").write_text(LOCK, encoding="utf-8")
    legend = read_legend(path)
    if message is None:
        check_legend(legend)
    else:
        with pytest.raises(CropflowError, match=message):
            check_legend(legend)


def test_an_id_that_is_locked_twice_is_refused(mine):
    path = mine()
    path.with_name("ids.lock").write_text(LOCK + "mine,4,2,rye\n", encoding="utf-8")
    with pytest.raises(CropflowError, match=r"id 4 .* locked twice"):
        check_legend(read_legend(path))


def test_a_table_maps_codes_to_ids_and_a_dash_to_zero(mine, table):
    path = table("code,crop,note\nBTH,wheat,\nNA,maize,a real code\n0042,meadow,\nBR,-,buildings\n")
    assert read_table(mine(), path) == {"BTH": 4, "NA": 2, "0042": 9, "BR": 0}


def test_a_question_mark_leaves_a_code_neither_target_nor_negative(mine, table):
    assert read_table(mine(), table("code,crop\nMIX,?\nBR,-\n")) == {"MIX": UNKNOWN, "BR": 0}


MERGING = "code,crop,first_year,last_year,merges,merges_from\n"


def test_a_table_knows_the_years_of_a_code_and_what_it_took_over(mine, table):
    rows = MERGING + "MIS,maize,2015,,MIE MID,2023\nMIE,maize,2015,2022,,\nMID,maize,,2022,,\n"
    codes = read_code_table(mine(), table(rows))
    assert codes["MIS"] == Code(2, 2015, None, ("MIE", "MID"), 2023)
    assert [codes["MIE"].used_in(year) for year in (2014, 2015, 2022, 2023)] == [False, True, True, False]
    assert [codes["MID"].used_in(year) for year in (1900, 2022, 2023)] == [True, True, False]
    assert [codes["MIS"].merged_in(year) for year in (2022, 2023, 2024)] == [False, True, True]
    assert not codes["MIE"].merged_in(2023)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("A,maize,,,B,2023\n", "'B'; expected another code of the table"),
        ("A,maize,,,A,2023\n", "'A'; expected another code of the table"),
        ("A,maize,,,B,2023\nB,maize,,,,\n", "last_year of code 'B' .* is None; expected a year before 2023"),
        ("A,maize,,,B,2023\nB,maize,,2023,,\n", "is 2023; expected a year before 2023, when 'A' took its place"),
        ("A,maize,,,B,\nB,maize,,2022,,\n", "merges and merges_from go together"),
        ("A,maize,,,,2023\n", "merges and merges_from go together"),
    ],
)
def test_a_merge_that_contradicts_the_years_is_refused(mine, table, rows, message):
    with pytest.raises(CropflowError, match=message):
        read_code_table(mine(), table(MERGING + rows))


def test_a_byte_order_mark_does_not_hide_the_first_column(mine, table):
    assert read_table(mine(), table("\ufeffcode,crop\nBTH,wheat\n")) == {"BTH": 4}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("A,wheat\nA,maize\n", "line 3: code 'A' has a row already"),
        ("A,wheat\nA,wheat\n", "code 'A' has a row already"),
        (" A,wheat\n", "' A'; expected text without blanks"),
        (",wheat\n", "''; expected text without blanks"),
        (
            "A,wheat \n",
            "'wheat '; expected a finest crop of 'mine', '-' .out of scope. or '\\?' .ignored.. The closest names are",
        ),
        ("A,whaet\n", "The closest names are wheat"),
        ("A,\n", "crop of code 'A' .* is ''"),
        ("A,arable\n", "expected a finest crop"),
        ("A\n", "line 2 has not as many values"),
    ],
)
def test_a_table_that_is_no_function_is_refused(mine, table, rows, message):
    with pytest.raises(CropflowError, match=message):
        read_table(mine(), table("code,crop\n" + rows))


def test_a_table_with_other_columns_or_semicolons_is_refused(mine, table):
    with pytest.raises(CropflowError, match="expected columns code,crop"):
        read_table(mine(), table("code;crop\nA;wheat\n"))


def test_years_of_a_table_must_be_in_order(mine, table):
    header = "code,crop,first_year,last_year\n"
    assert read_table(mine(), table(header + "A,wheat,2015,\nB,wheat,,\nC,wheat,2015,2015\n"))
    with pytest.raises(CropflowError, match="first_year 2018 is after last_year 2015"):
        read_table(mine(), table(header + "A,wheat,2018,2015\n"))
    with pytest.raises(CropflowError, match="'then'; expected a whole number"):
        read_table(mine(), table(header + "A,wheat,then,\n"))


def test_a_table_that_does_not_exist_is_named_with_those_that_do(tmp_path, mine):
    with pytest.raises(CropflowError, match=r"'lpis'; expected one of its own .*rpg"):
        read_table("turkoglu", "lpis")
    with pytest.raises(CropflowError, match=r"its own \(none\)"):
        read_table(mine(), "rpg")
    with pytest.raises(CropflowError, match="no table file"):
        read_table("turkoglu", tmp_path / "none.csv")


def test_tables_beside_a_legend_of_ones_own_are_found_by_name(mine):
    path = mine()
    path.with_suffix("").mkdir()
    (path.with_suffix("") / "rpg.csv").write_text("code,crop\nBTH,wheat\n", encoding="utf-8")
    assert table_names(str(path)) == ("rpg",)
    assert read_table(path, "rpg") == {"BTH": 4}
    assert table_path(path, "rpg") == path.with_suffix("") / "rpg.csv"


def test_changing_a_table_in_memory_does_not_change_the_next_one_read():
    first = read_table("turkoglu", "rpg")
    first["BTH"] = 0
    assert read_table("turkoglu", "rpg")["BTH"] != 0


def test_the_package_lists_its_legends():
    assert legend_names() == (
        "canadian_cropland_10", "cropflow", "deep_crop_rotation_20", "eucropmap", "hcat", "isrc_8", "pastis_18",
        "rpg_groups", "rpg_groups_finistere", "seed_e_50", "turkoglu",
    )  # fmt: skip


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_every_crop_has_one_ancestor_at_each_level(tmp_path_factory, parents):
    used = sorted(set(parents))
    lines = [f"{100 + top},1,top_{top},,#0000{top:02x}" for top in used]
    lines += [f"{n + 1},2,crop_{n},{100 + top},#00ff{n:02x}" for n, top in enumerate(parents)]
    path = tmp_path_factory.mktemp("legend") / "any.csv"
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    legend = read_legend(path)
    assert {id: legend.ancestor(id, 1) for id in legend.ids} == {n + 1: 100 + top for n, top in enumerate(parents)}
    assert set(legend.ids_at(1)) == {legend.ancestor(id, 1) for id in legend.ids}


def test_the_command_shows_a_legend_and_a_table(mine, table):
    from cropflow.labels.legend_command import app

    legend = str(mine())
    shown = CliRunner().invoke(app, ["show", legend])
    assert shown.exit_code == 0
    assert "2\t2\tmaize\tarable\t#ff8c00" in shown.stdout.splitlines()
    codes = CliRunner().invoke(app, ["show", legend, "--table", str(table("code,crop\nA,wheat\nB,-\nC,?\n"))])
    assert codes.stdout.splitlines() == ["code\tid\tcrop", "A\t4\twheat", "B\t0\t-", "C\t65534\t?"]


def test_the_command_checks_a_legend_with_its_tables():
    from cropflow.labels.legend_command import app

    done = CliRunner().invoke(app, ["check", "turkoglu"])
    assert done.exit_code == 0, done.output
    assert "turkoglu: 5 of level 1, 16 of level 2, 48 of level 3" in done.stdout
    assert all(f"turkoglu, {name}:" in done.stdout for name in ("eurocrops", "rpg", "worldcereal"))


def test_the_command_refuses_a_wrong_table(mine, table):
    from cropflow.labels.legend_command import app

    done = CliRunner().invoke(app, ["check", str(mine()), "--table", str(table("code,crop\nA,weat\n"))])
    assert isinstance(done.exception, CropflowError)
