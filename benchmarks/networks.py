"""Networks forward and backward, each beside a peer: samples per second and peak memory.

The peers of networks of single pixels are those of the package breizhcrops; the others are the published layers,
written plainly without needless copies (`benchmarks/peers`). Both of a pair get the same weights and the same complete
batch; their scores are compared before anything is timed. They take turns, and the median of the turns counts, with
the quartiles of the ratio beside it. Peak memory is what a step of either takes beyond the weights, in a process of
its own; on a GPU what torch had allocated at most.

    python benchmarks/networks.py --threads 2 --batch 64
    python benchmarks/networks.py --device cuda --amp --names temp_cnn lstm transformer --batch 1024
"""

from __future__ import annotations

import argparse
import inspect
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

# Torch asks for large pages, which halves the time that fresh memory costs; it reads this at import.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch
from _in_turn import OURS, time_in_turn, write_json
from peers import convolutional, pixels, pse
from torch import nn
from torch.nn import functional

from cropflow.models.batch import Batch

# Modules of peers: each has `PAIRS`, by name, and `make`, which gives both of a pair the same weights.
HOMES = (pixels, pse, convolutional)
HOME_OF: dict[str, ModuleType] = {name: home for home in HOMES for name in home.PAIRS}
# What `make` calls the samples of a step, where it takes any number.
COUNTS = ("samples", "parcels")
PEER = "peer"
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Setup:
    """How all pairs run.

    Attributes:
        device: ``cpu`` or ``cuda``.
        amp: Whether products are of bfloat16.
        threads: CPU threads.
        samples: Samples of a step, where the pair takes any number.
        repeats: Turns.
    """

    device: str
    amp: bool
    threads: int
    samples: int
    repeats: int


@dataclass(frozen=True)
class Pair:
    """A network of ours and its peer on a device.

    Attributes:
        ours: Takes a batch.
        peer: Takes none.
        modules: Both, ours first.
        batch: A complete batch with targets.
        label: Who the peer is.
    """

    ours: Callable[[], torch.Tensor]
    peer: Callable[[], torch.Tensor]
    modules: tuple[nn.Module, nn.Module]
    batch: Batch
    label: str


def make_pair(name: str, setup: Setup) -> Pair:
    """A pair of equal weights on the device.

    Raises:
        ModuleNotFoundError: If the peer is not installed.
    """
    torch.manual_seed(0)
    torch.set_num_threads(setup.threads)
    make = HOME_OF[name].make
    found = make(name, **{key: setup.samples for key in COUNTS if key in inspect.signature(make).parameters})
    batch = found.batch.to(setup.device)
    arguments = found.arguments(batch) if hasattr(found, "arguments") else (batch,)
    ours, plain = found.ours.to(setup.device), found.plain.to(setup.device)
    label = getattr(found, "name", "published layers")
    return Pair(lambda: ours(batch), lambda: plain(*arguments), (ours, plain), batch, label)


def difference(pair: Pair) -> float:
    """Largest difference of log-probabilities outside training."""
    for module in pair.modules:
        module.eval()
    with torch.no_grad():
        # Some peers end in a log-softmax already; a second one changes nothing.
        return float((pair.ours().log_softmax(1) - pair.peer().log_softmax(1)).abs().max())


def steps(pair: Pair, setup: Setup) -> dict[str, Callable[[], None]]:
    """Forward and backward of ours and of the peer, in training."""

    def step(module: nn.Module, forward: Callable[[], torch.Tensor]) -> Callable[[], None]:
        module.train()

        def run() -> None:
            module.zero_grad(set_to_none=True)
            with torch.autocast(setup.device, torch.bfloat16, enabled=setup.amp):
                loss = functional.cross_entropy(forward().float(), pair.batch.target)
            loss.backward()
            if setup.device == "cuda":
                torch.cuda.synchronize()

        return run

    ours, peer = pair.modules
    return {OURS: step(ours, pair.ours), PEER: step(peer, pair.peer)}


