from __future__ import annotations

import json
from itertools import pairwise

import geopandas
import numpy as np
import pandas
import pytest
import shapely
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.manifest import content_hash, manifest_path
from cropflow.files.tables import write_table
from cropflow.labels.command import app
from cropflow.labels.legend import read_legend, read_table

TABLE = read_table("turkoglu", "rpg")
WHEAT, MAIZE = TABLE["BTH"], TABLE["MIS"]
REGISTER = {"reader": "rpg", "files": {"2023": {"path": "-"}}, "unmapped": "unknown"}


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def season(tmp_path):
    """Write cleaned parcels of a season, strips of 100 m side by side: (id, code, from, to, second code)."""

    def write(name, *rows):
        table = geopandas.GeoDataFrame(
            {
                "parcel_id": [row[0] for row in rows],
                "crop_code": [row[1] for row in rows],
                "area_ha": [(row[3] - row[2]) / 100 for row in rows],
            },
            geometry=[shapely.box(700_000 + row[2], 6_600_000, 700_000 + row[3], 6_600_100) for row in rows],
            crs=2154,
        )
        if any(len(row) > 4 for row in rows):
            table["crop_code_2"] = pandas.Series([row[4] if len(row) > 4 else None for row in rows], dtype="str")
        path = tmp_path / name / "parcels.parquet"
        write_table(path, table)
        crops = tmp_path / name / "legends" / "turkoglu.parquet"
        words = ("--parcels", path, "--settings", json.dumps(REGISTER), "--legend", "turkoglu")
        run("map", *words, "--output", crops, "--summary", crops.with_suffix(".json"))
        return path

    return write


@pytest.fixture
def laid(tmp_path):
    """Lay a season over an earlier one."""

    def lay(parcels, earlier, workers=1):
        output = tmp_path / parcels.parent.name / f"overlays-{workers}" / f"{earlier.parent.name}.parquet"
        words = ("--parcels", parcels, "--earlier", earlier, "--settings", "{}", "--workers", workers)
        run("overlay", *words, "--output", output, "--summary", output.with_suffix(".json"))
        return output

    return lay


@pytest.fixture
def remembered(tmp_path, laid):
    """Run ``labels history``; earlier seasons by their years before."""

    def remember(parcels, earlier, **rule):
        output = tmp_path / "history" / "turkoglu.parquet"
        words = ["--parcels", parcels, "--settings", json.dumps(REGISTER | {"history": rule}), "--legend", "turkoglu"]
        for lag, file in earlier.items():
            words += ["--earlier", f"{lag}/{file.parent.name}", "--overlay", laid(parcels, file)]
            words += ["--crops", file.parent / "legends" / "turkoglu.parquet", "--earlier-parcels", file]
        run("history", *words, "--output", output, "--summary", output.with_suffix(".json"))
        return output

    return remember


def rows(path):
    table = pandas.read_parquet(path)
    return [
        (one.parcel_id, one.lag, one.season, one.crop, one.second, round(one.share, 6)) for one in table.itertuples()
    ]


def test_a_rotation_is_told_year_by_year_whatever_the_ids_and_outlines(season, remembered):
    now = season("2023", ("n1", "BTH", 0, 100), ("n2", "MIS", 100, 200))
    last = season("2022", ("l9", "MIS", 0, 200))
    before = season("2021", ("b7", "BTH", 0, 50), ("b8", "MIS", 50, 100), ("b9", "BFS", 100, 200))
    output = remembered(now, {1: last, 2: before}, years=3)
    assert rows(output) == [
        ("n1", 1, "2022", MAIZE, False, 1),
        ("n2", 1, "2022", MAIZE, False, 1),
        *sorted([("n1", 2, "2021", WHEAT, False, 0.5), ("n1", 2, "2021", MAIZE, False, 0.5)], key=lambda row: row[3]),
        ("n2", 2, "2021", TABLE["BFS"], False, 1),
        ("n1", 3, "", 65535, False, 1),
        ("n2", 3, "", 65535, False, 1),
    ]
    summary = read_json(output.with_suffix(".json"))
    assert summary["1"]["crops"] == {str(MAIZE): {"name": read_legend("turkoglu").name(MAIZE), "hectares": 2.0}}
    assert summary["3"] == {"season": "", "reason": "no season of the register lies so many years before"}
    for path in (output, output.with_suffix(".json")):
        manifest = read_json(manifest_path(path))
        assert manifest["sha256"] == content_hash(path)[0]
        assert manifest["settings"]["seasons"] == {"1": "2022", "2": "2021"}
        assert {"parcels", "overlay_1", "crops_2", "earlier_parcels_1"} <= set(manifest["inputs"])


