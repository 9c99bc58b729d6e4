"""What the benchmarks share whose memory lies outside of Python: each run is a process of its own."""

from __future__ import annotations

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Rows = dict[str, dict[str, float]]


def _high_water_mb(reset: bool = False) -> float:
    """Largest resident memory of this process since the last reset, megabytes (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def _child(function: Callable[[], object], answer: Connection) -> None:
    gc.collect()
    before = _high_water_mb(reset=True)
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    answer.send((seconds, _high_water_mb() - before))
    del result


def in_processes(contestants: dict[str, Callable[[], object]], repeats: int) -> Rows:
    """Run all in turn, each time in a fork that shares the inputs.

    Args:
        contestants: Name -> what is run.
        repeats: Runs of each.

    Returns:
        Name -> median ``seconds``, and ``peak_mb``, the largest resident memory beyond what was there before.
    """
    context: Any = multiprocessing.get_context("fork")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, function in contestants.items():
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(function, send))
            process.start()
            send.close()
            found[name].append(receive.recv())
            process.join()
    return {
        name: {
            "seconds": round(statistics.median(seconds for seconds, _ in runs), 4),
            "peak_mb": round(statistics.median(peak for _, peak in runs), 1),
        }
        for name, runs in found.items()
    }
