"""U-TAE: its size, its attention, and frames that are left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import zoo

from cropflow.errors import CropflowError
from cropflow.models import create
from cropflow.models.batch import batch_of
from cropflow.models.networks.utae import TemporalAttention, weighed_by


def test_it_has_as_many_parameters_as_the_published_network_without_the_norm_of_its_scores() -> None:
    network = create("utae", bands=10, outputs=20)
    assert sum(value.numel() for value in network.parameters()) == 1_087_220


def test_attention_adds_up_to_one_over_the_valid_dates() -> None:
    torch.manual_seed(0)
    layer = TemporalAttention(8, 2, 2, 16, 0.0, 0.0).eval()
    valid = torch.rand(2, 5, 3, 3) > 0.3
    valid[0, :, 0, 0] = False
    found, attention = layer(torch.randn(2, 5, 8, 3, 3), torch.arange(5).expand(2, 5) * 10, valid)
    assert torch.isfinite(found).all() and found.shape == (2, 8, 3, 3)
    assert attention.masked_select(~valid.unsqueeze(1)).eq(0).all()
    torch.testing.assert_close(attention.sum(2), valid.any(1).float().unsqueeze(1).expand(2, 2, 3, 3))


def test_finer_maps_are_weighed_head_by_head() -> None:
    maps = torch.randn(1, 3, 4, 4, 4)
    attention = torch.zeros(1, 2, 3, 2, 2)
    attention[:, 0, 1], attention[:, 1, 2] = 1, 1
    torch.testing.assert_close(weighed_by(maps, attention), torch.cat([maps[:, 1, :2], maps[:, 2, 2:]], 1))


def test_a_frame_of_clouds_is_as_if_it_were_not_there() -> None:
    torch.manual_seed(0)
    network = create("utae", bands=2, outputs=3, **zoo.UTAE).eval()
    batch = batch_of(torch.randn(2, 4, 2, 8, 8))

    def clouded(_: str, one: zoo.Series) -> zoo.Series:
        valid = one.valid.clone()
        valid[:, 2] = False
        return replace(one, valid=valid, values=one.values.clone().index_fill(1, torch.tensor([2]), 7.0))

    def shorter(_: str, one: zoo.Series) -> zoo.Series:
        rest = [0, 1, 3]
        return zoo.Series(one.values[:, rest], one.dates[:, rest], one.valid[:, rest])

    with torch.no_grad():
        found, expected = network(batch.with_series(clouded)), network(batch.with_series(shorter))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_days_of_the_dates_count() -> None:
    network = zoo.small("utae").eval()
    batch = zoo.toy("utae", count=1)
    later = batch.with_series(lambda _, one: replace(one, dates=one.dates + 50))
    with torch.no_grad():
        assert not torch.allclose(network(batch), network(later))


@pytest.mark.parametrize("space", [(16, 16), (17, 22), (19, 35)])
def test_patches_of_any_size_are_mapped(space: tuple[int, int]) -> None:
    settings = {**zoo.UTAE, "encoder_widths": (4, 4, 4, 4), "decoder_widths": (4, 4, 4, 4)}
    network = create("utae", bands=2, outputs=3, **settings).eval()
    with torch.no_grad():
        assert network(batch_of(torch.zeros(1, 2, 2, *space))).shape == (1, 3, *space)


def test_patches_that_are_too_small_are_one_line() -> None:
    with pytest.raises(CropflowError, match="halves its squares 3 times and got 8 x 8 pixels; expected 16 x 16"):
        create("utae", bands=2, outputs=3)(batch_of(torch.zeros(1, 2, 2, 8, 8)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3}, "heads 3 must divide every encoder width, and does not divide 64"),
        ({"encoder_widths": (6, 8), "decoder_widths": (8, 8), "heads": 2}, "groups of the norms 4 must divide"),
        ({"model_width": 100}, "twice heads 16 must divide model_width 100"),
        ({"decoder_widths": (32, 64, 128)}, "must be as many as encoder_widths"),
        ({"decoder_widths": (32, 32, 64, 64)}, "end in the same width"),
    ],
)
def test_widths_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(CropflowError, match=message):
        create("utae", bands=2, outputs=3, **settings)
