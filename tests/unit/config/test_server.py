"""What Earth Engine cannot composite is refused by the check of the config, before any job."""

from __future__ import annotations

import pytest

from cropflow.config import Config
from cropflow.config.imagery import Imagery, Series
from cropflow.config.load import merge, read_config
from cropflow.config.root import parse
from cropflow.config.server import refused_option
from cropflow.errors import CropflowError

SERVER = {"source": "earth_engine", "reduce": "server"}

REFUSED = [
    ({}, {"period": "acquisitions"}, "series.s.period is 'acquisitions'"),
    ({}, {"window": {"crop": "wheat"}}, "series.s.window is {"),
    ({}, {"statistic": "medoid"}, "series.s.statistic is 'medoid'"),
    ({}, {"statistic": "max_ndvi"}, "series.s.statistic is 'max_ndvi'"),
    ({}, {"pair": "darker"}, "series.s.pair is 'darker'"),
    ({}, {"mask": {"tiered": True}}, "series.s.mask.tiered is True"),
    ({}, {"mask": {"erode_m": 20}}, "series.s.mask.erode_m is 20.0"),
    ({}, {"mask": {"dilate_m": 20}}, "series.s.mask.dilate_m is 20.0"),
    ({}, {"mask": {"shadows": True}}, "series.s.mask.shadows is True"),
    ({}, {"mask": {"cloud_score": 0.6}}, "series.s.mask.cloud_score is 0.6"),
    ({"cloud_score": True}, {}, "imagery.i.cloud_score is True"),
    ({"sensors": ["sentinel2", "sentinel1_descending"]}, {}, "imagery.i.sensors is"),
]


@pytest.mark.parametrize(("imagery", "series", "told"), REFUSED)
def test_each_option_that_the_server_has_not_is_named_with_the_way_out(imagery, series, told):
    parsed = parse(Series, series)
    message = refused_option("s", parsed, "i", parse(Imagery, SERVER | imagery))
    assert message is not None
    assert message.startswith(told)
    assert "set reduce to 'local'" in message
    assert refused_option("s", parsed, "i", parse(Imagery, SERVER | imagery | {"reduce": "local"})) is None


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"statistic": "mean"},
        {"period": "dekad"},
        {"cut": "06-30"},
        {"fill": "none", "mask": {"classes": [4]}},
        {"fill": "linear", "indices": ["NDVI"]},
    ],
)
def test_what_the_server_can_do_passes(series):
    assert refused_option("s", parse(Series, series), "i", parse(Imagery, SERVER)) is None


def test_the_check_of_the_config_names_the_series_and_the_imagery(root):
    content = read_config([root / "config.yaml"])
    there = merge(content, {"imagery": {"service": SERVER}, "regions": {"lauragais": {"imagery": "service"}}})
    parse(Config, there)
    with pytest.raises(CropflowError, match=r"series\.monthly\.statistic is 'medoid'.*imagery\.service\.reduce"):
        parse(Config, merge(there, {"series": {"monthly": {"statistic": "medoid"}}}))
