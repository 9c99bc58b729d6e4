"""Every legend and table that comes with the package, against the same rules and against each other."""

import csv
import math
from itertools import combinations

import pytest

from cropflow.labels.legend import (
    FOLDER,
    check_legend,
    legend_names,
    read_code_table,
    read_legend,
    read_table,
    table_names,
)
from cropflow.labels.tables import UNKNOWN, crop_or_mark

LEGENDS = legend_names()
TABLES = [(legend, table) for legend in LEGENDS for table in table_names(legend)]
RPG = [legend for legend, table in TABLES if table == "rpg"]
# What each legend brings, so that a lost file is noticed.
SHIPPED = {
    "canadian_cropland_10": "aafc canadian_cropland",
    "cropflow": "aafc canadian_cropland eucropmap eurocrops isrc rpg worldcereal worldcover",
    "deep_crop_rotation_20": "rpg",
    "eucropmap": "eucropmap",
    "hcat": "eurocrops",
    "isrc_8": "isrc",
    "pastis_18": "pastis",
    "rpg_groups": "rpg",
    "rpg_groups_finistere": "rpg",
    "seed_e_50": "rpg",
    "turkoglu": "aafc canadian_cropland eucropmap eurocrops isrc rpg worldcereal",
}
LEVELS = {
    "canadian_cropland_10": [10],
    "cropflow": [5, 25, 81, 171],
    "deep_crop_rotation_20": [20],
    "eucropmap": [6, 21],
    "hcat": [8, 68, 261, 391],
    "isrc_8": [8],
    "pastis_18": [18],
    "rpg_groups": [24],
    "rpg_groups_finistere": [12],
    "seed_e_50": [49],
    "turkoglu": [5, 16, 48],
}
# Codes that ended with the campaign of 2022; the official list of 2020 cannot know.
ENDED_2022 = {"J5M", "J6P", "J6S", "MIE"}
# In the list of 2023 and not in that of 2020.
NEW_2023 = {
    "AAR", "AFG", "AME", "ARP", "CAH", "FVP", "GRA", "JAC", "MCS", "MDI", "MSW", "PEV", "PHF", "PHS", "PME", "PRF",
    "SAG", "SHD", "SIN", "SNU",
}  # fmt: skip


def rows_of(path, delimiter=","):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.fixture(scope="module")
def crop_name():
    """The name of the crop, or the mark, that a table of a legend has for a code."""

    def look_up(legend, table, code):
        return crop_or_mark(read_legend(legend), read_table(legend, table)[code])

    return look_up


def test_no_legend_and_no_table_was_lost():
    assert {legend: " ".join(table_names(legend)) for legend in LEGENDS} == SHIPPED


@pytest.mark.parametrize("legend", LEGENDS)
def test_a_legend_is_a_tree_with_the_ids_that_were_given_out(legend):
    crops = read_legend(legend)
    check_legend(crops)
    assert [len(crops.ids_at(level)) for level in range(1, crops.levels + 1)] == LEVELS[legend]


def test_the_lock_holds_nothing_of_legends_that_are_gone():
    locked = {row["legend"] for row in rows_of(FOLDER / "ids.lock")}
    assert locked == set(LEGENDS)


@pytest.mark.parametrize(
    ("legend", "ids"),
    [
        ("canadian_cropland_10", {1: "barley", 4: "mixedwood", 10: "spring_wheat"}),
        ("cropflow", {1: "fodder_beet", 5: "alfalfa", 171: "truffle", 301: "beets", 401: "broad_leaf_row_crop"}),
        ("deep_crop_rotation_20", {1: "meadow", 12: "alfalfa", 20: "wood_pasture"}),
        ("eucropmap", {211: "common_wheat", 290: "bare_arable_land", 500: "grassland", 1210: "cereals"}),
        ("hcat", {1: "arable_crops", 3: "common_soft_wheat", 391: "unmaintained", 3001: "arable_crops"}),
        ("isrc_8", {1: "canola", 6: "pea", 8: "tomato"}),
        ("pastis_18", {1: "meadow", 8: "grapevine", 18: "sorghum"}),
        ("rpg_groups", {1: "wheat", 11: "set_aside", 28: "miscellaneous"}),
        ("rpg_groups_finistere", {1: "wheat", 7: "set_aside", 12: "vegetables_flowers"}),
        ("seed_e_50", {1: "garlic", 22: "unnamed_22", 49: "orchard"}),
    ],
)
def test_some_ids_are_known_by_heart(legend, ids):
    """So that legend and lock cannot be renumbered together unseen."""
    assert {id: read_legend(legend).name(id) for id in ids} == ids


