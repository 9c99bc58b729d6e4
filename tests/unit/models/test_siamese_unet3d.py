"""The siamese 3-D U-Net: its size, its heads, its ways through time, and sensors that a sample lacks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import zoo

from cropflow.config.models import SiameseUnet3d
from cropflow.errors import CropflowError
from cropflow.models import create
from cropflow.models.batch import batch_of
from cropflow.models.network import Inputs
from cropflow.models.registry import build_network

BANDS = {"sentinel1_ascending": 2, "sentinel2": 10}
SMALL = {"width": 4, "halvings": 1}


def parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_it_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = create("siamese_unet3d", bands=BANDS, outputs=21, periods=6)
        assert [parameters(branch) for branch in network.branches.values()] == [31_062_336, 31_069_248]
        assert parameters(network.head) == 2_709
        assert parameters(network) == 62_134_293
        network.replace_head(8, "isrc")
        assert parameters(network.head) == 37_224


def test_a_new_head_is_of_the_same_kind_where_none_is_named() -> None:
    network = create("siamese_unet3d", bands={"sentinel2": 2}, outputs=3, periods=2, head_kind="isrc", **SMALL)
    before = parameters(network.head)
    network.replace_head(3)
    assert parameters(network.head) == before


def test_a_kernel_over_time_is_tied_to_its_periods() -> None:
    torch.manual_seed(0)
    network = create("siamese_unet3d", bands={"sentinel2": 2}, outputs=3, periods=4, **SMALL).eval()
    batch = batch_of(torch.randn(1, 4, 2, 8, 8))
    with torch.no_grad():
        whole = network(batch)
        torch.testing.assert_close(network(zoo.lengthened(batch, 2)), whole)
        with pytest.raises(CropflowError, match=r"have 5 dates.*built for 4.*collapse: mean"):
            network(batch_of(torch.randn(1, 5, 2, 8, 8)))


def test_a_series_that_ends_early_is_one_whose_last_periods_are_missing() -> None:
    torch.manual_seed(0)
    network = create("siamese_unet3d", bands={"sentinel2": 2}, outputs=3, periods=4, **SMALL).eval()
    short = batch_of(torch.randn(1, 3, 2, 8, 8))
    with torch.no_grad():
        torch.testing.assert_close(network(zoo.lengthened(short, 1)), network(short))


def test_a_kernel_over_time_needs_a_number_of_periods() -> None:
    with pytest.raises(CropflowError, match=r"needs series of a known number of periods.*collapse: mean"):
        build_network(SiameseUnet3d(), Inputs({"sentinel2": 2}, 3))


def test_a_mean_over_time_sees_the_days() -> None:
    torch.manual_seed(0)
    network = create("siamese_unet3d", bands={"sentinel2": 2}, outputs=3, collapse="mean", **SMALL).eval()
    values = torch.randn(1, 3, 2, 8, 8)
    with torch.no_grad():
        early, late = (network(batch_of(values, torch.tensor([0, 10, 20]) + shift)) for shift in (0, 100))
    assert not torch.allclose(early, late)


@pytest.mark.parametrize("collapse", ["kernel", "mean"])
def test_each_sensor_has_a_branch_and_dates_of_its_own(collapse: str) -> None:
    torch.manual_seed(0)
    periods = {"sentinel1_ascending": 5, "sentinel2": 3}
    network = create("siamese_unet3d", bands=BANDS, outputs=3, periods=periods, collapse=collapse, **SMALL).eval()
    values = {sensor: torch.randn(2, periods[sensor], count, 8, 8) for sensor, count in BANDS.items()}
    batch = batch_of(values)
    lacking = batch.with_series(
        lambda sensor, one: replace(one, valid=torch.zeros_like(one.valid)) if sensor == "sentinel2" else one
    )
    with torch.no_grad():
        whole, without = network(batch), network(lacking)
        # What the second branch adds is nothing: the scores are those of the first with the rest at 0.
        first = network.branches["sentinel1_ascending"](batch.series["sentinel1_ascending"])
        expected = network.head(torch.cat([first, torch.zeros_like(first)], 1))
    torch.testing.assert_close(without, expected)
    assert not torch.allclose(whole, without)


def test_squares_that_cannot_be_halved_are_one_line() -> None:
    network = create("siamese_unet3d", bands={"sentinel2": 2}, outputs=3, periods=2, width=2, halvings=4)
    with pytest.raises(CropflowError, match="halves its squares 4 times and got 8 x 12 pixels; expected 16 x 16"):
        network(batch_of(torch.zeros(1, 2, 2, 8, 12)))
