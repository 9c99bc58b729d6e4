"""Networks of single pixels: as the package breizhcrops where it is right, and masked where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import zoo
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from cropflow.config.models import NETWORKS
from cropflow.errors import CropflowError
from cropflow.models import create
from cropflow.models.batch import Batch, Series, batch_of
from cropflow.models.layers.dates import seen
from cropflow.models.layers.dropout import add_dropout, dropout, relu_dropout
from cropflow.models.layers.recurrent import Recurrence
from cropflow.models.network import Inputs
from cropflow.models.registry import build_network

# Bands, dates -> parameters with 9 outputs, as counted in breizhcrops 0.0.4.1.
COUNTS = {
    "temp_cnn": {(10, 36): 2_604_937, (13, 45): 3_197_449},
    "lstm": {(10, 36): 1_332_253, (13, 45): 1_335_331},
    "transformer": {(10, 36): 168_777, (13, 45): 168_969},
}
PUBLISHED = {"temp_cnn": "TempCNN", "lstm": "LSTM", "transformer": "TransformerModel"}


def count(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def published(name: str, bands: int, dates: int) -> nn.Module:
    package = pytest.importorskip("breizhcrops.models")
    size = {"sequencelength": dates} if name == "temp_cnn" else {}
    network: nn.Module = getattr(package, PUBLISHED[name])(bands, 9, **size)
    return network


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_as_many_as_published(name: str) -> None:
    for (bands, dates), expected in COUNTS[name].items():
        assert count(create(name, bands=bands, outputs=9, periods=dates)) == expected


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_published_weights_give_the_published_scores(name: str) -> None:
    torch.manual_seed(0)
    peer = published(name, 10, 36).eval()
    network = create(name, bands=10, outputs=9, periods=36, **{"positions": False} if name == "transformer" else {})
    assert count(network) == count(peer)
    weights = dict(zip(network.state_dict(), peer.state_dict().values(), strict=True))
    if name == "temp_cnn":
        # Here the features of a date stand together, there the dates of a feature.
        weights["dense.weight"] = weights["dense.weight"].view(512, 128, 36).transpose(1, 2).flatten(1)
    network.load_state_dict(weights)
    values = torch.randn(3, 36, 10)
    with torch.no_grad():
        found = network.eval()(batch_of(values)).log_softmax(1)
        torch.testing.assert_close(found, peer(values), rtol=1e-4, atol=1e-5)


def with_gaps(batch: Batch, at: int) -> Batch:
    """The same with a date of rubbish, which is not valid, put in."""

    def gap(_: str, one: Series) -> Series:
        def put(values: Tensor, what: float) -> Tensor:
            return torch.cat([values[:, :at], torch.full_like(values[:, :1], what), values[:, at:]], 1)

        return Series(put(one.values, 9.0), put(one.dates, 33), put(one.valid, False))

    return batch.with_series(gap)


@pytest.mark.parametrize("name", ["lstm", "lstm:forwards", "transformer", "transformer:set"])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_date_without_a_value_changes_nothing(name: str, at: int) -> None:
    network, batch = zoo.small(name).eval(), zoo.toy(name)
    with torch.no_grad():
        torch.testing.assert_close(network(with_gaps(batch, at)), network(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["temp_cnn:mean", "temp_cnn:max"])
def test_padding_changes_no_statistic_of_training(name: str) -> None:
    batch, found = zoo.toy(name), []
    for padded in (batch, zoo.lengthened(batch, 3)):
        network = zoo.small(name).train()
        network(padded)
        found.append(network.state_dict())
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in zoo.SMALL if name.partition(":")[0] in COUNTS])
def test_a_sample_without_any_date_gets_a_finite_score_whatever_its_padding_holds(name: str) -> None:
    network, batch = zoo.small(name).eval(), zoo.toy(name)
    one = batch.only()
    valid = one.valid.clone()
    valid[1] = False
    scores = []
    for rubbish in (0.0, 9.0):
        values = one.values.masked_fill(~valid.unsqueeze(2), rubbish)
        with torch.no_grad():
            scores.append(network(Batch({"sentinel2": Series(values, one.dates, valid)}, batch.target)))
    assert torch.isfinite(scores[0]).all()
    assert torch.equal(*scores)


@pytest.mark.parametrize("name", [name for name in zoo.SMALL if name.partition(":")[0] in COUNTS])
def test_gradients_are_finite_where_dates_are_missing(name: str) -> None:
    network, batch = zoo.small(name).train(), zoo.toy(name)
    one = batch.only()
    valid = one.valid.clone()
    valid[0], valid[1, 1:], valid[2, :-1] = False, False, False
    assert batch.target is not None
    scores = network(Batch({"sentinel2": Series(one.values, one.dates, valid)}, batch.target))
    nn.functional.cross_entropy(scores, batch.target).backward()
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)


def test_a_transformer_knows_the_order_of_the_dates_by_their_days_alone() -> None:
    batch = zoo.toy("transformer")
    turned = batch.with_series(lambda _, one: Series(one.values.flip(1), one.dates, one.valid.flip(1)))
    with torch.no_grad():
        blind, seeing = zoo.small("transformer:set").eval(), zoo.small("transformer").eval()
        torch.testing.assert_close(blind(turned), blind(batch), rtol=1e-4, atol=1e-5)
        assert (seeing(turned) - seeing(batch)).abs().max() > 1e-3


def test_a_transformer_attends_head_by_head_as_torch_does_at_once() -> None:
    # A share below what is told apart drops nothing, but takes the way of training.
    settings = {"width": 8, "heads": 2, "layers": 2, "inner": 8, "dropout": 1e-9}
    network, batch = create("transformer", bands=3, outputs=3, **settings), zoo.toy("transformer")
    assert not batch.only().valid.all()
    with torch.no_grad():
        torch.testing.assert_close(network.train()(batch), network.eval()(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_recurrence_and_its_gradients_equal_torchs_own(bidirectional: bool) -> None:
    torch.manual_seed(0)
    ours = Recurrence(3, 5, 2, bidirectional, 0.0)
    values = torch.randn(4, 6, 3, requires_grad=True)
    lengths = torch.tensor([6, 4, 1, 5])
    counts = torch.arange(6) < lengths.unsqueeze(1)
    weight = torch.randn(4, 5 * 2 * (1 + bidirectional))

    def gradients(cells: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad((cells * weight).sum(), [values, *ours.parameters()]))

    for mask in (None, counts):
        found = ours(values, mask)
        packed = values if mask is None else pack_padded_sequence(values, lengths, True, enforce_sorted=False)
        expected = ours.lstm(packed)[1][1].transpose(0, 1).flatten(1)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(found), gradients(expected))
        # The way of other devices.
        torch.testing.assert_close(ours._packed(values, mask), expected)


def test_recurrence_passes_over_gaps_wherever_they_lie() -> None:
    torch.manual_seed(0)
    ours, values = Recurrence(2, 3, 2, True, 0.0), torch.randn(1, 5, 2)
    counts = torch.tensor([[False, True, False, True, True]])
    expected = ours(values[:, counts[0]], None)
    torch.testing.assert_close(ours(values, counts), expected)
    torch.testing.assert_close(ours._packed(values, counts), expected)


@pytest.mark.parametrize("drop", [dropout, relu_dropout])
@pytest.mark.parametrize("turned", [False, True])
def test_dropout_keeps_the_mean_and_its_gradient_knows_what_was_dropped(
    drop: Callable[..., Tensor], turned: bool
) -> None:
    torch.manual_seed(0)
    values = (torch.rand(300, 401) + 0.5).requires_grad_()
    found = drop(values.t() if turned else values, 0.182, True)
    assert abs(float((found == 0).float().mean()) - 0.182) < 0.005
    assert abs(float((found.mean() / values.mean()).detach()) - 1) < 0.01
    (gradient,) = torch.autograd.grad(found.sum(), [values])
    torch.testing.assert_close((gradient.t() if turned else gradient) * (values.t() if turned else values), found)
    torch.manual_seed(0)
    torch.rand(300, 401)
    assert torch.equal(drop(values.t() if turned else values, 0.182, True), found)


def test_what_is_added_to_a_base_is_dropped_alike() -> None:
    base, values = torch.randn(2, 30, 40, requires_grad=True), torch.randn(2, 30, 40, requires_grad=True)
    torch.manual_seed(0)
    expected = base + dropout(values, 0.3, True)
    torch.manual_seed(0)
    found = add_dropout(base, values, 0.3, True)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad(found, [base, values], weight), torch.autograd.grad(expected, [base, values], weight)
    )
    torch.testing.assert_close(add_dropout(base, values, 0.3, False), base + values)


def test_dropout_ends_with_training_and_relu_stays() -> None:
    values = torch.tensor([-1.0, 2.0])
    assert torch.equal(dropout(values, 0.5, False), values)
    assert torch.equal(relu_dropout(values.clone(), 0.5, False), torch.tensor([0.0, 2.0]))
    torch.manual_seed(0)
    assert not relu_dropout(torch.full((100,), -1.0), 0.5, True).any()


def test_complete_series_need_no_mask() -> None:
    series, counts = seen(batch_of(torch.ones(2, 3, 1)), "nearest")
    assert counts is None and torch.equal(series.values, torch.ones(2, 3, 1))


def refused(name: str, message: str, **settings: Any) -> None:
    with pytest.raises(CropflowError, match=message):
        create(name, **{"bands": 3, "outputs": 3, **settings})


def test_what_does_not_fit_is_refused_in_a_line() -> None:
    with pytest.raises(CropflowError, match="number of dates is not fixed; choose pooling: mean"):
        build_network(NETWORKS["temp_cnn"](), Inputs({"sentinel2": 3}, 3))
    refused("transformer", "heads is 3; expected a number that divides width, 8", width=8, heads=3)
    network = zoo.small("temp_cnn")
    with pytest.raises(CropflowError, match="have 5 dates; this temp_cnn flattens 4"):
        network(zoo.toy("temp_cnn", periods=5))
    assert count(create("temp_cnn", bands=3, outputs=3, pooling="mean", width=4)) > 0


def test_a_series_of_one_band_is_not_erased_by_a_norm_over_bands() -> None:
    network = create("lstm", bands=1, outputs=3, width=4, layers=1).eval()
    with torch.no_grad():
        scores = network(batch_of(torch.randn(2, 5, 1)))
    assert (scores[0] - scores[1]).abs().max() > 1e-6
