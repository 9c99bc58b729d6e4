"""Networks of patches and chips where something is missing: a sensor, everything, or half of the digits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import zoo
from torch.nn import functional

from cropflow.models.batch import Series

FAMILY = {"temporal_unet", "siamese_unet3d", "conv_lstm", "conv_star", "utae"}
NAMES = [name for name in zoo.SMALL if name.partition(":")[0] in FAMILY]
FUSED = [name for name in NAMES if len(zoo.SMALL[name].bands) > 1]


def lacking(one: Series, rows: slice) -> Series:
    """Some samples without the sensor, whose values are rubbish."""
    valid, values = one.valid.clone(), one.values.clone()
    valid[rows], values[rows] = False, 9.0
    return replace(one, valid=valid, values=values)


@pytest.mark.parametrize("sensor", list(zoo.SENSORS))
@pytest.mark.parametrize("name", FUSED)
def test_a_sample_that_lacks_a_sensor_is_scored_by_the_other(name: str, sensor: str) -> None:
    network, batch = zoo.small(name).eval(), zoo.toy(name, count=3)
    some = batch.with_series(lambda own, one: lacking(one, slice(1, 2)) if own == sensor else one)
    with torch.no_grad():
        whole, found = network(batch), network(some)
    torch.testing.assert_close(found[[0, 2]], whole[[0, 2]], rtol=1e-4, atol=1e-5)
    assert torch.isfinite(found).all() and not torch.allclose(found[1], whole[1])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_a_valid_pixel_is_scored_finite(name: str, training: bool) -> None:
    network = zoo.small(name).train(training)
    nothing = zoo.toy(name, count=2).with_series(lambda _, one: lacking(one, slice(None)))
    with torch.no_grad():
        assert torch.isfinite(network(nothing)).all()
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_gives_about_the_same_scores_and_finite_gradients(name: str) -> None:
    network, batch = zoo.small(name), zoo.toy(name)
    assert batch.target is not None
    with torch.no_grad():
        exact = network.eval()(batch)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(network(batch).float(), exact, rtol=0.05, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        loss = functional.cross_entropy(network.train()(batch).float(), batch.target)
    loss.backward()
    assert all(value.grad is not None and torch.isfinite(value.grad).all() for value in network.parameters())
