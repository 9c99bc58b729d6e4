import geopandas
import numpy as np
import pandas
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.regions import Clusters
from cropflow.config.registers import Register
from cropflow.errors import CropflowError
from cropflow.labels.parcels import clean
from cropflow.labels.registers import read_register
from cropflow.regions import clusters
from cropflow.regions.clusters import NOISE, centroids, cluster_points, cluster_sites, in_metres
from cropflow.regions.sites import overlaps
from cropflow.regions.splitting import Ground, lay_out

CROPS = {
    "Canola": 244, "Cotton": 119, "Lentils": 123, "Maize": 108, "Onion": 93, "Pea": 244, "Sugerbeet": 63, "Tomato": 54,
}  # fmt: skip
# The same in true metres: a map unit of EPSG:3857 is 0.8 m on the ground there, so groups grow together.
TRUE_CROPS = {
    "Canola": 189, "Cotton": 109, "Lentils": 95, "Maize": 94, "Onion": 83, "Pea": 195, "Sugerbeet": 44, "Tomato": 51,
}  # fmt: skip


def chosen(**keys):
    return Clusters(method="clusters", season="2023", **keys)


def fields(corners, crs=32631, side=100, codes=None):
    """Square parcels by their lower left corners, metres of a projected CRS, carried to degrees."""
    shapes = [shapely.box(x, y, x + side, y + side) for x, y in corners]
    table = geopandas.GeoDataFrame({"crop_code": codes or ["a"] * len(shapes)}, geometry=shapes, crs=crs)
    return table.to_crs(4326)


def reference(points, eps, minimum):
    """DBSCAN by its definition: core points, groups of cores within reach, and what no core reaches."""
    near = np.linalg.norm(points[:, None] - points[None], axis=2) <= eps
    core = near.sum(axis=1) >= minimum
    group = np.arange(len(points))
    for _ in range(len(points)):
        for one in np.flatnonzero(core):
            group[near[one] & core] = group[near[one] & core].min()
    noise = ~(near[:, core]).any(axis=1) if core.any() else np.ones(len(points), dtype=bool)
    return core, group, noise


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40), minimum=st.integers(1, 4))
def test_clusters_are_those_of_the_definition_whatever_the_order(seed, count, minimum):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 100, (count, 2))
    labels = cluster_points(points, 12.0, minimum)
    core, group, noise = reference(points, 12.0, minimum)
    np.testing.assert_array_equal(labels == NOISE, noise)
    for one in np.flatnonzero(core):
        np.testing.assert_array_equal(labels[core] == labels[one], group[core] == group[one])
    order = rng.permutation(count)
    np.testing.assert_array_equal(cluster_points(points[order], 12.0, minimum), labels[order])


@pytest.mark.parametrize(("longitude", "latitude"), [(3.0, 0.0), (51.0, 35.0), (-179.9999, -17.0), (25.0, 69.0)])
def test_distances_are_true_metres_at_any_latitude_and_across_the_antimeridian(longitude, latitude):
    from pyproj import Geod

    for azimuth in (0, 60, 90):
        x, y, _ = Geod(ellps="WGS84").fwd(longitude, latitude, azimuth, 2000)
        points = in_metres(np.array([[longitude, latitude], [x, y]]))
        assert np.linalg.norm(points[0] - points[1]) == pytest.approx(2000, abs=1e-3)
        assert cluster_points(points, 2000.1, 1).tolist() == [0, 0]
        assert sorted(cluster_points(points, 1999.9, 1).tolist()) == [0, 1]


def test_distances_of_a_projected_crs_are_taken_as_they_are_where_asked_for():
    pair = fields([(500_000, 6_650_000), (501_500, 6_650_000)])  # 60 degrees north: 3,000 units of EPSG:3857
    assert cluster_sites(pair, chosen(), 10).counts["clusters"] == 1
    assert cluster_sites(pair, chosen(distances="EPSG:3857"), 10).counts["clusters"] == 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 60), spread=st.sampled_from([3_000, 20_000, 60_000]))
def test_every_parcel_lies_whole_in_exactly_one_site_of_an_allowed_size(seed, count, spread):
    rng = np.random.default_rng(seed)
    # Around the border of zones 31 and 32.
    table = fields(rng.uniform(0, spread, (count, 2)) + np.array([735_000, 4_900_000]))
    found = cluster_sites(table, chosen(maximum_pixels=200, minimum_pixels=64), 10)
    assert found.counts["clustered"] == count
    held = np.concatenate([shapely.get_coordinates(found.members[name]) for name in found.sites])
    assert len(held) == count
    own = centroids(table.geometry)
    for name, grid in found.sites.items():
        assert min(grid.shape) >= 64
        assert max(grid.shape) <= 200
        mine = (own[:, None] == shapely.get_coordinates(found.members[name])[None]).all(axis=2).any(axis=1)
        inside = table[mine].to_crs(grid.epsg).within(shapely.box(*grid.bounds).buffer(1e-6))
        assert inside.all()
    for one, other in overlaps(found.sites):
        assert found.sites[one].epsg == found.sites[other].epsg
    again = cluster_sites(table.sample(frac=1, random_state=seed), chosen(maximum_pixels=200, minimum_pixels=64), 10)
    assert again.sites == found.sites
    assert all(shapely.equals(again.members[name], found.members[name]) for name in found.sites)


