"""Prediction of a whole site: all of it, beside the convolutions that it cannot do without.

The site has 1,000 x 1,000 pixels, 12 months and 10 bands; the network is a narrow temporal_unet. *Convolutions alone*
is the same network on the same windows, batch by batch in the same order, without what applying adds: values come
normalised and cut, batch norms are folded into the convolutions (both have that), nothing is read, no mask is made, no
softmax is taken, nothing fades into its neighbours and nothing is stored. Both run in turn in one process; that whole
site and plain windows agree is checked first.

    python benchmarks/site_prediction.py --size 1000 --repeats 3 --threads 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cropflow.models.applying.prediction import NetworkPredictor
    from cropflow.models.batch import Batch
    from cropflow.samples.sources import SiteComposites

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
PERIODS = tuple(f"2021-{month:02d}-01" for month in range(1, 13))
PATCH = 64


def make_site(folder: Path, size: int) -> SiteComposites:
    """Composites of a site, in a store such as the composites room writes."""
    from cropflow.files.cubes import add_array, add_site, create_store
    from cropflow.regions.grid import Grid
    from cropflow.samples.sources import read_composites

    grid = Grid(32631, 400_000.0, 5_000_000.0, size, size, 10.0)
    path = folder / "sentinel2.zarr"
    group = add_site(create_store(path), "a", grid, {"bands": list(BANDS), "periods": list(PERIODS)})
    shape = (len(PERIODS), len(BANDS), size, size)
    generator = np.random.default_rng(0)
    array = add_array(group, "reflectance", ("period", "band", "y", "x"), shape, np.uint16, chunks=(12, 10, 256, 256))
    array[:] = generator.integers(300, 4000, shape, dtype=np.uint16)
    counts = (len(PERIODS), size, size)
    for name, dtype in (("observations", np.uint8), ("filled", bool)):
        add_array(
            group, name, ("period", "y", "x"), counts, dtype, chunks=(12, 256, 256), nodata=int(dtype is np.uint8)
        )
    return read_composites({"sentinel2": path}, {"a": grid}).sites["a"]


def make_predictor(threads: int) -> NetworkPredictor:
    """The narrow network, with weights and running statistics that are no round numbers."""
    import torch

    from cropflow.config.models.patches import TemporalUnet
    from cropflow.models.applying.prediction import network_predictor
    from cropflow.models.checkpoints import Description
    from cropflow.models.data.statistics import Statistics
    from cropflow.models.registry import build_network
    from cropflow.samples.sensors import Layout

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    settings = TemporalUnet(temporal_width=32, temporal_layers=1, widths=(16, 32), positions=True)
    layout = Layout("sentinel2", BANDS, (), PERIODS)
    classes = tuple(range(1, 13))
    known = Statistics("sentinel2", BANDS, (2000.0,) * 10, (1000.0,) * 10, (1,) * 10, (0,) * 10)
    description = Description(
        settings, "patches", "cropflow", classes, (), (layout,), PATCH, 0, 0, 3, (known,), features=None
    )
    network = build_network(settings, description.inputs())
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network_predictor(network, description, settings.loss)


def plain_batches(predictor: NetworkPredictor, site: SiteComposites, overlap: float) -> list[Batch]:
    """One row of windows, normalised and cut, as the network sees it; every row of windows costs the same."""
    from cropflow.models.applying.series import days_of, stored_batch
    from cropflow.models.applying.windows import window_starts, windows_of

    values = {sensor: part[None] for sensor, part in site.window(slice(0, PATCH)).values.items()}
    strip = predictor.prepare(stored_batch(values, days_of(site.layouts), None))
    lefts = window_starts(site.shape[1], PATCH, max(1, round(PATCH * (1 - overlap))))
    size = predictor.batch
    batches = [windows_of(strip, lefts[start : start + size], PATCH) for start in range(0, len(lefts), size)]
    return [
        batch.with_series(lambda _, one: replace(one, values=one.values.contiguous(), valid=one.valid.contiguous()))
        for batch in batches
    ]


def seconds(function: Callable[[], object]) -> tuple[float, float]:
    """How long a run takes: by the clock, and of all processors together."""
    start, used = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - used


def measure(size: int, overlap: float, repeats: int, threads: int) -> dict[str, Any]:
    """Check that both agree, then time them in turn; medians."""
    import torch

    from cropflow.models.applying.windows import NOT_PREDICTED, predict_site, window_starts

    predictor = make_predictor(threads)
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(Path(folder), size)
        row = plain_batches(predictor, site, overlap)
        rows = len(window_starts(size, PATCH, max(1, round(PATCH * (1 - overlap)))))

        def convolutions() -> None:
            with torch.inference_mode():
                for _ in range(rows):
                    for batch in row:
                        predictor.network(batch)

        def whole() -> np.ndarray[Any, Any]:
            return predict_site(predictor, site, overlap=overlap)

        found = whole()
        with torch.inference_mode():
            corner = predictor.network(row[0]).softmax(1)[0].cpu().numpy()
        # The corner of a site lies in one window alone.
        free = PATCH - round(PATCH * overlap)
        close = np.abs(found[:, :free, :free] / 1e4 - corner[:, :free, :free]).max()
        if close > 1e-3 or (found == NOT_PREDICTED).any():
            raise SystemExit(f"the whole site and its windows differ by {close}")
        times: dict[str, list[tuple[float, float]]] = {"whole": [], "convolutions": []}
        for _ in range(repeats):
            times["convolutions"].append(seconds(convolutions))
            times["whole"].append(seconds(whole))
    found_of = {}
    for position, key in enumerate(("seconds", "processor_seconds")):
        medians = {name: statistics.median(pair[position] for pair in pairs) for name, pairs in times.items()}
        found_of[key] = {name: round(value, 3) for name, value in medians.items()}
        found_of[key]["ratio"] = round(medians["whole"] / medians["convolutions"], 3)
    return {"windows": rows * sum(len(batch) for batch in row), "threads": threads, **found_of}


def main() -> None:
    """Measure, print and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1000, help="rows and columns of the site, pixels")
    parser.add_argument("--overlap", type=float, default=0.5, help="share of a window that its neighbour covers")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument(
        "--output", type=Path, default=Path("results/benchmarks/site_prediction.json"), help="JSON to write"
    )
    arguments = parser.parse_args()
    if min(arguments.size - PATCH, arguments.repeats, arguments.threads) < 1 or not 0 <= arguments.overlap <= 0.9:
        parser.error(f"--size is above {PATCH}, --repeats and --threads at least 1, --overlap within 0 to 0.9")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    found = measure(arguments.size, arguments.overlap, arguments.repeats, arguments.threads)
    for key in ("seconds", "processor_seconds"):
        told = found[key]
        print(
            f"{found['windows']} windows of {PATCH} pixels, {key.replace('_', ' ')}: whole site {told['whole']:.2f}, "
            f"convolutions alone {told['convolutions']:.2f}, ratio {told['ratio']:.2f}"
        )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
