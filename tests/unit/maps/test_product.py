import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.evaluation.parcels import ParcelSums
from cropflow.labels.legend import read_legend
from cropflow.maps.product import COLUMNS, parcel_product, sum_parcels

LEGEND = read_legend("turkoglu")
NOT_PREDICTED = 65535
CLASSES = (1, 2, 3)


def make_parcels(count):
    boxes = [shapely.box(400_000 + 50 * i, 4_999_900, 400_040 + 50 * i, 4_999_940) for i in range(count)]
    return geopandas.GeoDataFrame(
        {
            "site": "a",
            "index": np.arange(1, count + 1, dtype=np.uint32),
            "parcel_id": [f"p{i}" for i in range(count)],
            "crop_code": "X",
            "area_ha": 0.16,
            "site_area_ha": 0.16,
            "cut": False,
        },
        geometry=boxes,
        crs="EPSG:32631",
    )


def make_product(means, declared):
    """The product of parcels with these mean probabilities; None = nothing predicted."""
    sums = ParcelSums(len(means), len(CLASSES))
    for index, mean in enumerate(means, start=1):
        if mean is not None:
            sums.add(np.array([index]), np.round(np.array(mean)[:, np.newaxis] * 10_000).astype(np.uint16))
    return parcel_product(make_parcels(len(means)), sums, CLASSES, LEGEND, np.array(declared))


def test_each_parcel_gets_its_crop_runner_up_and_names():
    table = make_product([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]], [2, 1])
    assert table.columns.tolist() == list(COLUMNS)
    assert table["predicted"].tolist() == [2, 1] and table["second"].tolist() == [3, 3]
    assert table["predicted_name"].tolist() == [LEGEND.name(2), LEGEND.name(1)]
    np.testing.assert_allclose(table["probability"], [0.7, 0.5])
    np.testing.assert_allclose(table["second_probability"], [0.2, 0.4])
    assert table.crs.to_epsg() == 4326
    assert -180 < table.total_bounds[0] < 180


@pytest.mark.parametrize(
    ("mean", "declared", "doubt"),
    [
        ([0.10, 0.80, 0.10], 1, True),
        ([0.10, 0.80, 0.10], 2, False),
        ([0.19, 0.50, 0.31], 1, True),
        ([0.20, 0.50, 0.30], 1, False),
        ([0.10, 0.49, 0.41], 1, False),
        ([0.10, 0.80, 0.10], 0, False),
        ([0.10, 0.80, 0.10], 65534, False),
        ([0.10, 0.80, 0.10], -1, False),
        # The models do not know this crop of the legend, so they cannot contradict it.
        ([0.10, 0.80, 0.10], LEGEND.ids[10], False),
        (None, 1, False),
    ],
)
def test_a_declared_crop_is_doubted_where_the_models_are_sure_of_another(mean, declared, doubt):
    assert make_product([mean], [declared])["doubt"].tolist() == [doubt]


def test_a_parcel_without_a_pixel_stays_in_the_table():
    table = make_product([None, [1.0, 0.0, 0.0]], [1, 1])
    assert table["predicted"].tolist() == [-1, 1] and table["pixels"].tolist() == [0, 1]
    assert table["predicted_name"].tolist()[0] == "" and np.isnan(table["probability"][0])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_a_parcel_uses_the_pixels_of_its_own_fold_and_all_of_them_where_it_has_none(seed):
    generator = np.random.default_rng(seed)
    shape = (5, 6)
    index = generator.integers(0, 5, size=shape)
    fold = generator.integers(0, 3, size=shape).astype(np.uint8)
    parcel_fold = np.array([255, 0, 1, 2, 1], dtype=np.uint8)
    probability = np.round(generator.dirichlet(np.ones(2), size=shape) * 10_000).astype(np.uint16)
    probability = np.moveaxis(probability, -1, 0).copy()
    probability[:, generator.random(shape) < 0.2] = NOT_PREDICTED
    found = sum_parcels(probability, index, 4, fold, parcel_fold)
    everything = sum_parcels(probability, index, 4)
    for parcel in range(1, 5):
        usable = (index == parcel) & (probability[0] != NOT_PREDICTED)
        own = usable & (fold == parcel_fold[parcel])
        chosen = own if own.any() else usable
        np.testing.assert_array_equal(found.totals[parcel], probability[:, chosen].sum(axis=1))
        assert found.pixels[parcel] == chosen.sum()
        assert everything.pixels[parcel] == usable.sum()
