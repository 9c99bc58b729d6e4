"""The table and the JSON of a benchmark whose runs were timed elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OURS = "cropflow"


def publish(workload: str, rows: Mapping[str, Mapping[str, float]], versions: Mapping[str, str], output: Path) -> None:
    """Print a table and write the JSON; that all agree was checked before.

    Args:
        workload: What was done, in a line.
        rows: ``cropflow`` and its peers: ``seconds`` and ``peak_mb``.
        versions: Version of each peer.
        output: JSON to write.
    """
    ours = rows[OURS]
    print(f"{workload}\n{'':32}{'seconds':>10}{'peak MB':>10}{'times ours':>12}{'memory':>9}")
    for name, row in rows.items():
        slower, larger = row["seconds"] / ours["seconds"], row["peak_mb"] / max(ours["peak_mb"], 0.1)
        label = f"{name} {versions.get(name, '')}"
        print(f"{label:32}{row['seconds']:10.3f}{row['peak_mb']:10.1f}{slower:12.2f}{larger:9.2f}")
    peers: dict[str, Any] = {name: {**row, "version": versions[name]} for name, row in rows.items() if name != OURS}
    content = {
        "workload": workload,
        "ours": dict(ours),
        "peers": peers,
        "ratio_to_fastest": round(min(row["seconds"] for row in peers.values()) / ours["seconds"], 2),
        "equal": True,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
