"""Options of imagery that a source or a sensor does not look at are refused, never passed over."""

from __future__ import annotations

import pytest

from cropflow.config.imagery import PLAIN_RADAR, Imagery
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.imagery.stac.providers import PROVIDERS

FILES = {"source": "items", "path": "x"}
ENGINE = {"source": "earth_engine"}
STAC = {"source": "stac", "provider": "planetary-computer"}
RADAR = {"sensors": ["sentinel1_ascending"]}
BOTH = {"sensors": ["sentinel2", "sentinel1_ascending"]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (FILES | {"assume_radiometry": "sigma0"}, "expected a sensor of Sentinel-1 among them"),
        (STAC | {"relative_orbits": [88]}, r"relative_orbits is \(88,\) .* expected a sensor of Sentinel-1"),
        (STAC | RADAR | {"maximum_cloud_percent": 60}, r"maximum_cloud_percent is 60.0 .* expected sentinel2 among"),
        (FILES | RADAR | {"assume_baseline": "02.07"}, "assume_baseline is '02.07' .* expected sentinel2 among them"),
        (ENGINE | RADAR | {"cloud_score": True}, "cloud_score is True .* expected sentinel2 among them"),
        (ENGINE | RADAR | {"assume_radiometry": "gamma0"}, "Earth Engine's own Sentinel-1 is sigma0; expected none"),
        (
            STAC | {"provider": "earth-search"} | RADAR,
            "provider is 'earth-search' .* sentinel1_ascending, .* plain GRD",
        ),
        (STAC | {"provider": "copernicus"} | BOTH, "provider is 'copernicus' .* as collections.sentinel1"),
        (STAC | {"cloud_score": True}, "cloud_score needs source earth_engine; found source stac"),
        (FILES | {"reduce": "server"}, "reduce needs source earth_engine; found source items"),
        (FILES | {"collections": {"sentinel2": "a"}}, "collections does not go with source items"),
        ({"source": "safe", "path": "x"} | BOTH, "source safe has sentinel2 alone"),
        (ENGINE | {"path": "x"}, "path does not go with source earth_engine"),
        (STAC | {"url": "https://service.example"}, "exactly one of provider and url"),
        (STAC | {"sensors": ["sentinel2", "sentinel2"]}, "name a sensor twice"),
    ],
)
def test_what_nothing_looks_at_is_named(content, told):
    with pytest.raises(CropflowError, match=told) as caught:
        parse(Imagery, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        FILES | BOTH | {"assume_radiometry": "sigma0", "assume_baseline": "02.07", "relative_orbits": [88]},
        STAC | RADAR | {"relative_orbits": [88, 161]},
        STAC | {"maximum_cloud_percent": 60},
        STAC | {"provider": "earth-search"} | BOTH | {"collections": {"sentinel1": "my-rtc"}},
        ENGINE | BOTH | {"cloud_score": True, "maximum_cloud_percent": 60},
        ENGINE | RADAR | {"assume_radiometry": "gamma0", "collections": {"sentinel1": "projects/mine/assets/rtc"}},
    ],
)
def test_what_is_looked_at_is_accepted(content):
    assert parse(Imagery, content)


def test_the_providers_without_radar_are_those_that_the_source_has_none_of():
    assert set(PLAIN_RADAR) == {name for name, provider in PROVIDERS.items() if "sentinel1" in provider.lacks}
