"""Runs ``cropflow imagery export`` again and again, each time in a process of its own that can be killed.

A line of JSON on standard input is a list of arguments; the answer is the process id of the fork that runs them, then,
when it has ended, its exit code (negative: the signal). All imports are done once, so that a run costs no start.
``python export_runner.py [module [url]]``: with a module, its ``PartsSource`` stands in for the sources of the package.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Any


def _preload() -> None:
    import geopandas  # noqa: F401
    import zarr  # noqa: F401

    import cropflow.imagery.command
    import cropflow.imagery.earth_engine.source
    import cropflow.imagery.export
    import cropflow.imagery.fetching.collecting
    import cropflow.imagery.found
    import cropflow.imagery.stac.source
    import cropflow.regions.sites  # noqa: F401


def _stand_in(path: str, url: str) -> None:
    from cropflow.files import remote
    from cropflow.imagery import opening

    spec: Any = importlib.util.spec_from_file_location("parts_http", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    remote.FIRST_WAIT_S = 0.01
    remote.LONGEST_WAIT_S = 0.05
    opening.open_source = lambda settings, place, limits: module.PartsSource(url, limits)


def main() -> None:
    """Answer until the input ends."""
    _preload()
    if len(sys.argv) > 1:
        _stand_in(sys.argv[1], sys.argv[2])
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            from cropflow.cli import main as run

            # What is said here must not be taken for an answer.
            os.dup2(2, 1)
            sys.argv = ["cropflow", *json.loads(line)]
            run()
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
