import geopandas
import numpy as np
import pandas
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.regions import Clusters
from cropflow.files.tables import write_table
from cropflow.regions.clusters import cluster_sites
from cropflow.regions.grid import Grid
from cropflow.regions.members import read_members, settle
from cropflow.regions.sites import sites_table


def rows(*entries):
    return pandas.DataFrame(entries, columns=["parcel_id", "site", "longitude", "latitude"])


def test_a_parcel_in_two_sites_goes_to_the_one_with_the_nearest_member():
    members = {"a": np.array([[3.0, 45.0], [3.5, 45.0]]), "b": np.array([[3.1, 45.0]])}
    table = rows(("1", "a", 3.04, 45.0), ("1", "b", 3.04, 45.0), ("2", "a", 3.06, 45.0), ("2", "b", 3.06, 45.0),
                 ("3", "b", 3.0, 45.0))  # fmt: skip
    assert settle(table, members).tolist() == [True, False, False, True, True]


def test_the_first_site_by_name_has_a_parcel_as_near_to_both():
    members = {"b": np.array([[3.0, 45.0]]), "a": np.array([[3.2, 45.0]])}
    table = rows(("1", "b", 3.1, 45.0), ("1", "a", 3.1, 45.0))
    assert settle(table, members).tolist() == [False, True]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_parcel_has_one_site_and_its_own_where_it_is_a_member(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (30, 2)) + np.array([179.5, -17.5])
    points[:, 0] = (points[:, 0] + 180) % 360 - 180
    home = rng.choice(["a", "b", "c"], 30)
    members = {site: points[home == site] for site in "abc" if (home == site).any()}
    table = pandas.DataFrame(
        [(str(n), site, *points[n]) for n in range(30) for site in members],
        columns=["parcel_id", "site", "longitude", "latitude"],
    ).sample(frac=1, random_state=seed)
    own = table[settle(table, members)].set_index("parcel_id")["site"]
    assert [own[str(n)] for n in range(30)] == home.tolist()


def test_members_survive_the_round_trip_and_are_absent_where_sites_are_declared(tmp_path):
    grid = Grid(32631, 500_000, 4_900_000, 64, 64, 10.0)
    write_table(tmp_path / "declared.parquet", sites_table({"a": grid}))
    assert read_members(tmp_path / "declared.parquet") is None
    parcels = geopandas.GeoDataFrame({"crop_code": ["x"]}, geometry=[shapely.box(3, 44, 3.001, 44.001)], crs=4326)
    found = cluster_sites(parcels, Clusters(method="clusters", season="s"), 10)
    write_table(tmp_path / "sites.parquet", sites_table(found.sites, {"members": found.members}))
    members = read_members(tmp_path / "sites.parquet")
    assert list(members) == list(found.sites)
    np.testing.assert_array_equal(next(iter(members.values())), [[pytest.approx(3.0005), pytest.approx(44.0005)]])
    assert geopandas.read_parquet(tmp_path / "sites.parquet")["members"].crs.to_epsg() == 4326