@pytest.mark.parametrize("legend", [legend for legend in LEGENDS if legend != "hcat"])
def test_colours_of_the_finest_level_can_be_told_apart(legend):
    """HCAT has more classes than anybody can tell apart; its colours are only distinct."""
    crops = read_legend(legend)
    for one, other in combinations(crops.ids, 2):
        assert math.dist(crops.colour(one), crops.colour(other)) > 23, (crops.name(one), crops.name(other))


@pytest.mark.parametrize(("legend", "table"), TABLES)
def test_a_table_is_a_function_to_the_finest_crops_of_its_legend(legend, table):
    codes = read_table(legend, table)
    assert set(codes.values()) <= {0, UNKNOWN, *read_legend(legend).ids}
    assert any(crop not in (0, UNKNOWN) for crop in codes.values()) or table == "worldcover"


@pytest.mark.parametrize(("legend", "table"), TABLES)
def test_rows_of_a_table_are_tidy_and_no_code_is_left_out_without_a_reason(legend, table):
    path = FOLDER / legend / f"{table}.csv"
    text = path.read_bytes()
    assert b"\r" not in text
    assert text.endswith(b"\n")
    assert not text.endswith(b"\n\n")
    rows = rows_of(path)
    assert list(rows[0])[:3] == ["code", "crop", "note"]
    assert all(value == value.strip() and value.isascii() for row in rows for value in row.values())
    assert not [row["code"] for row in rows if row["crop"] in ("-", "?") and not row["note"]]


@pytest.mark.parametrize("legend", [legend for legend in LEGENDS if legend not in ("cropflow", "turkoglu")])
def test_every_class_of_a_published_legend_is_reached_by_one_of_its_tables(legend):
    reached = {crop for table in table_names(legend) for crop in read_table(legend, table).values()}
    assert set(read_legend(legend).ids) <= reached


def test_classes_of_cropflow_that_no_table_reaches_are_these():
    reached = {crop for table in table_names("cropflow") for crop in read_table("cropflow", table).values()}
    legend = read_legend("cropflow")
    assert {legend.name(id) for id in set(legend.ids) - reached} == {"multiple"}


@pytest.mark.parametrize("legend", RPG)
def test_all_official_rpg_codes_are_mapped_or_named_out_of_scope_with_their_years(shared, legend):
    codes = read_code_table(legend, "rpg")
    official = rows_of(shared / "data/rpg_codes/REF_CULTURES_2020.csv", ";")
    assert len(official) == 664
    assert "NA" in codes
    for row in official:
        first, last = row["CAMPAGNE_DEBUT"], row["CAMPAGNE_FIN"].replace("NA", "")
        expected = ("2015", "2022") if row["CODE"] in ENDED_2022 else ("", "") if last == "1900" else (first, last)
        found = codes[row["CODE"]]
        assert tuple(str(year or "") for year in (found.first_year, found.last_year)) == expected, row["CODE"]


@pytest.mark.parametrize("legend", RPG)
def test_all_rpg_tables_tell_the_same_of_the_years(legend):
    def years(name):
        return {
            code: (found.first_year, found.last_year, found.merges, found.merges_from)
            for code, found in read_code_table(name, "rpg").items()
        }

    assert years(legend) == years("turkoglu")


