"""What the benchmarks of one process share: contestants timed in turn, one table, one JSON."""

from __future__ import annotations

import json
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Name -> what is run, and the version of who runs it.
Contestants = dict[str, tuple[Callable[[], object], str]]
OURS = "cropflow"


def peak_mb(function: Callable[[], object]) -> float:
    """Memory that a run allocates at its peak through Python and NumPy, megabytes."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(peak / 1e6, 1)


def time_in_turn(functions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run; the contestants take turns, so that what slows the machine down slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def write_json(path: Path, content: object) -> None:
    """Write the result of a benchmark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def compare(workload: str, contestants: Contestants, repeats: int, output: Path) -> None:
    """Time all in turn, print a table with the medians and write the JSON; that they agree was checked before.

    Args:
        workload: What was done, in a line.
        contestants: ``cropflow`` and its peers.
        repeats: Timed runs of each.
        output: JSON to write.
    """
    seconds = time_in_turn({name: function for name, (function, _) in contestants.items()}, repeats)
    rows = {
        name: {"seconds": round(statistics.median(seconds[name]), 4), "peak_mb": peak_mb(function)}
        for name, (function, _) in contestants.items()
    }
    peers: dict[str, Any] = {
        name: {**row, "version": contestants[name][1]} for name, row in rows.items() if name != OURS
    }
    ours = rows[OURS]["seconds"]
    print(f"{workload}\n{'':32}{'seconds':>10}{'peak MB':>10}{'times ours':>12}")
    for name, row in rows.items():
        label = f"{name} {contestants[name][1]}"
        print(f"{label:32}{row['seconds']:10.3f}{row['peak_mb']:10.1f}{row['seconds'] / ours:12.2f}")
    content = {
        "workload": workload,
        "ours": rows[OURS],
        "peers": peers,
        "ratio_to_fastest": round(min(row["seconds"] for row in peers.values()) / ours, 2),
        "equal": True,
    }
    write_json(output, content)
