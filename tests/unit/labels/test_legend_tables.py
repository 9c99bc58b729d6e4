"""The legend turkoglu and its tables, against the official lists."""

import csv
import json
import re
from itertools import combinations

import pyogrio
import pytest

from cropflow.labels.legend import check_legend, read_legend, read_table

TABLES = ("eurocrops", "rpg", "worldcereal")
# The French codes whose EuroCrops name tells less, or something else, than the French label.
LABEL_SAYS_OTHERWISE = """
    BOP BOR BTA CAF CEE CGS CHA CHF CNE CPL CRN CSE DOL FNO FSG HAR LEF MC5 MC6 MC7 MC8 MH5 MH6 MH7 ML5 MLC MLD
    MLF MLG MLS MPA MPC MPP MPT NVF OPN OPR RDF SNE SPH SPL TCR XFE
"""


def rows_of(path, encoding="utf-8", delimiter=";"):
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.fixture(scope="module")
def legend():
    return read_legend("turkoglu")


@pytest.fixture(scope="module")
def crop_name(legend):
    """Looks up the name of the crop that a table maps a code to, '-' where it is out of scope."""
    tables = {name: read_table("turkoglu", name) for name in TABLES}

    def look_up(table, code):
        id = tables[table][code]
        return legend.name(id) if id else "-"

    return look_up


def test_the_legend_is_a_tree_whose_ids_were_never_renumbered(legend):
    check_legend(legend)
    assert [len(legend.ids_at(level)) for level in (1, 2, 3)] == [5, 16, 48]
    assert legend.ids == tuple(range(1, 49))


def test_the_ids_are_these(legend):
    """Some ids by heart, so that legend and lock cannot be renumbered together unseen."""
    names = {
        1: "apples",
        20: "maize",
        21: "meadow",
        44: "vines",
        48: "winter_wheat",
        107: "gardens",
        201: "field_crops",
    }
    names |= {9: "fallow", 105: "fallow", 114: "small_grain_cereal", 204: "orchards", 40: "sunflowers"}
    assert {id: legend.name(id) for id in names} == names


def test_colours_of_the_finest_level_can_be_told_apart(legend):
    for one, other in combinations(legend.ids, 2):
        distance = sum((a - b) ** 2 for a, b in zip(legend.colour(one), legend.colour(other), strict=True)) ** 0.5
        assert distance > 25, (legend.name(one), legend.name(other))


def test_the_hierarchy_is_that_of_the_source(legend, shared):
    def plain(name):
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace(" ", "_").lower()

    source = [
        row for row in rows_of(shared / "reference/classes/F_class_indexes.csv", delimiter=",") if row["used"] == "yes"
    ]
    assert len(source) == len(legend.crops)
    for row in source:
        level = int(row["level"])
        id = legend.id_of(plain(row["name"]), level)
        if level > 1:
            assert legend.name(legend.ancestor(id, 1)) == plain(row["parent_level2_name"])
        if level > 2:
            assert legend.name(legend.ancestor(id, 2)) == plain(row["parent_level3_name"])


@pytest.mark.parametrize(
    ("file", "encoding", "delimiter", "column"),
    [
        ("REF_CULTURES_2020.csv", "utf-8", ";", "CODE"),
        ("REF_CULTURES_GROUPES_CULTURES_2020.csv", "utf-8", ";", "CODE_CULTURE"),
        ("REF_CULTURES_DEROBEES_2020.csv", "utf-8", ";", "CODE_CULTURE_DEROBEE"),
        ("Codification_cultures_principales_cp1252.csv", "cp1252", ";", "Code Culture"),
        ("breizhcrops_codes.csv", "utf-8", ";", "Code Culture"),
        ("eurocrops_fr_2018.csv", "utf-8", ",", "original_code"),
        ("eurocrops_fr_other_years.csv", "utf-8", ",", "original_code"),
    ],
)
def test_no_list_of_rpg_codes_has_one_that_the_table_lacks(shared, file, encoding, delimiter, column):
    table = read_table("turkoglu", "rpg")
    codes = {row[column].strip() for row in rows_of(shared / "data/rpg_codes" / file, encoding, delimiter)}
    assert len(codes) > 40
    assert codes <= table.keys()