@pytest.mark.parametrize("legend", RPG)
def test_the_new_codes_of_2023_are_known_from_that_year_on(legend):
    table = read_code_table(legend, "rpg")
    assert {code for code, found in table.items() if found.first_year == 2023} == NEW_2023
    assert not any(table[code].used_in(2022) for code in NEW_2023)


def test_the_merges_of_2023_are_told():
    codes = read_code_table("cropflow", "rpg")
    merges = {code: (found.merges, found.merges_from) for code, found in codes.items() if found.merges}
    assert merges == {"JAC": (("J5M", "J6S"), 2023), "MIS": (("MIE",), 2023)}


@pytest.mark.parametrize("table", [table for table in table_names("turkoglu")])
def test_a_crop_of_turkoglu_is_a_descendant_of_the_same_class_in_cropflow(table):
    ours, theirs, codes = read_legend("cropflow"), read_legend("turkoglu"), read_table("cropflow", table)
    listed = {code: crop for code, crop in read_table("turkoglu", table).items() if crop not in (0, UNKNOWN)}
    assert listed
    for code, crop in listed.items():
        mapped = codes[code]
        assert mapped in ours.ids, code
        for level in (1, 2, 3):
            assert ours.name(ours.ancestor(mapped, level)) == theirs.name(theirs.ancestor(crop, level)), (code, level)


def test_cropflow_has_every_class_of_turkoglu_under_the_same_parents():
    ours, theirs = read_legend("cropflow"), read_legend("turkoglu")
    for crop in theirs.crops:
        found = ours.crop(ours.id_of(crop.name, crop.level))
        assert crop.parent is None or ours.name(found.parent) == theirs.name(crop.parent)
        assert found.colour == crop.colour


@pytest.mark.parametrize(
    "name",
    ["winter_durum", "spring_durum", "cotton", "alfalfa", "lentils", "onion", "tomato", "chickpeas", "rice", "garlic"],
)
def test_cropflow_tells_apart_what_turkoglu_lacks_or_merges(name):
    turkoglu = read_legend("turkoglu")
    assert name not in {turkoglu.name(id) for id in turkoglu.ids}
    assert read_legend("cropflow").id_of(name)


def test_the_hcat_code_of_a_class_of_cropflow_maps_to_it():
    codes, legend = read_table("cropflow", "eurocrops"), read_legend("cropflow")
    rows = [row for row in rows_of(FOLDER / "cropflow.csv") if row["hcat"]]
    assert len(rows) > 130
    assert [row["name"] for row in rows if legend.name(codes[row["hcat"]]) != row["name"]] == []


def test_the_hierarchy_of_hcat_is_that_of_its_codes():
    legend = read_legend("hcat")
    code = {int(row["id"]): row["hcat"] for row in rows_of(FOLDER / "hcat.csv")}
    for crop in legend.crops:
        if crop.parent is not None:
            digits = 2 * crop.level
            assert code[crop.parent] == code[crop.id][:digits].ljust(10, "0"), crop.name
    codes = read_table("hcat", "eurocrops")
    for id in legend.ids:
        assert codes[code[id]] == codes[legend.name(id)] == id


def test_hcat_names_of_every_file_are_in_the_hierarchy(shared):
    codes, names = read_table("hcat", "eurocrops"), {read_legend("hcat").name(id) for id in read_legend("hcat").ids}
    found = set()
    for path in (
        *shared.glob("data/rpg_codes/eurocrops_*.csv"),
        *shared.glob("data/rpg_2022_sample/other_lpis/*/*.csv"),
    ):
        for row in rows_of(path):
            if row["HCAT3_name"] and row["HCAT3_name"] != "not_known_and_other":
                found.add(row["HCAT3_name"])
                assert codes[row["HCAT3_name"]] == codes[row["HCAT3_code"]], (path.name, row["HCAT3_name"])
    assert len(found) > 200
    assert found <= names


