"""Temporal self-attention of one sensor or several: sizes, fusion, absent sensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cropflow.models import create
from cropflow.models.batch import Batch, Series
from cropflow.models.networks.pse_tsa import fused

RADAR, OPTICAL = "sentinel1_descending", "sentinel2"
BOTH = {RADAR: 2, OPTICAL: 10}
FUSIONS = ("early", "pse", "tsa", "softmax_average", "softmax_product")


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"bands": 2}, 163_084),
        ({"bands": 10}, 163_340),
        ({"bands": 2, "features": 4, "parcel_features": True}, 163_596),
        ({"bands": 10, "features": 4, "parcel_features": True}, 163_852),
        ({"bands": BOTH, "fusion": "early"}, 163_404),
        ({"bands": BOTH, "fusion": "pse"}, 798_956),
        ({"bands": BOTH, "fusion": "tsa"}, 323_692),
        ({"bands": BOTH, "fusion": "softmax_average"}, 315_500),
        ({"bands": BOTH, "fusion": "softmax_product"}, 315_500),
    ],
)
def test_the_network_has_the_published_number_of_parameters(settings: dict[str, Any], expected: int) -> None:
    assert count(create("pse_tsa", outputs=12, **settings)) == expected


def test_the_parts_have_the_published_number_of_parameters() -> None:
    late, early = create("pse_tsa", bands=BOTH, outputs=12, fusion="pse"), create("pse_tsa", bands=BOTH, outputs=12)
    assert [count(part) for part in late.pixel_sets.values()] == [19_168, 19_424]
    assert [count(part) for part in early.pixel_sets.values()] == [19_488]
    assert [count(part) for part in late.temporal.values()] == [741_248]
    assert [count(part) for part in early.temporal.values()] == [132_992]
    assert (count(late.head), count(early.head)) == (19_116, 10_924)


def small(fusion: str, bands: dict[str, int], **settings: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"pixel_widths": (4,), "date_width": 8, "decoder_widths": (6,), "heads": 2, "key_size": 3}
    return create("pse_tsa", bands=bands, outputs=3, fusion=fusion, **sizes, **settings).eval()


def batch(bands: dict[str, int], parcels: int = 4, dates: int = 5, first: int = -20) -> Batch:
    generator = torch.Generator().manual_seed(1)

    def series(place: int, count: int) -> Series:
        # Sensors see other dates, and other numbers of them.
        days = (first + 3 * place + 12 * torch.arange(dates + place)).to(torch.int32).expand(parcels, -1)
        values = torch.randn(parcels, dates + place, count, 6, generator=generator)
        return Series(values, days, torch.ones(parcels, dates + place, 6, dtype=torch.bool))

    return Batch({sensor: series(place, count) for place, (sensor, count) in enumerate(bands.items())})


def without(whole: Batch, sensor: str, rows: slice = slice(None)) -> Batch:
    """The same parcels, some of which lack a sensor."""

    def cleared(name: str, one: Series) -> Series:
        valid = one.valid.clone()
        if name == sensor:
            valid[rows] = False
        return replace(one, valid=valid)

    return whole.with_series(cleared)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("sensors", [2, 3])
def test_any_number_of_sensors_of_any_dates_is_fused(fusion: str, sensors: int) -> None:
    bands = dict(list({OPTICAL: 3, RADAR: 2, "sentinel1_ascending": 2}.items())[:sensors])
    network = small(fusion, bands)
    with torch.no_grad():
        found = network(batch(bands))
    assert found.shape == (4, 3)
    assert torch.isfinite(found).all()
    if fusion.startswith("softmax"):
        torch.testing.assert_close(found.exp().sum(1), torch.ones(4))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_parcel_features_reach_every_sensor(fusion: str) -> None:
    bands = {OPTICAL: 3, RADAR: 2}
    network = small(fusion, bands, features=4, parcel_features=True)
    with_features = replace(batch(bands), features=torch.randn(4, 4, requires_grad=True))
    network(with_features).square().sum().backward()
    widths = [encoder.linear.in_features for encoder in network.pixel_sets.values()]
    assert widths == [2 * 4 + 4] * len(network.pixel_sets)
    for encoder in network.pixel_sets.values():
        assert (encoder.linear.weight.grad[:, -4:] != 0).any()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_absent_sensor_gives_finite_scores_and_gradients(fusion: str) -> None:
    bands = {OPTICAL: 3, RADAR: 2}
    network = small(fusion, bands).train()
    for lacking in (without(batch(bands), RADAR), without(without(batch(bands), RADAR), OPTICAL, slice(1))):
        network.zero_grad()
        scores = network(lacking)
        scores.square().sum().backward()
        assert torch.isfinite(scores).all()
        assert all(value.grad is None or torch.isfinite(value.grad).all() for value in network.parameters())


@pytest.mark.parametrize("fusion", ["softmax_average", "softmax_product"])
def test_a_decision_is_that_of_the_one_sensor_that_is_there(fusion: str) -> None:
    bands = {OPTICAL: 3, RADAR: 2}
    network, whole = small(fusion, bands), batch(bands)
    with torch.no_grad():
        found = network(without(whole, RADAR, slice(2)))
        both = network(whole)
        dates = network._dates(OPTICAL, whole.series[OPTICAL], whole)
        alone = network.head(network._embedding(OPTICAL, dates)).log_softmax(1)
    torch.testing.assert_close(found[:2], alone[:2])
    torch.testing.assert_close(found[2:], both[2:])
    assert not torch.allclose(found[:2], both[:2])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_an_absent_sensor_stores_does_not_matter(fusion: str) -> None:
    bands = {OPTICAL: 3, RADAR: 2}
    network, lacking = small(fusion, bands), without(batch(bands), RADAR)
    other = lacking.with_series(lambda name, one: replace(one, values=one.values + 50) if name == RADAR else one)
    with torch.no_grad():
        torch.testing.assert_close(network(other), network(lacking))


def probabilities(scores: Tensor, present: Tensor, average: bool) -> Tensor:
    """Fused probabilities, parcel by parcel."""
    rows = []
    for row, there in zip(scores.softmax(2), present, strict=True):
        joint = row[there].mean(0) if average else row[there].prod(0)
        rows.append(joint / joint.sum())
    return torch.stack(rows)


@pytest.mark.parametrize("average", [True, False])
def test_probabilities_are_fused_parcel_by_parcel(average: bool) -> None:
    scores = 3 * torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 1, 0]], dtype=torch.bool)
    found = fused(scores, present, average=average)
    torch.testing.assert_close(found.exp(), probabilities(scores, present, average))
    torch.testing.assert_close(fused(scores[1:2], present[1:2], average=average), found[1:2])


def test_products_of_certain_probabilities_stay_finite() -> None:
    scores = torch.tensor([[[500.0, 0.0, -500.0], [0.0, 500.0, -500.0]]], requires_grad=True)
    found = fused(scores, torch.ones(1, 2, dtype=torch.bool), average=False)
    found[0, 0].backward()
    torch.testing.assert_close(found[0].exp(), torch.tensor([0.5, 0.5, 0.0]))
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_all_sensors_count_days_from_one_origin(fusion: str) -> None:
    bands = {OPTICAL: 3, RADAR: 2}
    network, whole = small(fusion, bands), batch(bands)
    later = whole.with_series(lambda name, one: replace(one, dates=one.dates + 30) if name == RADAR else one)
    with torch.no_grad():
        assert (network(whole) - network(later)).abs().max() > 1e-5


def test_a_batch_of_two_parcels_is_scored_as_any_other() -> None:
    bands = {OPTICAL: 3, RADAR: 2}
    network = small("tsa", bands)
    two = batch(bands, parcels=2)
    assert network.train()(two).shape == (2, 3)
    with torch.no_grad():
        first = two.with_series(lambda _, one: Series(one.values[:1], one.dates[:1], one.valid[:1]))
        torch.testing.assert_close(network.eval()(two)[:1], network(first), rtol=1e-4, atol=1e-5)


def test_sensors_are_aligned_as_asked() -> None:
    bands = {OPTICAL: 3, RADAR: 2}
    whole = batch(bands)
    with torch.no_grad():
        scores = [
            small(fusion, bands, align=rule)(whole) for fusion in ("early", "pse") for rule in ("nearest", "linear")
        ]
    assert not torch.allclose(scores[0], scores[1])
    assert not torch.allclose(scores[2], scores[3])
