"""What a network refuses to look at: a batch of other sensors, bands, axes or parcels than it was built for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cropflow.config.models import Training
from cropflow.errors import CropflowError
from cropflow.models.batch import Batch
from cropflow.models.network import Inputs, Network

_AXES = {"patches": "(B, T, C, H, W)", "chips": "(B, T, C, H, W)", "pixel_sets": "(B, T, C, S)", "pixels": "(B, T, C)"}


def admit(network: Network, settings: Training, inputs: Inputs) -> None:
    """Let a network check its batches before it scores them: a few numbers of their shapes, no values.

    Layers would tell the same mistake by the shapes of matrices that do not fit, or score bands in another order.

    Args:
        network: The network.
        settings: Its config section.
        inputs: What it was built for.
    """
    features = inputs.features if getattr(settings, "parcel_features", False) else 0
    lags = inputs.lags if getattr(settings, "history", "none") != "none" else 0
    network.register_forward_pre_hook(_Admission(dict(inputs.bands), _AXES[network.kind], features, lags))


@dataclass(frozen=True)
class _Admission:
    """A hook before `forward`; no closure, so that networks can be copied and sent to other processes."""

    bands: dict[str, int]
    axes: str
    features: int
    lags: int

    def __call__(self, network: Any, arguments: tuple[Any, ...]) -> None:
        batch: Batch = arguments[0]
        dimensions = self.axes.count(",") + 1
        for sensor, series in batch.series.items():
            if series.values.ndim != dimensions:
                raise CropflowError(
                    f"Values of {sensor} have the shape {tuple(series.values.shape)}; {self._name(network)} expects "
                    f"{self.axes}."
                )
        found = {sensor: series.values.shape[2] for sensor, series in batch.series.items()}
        if list(found.items()) != list(self.bands.items()):
            raise CropflowError(
                f"The batch has {_told(found)}; {self._name(network)} was built for {_told(self.bands)}, in this order."
            )
        self._check_parcels(network, "features", batch.features, self.features, "parcel features")
        self._check_parcels(network, "history", batch.history, self.lags, "earlier seasons")

    def _check_parcels(self, network: Any, key: str, values: Tensor | None, count: int, what: str) -> None:
        given = 0 if values is None else values.shape[1]
        if count and given != count:
            raise CropflowError(
                f"The batch has {given or 'no'} {what}; {self._name(network)} was built for {count}. Give the batch "
                f"{key} of them, or build the network without."
            )

    @staticmethod
    def _name(network: Any) -> str:
        return f"this {type(network).__name__}"


def _told(bands: dict[str, int]) -> str:
    return ", ".join(f"{sensor} of {count} band{'s' if count != 1 else ''}" for sensor, count in bands.items())