def test_the_code_na_is_turnip_and_not_missing(crop_name):
    assert crop_name("rpg", "NA") == "vegetables"


def test_the_fallow_code_of_2023_is_known(crop_name):
    assert crop_name("rpg", "JAC") == "fallow"


@pytest.mark.parametrize(
    ("crop", "codes"),
    [
        ("winter_wheat", "BTH BDH"),
        ("summer_wheat", "BTP BDP"),
        ("wheat", "TTH TTP"),
        ("winter_barley", "ORH CHH"),
        ("summer_barley", "ORP CPH"),
        ("maize", "MIS MIE MID"),
        ("sorghum", "SOG MLT MOH CGP CGS"),
        ("linen", "LIF LIH LIP CML"),
        ("grain", "MCR"),
        ("legumes", "LUZ TRE SAI VES"),
        ("lupine", "LDH LDP LFH LFP"),
        ("meadow", "PPH PTR PRL RGA DTY FLO MLG"),
        ("pasture", "SPH SPL BOP"),
        ("fallow", "J5M J6P J6S JNO"),
        ("vines", "VRC VRT VRN RVI"),
        ("berries", "FRA PFR"),
        ("sugar_beets", "BTN"),
        ("beets", "BVF"),
        ("mixed_crop", "MPC CPL"),
        ("tree_crop", "VRG OLI NOX"),
        ("-", "LEC PCH RIZ LAV LSA HSA SNE ZZZ"),
    ],
)
def test_rpg_codes_map_to_what_their_label_says(crop_name, crop, codes):
    assert {crop_name("rpg", code) for code in codes.split()} == {crop}


def test_label_and_crop_agree_on_season_and_kind(shared, crop_name):
    """Words of the French labels that leave no choice."""
    words = {
        r"^Lupin|lupin fourrager": {"lupine"},
        r"^Maïs": {"maize"},
        r"^Orge d'hiver": {"winter_barley"},
        r"^Orge de printemps": {"summer_barley"},
        r"^Blé .*hiver": {"winter_wheat"},
        r"^Blé .*printemps": {"summer_wheat"},
        r"^Colza.* d'hiver|^Colza d'hiver": {"winter_rapeseed"},
        r"^Colza de printemps": {"summer_rapeseed"},
        r"^Tournesol": {"sunflowers"},
        r"^Soja": {"soy"},
        r"^Pomm?es? de terre|^Plants de pomme": {"potatoes"},
        r"[Vv]ignes?\b|[Vv]ignoble": {"vines"},
        r"^Prairie": {"meadow"},
        r"Féverole|^Fève": {"field_bean"},
        r"^Pois (d'hiver|de printemps|fourrager)|^Autre pois": {"peas"},
        r"^(Autre )?(L|l)uzerne|^(Autre )?(T|t)rèfle|[Ss]ainfoin|[Ss]err?adelle|[Mm]élilot|^(Autre )?(V|v)esce": {
            "legumes"
        },
        r"^Chanvre|Semences de chanvre": {"hemp"},
        r"^Lin |^Semences de lin": {"linen"},
        r"^Jachère": {"fallow"},
        r"^(Autre )?.*[Aa]voine|genre Avena": {"oat"},
        r"^Triticale": {"wheat"},
        r"^Tabac": {"tobacco"},
        r"^Houblon": {"hops"},
        r"[Bb]anane|Canne à sucre|[Vv]anille|sous serre|sous abri": {"-"},
    }
    mixtures = r"^Mélange|^Fourrage composé|sauf serre|hors serres"
    for row in rows_of(shared / "data/rpg_codes/REF_CULTURES_2020.csv"):
        label = row["LIBELLE_CULTURE"].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        for word, crops in words.items():
            if re.search(word, label) and not re.search(mixtures, label):
                assert crop_name("rpg", row["CODE"]) in crops, (row["CODE"], label)


