"""Options of a series need bands and scores that the imagery of every place must fetch."""

from __future__ import annotations

from typing import get_args

import pytest

from cropflow.config import Config
from cropflow.config.imagery import INDEX_BANDS, SENTINEL2_BANDS, Index, Series
from cropflow.config.load import merge, read_config
from cropflow.config.root import parse
from cropflow.errors import CropflowError

FEW = {"imagery": {"demo": {"bands": ["B03", "B04", "B05"]}}}


@pytest.fixture
def content(root):
    """The demo's config."""
    return read_config([root / "config.yaml"])


def with_series(content, series, imagery=FEW):
    return merge(merge(content, imagery), {"series": {"monthly": series}})


@pytest.mark.parametrize(
    ("series", "told"),
    [
        ({"indices": ["NDVI45", "PSRI"]}, "series.monthly.indices PSRI needs B02, B04, B06"),
        ({"statistic": "max_ndvi"}, "series.monthly.statistic max_ndvi needs B04, B08"),
        ({"pair": "darker"}, "series.monthly.pair darker needs B02"),
        ({"mask": {"shadows": True}}, "series.monthly.mask.shadows needs B03, B08, B11"),
    ],
)
def test_a_band_that_is_needed_and_not_fetched_is_named(content, series, told):
    with pytest.raises(CropflowError) as caught:
        parse(Config, with_series(content, series))
    assert f"{told}; imagery.demo.bands has B03, B04, B05; expected" in str(caught.value)
    parse(Config, with_series(content, series, imagery={}))


def test_bands_that_are_there_and_series_of_radar_alone_are_accepted(content):
    parse(Config, with_series(content, {"indices": ["NDVI45"]}))
    radar = {"sets": {"demo": {"sensors": ["sentinel1_ascending"]}}}
    both = {"imagery": {"demo": {"sensors": ["sentinel2", "sentinel1_ascending"]}}}
    parse(Config, merge(with_series(content, {"indices": ["EVI"]}), merge(radar, both)))


def test_the_imagery_of_places_that_are_only_mapped_counts_too(content):
    narrow = {"imagery": {"narrow": content["imagery"]["demo"] | {"bands": ["B02", "B03"]}}}
    overlay = narrow | {"regions": {"lauragais": {"imagery": "narrow"}}, "series": {"monthly": {"indices": ["NDVI"]}}}
    with pytest.raises(CropflowError, match=r"imagery.narrow.bands has B02, B03; expected B04, B08 among them"):
        parse(Config, merge(content, overlay))


def test_a_score_that_is_needed_and_not_fetched_is_named(content):
    series = {"series": {"monthly": {"mask": {"cloud_score": 0.6}}}}
    with pytest.raises(
        CropflowError, match=r"series.monthly.mask.cloud_score is 0.6; expected imagery.demo.cloud_score"
    ):
        parse(Config, merge(content, series))


def test_every_index_needs_bands_that_can_be_fetched():
    assert set(INDEX_BANDS) == set(get_args(Index))
    assert set().union(*INDEX_BANDS.values()) <= set(SENTINEL2_BANDS)
    assert Series().needed_bands() == {}
