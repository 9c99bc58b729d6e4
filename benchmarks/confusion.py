"""The confusion matrix of many pixels, against scikit-learn, torchmetrics and NumPy's bincount.

Run ``python benchmarks/confusion.py --pixels 100000000``. Memory is what a run adds to the two arrays of classes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from pathlib import Path

import numpy as np
from _process import in_processes
from _table import publish
from numpy.typing import NDArray

from cropflow.evaluation.confusion import tally

CLASSES = 20


def draw(pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """True classes and predictions of which four in five are right, ``(pixel,)``."""
    generator = np.random.default_rng(0)
    truth = generator.integers(CLASSES, size=pixels, dtype=np.uint8)
    guesses = generator.integers(CLASSES, size=pixels, dtype=np.uint8)
    return truth, np.where(generator.integers(5, size=pixels, dtype=np.uint8) > 0, truth, guesses)


def main() -> None:
    """Check that all agree, time them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/confusion.json"))
    chosen = parser.parse_args()
    import torch
    from sklearn.metrics import confusion_matrix
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    torch.set_num_threads(1)
    truth, predicted = draw(chosen.pixels)

    def sklearn() -> NDArray[np.int64]:
        return confusion_matrix(truth, predicted, labels=np.arange(CLASSES))

    def bincount() -> NDArray[np.int64]:
        return np.bincount(truth.astype(np.int64) * CLASSES + predicted, minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    def metrics() -> NDArray[np.int64]:
        found = multiclass_confusion_matrix(
            torch.from_numpy(predicted).long(), torch.from_numpy(truth).long(), CLASSES, validate_args=False
        )
        return found.numpy()

    def ours() -> NDArray[np.float64]:
        return tally(truth, predicted, CLASSES)

    runs = {"cropflow": ours, "sklearn": sklearn, "torchmetrics": metrics, "numpy": bincount}
    few = slice(0, 1_000_000)
    whole = truth, predicted
    truth, predicted = truth[few], predicted[few]
    for name, run in runs.items():
        np.testing.assert_array_equal(run(), ours(), err_msg=name)
    truth, predicted = whole
    versions = {"sklearn": "scikit-learn", "torchmetrics": "torchmetrics", "numpy": "numpy"}
    publish(
        f"confusion matrix of {chosen.pixels:,} pixels, {CLASSES} classes, one thread",
        in_processes(runs, chosen.repeats),
        {name: importlib.metadata.version(package) for name, package in versions.items()},
        chosen.output,
    )


if __name__ == "__main__":
    main()