def test_codes_of_the_real_sample_are_mapped(shared):
    path = shared / "data/rpg_2022_sample/PARCELLES_GRAPHIQUES_2022_sample.gpkg"
    parcels = pyogrio.read_dataframe(path, read_geometry=False)
    table = read_table("turkoglu", "rpg")
    assert len(parcels) == 100
    for column in ("code_cultu", "culture_d1", "culture_d2"):
        assert set(parcels[column]) - {""} <= table.keys()
    assert sum(table[code] > 0 for code in parcels["code_cultu"]) == 92


def test_eurocrops_names_and_codes_of_every_file_are_known_and_agree(shared):
    table = read_table("turkoglu", "eurocrops")
    files = [
        *shared.glob("data/rpg_codes/eurocrops_*.csv"),
        *shared.glob("data/rpg_2022_sample/other_lpis/*/*.csv"),
    ]
    assert len(files) == 4
    for path in files:
        for row in rows_of(path, "utf-8-sig", ","):
            for version in ("HCAT3", "HCAT2"):
                name, code = row[f"{version}_name"], row[f"{version}_code"]
                if name and code:
                    assert table[name] == table[code], (path.name, name, code)
    assert {
        row["EC_hcat_n"] for row in rows_of(shared / "data/herault_2018/reference_data/nomenclature.csv", "utf-8", ",")
    } <= table.keys()


def test_a_french_code_maps_as_its_eurocrops_name_unless_the_label_says_otherwise(shared):
    rpg, eurocrops = read_table("turkoglu", "rpg"), read_table("turkoglu", "eurocrops")
    differing = {
        row["original_code"]
        for path in shared.glob("data/rpg_codes/eurocrops_*.csv")
        for row in rows_of(path, delimiter=",")
        if rpg[row["original_code"]] != eurocrops[row["HCAT3_name"]]
    }
    assert differing == set(LABEL_SAYS_OTHERWISE.split())


@pytest.mark.parametrize(
    ("name", "crop"),
    [
        ("vineyards_wine_vine_rebland_grapes", "vines"),
        ("winter_durum_hard_wheat", "winter_wheat"),
        ("winter_common_soft_wheat", "winter_wheat"),
        ("fallow_land_not_crop", "fallow"),
        ("unmaintained", "fallow"),
        ("pasture_meadow_grassland_grass", "meadow"),
        ("unspecified_season_unspecified_cereals", "grain"),
        ("not_known_and_other", "-"),
        ("barley", "-"),
        ("green_silo_maize", "maize"),
        ("3301010402", "summer_barley"),
    ],
)
def test_eurocrops_names_map_to_their_crop(crop_name, name, crop):
    assert crop_name("eurocrops", name) == crop


def test_every_worldcereal_code_is_known_in_both_forms_and_means_the_same(shared):
    table = read_table("turkoglu", "worldcereal")
    folder = shared / "data/lpis_points_france_2022"
    dashed = {row["ewoc_code"] for row in rows_of(folder / "eurocrops_map_wcr_edition.csv", delimiter=",")}
    mappings = json.loads((folder / "class_mappings.json").read_text(encoding="utf-8"))
    digits = {code for mapping in mappings.values() for code in mapping}
    assert (len(dashed), len(digits)) == (687, 957)
    assert dashed | digits <= table.keys()
    for code in table:
        if "-" in code:
            assert table[code] == table[code.replace("-", "")], code
        elif len(code) == 10:
            assert f"{code[:2]}-{code[2:4]}-{code[4:6]}-{code[6:9]}-{code[9]}" in table, code


