"""The speed of a download beside `curl`, of its cancellation, and of reading a header.

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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest.mock import patch

import trustme

from benchmarks.ratios import Row, table
from qwen3_chat.models.gguf import read_file
from qwen3_chat.models.hub import HubFile, PullTarget, pull_target
from qwen3_chat.models.hub.pull_progress import DownloadProgressed, PullEvent
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY, RetryPolicy
from qwen3_chat.models.hub.sources import HuggingFace
from qwen3_chat.record_copies import replace

MIB = 1 << 20
TOKENS = 151_936
REPOSITORY, NAME = "bench/Qwen3-GGUF", "Qwen3-8B-Q4_K_M.gguf"


_SERVER = """
import functools, http.server, ssl, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def served(folder: Path, certificate: Path | None = None) -> Iterator[str]:
    """Serve a folder from a process of its own, with TLS where there is a certificate."""
    command = [sys.executable, "-u", "-c", _SERVER, str(folder), *([str(certificate)] if certificate else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            yield f"http{'s' if certificate else ''}://127.0.0.1:{port}"
        finally:
            server.terminate()


@contextmanager
def trusted_certificate(folder: Path) -> Iterator[Path]:
    """Make a certificate for the loopback, which the app and curl trust meanwhile."""
    authority = trustme.CA()
    certificate, trusted = folder / "server.pem", folder / "authority.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(trusted))
    with patch.dict(os.environ, SSL_CERT_FILE=str(trusted), CURL_CA_BUNDLE=str(trusted)):
        yield certificate


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


def compare_with_curl(scheme: str, file: HubFile, endpoint: str, folder: Path, rounds: int) -> list[Row]:
    """Measure downloads with their check beside curl without one, and beside curl with sha256sum."""
    address = HuggingFace(endpoint).file_url(file)
    curl, stored = ("curl", "-sS", address), folder / "curl"
    sides: dict[str, list[float]] = {"ours": [], "curl": [], "curl | sha256sum": []}

    def pipe() -> None:
        with subprocess.Popen(curl, stdout=subprocess.PIPE) as source:
            subprocess.run(("sha256sum",), stdin=source.stdout, check=True, capture_output=True)

    fetch(file, endpoint, folder / "warm-up")
    shutil.rmtree(folder / "warm-up")
    for _ in range(rounds):  # in turn, so that all share what else the machine does
        works = {
            "curl": lambda: subprocess.run((*curl, "-o", str(stored)), check=True),
            "ours": lambda: fetch(file, endpoint, folder / "models"),
            "curl | sha256sum": pipe,
        }
        for side, work in works.items():
            sides[side].append(file.size_bytes / MIB / timed(work))
        shutil.rmtree(folder / "models")
        stored.unlink()
    return [
        Row(f"{scheme}, checked, beside {side}", "MiB/s", sides["ours"], sides[side], bound)
        for side, bound in (("curl", ">=0.9"), ("curl | sha256sum", ""))
    ]


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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connection", type=float, help="a source that gives each connection so many MiB/s")
    options = parser.parse_args(arguments)
    if options.connection:
        with tempfile.TemporaryDirectory() as name:
            compare_connections(Path(name), options.mib * MIB, options.connection)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, file = made_file(folder / "hub", options.mib * MIB)
        rows: list[Row] = []
        with served(folder / "hub") as endpoint:
            rows += compare_with_curl("http", file, endpoint, folder, options.rounds)
            cancels = [asyncio.run(cancel_s(file, endpoint, folder / f"cancel{n}")) for n in range(10)]
        with trusted_certificate(folder) as certificate, served(folder / "hub", certificate) as endpoint:
            rows += compare_with_curl("https", file, endpoint, folder, options.rounds)
        vocabulary = vocabulary_file(folder)
        headers = [timed(lambda: read_file(vocabulary)) for _ in range(5)]
    print(table(rows))
    print(f"A download ends {median(cancels) * 1e3:.0f} ms after it is cancelled", end=" ")
    print(f"(slowest {max(cancels) * 1e3:.0f} ms);")
    print(f"a header with Qwen3's vocabulary is read in {median(headers) * 1e3:.0f} ms.")
    return 0 if all(row.is_met for row in rows) else 1
