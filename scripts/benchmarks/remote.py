"""The costs of a server as the engine: of a token, of the first one's way to the screen, of a stop by Esc.

The first row compares with a bare socket, the others with a bound. The last row needs `build/llama-server`,
which `python3 scripts/build_llama_server` makes. All rows take about a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pty
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx2

from benchmarks.made_up_files import made_up_file
from benchmarks.paced_server import REPLY_TOKENS, TOKENS_PER_S
from benchmarks.ratios import Row, table
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.remote import RemoteEngine, RemoteSettings
from qwen3_chat.events import AnswerDelta
from qwen3_chat.request import ChatRequest
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.servers import Endpoint

SCRIPTS = Path(__file__).resolve().parents[1]
LLAMA_SERVER = SCRIPTS.parent / "build" / "llama-server"
TOKEN_BOUND_US, SCREEN_BOUND_MS, STOP_BOUND_MS = 100.0, 20.0, 200.0
WAIT_LIMIT_S = 60
NEW_CHAT = b"\x0e"
WELCOME, STOPPED = re.compile(b"is ready"), re.compile(b"Stopped")
STAMP = re.compile(rb"sent at (\d+\.\d{6});")
REQUEST = ChatRequest(
    (ChatMessage(Role.USER, "Go on and on."),), ThinkingMode.NO_THINK, SamplingParams(0.7, 0.8, 20), seed=1
)


def main(argv: Sequence[str]) -> int:
    """Measure all rows, print the table."""
    parser = argparse.ArgumentParser(prog="bench remote", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(argv).rounds
    with paced_server() as url:
        costs_us = [(asyncio.run(cost_per_token_us(url)), bare_cost_per_token_us(url)) for _ in range(rounds)]
        added_us = [ours - bare for ours, bare in costs_us]
        delays_ms = screen_delays_ms(url, rounds)
    bare_us = [bare for _, bare in costs_us]
    rows = [
        Row(
            f"processor time per token at {TOKENS_PER_S} tok/s", "µs", [ours for ours, _ in costs_us], bare_us
        ),
        Row("of that, more than reading the socket", "µs", added_us, [TOKEN_BOUND_US], "<=1"),
        Row("first byte to first text on screen", "ms", delays_ms, [SCREEN_BOUND_MS], "<=1"),
    ]
    if LLAMA_SERVER.is_file():
        stops_ms = asyncio.run(stop_delays_ms(rounds))
        rows.append(Row("Esc to an idle slot of llama-server", "ms", stops_ms, [STOP_BOUND_MS], "<=1"))
    print(table(rows))
    return 0


async def cost_per_token_us(url: str) -> float:
    """Return the processor time per token of a reply in the whole engine, without that of the server."""
    engine = RemoteEngine(RemoteSettings(Endpoint.parse(url)))
    async for _ in events_of(engine.generate, REQUEST):  # the first reply imports what every other one has
        pass
    started_s = time.process_time()
    async for _ in events_of(engine.generate, REQUEST):
        pass
    cost_s = time.process_time() - started_s
    await engine.close()
    return cost_s / REPLY_TOKENS * 1e6


def bare_cost_per_token_us(url: str) -> float:
    """Return the processor time per token of reading the same stream from a bare socket."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n\r\n")
        started_s = time.process_time()
        while connection.recv(65536):
            pass
        return (time.process_time() - started_s) / REPLY_TOKENS * 1e6


def screen_delays_ms(url: str, rounds: int) -> list[float]:
    """Ask in the real application on a terminal; return the delays from sending text to drawing it."""
    with tempfile.TemporaryDirectory() as home:
        process, terminal = _open_app(url, home)
        try:
            _wait_for(terminal, WELCOME)
            return [_delay_ms(terminal) for _ in range(rounds)]
        finally:
            process.terminate()
            process.wait()
            os.close(terminal)


def _open_app(url: str, home: str) -> tuple[subprocess.Popen[bytes], int]:
    terminal, inner = pty.openpty()
    environment = {**os.environ, "QWEN3_CHAT_HOME": home, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "qwen3_chat", "--endpoint", url]
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
    )
    os.close(inner)
    return process, terminal


def _delay_ms(terminal: int) -> float:
    """Ask in a new chat, stop the reply; return the delay from the time in its text to drawing it."""
    os.write(terminal, NEW_CHAT)
    _wait_for(terminal, WELCOME)
    os.write(terminal, b"Go on\r")
    stamp = _wait_for(terminal, STAMP)
    drawn_s = time.monotonic()
    os.write(terminal, b"\x1b")
    _wait_for(terminal, STOPPED)
    return (drawn_s - float(stamp[1])) * 1000


def _wait_for(terminal: int, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
    """Read the drawn text until a pattern matches."""
    drawn = b""
    deadline_s = time.monotonic() + WAIT_LIMIT_S
    while time.monotonic() < deadline_s:
        if select.select([terminal], [], [], 1)[0]:
            drawn += re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", os.read(terminal, 65536))
            if match := pattern.search(drawn):
                return match
    raise RuntimeError(f"the application did not show {pattern.pattern!r}")


async def stop_delays_ms(rounds: int) -> list[float]:
    """Stop replies of llama-server; return the delays until its slot is idle."""
    with llama_server(made_up_file("small", "Q8_0")) as url:
        engine = RemoteEngine(RemoteSettings(Endpoint.parse(url)))
        async with httpx2.AsyncClient(trust_env=False) as client:
            delays_ms = [await _stop_delay_ms(engine, client, f"{url}/slots") for _ in range(rounds)]
        await engine.close()
    return delays_ms


async def _stop_delay_ms(engine: RemoteEngine, client: httpx2.AsyncClient, slots: str) -> float:
    started_s = 0.0
    events = events_of(engine.generate, REQUEST)
    async for event in events:
        if isinstance(event, AnswerDelta) and event.tokens == 20:
            started_s = time.monotonic()
            events.cancel()
    while any(slot["is_processing"] for slot in (await client.get(slots)).json()):
        pass
    return (time.monotonic() - started_s) * 1000


@contextmanager
def paced_server() -> Iterator[str]:
    """Run the server that sends a token every few milliseconds; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.paced_server"]
    with subprocess.Popen(command, cwd=SCRIPTS, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


@contextmanager
def llama_server(model: Path) -> Iterator[str]:
    """Run llama-server; yield its URL."""
    options = ["-m", str(model), "-c", "4096", "-np", "1", "-t", "1", "--jinja", "--slots", "--port", "0"]
    command = [str(LLAMA_SERVER), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if match := re.search(r"listening on (http://\S+)", line):
                    Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would block it
                    yield match[1]
                    break
        finally:
            process.kill()  # terminated right after a stop, it may wait forever