def test_the_351_codes_with_a_group_map_to_it(shared):
    official = rows_of(shared / "data/rpg_codes/REF_CULTURES_GROUPES_CULTURES_2020.csv", ";")
    codes = read_table("rpg_groups", "rpg")
    assert len(official) == 351
    assert {row["CODE_CULTURE"]: int(row["CODE_GROUPE_CULTURE"]) for row in official}.items() <= codes.items()
    beyond = {code for code, group in codes.items() if group != UNKNOWN} - {row["CODE_CULTURE"] for row in official}
    assert beyond == {"CNA", *NEW_2023}


def test_the_finistere_selection_keeps_its_groups_and_ignores_the_rest(shared):
    groups, selected = read_table("rpg_groups", "rpg"), read_table("rpg_groups_finistere", "rpg")
    classes = {int(row["rpg_code_group"]): row for row in rows_of(shared / "reference/classes/C_rpg_code_group.csv")}
    assert len(read_legend("rpg_groups_finistere").ids) == 12
    for code, group in groups.items():
        if group == UNKNOWN:
            assert selected[code] == UNKNOWN
        elif classes[group]["kept_in_C"] == "yes":
            assert selected[code] == int(classes[group]["class_index_in_C"]) + 1, code
        else:
            assert selected[code] == UNKNOWN, code


def test_the_classes_of_seed_e_keep_their_numbers_and_every_line_its_confidence(shared):
    legend, rows = read_legend("seed_e_50"), {row["code"]: row for row in rows_of(FOLDER / "seed_e_50/rpg.csv")}
    for row in rows_of(shared / "reference/classes/E_final_classes.csv"):
        if row["class_id"] not in ("0", "22", "255"):
            assert legend.name(int(row["class_id"])) == row["name"].lower()
    codes = read_table("seed_e_50", "rpg")
    words = {"confirmed": "confirmed", "inferred-high": "high", "inferred-medium": "medium", "not": "none"}
    source = rows_of(shared / "reference/classes/E_rpg_code_cultu_mapping.csv")
    assert len(source) == 352
    for row in source:
        assert codes[row["CODE_CULTU"]] == int(row["final_label_id"] or 0)
        assert rows[row["CODE_CULTU"]]["confidence"] == words[row["final_status"].split(" ")[0]]
    assert {row["confidence"] for row in rows.values()} == {"confirmed", "high", "medium", "none"}


def test_the_classes_of_deep_crop_rotation_stand_in_the_order_of_the_source(shared):
    legend = read_legend("deep_crop_rotation_20")
    source = rows_of(shared / "reference/classes/A_classes_and_per_class_iou.csv")
    assert [row["name_inferred_not_in_repo"].lower().split()[0].strip(",") for row in source] == [
        legend.name(id).split("_")[0] for id in legend.ids
    ]


def test_the_used_values_of_eucropmap_are_its_ids(shared):
    source = rows_of(shared / "reference/classes/B_eucropmap_classes.csv")
    codes = read_table("eucropmap", "eucropmap")
    used = {row["eucropmap_2018_code"] for row in source if row["used_in_B"] == "yes"}
    assert len(used) == 21
    for row in source:
        value = row["eucropmap_2018_code"]
        assert codes[value] == (int(value) if value in used else UNKNOWN if value == "0" else 0)


def test_the_canadian_points_and_the_inventory_agree(shared):
    source = rows_of(shared / "reference/classes/D_classes_and_results.csv")
    points, values = (read_table("canadian_cropland_10", table) for table in ("canadian_cropland", "aafc"))
    assert len(source) == 10
    for row in source:
        assert points[row["name"].lower()] == values[row["AAFC_ACI_code"]] == int(row["class_id"]) + 1
        for legend in ("cropflow", "turkoglu"):
            codes = read_table(legend, "canadian_cropland"), read_table(legend, "aafc")
            assert codes[0][row["name"].lower()] == codes[1][row["AAFC_ACI_code"]]


