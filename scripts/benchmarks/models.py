"""The speed of a download beside `curl` and `sha256sum`, of its cancellation, and of reading a header.

`--connection MIB_PER_S` has a source that gives each connection so much, and compares one connection with the
several that are measured to be faster.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from time import perf_counter

from qwen3_chat.models.gguf import read_file
from qwen3_chat.models.hub import HubFile, PullTarget, pull_target
from qwen3_chat.models.hub.pull_progress import DownloadProgressed, PullEvent
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY, RetryPolicy
from qwen3_chat.models.hub.sources import HuggingFace

MIB = 1 << 20
TOKENS = 151_936
REPOSITORY, NAME = "bench/Qwen3-GGUF", "Qwen3-8B-Q4_K_M.gguf"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own."""
    command = (sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().rpartition("http://127.0.0.1:")[2].partition("/")[0]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def made_file(folder: Path, size_bytes: int) -> tuple[Path, HubFile]:
    """Write a file of noise at the path that it has on a hub."""
    path = folder / REPOSITORY / "resolve" / "main" / NAME
    path.parent.mkdir(parents=True)
    noise, checksum = random.Random(1).randbytes(MIB), hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size_bytes // MIB):
            file.write(noise)
            checksum.update(noise)
    return path, HubFile(REPOSITORY, NAME, path.stat().st_size, checksum.hexdigest())


def vocabulary_file(folder: Path) -> Path:
    """Write a header with as many tokens and merges as Qwen3's: reading them takes most of the time."""
    string = struct.pack("<Q", 11) + b"eleven char"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 2)
    for key in (b"tokenizer.ggml.tokens", b"tokenizer.ggml.merges"):
        head += struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 8, TOKENS) + string * TOKENS
    path = folder / "vocabulary.gguf"
    path.write_bytes(head)
    return path


def timed(work: Callable[[], object]) -> float:
    """Return the duration of a call, in seconds."""
    started = perf_counter()
    work()
    return perf_counter() - started


def fetch(file: HubFile, endpoint: str, folder: Path, policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> None:
    """Download with the app's own code, checksum included."""
    target = PullTarget("8B", "Q4_K_M", (file,))
    hubs = (HuggingFace(endpoint),)
    asyncio.run(pull_target(target, hubs, folder, lambda event: None, retry_policy=policy, reserve_bytes=0))


class _LimitedHandler(BaseHTTPRequestHandler):
    """A source that gives each connection so many bytes a second."""

    protocol_version = "HTTP/1.1"
    path_of_file: Path
    bytes_per_s: float

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send the file, or the range of it that is asked for."""
        size = self.path_of_file.stat().st_size
        begin_text, _, end_text = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        begin, end = int(begin_text), int(end_text) + 1 if end_text else size
        self.send_response(206)
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
        self.end_headers()
        with self.path_of_file.open("rb") as file:
            file.seek(begin)
            started, sent = time.monotonic(), 0
            while chunk := file.read(min(1 << 16, end - begin - sent)):
                self.wfile.write(chunk)
                sent += len(chunk)
                time.sleep(max(0.0, started + sent / self.bytes_per_s - time.monotonic()))


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that go away."""


@contextmanager
def limited(path: Path, mib_per_s: float) -> Iterator[str]:
    """Serve a file to connections that are limited, each by itself."""
    handler = type("Handler", (_LimitedHandler,), {"path_of_file": path, "bytes_per_s": mib_per_s * MIB})
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def compare_connections(folder: Path, size_bytes: int, mib_per_s: float) -> None:
    """Print the time with one connection and with several, where each is limited."""
    path, file = made_file(folder / "limited", size_bytes)
    one = replace(DEFAULT_RETRY_POLICY, max_connections=1)
    with limited(path, mib_per_s) as endpoint:
        times = {}
        for name, policy in (("one connection", one), ("several", DEFAULT_RETRY_POLICY)):
            times[name] = timed(lambda: fetch(file, endpoint, folder / name, policy))  # noqa: B023 - called now
            print(f"{name:16}{size_bytes / MIB / times[name]:>8.1f} MiB/s, each limited to {mib_per_s:.1f}")
    print(f"several connections took {times['several'] / times['one connection']:.2f} of the time of one.")


async def cancel_s(file: HubFile, endpoint: str, folder: Path) -> float:
    """Return the time that a download takes to end once it is cancelled."""
    is_running = asyncio.Event()

    def on_event(event: PullEvent) -> None:
        if isinstance(event, DownloadProgressed) and event.done_bytes > 8 * MIB:
            is_running.set()

    target = PullTarget("8B", "Q4_K_M", (file,))
    task = asyncio.create_task(
        pull_target(target, (HuggingFace(endpoint),), folder, on_event, reserve_bytes=0)
    )
    await is_running.wait()
    started = perf_counter()
    task.cancel()
    await asyncio.wait({task})
    return perf_counter() - started


def main(arguments: Sequence[str]) -> int:
    """Measure all sides in turn, print a table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connection", type=float, help="a source that gives each connection so many MiB/s")
    options = parser.parse_args(arguments)
    if options.connection:
        with tempfile.TemporaryDirectory() as name:
            compare_connections(Path(name), options.mib * MIB, options.connection)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, file = made_file(folder / "hub", options.mib * MIB)
        sides: dict[str, list[float]] = {"curl": [], "sha256sum": [], "ours": []}
        with served(folder / "hub") as endpoint:
            address = HuggingFace(endpoint).file_url(file)
            curl = ("curl", "-s", "-o", os.devnull if os.name == "nt" else str(folder / "curl"), address)
            summed = ("sha256sum", str(path))
            for _ in range(options.rounds):  # in turn, so that all share what else the machine does
                sides["curl"].append(timed(lambda: subprocess.run(curl, check=True)))
                sides["sha256sum"].append(
                    timed(lambda: subprocess.run(summed, check=True, capture_output=True))
                )
                sides["ours"].append(timed(lambda: fetch(file, endpoint, folder / "models")))
                shutil.rmtree(folder / "models")
            cancels = [asyncio.run(cancel_s(file, endpoint, folder / f"cancel{n}")) for n in range(10)]
        vocabulary = vocabulary_file(folder)
        headers = [timed(lambda: read_file(vocabulary)) for _ in range(5)]
    speeds = {side: file.size_bytes / MIB / median(times) for side, times in sides.items()}
    for side, speed in speeds.items():
        print(f"{side:12}{speed:>10,.0f} MiB/s")
    slower = min(speeds["curl"], speeds["sha256sum"])
    print(f"a download, checksum included, has {speeds['ours'] / slower:.2f} times the speed of the slower,")
    print(
        f"  ends {median(cancels) * 1e3:.0f} ms after it is cancelled (slowest {max(cancels) * 1e3:.0f} ms),"
    )
    print(f"  a header with Qwen3's vocabulary is read in {median(headers) * 1e3:.0f} ms.")
    return 0
