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
    environment = {**os.environ, "PYTHONPATH": str(root)}
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
    plain = remote_export("plain")
    process, exit_code = start(plain)
    assert exit_code() == 0
    assert service.served.total() == plain.units
    service.forget()

    draw = random.Random(4)
    killed = remote_export("killed")
    service.delay_s = 0.02
    first = [draw.randint(1, plain.units - 1) for _ in range(KILLS - WHILE_WRITING)]
    moments = [*sorted(first), *[plain.units] * WHILE_WRITING]
    kills = 0
    for moment in moments:
        process, exit_code = start(killed)
        until = time.monotonic() + 10
        while len(service.served) < moment and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.04 if moment < plain.units else 0.15))
        os.kill(process, signal.SIGKILL)
        kills += exit_code() == -signal.SIGKILL
    assert kills == KILLS
    assert not (killed.folder / "sentinel2.zarr").exists()
    process, exit_code = start(killed)
    assert exit_code() == 0
    assert killed.bytes == plain.bytes
    assert not killed.work.exists()
    assert len(service.served) == plain.units
    again = service.served.total() - plain.units
    assert again <= (KILLS - WHILE_WRITING) * killed.settings["requests_at_once"]
    print(f"{again} of {plain.units} units fetched again after {KILLS} kills")
