"""From the pixels of a parcel on each date to one embedding per date."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cropflow.config.models.parcels import PixelSetEncoding
from cropflow.errors import CropflowError, refuse
from cropflow.models.batch import Series
from cropflow.models.layers.pixel_rows import PixelLayer, moments_of, pool_rows, rows_of, sets_of_a_block
from cropflow.models.layers.pooling import Pooling, pool_relu
from cropflow.models.layers.rows import BatchNorm, precise, spread

# Without gradients nothing has to be kept: blocks of this many times those of a layer bound the memory.
BLOCKS = 16


class PixelSetEncoder(nn.Module):
    """A small network over each pixel, pooled over the valid pixels of a date, joined with parcel features.

    A date without a valid pixel is left out of everything and gives zeros. Parcels of any number of pixels and series
    of any length; a pixel may be valid on some dates alone.

    Args:
        bands: Bands per date.
        outputs: Channels of the embedding of a date.
        widths: Channels of the layers over pixels.
        pooling: What is taken over the pixels, one after the other.
        features: Parcel features that are joined to what was pooled, 0 without.

    Source:
        Garnot et al. (2020), https://doi.org/10.48550/arXiv.1911.07757; the same numbers as their layers in
        evaluation. In training, pixels and dates that are not valid do not enter the statistics of batch norm.
    """

    def __init__(
        self,
        bands: int,
        outputs: int = 128,
        *,
        widths: Sequence[int] = (32, 64),
        pooling: Sequence[Pooling] = ("mean", "std"),
        features: int = 0,
    ) -> None:
        super().__init__()
        self.pooling = tuple(pooling)
        self.features = features
        self.pixels = nn.ModuleList(PixelLayer(*pair) for pair in zip((bands, *widths), widths, strict=False))
        self.linear = nn.Linear(len(self.pooling) * widths[-1] + features, outputs)
        self.norm = BatchNorm(outputs)

    def forward(self, series: Series, features: Tensor | None = None) -> Tensor:
        """Embed each date of each parcel.

        Args:
            series: Normalised, values ``(B, T, C, S)``.
            features: Parcel features, ``(B, features)``; not looked at where the encoder was built without.

        Returns:
            ``(B, T, outputs)``; zeros on dates without a valid pixel.

        Raises:
            CropflowError: If the encoder joins features and there are none.
        """
        kept, values, valid = series.frames, series.values, series.valid
        if features is not None:
            features = features.unsqueeze(1).expand(*kept.shape, -1)
        if kept.all():
            values, valid = values.flatten(0, 1), valid.flatten(0, 1)
            features = None if features is None else features.flatten(0, 1)
        else:
            values, valid = values[kept], valid[kept]
            features = None if features is None else features[kept]
        pooled = self.pool(values, valid)
        if self.features:
            if features is None:
                # A checkpoint that others published comes without the check of whole batches.
                raise CropflowError(f"The batch has no parcel features; the network was built for {self.features}.")
            pooled = torch.cat([pooled, features], 1)
        return spread(self.norm(self.linear(pooled)), kept)

    def pool(self, values: Tensor, valid: Tensor) -> Tensor:
        """Pixels of some dates, ``(n, C, S)`` and bool ``(n, S)``, to what is pooled of them ``(n, pooled)``."""
        # On a GPU the number of launches matters more than that of passes over memory.
        pool = self.in_layers if values.is_cuda else self.in_blocks
        # Half precision would spoil the moments, and time goes into memory and not into arithmetic.
        with torch.autocast(values.device.type, enabled=False):
            if self.training or torch.is_grad_enabled():
                return pool(values, valid)
            size = BLOCKS * sets_of_a_block(valid)
            parts = zip(torch.split(values, size), torch.split(valid, size), strict=True)
            return torch.cat([pool(*part) for part in parts])

    def in_blocks(self, values: Tensor, valid: Tensor) -> Tensor:
        """Pool with as few passes over memory as there can be."""
        rows = rows_of(values, valid)
        moments = moments_of(rows) if self.training else None
        *first, last = self.pixels
        for layer in first:
            rows, moments = layer(rows, moments)
        assert isinstance(last, PixelLayer)
        return pool_rows(rows, last.folded(moments), self.pooling, complete=bool(valid.all()))

    def in_layers(self, values: Tensor, valid: Tensor) -> Tensor:
        """Pool with torch's layers, one after the other."""
        rows = precise(values).transpose(1, 2)
        complete = bool(valid.all())
        rows = rows.flatten(0, 1) if complete else rows[valid]
        for place, layer in enumerate(self.pixels):
            assert isinstance(layer, PixelLayer)
            rows = layer.plain(rows.relu_() if place else rows)
        there = None if complete else valid.unsqueeze(-1).to(rows.dtype)
        return pool_relu(spread(rows, valid), there, self.pooling)


def pixel_set_encoder(settings: PixelSetEncoding, bands: int, features: int) -> PixelSetEncoder:
    """The encoder of a config section.

    Args:
        settings: The section.
        bands: Bands per date.
        features: Parcel features of the samples.

    Raises:
        CropflowError: If the section asks for features that the samples lack.
    """
    if settings.parcel_features and not features:
        refuse("parcel_features", True, "false where the samples have no parcel features (features=4 of create)")
    return PixelSetEncoder(
        bands,
        settings.date_width,
        widths=settings.pixel_widths,
        pooling=settings.pooling,
        features=features if settings.parcel_features else 0,
    )
