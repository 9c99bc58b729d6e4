"""Cloud masks grown by a disk: the kernel beside scipy, OpenCV and odc-algo.

Every contestant gets the same masks (bool, scene after scene) and must give the same grown masks, pixel for pixel.
One thread each, repeats interleaved, the median of the repeats counts. odc-algo brings many packages of its own
versions, and so gets a virtual environment under ``--odc-folder``, made on the first run; without a network it is left
out, with a line that says so.

    python benchmarks/mask_dilation.py --scenes 73 --size 1024 --repeats 1
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from _in_turn import Contestants, compare
from numpy.typing import NDArray

Masks = NDArray[np.bool_]
Contestant = Callable[[Masks, int], Masks]

RADII = (2, 8, 38)
ODC = "odc-algo==1.2.2"
# Answers each line "<masks> <radius> <result>" with its version once the result is written, or timed without one.
CHILD = """
import sys
from importlib import metadata
import numpy, xarray
from odc.algo import mask_cleanup
loaded = {}
for line in sys.stdin:
    masks, radius, result = line.split()
    if masks not in loaded:
        loaded[masks] = xarray.DataArray(numpy.load(masks), dims=("time", "y", "x"))
    grown = [mask_cleanup(scene, [("dilation", int(radius))]).values for scene in loaded[masks]]
    if result != "-":
        numpy.save(result, numpy.stack(grown))
    print(metadata.version("odc-algo"), flush=True)
"""


def make_masks(scenes: int, size: int) -> Masks:
    """Clouds of all sizes over 45 % of the pixels, and a thousandth of specks."""
    from scipy import ndimage

    rng = np.random.default_rng(0)
    masks = np.empty((scenes, size, size), dtype=bool)
    for mask in masks:
        sky = sum(
            ndimage.zoom(rng.standard_normal((size // cell + 2,) * 2), cell, order=1)[:size, :size] * cell**0.5
            for cell in (8, 32, 128)
        )
        mask[:] = sky > np.quantile(sky, 0.55)
    return masks | (rng.random(masks.shape) < 0.001)


def disk(radius: int) -> NDArray[np.uint8]:
    """The structuring element: pixels at most the radius from the middle one."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y * y + x * x <= radius * radius, dtype=np.uint8)


def ours(masks: Masks, radius: int) -> Masks:
    """The kernel of cropflow."""
    from cropflow.composites.morphology import grow

    return grow(masks, radius)


def scipy_dilation(masks: Masks, radius: int) -> Masks:
    """Scipy's dilation by the disk."""
    from scipy import ndimage

    return np.stack([ndimage.binary_dilation(mask, disk(radius)) for mask in masks])


def scipy_distance(masks: Masks, radius: int) -> Masks:
    """Scipy's exact distances, cut off at the radius."""
    from scipy import ndimage

    return np.stack([ndimage.distance_transform_edt(~mask) <= radius for mask in masks])


def cv2_dilation(masks: Masks, radius: int) -> Masks:
    """OpenCV's dilation by the disk."""
    import cv2

    return np.stack([cv2.dilate(mask.view(np.uint8), disk(radius)) for mask in masks]).view(bool)


def cv2_distance(masks: Masks, radius: int) -> Masks:
    """OpenCV's precise distances, cut off between the radius and the next longer distance."""
    import cv2

    inverted = (~masks).view(np.uint8)
    limit = radius + 0.25 / radius
    return np.stack([cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= limit for mask in inverted])


def odc_python(folder: Path) -> Path | None:
    """The interpreter of odc-algo's own environment, made where it is missing; None where that fails."""
    python = folder / "bin" / "python"
    probe = [str(python), "-c", "import odc.algo"]
    if not python.exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        venv.create(folder, with_pip=True)
        made = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", ODC], capture_output=True, text=True, check=False
        )
        if made.returncode:
            print(f"{ODC} could not be installed and is left out: {(made.stderr.strip() or '?').splitlines()[-1]}")
            return None
    return python


