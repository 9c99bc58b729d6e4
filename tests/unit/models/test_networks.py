"""The network: its size, its indifference to batch and length, and how it is created."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from cropflow.errors import CropflowError
from cropflow.models import create
from cropflow.models.batch import Batch, batch_of
from cropflow.models.networks.temporal_unet import SeriesConvolution, TemporalEncoder


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("kernel", "count"), [(3, 13_447_155), (5, 13_455_859)])
def test_the_network_has_the_published_number_of_parameters(kernel: int, count: int) -> None:
    network = create("temporal_unet", bands=4, outputs=51, kernel_size=kernel)
    assert parameters(network) == count
    assert parameters(network.temporal) == {3: 13_440, 5: 22_144}[kernel]


def test_a_series_convolution_equals_the_one_dimensional_one() -> None:
    torch.manual_seed(0)
    layer = SeriesConvolution(3, 5, 3)
    series = torch.randn(2, 3, 7, 11)
    expected = functional.conv1d(series.permute(0, 3, 1, 2).flatten(0, 1), layer.weight, layer.bias, padding=1)
    found = layer(series).permute(0, 3, 1, 2).flatten(0, 1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_the_encoder_treats_each_pixel_alone(pooling: str) -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(3, 6, 2, 3, pooling, 0.3).eval()  # type: ignore[arg-type]
    series = torch.randn(1, 5, 3, 4, 6)
    whole = encoder(series)
    torch.testing.assert_close(encoder(series[..., 1:2, 4:5]), whole[..., 1:2, 4:5])


def test_a_patch_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    network = create("temporal_unet", bands=3, outputs=4, temporal_width=4, widths=(4, 8, 8)).eval()
    series = torch.randn(3, 5, 3, 16, 16)
    torch.testing.assert_close(network(batch_of(series))[1:2], network(batch_of(series[1:2])), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("training", [True, False])
def test_periods_that_are_missing_at_a_pixel_count_for_nothing(pooling: str, training: bool) -> None:
    torch.manual_seed(0)
    settings = {"temporal_width": 4, "widths": (4, 4), "dropout": 0.0, "pooling": pooling, "positions": True}
    network = create("temporal_unet", bands=3, outputs=4, **settings).train(training)
    batch = batch_of(torch.randn(2, 5, 3, 8, 8))
    batch.only().valid[:, :, 2:5] &= torch.rand(2, 5, 3, 8) > 0.5
    batch.only().valid[0, :, 2, 2] = False

    def with_rubbish(value: float) -> Batch:
        return batch.with_series(
            lambda _, one: replace(one, values=one.values.masked_fill(~one.valid.unsqueeze(2), value))
        )

    assert torch.isfinite(network(batch)).all()
    torch.testing.assert_close(network(with_rubbish(7.0)), network(with_rubbish(-3.0)))


def test_a_complete_series_is_encoded_the_same_with_a_mask_and_without() -> None:
    torch.manual_seed(0)
    series, mask = torch.randn(2, 5, 3, 4, 4), torch.ones(2, 5, 4, 4, dtype=torch.bool)
    for pooling in ("max", "mean"):
        encoder = TemporalEncoder(3, 6, 2, 3, pooling, 0.0)  # type: ignore[arg-type]
        torch.testing.assert_close(encoder(series, mask), encoder(series))


@pytest.mark.parametrize("periods", [1, 2, 12])
@pytest.mark.parametrize("shape", [(16, 16), (13, 22), (4, 4)])
def test_any_number_of_periods_and_any_size_is_mapped(periods: int, shape: tuple[int, int]) -> None:
    network = create("temporal_unet", bands=2, outputs=3, temporal_width=4, widths=(4, 4, 4)).eval()
    assert network(batch_of(torch.zeros(1, periods, 2, *shape))).shape == (1, 3, *shape)


def test_an_unknown_model_or_setting_is_one_line() -> None:
    with pytest.raises(CropflowError, match=r"one of: temporal_unet, pse_ltae, .*random_forest"):
        create("oracle")
    with pytest.raises(CropflowError, match="kernel"):
        create("temporal_unet", bands=4, outputs=2, kernel=3)
    with pytest.raises(CropflowError, match="'bands'"):
        create("temporal_unet", outputs=2)


def test_a_forest_is_created_with_its_settings() -> None:
    forest = create("random_forest", trees=7, max_depth=3, seed=5)
    assert (forest.n_estimators, forest.max_depth, forest.random_state) == (7, 3, 5)