def test_a_lone_parcel_gets_the_smallest_site_around_its_middle():
    found = cluster_sites(fields([(500_000, 4_900_000)]), chosen(), 10)
    (grid,) = found.sites.values()
    assert (grid.epsg, grid.shape) == (32631, (64, 64))
    xmin, ymin, xmax, ymax = grid.bounds
    assert abs((xmin + xmax) / 2 - 500_050) <= 10
    assert abs((ymin + ymax) / 2 - 4_900_050) <= 10


def test_noise_and_other_codes_are_counted_and_make_no_site():
    corners = [
        (500_000, 4_900_000),
        (500_200, 4_900_000),
        (500_400, 4_900_000),
        (550_000, 4_900_000),
        (500_600, 4_900_000),
    ]
    table = fields(corners, codes=["a", "a", "a", "a", "b"])
    found = cluster_sites(table, chosen(minimum_members=3, crop_codes=["a"]), 10)
    assert len(found.sites) == 1
    assert found.counts == {
        "parcels": 5, "other_codes": 1, "clustered": 3, "noise": 1, "clusters": 1, "split": 0, "oversized": 0,
    }  # fmt: skip


def test_a_long_cluster_is_split_where_its_parcels_are_and_not_through_one():
    table = fields([(500_000 + 1_000 * n, 4_900_000) for n in range(10)])
    found = cluster_sites(table, chosen(maximum_pixels=512), 10)
    assert found.counts["split"] == 1
    assert sorted(len(points.geoms) for points in found.members.values()) == [5, 5]


def test_a_parcel_larger_than_the_largest_site_has_a_site_of_its_own_size(caplog):
    table = pandas.concat([fields([(500_000, 4_900_000)], side=3_000), fields([(503_200, 4_900_000)])])
    found = cluster_sites(table, chosen(maximum_pixels=100), 10)
    assert sorted(max(grid.shape) for grid in found.sites.values())[0] <= 100
    assert sorted(max(grid.shape) for grid in found.sites.values())[1] == pytest.approx(300, abs=2)
    assert found.counts["oversized"] == 1
    assert "1 sites are larger than maximum_pixels" in caplog.text


def test_a_cluster_across_the_antimeridian_is_one_site():
    table = geopandas.GeoDataFrame(
        {"crop_code": ["a", "a"]},
        geometry=[shapely.box(179.99, -17, 179.991, -16.999), shapely.box(-179.995, -17, -179.994, -16.999)],
        crs=4326,
    )
    found = cluster_sites(table, chosen(), 10)
    assert found.counts["clusters"] == 1
    (grid,) = found.sites.values()
    assert grid.epsg == 32760
    assert grid.width == pytest.approx(171, abs=3)


def test_a_site_lies_in_the_zone_and_hemisphere_of_its_middle():
    table = geopandas.GeoDataFrame(
        {"crop_code": ["a", "a", "a"]},
        geometry=[shapely.box(x, y, x + 0.001, y + 0.001) for x, y in [(5.9, 44), (6.1, 44), (-60.5, -33)]],
        crs=4326,
    )
    found = cluster_sites(table, chosen(), 10)
    assert sorted(grid.epsg for grid in found.sites.values()) == [32631, 32632, 32720]


def test_clusters_that_share_ground_across_a_border_lie_in_one_zone():
    # Two arms of an L and a field in its elbow, on the two sides of 6 degrees east.
    arms = [(5.90 + 0.01 * n, 44.0) for n in range(12)] + [(5.90, 44.0 + 0.01 * n) for n in range(12)]
    table = geopandas.GeoDataFrame(
        {"crop_code": ["a"] * 25},
        geometry=[shapely.box(x, y, x + 0.001, y + 0.001) for x, y in [*arms, (6.003, 44.08)]],
        crs=4326,
    )
    found = cluster_sites(table, chosen(maximum_pixels=2000), 10)
    assert found.counts["clusters"] == 2
    assert {grid.epsg for grid in found.sites.values()} == {32631}
    assert len(overlaps(found.sites)) == 1


