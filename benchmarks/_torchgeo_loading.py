"""The part of loading.py that torchgeo plays, in a Python environment of its own: torch, torchvision, torchgeo.

    python _torchgeo_loading.py FOLDER --draws 256 --size 64 --batch 16 --repeats 3 --output OUT

FOLDER holds GeoTIFFs of all dates and bands. Writes OUT.json, seconds of each run through all draws, and OUT.npz, the
pixels of the first draws with the coordinates of their upper-left corners.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import RandomGeoSampler

COMPARED = 8


class Stored(RasterDataset):
    """All bands of a GeoTIFF, as stored: a cast to float would only cost time."""

    filename_glob = "*.tif"

    @property
    def dtype(self) -> torch.dtype:
        return torch.int32


def main() -> None:
    """Draw, keep the first pixels, time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name in ("draws", "size", "batch", "repeats"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Stored(arguments.folder)
    torch.manual_seed(0)
    queries = [query for query, _ in zip(RandomGeoSampler(dataset, arguments.size, COMPARED), range(COMPARED))]  # noqa: B905
    pixels = [dataset[query]["image"].numpy() for query in queries]
    corners = [(query[0].start, query[1].stop) for query in queries]
    np.savez(arguments.output.with_suffix(".npz"), pixels=np.stack(pixels), corners=np.array(corners))
    seconds = []
    for _ in range(arguments.repeats):
        sampler = RandomGeoSampler(dataset, arguments.size, arguments.draws)
        start = time.perf_counter()
        count = sum(
            len(batch["image"])
            for batch in DataLoader(dataset, arguments.batch, sampler=sampler, collate_fn=stack_samples)
        )
        seconds.append(time.perf_counter() - start)
        if count != arguments.draws:
            raise SystemExit(f"{count} draws; expected {arguments.draws}")
    versions = {name: metadata.version(name) for name in ("torchgeo", "torch", "torchvision", "rasterio")}
    content = {"seconds": seconds, "versions": versions}
    arguments.output.with_suffix(".json").write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