def test_worldcereal_classes_agree_with_a_coarse_grouping_of_the_same_codes(shared, crop_name):
    """The project's own 28 classes leave no choice for these."""
    mapping = json.loads((shared / "data/lpis_points_france_2022/class_mappings.json").read_text(encoding="utf-8"))
    expected = {
        "maize": {"maize"},
        "barley": {"winter_barley", "-"},
        "spring_barley": {"summer_barley"},
        "wheat": {"wheat", "winter_wheat", "spelt", "einkorn_wheat"},
        "spring_wheat": {"wheat", "summer_wheat", "spelt", "einkorn_wheat"},
        "rye": {"rye"},
        "spring_rye": {"rye"},
        "oats": {"oat"},
        "spring_oats": {"oat"},
        "triticale": {"wheat"},
        "potatoes": {"potatoes"},
        "rapeseed_rape": {"winter_rapeseed", "summer_rapeseed", "-"},
        "soy_soybeans": {"soy"},
        "sunflower": {"sunflowers"},
        "sugarbeet": {"sugar_beets"},
        "sorghum": {"sorghum"},
        "millet": {"sorghum"},
        "rice": {"-"},
    }
    seen = set()
    for code, group in mapping["CROPTYPE28"].items():
        # Barley of no told season, which the grouping calls wheat; chard, which it calls sugar beet.
        if group in expected and code not in ("1101020000", "1103080010"):
            seen.add(group)
            assert crop_name("worldcereal", code) in expected[group], (code, group)
    assert seen == set(expected)


@pytest.mark.parametrize(
    ("file", "crops"),
    [
        ("flanders_2018", "1200 maize 2130 vegetables 5100 potatoes 7900 legumes 9120 meadow"),
        ("flanders_2019_no_10m", "1110 winter_wheat 1200 maize 1910 grain 5100 potatoes 9120 meadow"),
    ],
)
def test_codes_of_the_flemish_parcels_are_mapped(shared, crop_name, file, crops):
    parcels = pyogrio.read_dataframe(shared / "data" / file / "parcels.gpkg", read_geometry=False)
    codes = sorted({str(code) for code in parcels["crop_code"]})
    assert " ".join(f"{code} {crop_name('worldcereal', code)}" for code in codes) == crops


def test_one_crop_has_one_class_whatever_the_register(crop_name):
    same = [
        ("BTH", "winter_common_soft_wheat", "1110", "11-01-01-001-1"),
        ("ORP", "spring_barley", "1520", "11-01-02-000-2"),
        ("MIS", "grain_maize_corn_popcorn", "1200", "11-01-06-000-0"),
        ("CZH", "winter_rapeseed_rape", "4351", "11-06-00-003-1"),
        ("LUZ", "alfalfa_lucerne", "7900", "11-11-02-001-0"),
        ("BTN", "sugar_beet", "8100", "11-07-00-003-1"),
        ("LEC", "lentils", "7500", "11-05-00-003-0"),
        ("PTR", "temporary_grass", "9110", "11-11-00-001-0"),
        ("VRC", "vineyards_wine_vine_rebland_grapes", "3300", "12-01-00-001-0"),
        ("OLI", "olive_plantations", "4420", "12-03-00-001-0"),
        ("CML", "camelina", "1106000110", "11-06-00-011-0"),
        ("MLT", "millet_sorghum", "1800", "11-01-07-001-0"),
        ("POT", "pumpkin_squash_gourd", "2260", "11-03-02-004-0"),
        ("RIZ", "rice", "1300", "11-01-08-000-0"),
    ]
    for rpg, eurocrops, short, long in same:
        crops = [crop_name("rpg", rpg), crop_name("eurocrops", eurocrops)]
        crops += [crop_name("worldcereal", short), crop_name("worldcereal", long)]
        assert len(set(crops)) == 1, (rpg, crops)


def test_only_one_class_of_the_legend_is_out_of_reach_of_all_tables(legend):
    reached = {id for table in TABLES for id in read_table("turkoglu", table).values()}
    assert {legend.name(id) for id in set(legend.ids) - reached} == {"multiple"}
