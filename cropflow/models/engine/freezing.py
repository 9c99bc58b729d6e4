"""The layers of a network that has learnt elsewhere: steps of their own, and those that stay as they are."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn import Parameter

from cropflow.config.models.transfer import Transfer
from cropflow.models.network import Network


def in_head(network: Network) -> set[str]:
    """Names of the parameters and buffers of the head, as the network's state has them."""
    head = {id(value) for value in (*network.head.parameters(), *network.head.buffers())}
    every = (*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False))
    return {name for name, value in every if id(value) in head}


class Layers:
    """The layers of a network in training.

    Args:
        network: The network; what is frozen for good needs no gradient any more.
        transfer: Steps and frozen layers; None: all layers alike, none frozen.
    """

    def __init__(self, network: Network, transfer: Transfer | None) -> None:
        self.network = network
        self.transfer = transfer
        names = in_head(network) if transfer else set()
        self.head: list[Parameter] = [value for name, value in network.named_parameters() if name in names]
        self.rest: list[Parameter] = [value for name, value in network.named_parameters() if name not in names]
        if transfer and transfer.freeze == "all_but_head":
            for value in self.rest:
                value.requires_grad_(False)

    def frozen(self, epoch: int) -> bool:
        """Whether all but the head stays as it is in an epoch, counted from 0."""
        if self.transfer is None or self.transfer.freeze == "none":
            return False
        return self.transfer.freeze_epochs is None or epoch < self.transfer.freeze_epochs

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameters with their steps, the head first."""
        if self.transfer is None:
            return [{"params": self.rest, "lr": learning_rate}]
        head = {"params": self.head, "lr": self.transfer.learning_rate_head}
        if self.transfer.learning_rate is None:  # frozen for good
            return [head]
        return [head, {"params": self.rest, "lr": self.transfer.learning_rate}]

    def settle(self, epoch: int) -> None:
        """Frozen layers work as they do when the network is applied: no dropout, and batch norm keeps its statistics.

        Args:
            epoch: Counted from 0.
        """
        if self.transfer is None or self.transfer.freeze == "none":
            return
        head: set[nn.Module] = set(self.network.head.modules())
        frozen = self.frozen(epoch)
        for module in self.network.modules():
            # Not `train`, which tells its children too.
            module.training = module in head or not frozen

    def drop_gradients(self, epoch: int) -> None:
        """Forget the gradients of layers that are frozen for some epochs.

        They are made all the same: processes that train together agree once on what has a gradient.

        Args:
            epoch: Counted from 0.
        """
        if self.frozen(epoch):
            for value in self.rest:
                value.grad = None
