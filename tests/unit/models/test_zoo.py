"""What is asked of every network: batch and padding change nothing, it learns, and it keeps what it has learnt."""

from __future__ import annotations

import pytest
import torch
import zoo
from torch.nn import functional

from cropflow.config.models import NETWORKS
from cropflow.models.batch import IGNORED

EVERY = list(zoo.SMALL)
# One of these may be worth a look when a network is slow to learn.
STEPS = 120


def test_every_network_is_tried() -> None:
    assert {name.partition(":")[0] for name in zoo.SMALL} == set(NETWORKS)


@pytest.mark.parametrize("name", EVERY)
def test_scores_do_not_depend_on_the_batch(name: str) -> None:
    network, batch = zoo.small(name).eval(), zoo.toy(name)
    with torch.no_grad():
        whole = network(batch)
        torch.testing.assert_close(network(zoo.part(batch, slice(2, 3))), whole[2:3], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(zoo.part(batch, slice(1, 3))), whole[1:3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_scores_do_not_depend_on_padding(name: str) -> None:
    network, batch = zoo.small(name).eval(), zoo.toy(name)
    with torch.no_grad():
        whole = network(batch)
        if len(zoo.SMALL[name].periods) > 1:
            torch.testing.assert_close(network(zoo.lengthened(batch, 3)), whole, rtol=1e-4, atol=1e-5)
        if batch.pixels is not None:
            torch.testing.assert_close(network(zoo.widened(batch, 3)), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_any_number_of_dates_is_scored(name: str) -> None:
    network = zoo.small(name).eval()
    for periods in zoo.SMALL[name].periods:
        batch = zoo.toy(name, count=2, periods=periods)
        with torch.no_grad():
            found = network(batch)
        assert found.shape == ((2, zoo.CLASSES, zoo.SIDE, zoo.SIDE) if network.kind == "patches" else (2, zoo.CLASSES))
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", EVERY)
def test_every_weight_learns_and_eight_samples_are_learnt_by_heart(name: str) -> None:
    network, batch = zoo.small(name).train(), zoo.toy(name)
    assert batch.target is not None
    optimiser = torch.optim.Adam(network.parameters(), lr=zoo.SMALL[name].rate)
    for step in range(STEPS):
        loss = functional.cross_entropy(network(batch), batch.target, ignore_index=IGNORED)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            dead = [key for key, value in network.named_parameters() if value.requires_grad and value.grad is None]
            assert dead == []
        optimiser.step()
    with torch.no_grad():
        right = network.eval()(batch).argmax(1) == batch.target
    assert right.float().mean() >= 0.99


@pytest.mark.parametrize("name", EVERY)
def test_a_new_head_leaves_the_rest_as_it_was(name: str) -> None:
    network = zoo.small(name)
    head = {id(value) for value in network.head.parameters()}
    assert head
    rest = {key: value for key, value in network.named_parameters() if id(value) not in head}
    network.replace_head(5)
    found = dict(network.named_parameters())
    assert all(torch.equal(found[key], value) for key, value in rest.items())
    with torch.no_grad():
        assert network.eval()(zoo.toy(name, count=2, classes=5)).shape[1] == 5