def peak_mb(name: str, contestant: str, setup: Setup) -> float:
    """Memory that a step takes beyond what lies there before it, megabytes, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, contestant, setup, there))
    process.start()
    there.close()
    try:
        found = float(here.recv())
    except EOFError:
        sys.exit(f"the process that measures the memory of {name} ended; its message stands above.")
    process.join()
    return round(found, 1)


def _measure(name: str, contestant: str, setup: Setup, answer: Connection) -> None:
    pair = make_pair(name, setup)
    step = steps(pair, setup)[contestant]
    if setup.device == "cuda":
        step()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        answer.send((torch.cuda.max_memory_allocated() - before) / 1e6)
        return
    # 5 sets the highest mark back to what is resident now.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    step()
    step()
    answer.send((_resident("VmHWM") - before) / 1e3)


def _resident(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return float(next(line for line in lines if line.startswith(key)).split()[1]) * 1.024


def measure(name: str, setup: Setup) -> dict[str, Any] | None:
    """All about a network; None where its peer is not there."""
    try:
        pair = make_pair(name, setup)
    except ModuleNotFoundError as error:
        print(f"{name:16} is left out: {error}")
        return None
    apart = difference(pair)
    if not apart < TOLERANCE:
        sys.exit(f"{name} and its peer differ by {apart:.2g} in log-probabilities; nothing is timed.")
    running = steps(pair, setup)
    for step in running.values():
        step()
    seconds = time_in_turn(running, setup.repeats)
    ratios = [peer / own for own, peer in zip(seconds[OURS], seconds[PEER], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    count = len(pair.batch)
    rows = {
        who: {
            "seconds": round(statistics.median(times), 5),
            "samples_per_second": round(count / statistics.median(times), 1),
            "peak_mb": peak_mb(name, who, setup),
        }
        for who, times in seconds.items()
    }
    ours, peer = rows[OURS], rows[PEER]
    shape = " and ".join(str(tuple(one.values.shape)) for one in pair.batch.series.values())
    network = pair.modules[0]
    return {
        "workload": f"{name}: forward and backward of {shape}",
        "kind": network.kind,
        "parameters": sum(value.numel() for value in network.parameters()),
        "ours": ours,
        "peers": {pair.label: peer},
        "ratio_to_fastest": round(peer["seconds"] / ours["seconds"], 2),
        "ratio_quartiles": [round(low, 2), round(high, 2)],
        "largest_difference": apart,
        "equal": True,
    }


def main() -> None:
    """Measure the pairs one after the other, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", choices=list(HOME_OF), default=list(HOME_OF), help="networks")
    parser.add_argument("--batch", type=int, default=64, help="samples of a step: pixels or parcels")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--repeats", type=int, default=7, help="timed steps of each")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--amp", action="store_true", help="products of bfloat16")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/networks.json"))
    arguments = parser.parse_args()
    if min(arguments.batch, arguments.threads, arguments.repeats) < 1:
        parser.error("--batch, --threads and --repeats are at least 1")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU")

    setup = Setup(arguments.device, arguments.amp, arguments.threads, arguments.batch, arguments.repeats)
    where = torch.cuda.get_device_name() if setup.device == "cuda" else f"CPU, {setup.threads} threads"
    workload = f"forward and backward on {where}, {'bfloat16' if setup.amp else 'float32'}, torch {torch.__version__}"
    columns = f"{'network':16}{'parameters':>12}{'ours/s':>11}{'peer/s':>11}{'ratio':>7}  {'quartiles':13}"
    print(f"{workload}\n{columns}{'ours MB':>9}{'peer MB':>9}  workload, peer")
    found: dict[str, Any] = {}
    for name in arguments.names:
        row = measure(name, setup)
        if row is None:
            continue
        found[name] = row
        (label, peer), ours = next(iter(row["peers"].items())), row["ours"]
        low, high = row["ratio_quartiles"]
        print(
            f"{name:16}{row['parameters']:12,}{ours['samples_per_second']:11.1f}{peer['samples_per_second']:11.1f}"
            f"{row['ratio_to_fastest']:7.2f}  {f'{low:.2f} to {high:.2f}':13}{ours['peak_mb']:9.1f}"
            f"{peer['peak_mb']:9.1f}  {row['workload'].rpartition(' of ')[2]}, {label}",
            flush=True,
        )
    write_json(arguments.output, {"workload": workload, "networks": found})


if __name__ == "__main__":
    main()
