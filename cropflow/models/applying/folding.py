"""Batch norms folded into the convolutions before them: the same scores in fewer passes over memory."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

_FOLDABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_Module = TypeVar("_Module", bound=nn.Module)


def fold_batch_norms(network: _Module) -> _Module:
    """Fold each batch norm that follows a convolution in a sequence into it; others stay.

    A batch norm of running statistics is a factor and a shift per channel, which weights and bias of the convolution
    before it can take. Scores change by rounding alone.

    Args:
        network: In evaluation mode; changed in place, and of no use for training afterwards.

    Returns:
        The network.

    Raises:
        ValueError: If it is in training mode, where batch norms depend on the batch.
    """
    if network.training:
        raise ValueError("a network in training mode was given; expected evaluation mode")
    for module in network.modules():
        # A sequence with a forward of its own may use what follows a convolution in another way.
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            for position in range(len(module) - 1):
                convolution, norm = module[position], module[position + 1]
                if isinstance(convolution, _FOLDABLE) and isinstance(norm, _BatchNorm) and norm.running_var is not None:
                    _fold(convolution, norm)
                    # Networks with gaps ask a norm whether it is in training.
                    module[position + 1] = nn.Identity().eval()
    return network


def _fold(convolution: _ConvNd, norm: _BatchNorm) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics was given")
    with torch.no_grad():
        factor = torch.rsqrt(norm.running_var + norm.eps)
        shift = -norm.running_mean
        if norm.affine:
            factor = factor * norm.weight
        bias = shift if convolution.bias is None else convolution.bias + shift
        bias = bias * factor + (norm.bias if norm.affine else 0)
        # Of every (not transposed) convolution the first axis of the weights is that of the output channels.
        convolution.weight.mul_(factor.view(-1, *(1,) * (convolution.weight.ndim - 1)))
        convolution.bias = nn.Parameter(bias, requires_grad=False)