@contextmanager
def odc_algo(folder: Path, masks: Masks) -> Iterator[Callable[..., Masks] | None]:
    """odc-algo's dilation in a process of its own, which holds the masks already when it is timed."""
    python = odc_python(folder)
    if python is None:
        yield None
        return
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (
        tempfile.TemporaryDirectory() as work,
        subprocess.Popen(
            [str(python), "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as child,
    ):
        source, result = Path(work) / "masks.npy", Path(work) / "grown.npy"
        np.save(source, masks)

        def grown(_: Masks, radius: int, check: bool = False) -> Masks:
            if child.stdin is None or child.stdout is None:
                raise RuntimeError("the process of odc-algo has no pipes")
            child.stdin.write(f"{source} {radius} {result if check else '-'}\n")
            child.stdin.flush()
            if not child.stdout.readline():
                raise RuntimeError("the process of odc-algo ended; its message stands above")
            return np.load(result) if check else masks

        try:
            yield grown
        finally:
            if child.stdin is not None:
                child.stdin.close()


def contestants() -> dict[str, tuple[Contestant, str]]:
    """Name -> function and version of those in this process; what is not installed is left out."""
    scipy_version = metadata.version("scipy")
    found: dict[str, tuple[Contestant, str]] = {
        "cropflow": (ours, ""),
        "scipy binary_dilation": (scipy_dilation, scipy_version),
        "scipy distance_transform": (scipy_distance, scipy_version),
    }
    if importlib.util.find_spec("cv2") is not None:
        import cv2

        cv2.setNumThreads(1)
        found["cv2.dilate"] = cv2_dilation, cv2.__version__
        found["cv2.distanceTransform"] = cv2_distance, cv2.__version__
    return found


def main() -> None:
    """Check that all give the same masks, time them in turn at each radius, print tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8, help="masks")
    parser.add_argument("--size", type=int, default=512, help="rows and columns, pixels")
    parser.add_argument("--radii", type=int, nargs="+", default=list(RADII), help="radii of the disk, pixels")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each")
    parser.add_argument("--odc-folder", type=Path, default=Path("results/.work/odc-algo"), help="its environment")
    parser.add_argument(
        "--output", type=Path, default=Path("results/benchmarks/mask_dilation.json"), help="one file per radius"
    )
    arguments = parser.parse_args()
    if min(arguments.scenes, arguments.size, arguments.repeats, *arguments.radii) < 1:
        parser.error("--scenes, --size, --radii and --repeats are at least 1")

    # Read by numba and by the thread pools of the peers when they are imported, which is only now.
    os.environ.update(dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), "1"))
    masks = make_masks(arguments.scenes, arguments.size)
    with odc_algo(arguments.odc_folder.absolute(), masks) as odc:
        for radius in arguments.radii:
            entered = contestants()
            expected = ours(masks, radius)
            for name, (function, _) in entered.items():
                if not np.array_equal(function(masks, radius), expected):
                    sys.exit(f"{name} gives other masks than cropflow at radius {radius}; nothing is timed.")
            if odc is not None:
                if not np.array_equal(odc(masks, radius, check=True), expected):
                    sys.exit(f"odc-algo gives other masks than cropflow at radius {radius}; nothing is timed.")
                entered["odc.algo.mask_cleanup"] = odc, ODC.split("==")[1]
            workload = f"{arguments.scenes} masks of {arguments.size} x {arguments.size}, radius {radius}, 1 thread"
            ready: Contestants = {
                name: (partial(function, masks, radius), version) for name, (function, version) in entered.items()
            }
            output = arguments.output.with_stem(f"{arguments.output.stem}_{radius}")
            compare(workload, ready, arguments.repeats, output)
            if odc is not None:
                _forget_memory(output)
    if odc is not None:
        print("The memory of odc-algo is that of another process, and is not measured.")


def _forget_memory(output: Path) -> None:
    """Take the peak of the other process out of the JSON: what was measured is this process waiting for it."""
    content = json.loads(output.read_text(encoding="utf-8"))
    content["peers"]["odc.algo.mask_cleanup"]["peak_mb"] = None
    output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