def test_the_isrc_crops_are_those_of_the_competition(shared, crop_name):
    source = rows_of(shared / "reference/classes/B_isrc_crops.csv")
    names = [row["crop"].replace("sugarbeet", "sugar_beet") for row in source if row["channel_index"]]
    assert [crop_name("isrc_8", "isrc", name) for name in names] == names
    assert [read_table("isrc_8", "isrc")[name] for name in names] == list(range(1, 9))
    assert crop_name("isrc_8", "isrc", "other") == "-"
    # Another product may be any other crop of a wider legend: it is no negative there.
    assert crop_name("cropflow", "isrc", "other") == crop_name("turkoglu", "isrc", "other") == "?"


@pytest.mark.parametrize(
    ("crop", "codes"),
    [
        ("winter_wheat", "rpg:BTH eurocrops:winter_common_soft_wheat worldcereal:1110 aafc:145"),
        ("winter_durum", "rpg:BDH eurocrops:3301010201 worldcereal:11-01-01-002-1"),
        ("durum", "rpg:SB eurocrops:durum_hard_wheat worldcereal:1101010020 eucropmap:212"),
        ("maize", "rpg:MIS eurocrops:green_silo_maize worldcereal:1200 isrc:maize eucropmap:216 aafc:147"),
        ("rice", "rpg:RIZ eurocrops:rice worldcereal:1300 eucropmap:217"),
        ("rapeseed", "rpg:DCZ eurocrops:rapeseed_rape worldcereal:4350 eucropmap:232"),
        ("sugar_beet", "rpg:BTN eurocrops:sugar_beet worldcereal:8100 isrc:sugar_beet eucropmap:222 aafc:178"),
        ("lentils", "rpg:LEC eurocrops:lentils worldcereal:7500 isrc:lentils aafc:174"),
        ("chickpeas", "rpg:PCH eurocrops:chickpeas worldcereal:7300 isrc:pea aafc:163"),
        ("tomato", "rpg:TOM eurocrops:tomato worldcereal:2230 isrc:tomato aafc:176"),
        ("onion", "rpg:OIG eurocrops:onions worldcereal:2340 isrc:onion"),
        ("cotton", "eurocrops:cotton worldcereal:11-08-00-001-0 isrc:cotton"),
        ("vines", "rpg:VRC eurocrops:3303060000 worldcereal:3300 aafc:190"),
    ],
)
def test_one_crop_has_one_class_whatever_the_register(crop_name, crop, codes):
    for entry in codes.split():
        table, code = entry.split(":")
        assert crop_name("cropflow", table, code) == crop, entry


@pytest.mark.parametrize(
    ("table", "code", "crop"),
    [
        ("rpg", "BDH", "winter_durum"),
        ("rpg", "TTH", "winter_triticale"),
        ("rpg", "LUZ", "alfalfa"),
        ("rpg", "LEC", "lentils"),
        ("rpg", "OIG", "onion"),
        ("rpg", "NA", "turnip"),
        ("rpg", "RIZ", "rice"),
        ("rpg", "MIE", "maize"),
        ("rpg", "ZZZ", "?"),
        ("rpg", "BR", "-"),
        ("eurocrops", "cotton", "cotton"),
        ("eurocrops", "green_silo_maize", "maize"),
        ("eurocrops", "not_known_and_other", "?"),
        ("worldcereal", "1300", "rice"),
        ("worldcereal", "11-01-01-002-1", "winter_durum"),
        ("worldcereal", "1114060051", "?"),
        ("isrc", "pea", "chickpeas"),
        ("eucropmap", "212", "durum"),
        ("eucropmap", "0", "?"),
        ("aafc", "153", "spring_rapeseed"),
        ("aafc", "20", "-"),
        ("worldcover", "40", "?"),
        ("worldcover", "50", "-"),
    ],
)
def test_codes_of_each_register_map_to_their_crop(crop_name, table, code, crop):
    assert crop_name("cropflow", table, code) == crop
