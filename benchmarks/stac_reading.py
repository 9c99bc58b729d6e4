"""Reading windows of COGs behind an address: from requests to pixels on the site's grid, beside readers of bytes.

A server in a process of its own answers ranges of 5 COGs (512 px blocks, DEFLATE), each under the names of many scenes.
Ours reads a window of every scene and band in 8 threads, one request at a time each: directory, blocks, decoding, grid.
The plain readers fetch the very same ranges in 8 threads, and throw them away; rasterio reads the same pixels through
GDAL's own client. Ranges and pixels are compared before anything is timed. A real service answers after tens of
milliseconds: --delay-ms says after how many; 0 shows what our own work costs. Processor time is told as well: decoding
takes most of it, which readers of bytes do not do.

    python benchmarks/stac_reading.py --scenes 20 --delay-ms 50
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import logging
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import rasterio
import urllib3
from _in_turn import Contestants, compare
from rasterio.transform import from_origin
from rasterio.windows import Window

BANDS = ("B02", "B03", "B04", "B08", "B8A")
THREADS = 8
EPSG, XMIN, YMAX, PIXEL_M = 32631, 500_000.0, 4_900_020.0, 10.0
# Layer of a scene -> the ranges that were asked for, as (first byte, one after the last).
Ranges = dict[str, list[tuple[int, int]]]


def write_cogs(folder: Path, side: int) -> None:
    """Five bands of smooth fields under noise, which compress as Sentinel-2 does."""
    rng = np.random.default_rng(0)
    for number, band in enumerate(BANDS):
        coarse = rng.integers(200, 4000, (-(-side // 64), -(-side // 64)))
        fields = np.kron(coarse, np.ones((64, 64), dtype=np.int64))[:side, :side]
        values = (fields + rng.normal(0, 40 + 10 * number, (side, side))).clip(1, 10_000).astype(np.uint16)
        with rasterio.open(
            folder / f"{band}.tif", "w", driver="COG", height=side, width=side, count=1, dtype="uint16", nodata=0,
            crs=f"EPSG:{EPSG}", transform=from_origin(XMIN, YMAX, PIXEL_M, PIXEL_M), blocksize=512,
            compress="DEFLATE", predictor="YES",
        ) as raster:  # fmt: skip
            raster.write(values, 1)


def serve(folder: Path, delay_s: float, ready: Connection) -> None:
    """Answer ranges of the files, whatever scene they are asked for, until the process is ended."""
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path = head.split(" ", 2)[:2]
                content = contents.get(path.rpartition("/")[2], b"")
                found = re.search(r"(?i)range: bytes=(\d+)-(\d+)", head)
                start, end = (int(found[1]), min(int(found[2]) + 1, len(content))) if found else (0, len(content))
                await asyncio.sleep(delay_s)
                told = f"Content-Range: bytes {start}-{end - 1}/{len(content)}\r\n" if found else ""
                status = "404 Not Found" if not content else "206 Partial Content" if found else "200 OK"
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {end - start}\r\n{told}\r\n".encode())
                if method == "GET":
                    writer.write(memoryview(content)[start:end])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class Reading:
    """The work: a window of every band of every scene."""

    def __init__(self, url: str, scenes: int, side: int, window: int) -> None:
        from cropflow.regions.grid import Grid

        self.addresses = [f"{url}/{scene}/{band}.tif" for scene in range(scenes) for band in BANDS]
        # Not on the edges of blocks.
        self.row, self.column = (side - window) // 2, (side - window) // 3
        corner = (XMIN + PIXEL_M * self.column, YMAX - PIXEL_M * self.row)
        self.grid = Grid(EPSG, *corner, window, window, PIXEL_M)
        self.url = url

    def ours(self, record: Ranges | None = None) -> dict[str, Any]:
        """Address -> pixels; a new source each time, so that nothing is remembered."""
        from cropflow.config.imagery import Imagery
        from cropflow.files.remote import Limits
        from cropflow.imagery.scenes import Scene
        from cropflow.imagery.stac.source import StacSource

        source = StacSource(Imagery(source="stac", url=self.url), Limits(THREADS, 1e9))
        if record is not None:
            part = source._web.part

            def recorded(address: str, start: int, end: int, signer: Any) -> Any:
                found = part(address, start, end, signer)
                record.setdefault(address, []).append((start, start + len(found.content)))
                return found

            source._web.part = recorded  # type: ignore[method-assign]

        def read(address: str) -> Any:
            sensed = datetime.datetime(2023, 6, 1, tzinfo=datetime.UTC)
            layers = {"B02": address}
            scene = Scene(address, sensed, "", "", -1, "05.00", "", 0.0, None, None, layers, address)
            return source.read(scene, self.grid, ("B02",))["B02"].values

        return self._each(read)

    def kept(self) -> None:
        """The same as an export fetches it: every window verified, hashed, written and marked done in a ledger."""
        from cropflow.config.imagery import Imagery
        from cropflow.files.remote import Limits
        from cropflow.imagery.fetching.fetch import fetch
        from cropflow.imagery.fetching.ledger import Ledger, Unit
        from cropflow.imagery.scenes import Scene
        from cropflow.imagery.sources import Request
        from cropflow.imagery.stac.source import StacSource

        limits = Limits(THREADS, 1e9)
        source = StacSource(Imagery(source="stac", url=self.url), limits)
        request = Request(("B02",), 0, 0, *self.grid.shape, 0)
        time = datetime.datetime(2023, 6, 1, tzinfo=datetime.UTC)
        scenes = [
            Scene(address, time, "", "", -1, "05.00", "", 0.0, None, None, {"B02": address}, address)
            for address in self.addresses
        ]
        with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "work", "stac") as ledger:
            done = fetch([Unit("a", scene, self.grid, request) for scene in scenes], source, ledger, limits, THREADS)
        if done.fetched != len(scenes):
            sys.exit(f"{done.fetched} of {len(scenes)} windows came; the figures would be of less work.")

    def plain(self, ranges: Ranges, fetch: Callable[[str, dict[str, str]], bytes]) -> dict[str, int]:
        """Address -> bytes fetched, by any client of HTTP."""

        def read(address: str) -> int:
            headers = [{"Range": f"bytes={start}-{end - 1}"} for start, end in ranges[address]]
            return sum(len(fetch(address, header)) for header in headers)

        return self._each(read)

    def gdal(self) -> dict[str, Any]:
        """Address -> pixels, through GDAL's own client."""
        window = Window(self.column, self.row, self.grid.width, self.grid.height)
        # A cache of its own per run: nothing is remembered either.
        settings = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/"}

        def read(address: str) -> Any:
            with rasterio.Env(**settings), rasterio.open(address) as raster:
                return raster.read(1, window=window)

        return self._each(read)

    def _each(self, read: Callable[[str], Any]) -> dict[str, Any]:
        with ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(self.addresses, pool.map(read, self.addresses), strict=True))


