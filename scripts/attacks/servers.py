"""Servers that send too much, too deep, packed or without end, to the whole app: its memory and its keys."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attacks.report import Options, Report

if TYPE_CHECKING:
    from tests.harness import Harness

MAX_MEMORY_MB: Final = 300
MAX_ESC_MS: Final = 200
FLOOD_S: Final = 3.0
"""The time for which a server floods the app before Esc is pressed."""
LIMIT_S: Final = 120.0

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
MODELS = b'{"data": [{"id": "Qwen3-8B", "owned_by": "someone"}]}'
Flood = Callable[[], Iterator[bytes]]


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _delta(**delta: object) -> bytes:
    return _event({"choices": [{"delta": delta}]})


def _repeat(first: bytes, piece: bytes) -> Iterator[bytes]:
    yield first
    while True:
        yield piece


def _pretty() -> Iterator[bytes]:
    text = json.dumps({"choices": [{"n": n} for n in range(300_000)]}, indent=1)  # 10**6 lines
    yield text.encode()


def _packed() -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    yield packer.compress(b"data: ")
    for _ in range(2000):
        yield packer.compress(b"x" * 1_000_000)
    yield packer.flush()


ATTACKS: dict[str, tuple[bytes, Flood]] = {
    "a pretty-printed reply of a million lines": (b"", _pretty),
    "2 GB in gzip": (b"Content-Encoding: gzip\r\n", _packed),
    "one event without an end": (b"", lambda: _repeat(b"data: ", b"x" * 65536)),
    "one line of JSON without an end": (b"", lambda: _repeat(b'{"a":"', b"x" * 65536)),
    "opening brackets, a line each": (b"", lambda: _repeat(b"[\n", b"[\n" * 30_000)),
    "comments": (b"", lambda: _repeat(b": \n", b": \n" * 20_000)),
    "events without choices": (b"", lambda: _repeat(b"", _event({"choices": []}) * 2000)),
    "usage again and again": (b"", lambda: _repeat(b"", _event({"usage": {"prompt_tokens": 1}}) * 2000)),
    "answers of one character": (b"", lambda: _repeat(b"", _delta(content="x") * 1000)),
    "answers of one line": (b"", lambda: _repeat(b"", _delta(content="word word\n\n") * 1000)),
    "thinking of one character": (b"", lambda: _repeat(b"", _delta(reasoning_content="x ") * 1000)),
    "answers of 10,000 characters": (b"", lambda: _repeat(b"", _delta(content="lorem ipsum " * 800))),
    "tool calls": (
        b"",
        lambda: _repeat(b"", _delta(tool_calls=[{"index": 0, "function": {"name": "f"}}]) * 1000),
    ),
    "values of a million lists": (b"", lambda: _repeat(b"", b"data: [" + b"[]," * 1_000_000 + b"1]\n\n")),
    "headers without an end": (b"", lambda: _repeat(b"", b"")),
    "a web page without an end": (b"", lambda: _repeat(b"<!doctype html>", b"<p>" * 20_000)),
}


async def _serve(port: Connection, name: str) -> None:
    extra, flood = ATTACKS[name]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(MODELS)
                writer.write(b"HTTP/1.1 200 OK\r\n" + length + MODELS)
                await writer.drain()
                return
            if name == "headers without an end":
                writer.write(b"HTTP/1.1 200 OK\r\n")
                for n in range(10**9):
                    writer.write(b"X-%d: %s\r\n" % (n, b"x" * 1000))
                    await writer.drain()
            writer.write(OK + extra + b"Connection: close\r\n\r\n")
            for piece in flood():
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _run_server(port: Connection, name: str) -> None:
    asyncio.run(_serve(port, name))


async def _visit(port: int, folder: Path) -> tuple[float, bool]:
    """Ask the server, press Esc in its flood; return the delay in ms, and True if it ended before."""
    from textual import events

    from qwen3_chat.engine.remote import RemoteEngine, RemoteSettings
    from qwen3_chat.servers import Endpoint
    from tests.harness import open_app

    engine = RemoteEngine(RemoteSettings(Endpoint.parse(f"http://127.0.0.1:{port}")))
    async with open_app(folder, engine) as app:
        await app.say("Hello?")
        began_s = time.monotonic()
        while time.monotonic() - began_s < FLOOD_S and not _has_ended(app):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        pressed_s = time.monotonic()
        if not (ended := _has_ended(app)):
            app.app.post_message(events.Key("escape", None))  # as the driver does; a pilot would wait
        while not _has_ended(app) and time.monotonic() - pressed_s < LIMIT_S:  # noqa: ASYNC110
            await asyncio.sleep(0)
        delay_ms = 0.0 if ended else (time.monotonic() - pressed_s) * 1000
        await engine.close()
        return delay_ms, ended


def _has_ended(app: Harness) -> bool:
    return len(app.session.messages) >= 2 and not app.screen.is_answering


def _run_app(result: Connection, port: int) -> None:
    from tests.engine.memory import peak_bytes

    with tempfile.TemporaryDirectory() as folder:
        delay_ms, ended = asyncio.run(_visit(port, Path(folder)))
    result.send((delay_ms, ended, peak_bytes(os.getpid()) / 1024**2))


def attack(options: Options) -> Report:
    """Visit each hostile server with the app in a process of its own."""
    report = Report()
    context = multiprocessing.get_context("spawn")
    worst_ms = worst_mb = 0.0
    for name in list(ATTACKS)[: options.count]:
        port_end, port_start = context.Pipe(duplex=False)
        result_end, result_start = context.Pipe(duplex=False)
        server = context.Process(target=_run_server, args=(port_start, name), daemon=True)
        server.start()
        app = context.Process(target=_run_app, args=(result_start, port_end.recv()), daemon=True)
        app.start()
        result_start.close()
        try:
            if not result_end.poll(LIMIT_S + 60):
                raise EOFError
            delay_ms, ended, memory_mb = result_end.recv()
        except EOFError:
            report.failures.append(f"{name}: the app ended or hung")
            continue
        finally:
            server.kill()
            app.join(30)
            app.kill()
        worst_ms, worst_mb = max(worst_ms, delay_ms), max(worst_mb, memory_mb)
        told = "the app stopped by itself" if ended else f"Esc after {delay_ms:.0f} ms"
        report.figures[name] = f"{told}, {memory_mb:.0f} MB"
        report.check(memory_mb <= MAX_MEMORY_MB, f"{name}: {memory_mb:.0f} MB")
        report.check(delay_ms <= MAX_ESC_MS, f"{name}: Esc took {delay_ms:.0f} ms")
    report.figures["worst"] = f"Esc {worst_ms:.0f} ms, {worst_mb:.0f} MB"
    return report