def test_a_register_that_is_not_out_yet_is_unknown_although_it_lies_there(season, remembered):
    now = season("2023", ("n1", "BTH", 0, 100))
    before = season("2021", ("b1", "MIS", 0, 100))
    output = remembered(now, {2: before}, years=2, publication_lag=1)
    assert rows(output) == [("n1", 1, "", 65535, False, 1), ("n1", 2, "2021", MAIZE, False, 1)]
    assert "publication_lag" in read_json(output.with_suffix(".json"))["1"]["reason"]


def test_a_season_that_the_publication_lag_withholds_is_refused(season, remembered):
    now, last = season("2023", ("n1", "BTH", 0, 100)), season("2022", ("l1", "MIS", 0, 100))
    with pytest.raises(CropflowError, match="'1/2022'; expected 2 to 3 years before"):
        remembered(now, {1: last}, publication_lag=1)


def test_second_crops_are_reported_beside_the_main_ones(season, remembered):
    now = season("2023", ("n1", "BTH", 0, 100))
    last = season("2022", ("l1", "MIS", 0, 100, "DMD"))
    output = remembered(now, {1: last}, years=1)
    assert rows(output) == [
        ("n1", 1, "2022", MAIZE, False, 1),
        ("n1", 1, "2022", TABLE["DMD"], True, 1),
    ]
    summary = read_json(output.with_suffix(".json"))["1"]
    assert summary["second_codes"]["declared"] == {"parcels": 1, "hectares": 1.0}
    assert list(summary["second_crops"]) == [str(TABLE["DMD"])]


def test_the_overlay_writes_pieces_counts_and_the_same_bytes_with_more_threads(season, laid):
    now = season("2023", ("n1", "BTH", 0, 100), ("n2", "BTH", 300, 400))
    last = season("2022", ("l1", "MIS", 0, 60), ("l2", "MIS", 60, 97), ("l3", "MIS", 97, 200))
    one, two = laid(now, last), laid(now, last, workers=2)
    assert one.read_bytes() == two.read_bytes()
    assert manifest_path(one).read_bytes() == manifest_path(two).read_bytes()
    table = pandas.read_parquet(one)
    assert table[["parcel_id", "earlier_id"]].to_numpy().tolist() == [["n1", "l1"], ["n1", "l2"]]
    assert table["share"].to_numpy() == pytest.approx([0.6, 0.37])
    counts = read_json(one.with_suffix(".json"))
    assert counts == read_json(manifest_path(one))["counts"]
    assert counts["slivers"] == {"pieces": 1, "hectares": pytest.approx(0.03)}
    assert counts["uncovered"]["hectares"] == pytest.approx(1.03)


def test_stable_writes_the_ids_of_every_season(season, laid, tmp_path):
    now = season("2023", ("n1", "BTH", 0, 100), ("n2", "BTH", 100, 200))
    last = season("2022", ("l1", "MIS", 2, 100), ("l2", "MIS", 100, 300))
    before = season("2021", ("b1", "MIS", 0, 99), ("b2", "MIS", 100, 200))
    output = tmp_path / "stable.parquet"
    words = ["--parcels", now, "--settings", "{}", "--output", output, "--summary", output.with_suffix(".json")]
    for file in (last, before):
        words += ["--earlier", file.parent.name, "--overlay", laid(now, file)]
    run("stable", *words)
    table = pandas.read_parquet(output)
    assert table[["parcel_id", "parcel_id_2022", "parcel_id_2021"]].to_numpy().tolist() == [["n1", "l1", "b1"]]
    assert table["iou"].to_numpy() == pytest.approx([0.98])
    assert read_json(output.with_suffix(".json"))["dropped"]["2022"]["moved"]["parcels"] == 1


