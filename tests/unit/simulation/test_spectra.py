"""Mixtures of spectra."""

import numpy as np
import pytest

from cropflow.simulation import spectra
from cropflow.simulation.land_parameters import TABLE as LAND
from cropflow.simulation.parameters import TABLE, markdown_rows, number, numbers


def mixed(green, straw=0.0, flower=0.0, pale=0.0, dryness=0.5):
    one = np.ones(1, np.float32)
    layers = one * green, one * straw, one * flower
    return spectra.mix(*layers, spectra.soils(dryness), spectra.GREEN[None], one * pale)[0]


def test_bare_ground_is_soil_and_full_cover_is_canopy():
    np.testing.assert_allclose(mixed(0.0), spectra.soils(0.5), rtol=1e-6)
    np.testing.assert_allclose(mixed(1.0), np.tile(spectra.GREEN, (4, 1)), rtol=1e-6)


def test_ndvi_rises_with_cover_from_bare_soil_to_dense_canopy():
    values = [spectra.ndvi(mixed(cover)).mean() for cover in np.linspace(0, 1, 11)]
    assert (np.diff(values) > 0).all()
    assert 0.12 < values[0] < 0.25
    assert 0.85 < values[-1] < 0.95


def test_rapeseed_flowers_turn_the_green_band_up_and_ndvi_down():
    leaves, flowers = mixed(0.9), mixed(0.5, flower=0.4)
    assert (flowers[:, 1] > leaves[:, 1] + 0.02).all()
    assert (spectra.ndvi(flowers) < spectra.ndvi(leaves) - 0.05).all()


def test_wet_soil_is_darker_by_the_factor_of_the_table():
    ratio = spectra.soils(0.0) / spectra.soils(1.0)
    assert ratio.max() < 0.7
    assert ratio.min() > 0.45
    assert spectra.soils(1.0)[3, 2] > spectra.soils(1.0)[0, 2] * 2


def test_reflectance_stays_physical():
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(4), 200).astype(np.float32)
    values = spectra.mix(
        share[:, 0], share[:, 1], share[:, 2], spectra.soils(1.0), np.tile(spectra.GREEN, (200, 1)), share[:, 3]
    )
    assert values.min() > 0
    assert values.max() < 0.7


def test_every_parameter_carries_a_mark_a_unit_and_a_source():
    assert {parameter.mark for parameter in TABLE.values()} <= {"M", "P", "E", "U"}
    assert all(parameter.unit and parameter.source for parameter in TABLE.values())
    assert number("sentinel1.looks") == 4.4
    assert numbers("soil.wetness") == (0.6, 1.0)


def test_one_number_and_several_are_asked_for_by_their_own_names():
    with pytest.raises(TypeError, match=r"soil\.levels has 4 numbers"):
        number("soil.levels")
    with pytest.raises(TypeError, match=r"sentinel1\.looks is one number"):
        numbers("sentinel1.looks")


def test_the_documentation_shows_the_parameter_tables_as_they_are(root):
    text = (root / "docs" / "simulation.md").read_text(encoding="utf-8")
    stale = [row for row in markdown_rows({**TABLE, **LAND}) if row not in text]
    assert not stale, "docs/simulation.md differs from the tables; its last section says how to renew it"