def tell_processor_time(contestants: Contestants, layers: int, output: Path) -> None:
    """Print the processor time of one more run of each, milliseconds a layer, and add it to the JSON."""
    found = {}
    for name, (function, _) in contestants.items():
        start = time.process_time()
        function()
        found[name] = round(1000 * (time.process_time() - start) / layers, 2)
    print("processor time, ms a layer: " + ", ".join(f"{name} {value:.1f}" for name, value in found.items()))
    content = json.loads(output.read_text(encoding="utf-8")) | {"processor_ms_per_layer": found}
    output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    """Check that all read the same, time them in turn, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=20, help="scenes of five bands")
    parser.add_argument("--side", type=int, default=2048, help="side of a COG, pixels")
    parser.add_argument("--window", type=int, default=1000, help="side of the window, pixels")
    parser.add_argument("--delay-ms", type=float, default=50.0, help="time until the service begins to answer")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/stac_reading.json"))
    arguments = parser.parse_args()
    if not 1 <= arguments.window <= arguments.side or min(arguments.scenes, arguments.repeats) < 1:
        parser.error("--scenes and --repeats are at least 1, --window at most --side")
    logging.getLogger("urllib3").setLevel(logging.ERROR)

    with tempfile.TemporaryDirectory() as folder:
        write_cogs(Path(folder), arguments.side)
        here, there = multiprocessing.Pipe()
        server = multiprocessing.Process(
            target=serve, args=(Path(folder), arguments.delay_ms / 1000, there), daemon=True
        )
        server.start()
        reading = Reading(f"http://127.0.0.1:{here.recv()}", arguments.scenes, arguments.side, arguments.window)
        client = httpx.Client(limits=httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS))
        pool = urllib3.PoolManager(maxsize=THREADS)

        def by_httpx(address: str, headers: dict[str, str]) -> bytes:
            return client.get(address, headers=headers).content

        def by_urllib3(address: str, headers: dict[str, str]) -> bytes:
            return pool.request("GET", address, headers=headers).data

        ranges: Ranges = {}
        pixels = reading.ours(ranges)
        fetched = {address: sum(end - start for start, end in asked) for address, asked in ranges.items()}
        same = all(np.array_equal(pixels[address], values) for address, values in reading.gdal().items())
        if not same or any(reading.plain(ranges, fetch) != fetched for fetch in (by_httpx, by_urllib3)):
            sys.exit("The readers read other pixels or bytes; nothing is timed.")
        entered: Contestants = {
            "cropflow": (reading.ours, ""),
            "cropflow, kept in the ledger of an export": (reading.kept, ""),
            "httpx, bytes only": (lambda: reading.plain(ranges, by_httpx), metadata.version("httpx")),
            "urllib3, bytes only": (lambda: reading.plain(ranges, by_urllib3), metadata.version("urllib3")),
            "rasterio (GDAL's client)": (reading.gdal, metadata.version("rasterio")),
        }
        count, size = sum(map(len, ranges.values())), sum(fetched.values()) / 1e6
        workload = (
            f"{arguments.scenes} scenes x {len(BANDS)} bands, {arguments.window} of {arguments.side} px: {count} "
            f"requests, {size:.0f} MB, answers after {arguments.delay_ms:g} ms, {THREADS} threads"
        )
        compare(workload, entered, arguments.repeats, arguments.output)
        tell_processor_time(entered, len(reading.addresses), arguments.output)
        server.kill()


if __name__ == "__main__":
    main()
