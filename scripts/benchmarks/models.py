"""The speed of a download beside `curl` and `sha256sum`, of its cancellation, and of reading a header."""

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

from qwen3_chat.models.gguf import read_file
from qwen3_chat.models.hub import HubFile, PullTarget, pull_target
from qwen3_chat.models.hub.pull_progress import DownloadProgressed, PullEvent
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


def fetch(file: HubFile, endpoint: str, folder: Path) -> None:
    """Download with the app's own code, checksum included."""
    target = PullTarget("8B", "Q4_K_M", (file,))
    asyncio.run(pull_target(target, (HuggingFace(endpoint),), folder, lambda event: None, reserve_bytes=0))


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
    options = parser.parse_args(arguments)
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
