"""The multi-stage convSTAR network: its size, its levels for any legend, its start."""

from __future__ import annotations

import pytest
import torch

from cropflow.errors import CropflowError
from cropflow.models import create
from cropflow.models.batch import batch_of

# Groups of 52 classes, as many as the published legend has outputs, used or not.
PUBLISHED = (tuple(place % 6 for place in range(52)), tuple(place % 20 for place in range(52)))


def parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(("bands", "layers"), [(4, 595_200), (9, 600_960)])
def test_it_has_the_published_number_of_parameters(bands: int, layers: int) -> None:
    network = create("conv_star", bands=bands, outputs=52, levels=PUBLISHED)
    assert parameters(network.cells) == layers
    assert [parameters(head) for head in network.head.heads] == [3_462, 11_540, 30_004]
    assert parameters(network.head.refinement) == 312_320


@pytest.mark.parametrize(
    ("levels", "layers", "taps"),
    [
        ((), 6, (5,)),
        (((0, 0, 1),), 6, (2, 5)),
        (((0, 0, 0), (0, 0, 1)), 6, (1, 3, 5)),
        (((0, 0, 0), (0, 0, 1), (0, 1, 2)), 6, (1, 2, 4, 5)),
        (((0, 0, 1),), 2, (0, 1)),
    ],
)
def test_levels_are_read_off_the_layers_evenly(
    levels: tuple[tuple[int, ...], ...], layers: int, taps: tuple[int, ...]
) -> None:
    network = create("conv_star", bands=2, outputs=3, levels=levels, hidden=4, layers=layers, refinement=4).eval()
    assert network.taps == taps
    batch = batch_of(torch.randn(2, 3, 2, 7, 5))
    with torch.no_grad():
        stages = network.stages(batch)
        groups = [max(level) + 1 for level in levels]
        assert [tuple(stage.shape) for stage in stages] == [(2, count, 7, 5) for count in (*groups, 3, 3)]
        assert torch.equal(network(batch), stages[-1])


def test_a_coarse_level_does_not_see_later_layers() -> None:
    torch.manual_seed(0)
    network = create("conv_star", bands=2, outputs=3, levels=((0, 0, 1),), hidden=4, layers=2, refinement=4).eval()
    batch = batch_of(torch.randn(1, 3, 2, 6, 6))
    with torch.no_grad():
        before = network.stages(batch)
        torch.nn.init.zeros_(network.cells[1].update.weight)
        after = network.stages(batch)
    assert torch.equal(before[0], after[0]) and not torch.equal(before[1], after[1])


def test_a_new_head_takes_the_levels_of_the_new_legend() -> None:
    network = create("conv_star", bands=2, outputs=3, levels=((0, 0, 1),), hidden=4, layers=2, refinement=4).eval()
    network.replace_head(5, ((0, 0, 1, 1, 2),))
    with torch.no_grad():
        stages = network.stages(batch_of(torch.randn(1, 2, 2, 4, 4)))
    assert [stage.shape[1] for stage in stages] == [3, 5, 5]


def test_more_levels_than_layers_are_refused() -> None:
    with pytest.raises(CropflowError, match="layers of conv_star is 1; expected at least 2"):
        create("conv_star", bands=2, outputs=3, levels=((0, 0, 1),), layers=1)


def test_cells_start_with_orthogonal_weights_and_keep_their_state() -> None:
    network = create("conv_star", bands=4, outputs=3, hidden=8, layers=1)
    cell = network.cells[0]
    for layer in (cell.gate, cell.update):
        rows = layer.weight.detach().flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(8), rtol=0, atol=1e-5)
    assert cell.gate.bias.eq(1).all() and cell.update.bias.eq(0).all()
