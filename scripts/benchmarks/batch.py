"""A batch on a server with eight slots beside the same one after another; one interrupted, and resumed.

The server answers each question in the same time, as many at once as it has slots. With the defaults this
takes about two and a half minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paced_server import chat_event, http_chunk, send_models
from benchmarks.ratios import Row, table

SCRIPTS = Path(__file__).resolve().parents[1]
SLOTS, WANTED_RATIO = 8, 5
INTERRUPTED = 128 + signal.SIGINT


class SlotServer:
    """A server that answers as many questions at once as it has slots; it counts what it is asked."""

    def __init__(self, n_slots: int, reply_s: float) -> None:
        self._slots = asyncio.Semaphore(n_slots)
        self._reply_s = reply_s
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.held = self.most_held = 0
        self._limit, self._reached = 0, asyncio.Event()

    async def answers(self, count: int) -> None:
        """Wait until so many questions are answered."""
        self._limit = count
        await self._reached.wait()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, then close the connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            if head.startswith("get"):
                send_models(writer)
            else:
                length = int(head.partition("content-length:")[2].partition("\r")[0])
                await self._reply(json.loads(await reader.readexactly(length)), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            writer.close()

    async def _reply(self, body: dict[str, object], writer: asyncio.StreamWriter) -> None:
        if "messages" not in body or "stream" not in body:  # it counts no tokens
            writer.write(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        messages = body["messages"]
        assert isinstance(messages, list)
        question = str(messages[-1]["content"]).partition(" /")[0]  # without the tag of its mode
        self.asked[question] += 1
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        try:
            async with self._slots:
                await asyncio.sleep(self._reply_s)
        finally:
            self.held -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        text = chat_event({"content": f"Asked: {question}"}, None) + chat_event({}, "stop")
        writer.write(http_chunk(text + b"data: [DONE]\n\n") + http_chunk(b""))
        await writer.drain()
        self.answered[question] += 1
        if self.answered.total() == self._limit:
            self._reached.set()


async def run(server: SlotServer, folder: Path, name: str, stop_at: int | None = None) -> float:
    """Answer the batch of a folder into a file, interrupted after some answers; return the seconds."""
    started_s = time.monotonic()
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        options = ("--endpoint", url, "--no-think", "--batch", str(folder / "in.jsonl"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "qwen3_chat", "ask", *options, "-o", str(folder / name)),
            env={**os.environ, "QWEN3_CHAT_HOME": str(folder / "home"), "PYTHONPATH": str(SCRIPTS.parent)},
            stderr=asyncio.subprocess.DEVNULL,
        )
        if stop_at is not None:
            await server.answers(stop_at)
            process.send_signal(signal.SIGINT)
        status = await process.wait()
    if status != (INTERRUPTED if stop_at is not None else 0):
        raise SystemExit(f"the batch ended with status {status}")
    return time.monotonic() - started_s


async def measure(count: int, reply_s: float) -> str:
    """Return the table and what the interruption showed."""
    with tempfile.TemporaryDirectory(prefix="qwen3-chat-") as name:
        folder = Path(name)
        lines = (json.dumps({"id": number, "prompt": f"Question {number}"}) for number in range(count))
        (folder / "in.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        many, one = SlotServer(SLOTS, reply_s), SlotServer(1, reply_s)
        many_s = await run(many, folder, "many.jsonl")
        one_s = await run(one, folder, "one.jsonl")
        resumed = SlotServer(SLOTS, reply_s)
        await run(resumed, folder, "resumed.jsonl", stop_at=count // 2)
        before = {
            row["id"]
            for line in (folder / "resumed.jsonl").read_text("utf-8").splitlines()
            if (row := json.loads(line))
        }
        asked_before = resumed.asked.copy()
        await run(resumed, folder, "resumed.jsonl")
        again = [number for number in before if resumed.asked[f"Question {number}"] != 1]
        twice = sum(times > 1 for times in resumed.asked.values())
    row = Row(
        f"{count} questions, {SLOTS} slots beside one",
        "1/s",
        [count / many_s],
        [count / one_s],
        f">={WANTED_RATIO}",
    )
    return (
        f"{table([row])}\n{many_s:.1f} s beside {one_s:.1f} s; at most {many.most_held} held at once\n"
        f"interrupted with {len(before)} answers, {asked_before.total()} asked: of the answered {len(again)} "
        f"were asked again, of those under way {twice}"
    )


def main(argv: Sequence[str]) -> int:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(prog="bench batch", description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--reply-ms", type=int, default=200)
    options = parser.parse_args(argv)
    print(asyncio.run(measure(options.count, options.reply_ms / 1000)))
    return 0
