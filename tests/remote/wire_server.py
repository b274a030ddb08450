"""A test server that sends responses byte by byte, with every fault that a real one may have."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum


class Fault(Enum):
    """A fault that happens instead of bytes."""

    RESET = "the connection is gone at once"
    MUTE = "nothing comes at all, until the client leaves"
    CUT = "the connection ends within the body"
    SILENCE = "nothing comes any more, until the client leaves"


NO_HEADERS: Mapping[str, str] = {}

Piece = bytes | Fault | asyncio.Event


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.body or b"{}")
        assert isinstance(value, dict)
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    """A response in pieces, each sent after a pause; an event among them is waited for."""

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "text/event-stream"
    pause_s: float = 0


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
    """Return a response of one JSON text."""
    return Reply([json.dumps(value).encode()], status, headers, "application/json")


Handler = Callable[[Request], Reply]


class WireServer:
    """A server on loopback that records every request, and whether a client left within a response."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.arrivals: asyncio.Queue[Request] = asyncio.Queue()
        self.left = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, then close the connection."""
        try:
            request = await _read(reader)
            self.requests.append(request)
            self.arrivals.put_nowait(request)
            await self._answer(self.handler(request), reader, writer)
        except ConnectionError:
            self.left.set()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if Fault.RESET in reply.pieces:
            writer.transport.abort()
            return
        if Fault.MUTE in reply.pieces:
            await reader.read()
            self.left.set()
            return
        headers = {"Content-Type": reply.content_type, "Transfer-Encoding": "chunked", **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Said", *(f"{name}: {text}" for name, text in headers.items())]
        writer.write(("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode())
        for piece in reply.pieces:
            match piece:
                case bytes():
                    if piece:
                        await asyncio.sleep(reply.pause_s)
                        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                        await writer.drain()
                case asyncio.Event():
                    if not await _came(piece, reader):
                        self.left.set()
                        return
                case Fault.SILENCE:
                    await reader.read()
                    self.left.set()
                    return
                case _:
                    return
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _came(event: asyncio.Event, reader: asyncio.StreamReader) -> bool:
    """Wait for an event; return False if the client leaves before."""
    waits = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(reader.read())}
    _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in pending:
        wait.cancel()
    return event.is_set()


async def _read(reader: asyncio.StreamReader) -> Request:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


@asynccontextmanager
async def running(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireServer]:
    """Run a server while the context is open."""
    wire = WireServer(handler)
    clients: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(wire.serve(reader, writer))
        clients.add(task)
        task.add_done_callback(clients.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    wire.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        for task in tuple(clients):
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


def event(value: object) -> bytes:
    """Return a value as a server-sent event."""
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


DONE = event(b"[DONE]")


def chunk(finish: str | None = None, **delta: object) -> dict[str, object]:
    """Return a chunk of the OpenAI protocol."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "Qwen3-8B", "choices": [choice]}