@pytest.mark.parametrize(("east", "zones"), [(7.0, {32631}), (29.0, {32631, 32632, 32633, 32634, 32635})])
def test_a_chain_over_borders_has_one_zone_unless_it_reaches_too_far(east, zones, caplog):
    places = [(x, y) for x in np.arange(4.0, east, 0.05) for y in (65.0, 65.5)]
    table = geopandas.GeoDataFrame(
        {"crop_code": ["a"] * len(places)},
        geometry=[shapely.box(x, y, x + 0.001, y + 0.001) for x, y in places],
        crs=4326,
    )
    found = cluster_sites(table, chosen(eps_m=60_000, maximum_pixels=10_000), 10)
    assert found.counts["clusters"] == 1
    assert {grid.epsg for grid in found.sites.values()} == zones
    assert ("share ground across the border of two UTM zones" in caplog.text) == (len(zones) > 1)
    assert found.counts["clustered"] == len(places)


def test_parts_with_the_same_rectangle_are_one():
    table = fields([(500_000, 4_900_000), (500_010, 4_900_000)], side=5)
    ground = Ground(table.geometry.to_numpy(), table.crs, centroids(table.geometry))
    pieces = lay_out(ground, [np.array([0]), np.array([1])], 20, 8, 100)
    assert len(pieces) == 1
    assert sorted(pieces[0].members) == [0, 1]


def test_codes_that_no_parcel_has_are_refused():
    with pytest.raises(CropflowError, match=r"choose\.crop_codes names z, .* among: a"):
        cluster_sites(fields([(500_000, 4_900_000)]), chosen(crop_codes=["a", "z"]), 10)


def test_a_register_without_any_cluster_is_refused():
    with pytest.raises(CropflowError, match="None of 1 parcels has 2 parcels within 2000 m"):
        cluster_sites(fields([(500_000, 4_900_000)]), chosen(minimum_members=2), 10)


def test_a_parcel_longer_than_a_tile_is_refused():
    with pytest.raises(CropflowError, match="A parcel is 120 km long"):
        cluster_sites(fields([(400_000, 4_900_000)], side=120_000), chosen(), 10)


def test_neighbours_that_would_not_fit_into_memory_are_refused(monkeypatch):
    monkeypatch.setattr(clusters, "MOST_PAIRS", 100)
    with pytest.raises(
        CropflowError, match=r"choose\.eps_m is 50 m, within which each of 30 parcels has 30 neighbours"
    ):
        cluster_points(np.zeros((30, 2)), 50, 1)


def isrc(shared):
    folder = shared / "data" / "isrc_iran" / "files" / "Crops"
    return {file.name.split("_")[0]: geopandas.read_file(file) for file in sorted(folder.rglob("*_1400-1401.shp"))}


def test_the_clusters_of_iran_are_those_of_the_published_files(shared):
    tables = isrc(shared)
    assert sum(map(len, tables.values())) == 9070
    # Repairing the 61 invalid outlines moves no count.
    for distances, repaired, expected in [
        ("EPSG:3857", False, CROPS), ("EPSG:3857", True, CROPS), (None, True, TRUE_CROPS),
    ]:  # fmt: skip
        found = {}
        for crop, table in tables.items():
            geometry = table.geometry.make_valid() if repaired else table.geometry
            parcels = geopandas.GeoDataFrame({"crop_code": [crop] * len(table)}, geometry=geometry)
            found[crop] = cluster_sites(parcels, chosen(distances=distances), 10).counts["clusters"]
        assert found == expected


def test_all_crops_of_iran_together_are_clustered_in_true_metres(shared):
    together = pandas.concat(
        [table[["geometry"]].assign(crop_code=crop) for crop, table in isrc(shared).items()], ignore_index=True
    )
    found = cluster_sites(together, chosen(), 10)
    assert found.counts == {
        "parcels": 9070, "other_codes": 0, "clustered": 9070, "noise": 0, "clusters": 794, "split": 21, "oversized": 0,
    }  # fmt: skip
    assert len(found.sites) == 835
    assert {grid.epsg for grid in found.sites.values()} == {32638, 32639, 32640, 32641}
    assert all(found.sites[one].epsg == found.sites[other].epsg for one, other in overlaps(found.sites))


def test_cleaning_costs_one_cluster_of_lentils_and_one_of_pea_because_of_tiny_polygons(shared):
    source = shared / "data" / "isrc_iran" / "files" / "Crops"
    keys = {"reader": "isrc", "files": {"1400-1401": {"path": str(source)}}}
    codes = [crop.lower().replace("sugerbeet", "sugar_beet") for crop in CROPS]
    expected = dict(zip(codes, CROPS.values(), strict=True))
    for minimum_area_m2, lost in ((0, set()), (100, {"lentils", "pea"})):
        register = Register(**keys, cleaning={"minimum_area_m2": minimum_area_m2, "minimum_width_m": 0})
        parcels, summary = clean(read_register(source, "1400-1401", register), register.cleaning)
        assert summary["dropped"].get("too_small", {"parcels": 0})["parcels"] == (5 if lost else 0)
        for code in codes:
            found = cluster_sites(parcels, chosen(distances="EPSG:3857", crop_codes=[code]), 10)
            assert found.counts["clusters"] == expected[code] - (code in lost), code