def test_a_legend_and_a_table_of_ones_own_count_by_their_content(season, laid, tmp_path):
    (tmp_path / "mine.csv").write_text("id,level,name,parent,colour\n5,1,maize,,#ff8800\n")
    (tmp_path / "codes.csv").write_text("code,crop\nMIS,maize\nDMD,-\n")
    now, last = season("2023", ("n1", "BTH", 0, 100)), season("2022", ("l1", "MIS", 0, 100, "DMD"))
    register = json.dumps(REGISTER | {"table": str(tmp_path / "codes.csv"), "history": {"years": 1}})
    crops, output = tmp_path / "crops.parquet", tmp_path / "out.parquet"
    own = ["--settings", register, "--legend", tmp_path / "mine.csv"]
    run("map", "--parcels", last, *own, "--output", crops, "--summary", tmp_path / "crops.json")
    words = ["--parcels", now, *own, "--earlier", "1/2022", "--overlay", laid(now, last), "--crops", crops]
    run("history", *words, "--earlier-parcels", last, "--output", output, "--summary", tmp_path / "out.json")
    assert rows(output) == [("n1", 1, "2022", 5, False, 1), ("n1", 1, "2022", 0, True, 1)]
    manifest = read_json(manifest_path(output))
    assert manifest["inputs"]["legend"] == content_hash(tmp_path / "mine.csv")[0]
    assert manifest["inputs"]["table"] == content_hash(tmp_path / "codes.csv")[0]
    assert (manifest["settings"]["legend"], manifest["settings"]["table"]) == ("mine", "codes.csv")


def words_of_history(tmp_path, *earlier, files=1):
    words = ["--parcels", tmp_path / "a", "--settings", json.dumps(REGISTER), "--legend", "turkoglu"]
    for text in earlier:
        words += ["--earlier", text]
    for option in ("--overlay", "--crops", "--earlier-parcels"):
        words += [option, tmp_path / "b"] * files
    return [*words, "--output", tmp_path / "c", "--summary", tmp_path / "d"]


@pytest.mark.parametrize(
    ("earlier", "files", "told"),
    [
        (["2022"], 1, "--earlier is '2022'; expected years before and the name of a season"),
        (["x/2022"], 1, "--earlier is 'x/2022'"),
        (["4/2019"], 1, "is '4/2019'; expected 1 to 3 years before"),
        (["1/2022", "1/late"], 2, "--earlier is '1/late'; expected one season a year, and '2022' is 1 before too"),
        (["1/2022"], 2, "--earlier is given 1 times, --overlay 2"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(tmp_path, earlier, files, told):
    with pytest.raises(CropflowError) as stopped:
        run("history", *words_of_history(tmp_path, *earlier, files=files))
    assert told in str(stopped.value)
    assert not (tmp_path / "c").exists()


def test_a_mixed_up_overlay_leaves_nothing_half_written(season, laid, tmp_path):
    now, last = season("2023", ("n1", "BTH", 0, 100)), season("2022", ("l1", "MIS", 0, 100))
    other = season("other", ("o1", "BTH", 0, 100))
    words = ["--parcels", other, "--settings", json.dumps(REGISTER), "--legend", "turkoglu", "--earlier", "1/2022"]
    words += ["--overlay", laid(now, last), "--crops", last.parent / "legends/turkoglu.parquet"]
    words += ["--earlier-parcels", last, "--output", tmp_path / "out.parquet", "--summary", tmp_path / "out.json"]
    with pytest.raises(CropflowError, match="season's parcels lack, such as 'n1'"):
        run("history", *words)
    assert not list(tmp_path.glob("*out*"))


def test_shares_of_every_parcel_and_year_add_up(season, remembered):
    rng = np.random.default_rng(4)

    def strips(name, codes):
        ends = np.sort(rng.choice(np.arange(5, 400, 5), 9, replace=False))
        return season(
            name,
            *(
                (f"{name}{number}", codes[number % len(codes)], int(start), int(end))
                for number, (start, end) in enumerate(pairwise(ends))
            ),
        )

    now, last, before = (
        strips(name, codes) for name, codes in (("n", ["BTH"]), ("l", ["MIS", "no such"]), ("b", ["BTH"]))
    )
    table = pandas.read_parquet(remembered(now, {1: last, 3: before}, years=3))
    total = table[~table["second"]].groupby(["parcel_id", "lag"])["share"].sum()
    assert len(total) == 8 * 3
    assert total.to_numpy() == pytest.approx(np.ones(24), abs=1e-9)
    assert (table["crop"] == 65534).any()
