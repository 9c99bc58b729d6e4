"""Scenes of use that a config asks for: other hemispheres, the edge of a zone, a site that was annotated in part."""

import datetime

import numpy as np
import pytest
import shapely

from cropflow.config.sections import Season
from cropflow.config.simulation import Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.simulation.acquisitions import sentinel2_acquisitions
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.phenology import covers
from cropflow.simulation.register import EPSG, declare
from cropflow.simulation.rpg_file import archive_member
from cropflow.simulation.surface import build_surface

SUMMER = {"s": Season(start=datetime.date(2022, 10, 1), end=datetime.date(2023, 5, 31))}


def simulate(**squares):
    landscapes = {name: Landscape(side_km=0.64, **square) for name, square in squares.items()}
    made = Simulation(seed=5, landscapes=landscapes, seasons=("s",), imagery_seasons=("s",))
    return made, [make_landscape(name, square, made) for name, square in landscapes.items()]


def test_a_southern_site_has_its_zone_its_register_and_its_summer_at_new_year():
    made, (land,) = simulate(free_state={"centre": (26.5, -28.5), "style": "southern"})
    assert land.grid.epsg == 32735
    parcels = declare([land], "s", made).parcels
    assert parcels.crs.to_epsg() == 32735
    assert shapely.box(*parcels.total_bounds).intersects(shapely.box(*land.grid.bounds))
    assert "UTM35S" in archive_member(SUMMER["s"], 32735)
    surface = build_surface(5, land, "s", SUMMER["s"], made.difficulty, with_patterns=False)
    dates = [datetime.date(2022, 11, 1), datetime.date(2023, 2, 1)]
    green = covers(["maize"], surface.days(dates), surface.stands.traits.take(np.array([0])), surface.conditions).green
    assert green[0, 1] > green[0, 0] + 0.3
    # In the south the sun of a morning stands in the north-east, high at New Year.
    passes = sentinel2_acquisitions(5, land.name, land.grid, ["s"], SUMMER)
    january = next(one for one in passes if one.time.date() >= datetime.date(2023, 1, 1))
    assert january.sun_elevation > 50
    assert 40 < january.sun_azimuth < 130


def test_a_site_on_the_edge_of_a_zone_keeps_to_the_zone_of_its_centre():
    made, (west, east) = simulate(west={"centre": (5.999, 48.2)}, east={"centre": (6.03, 48.2)})
    assert (west.grid.epsg, east.grid.epsg) == (32631, 32632)
    parcels = declare([west, east], "s", made).parcels
    assert parcels.crs.to_epsg() == EPSG
    for land in (west, east):
        inside = parcels.to_crs(land.grid.epsg).intersects(shapely.box(*land.core.bounds))
        assert inside.sum() > 5


def test_a_register_overseas_has_one_zone():
    made, lands = simulate(one={"centre": (26.5, -28.5)}, other={"centre": (2.0, 48.0)})
    with pytest.raises(CropflowError, match="a register has one CRS"):
        declare(lands, "s", made)


def test_an_annotated_site_declares_some_fields_of_one_crop_and_keeps_its_whole_truth():
    made, (visited, whole) = simulate(
        visited={"centre": (1.6, 48.2), "annotated_crop": "winter_wheat", "annotated_share": 0.3},
        whole={"centre": (1.8, 48.2)},
    )
    fields = declare([visited, whole], "s", made).fields
    own = fields[fields["landscape"] == "visited"]
    truth = visited.seasons["s"].table["crop"].to_numpy()
    assert len(own) == len(truth)
    declared = own["in_register"].to_numpy()
    assert set(truth[declared]) == {"winter_wheat"}
    assert 0 < declared.sum() < (truth == "winter_wheat").sum()
    assert fields.loc[fields["landscape"] == "whole", "in_register"].mean() > 0.6


def test_an_unknown_or_absent_annotated_crop_is_named():
    made, lands = simulate(a={"centre": (1.6, 48.2), "annotated_crop": "papaya"})
    with pytest.raises(CropflowError, match="annotated_crop is 'papaya'; expected one of winter_wheat"):
        declare(lands, "s", made)
    made, lands = simulate(a={"centre": (1.6, 48.2), "annotated_crop": "soy", "annotated_share": 0.0001})
    with pytest.raises(CropflowError, match=r"holds none of \d+ simulated fields"):
        declare(lands, "s", made)
