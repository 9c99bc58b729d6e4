"""Exports that are killed at any moment go on where they were."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

KILLS = 10
# The last of them while the store is written.
WHILE_WRITING = 3


@pytest.fixture
def start(service, root):
    """Start an export in a process of its own; returns its process id and a function that waits for its exit code."""
    command = [sys.executable, str(root / "tests" / "servers" / "export_runner.py"), *service.runner]
    environment = {**os.environ, "PYTHONPATH": str(root), **service.environment}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as runner:
        assert runner.stdout.readline() == "ready\n"

        def begin(export):
            runner.stdin.write(json.dumps(["--quiet", *export.arguments("export")]) + "\n")
            runner.stdin.flush()
            return int(runner.stdout.readline()), lambda: int(runner.stdout.readline())

        yield begin
        runner.stdin.close()


def test_ten_kills_lose_at_most_one_unit_per_worker_and_no_byte_differs(remote_export, service, start):
    plain, killed = remote_export("plain"), remote_export("killed")
    service.forget()
    _, exit_code = start(plain)
    assert exit_code() == 0
    fewest = service.requests

    draw = random.Random(4)
    service.behave(delay_s=0.02)
    service.forget()
    first = [draw.randint(1, plain.units - 1) for _ in range(KILLS - WHILE_WRITING)]
    for moment in [*sorted(first), *[plain.units] * WHILE_WRITING]:
        process, exit_code = start(killed)
        until = time.monotonic() + 20
        while done(killed) < moment and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.04 if moment < plain.units else 0.15))
        os.kill(process, signal.SIGKILL)
        assert exit_code() == -signal.SIGKILL
    assert not (killed.folder / "sentinel2.zarr").exists()
    _, exit_code = start(killed)
    assert exit_code() == 0
    assert killed.bytes == plain.bytes
    assert not killed.work.exists()
    # By the service's own log: what was under way when a process died, one unit of each of its threads.
    lost = (KILLS - WHILE_WRITING) * killed.settings["requests_at_once"]
    assert fewest <= service.requests <= fewest + lost * fewest / plain.units


def done(export):
    """Units that are marked done."""
    journal = export.work / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0
