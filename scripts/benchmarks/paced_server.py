"""A server of the OpenAI protocol that sends a token every few milliseconds.

`python -m benchmarks.paced_server` prints its port. The first token of each reply is the time at which it was
sent, by `time.monotonic`, which is the same in every program of this machine.
"""

from __future__ import annotations

import asyncio
import json
import time

TOKENS_PER_S = 200
FIRST_TOKEN_S = 0.5
"""The time that a server takes to read a prompt, while the question is being drawn."""

REPLY_TOKENS = 600
STAMP = "sent at {:.6f}; "
WORDS = ("strawberries ", "have ", "three ", "r's, ", "草莓 ")


async def serve() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if head.startswith("GET"):
            send_models(writer)
        else:
            await _send_reply(writer)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the client has closed the connection
    finally:
        writer.close()


def send_models(writer: asyncio.StreamWriter) -> None:
    """Send the list of models, of which there is one."""
    card = {"id": "Qwen3-8B", "owned_by": "vllm", "max_model_len": 32768}
    body = json.dumps({"object": "list", "data": [card]}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def _send_reply(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n")
    writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(FIRST_TOKEN_S)
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    for number in range(REPLY_TOKENS):
        text = WORDS[number % len(WORDS)] if number else STAMP.format(time.monotonic())
        writer.write(http_chunk(chat_event({"content": text}, None)))
        await writer.drain()
        await asyncio.sleep(max(0.0, started_s + (number + 1) / TOKENS_PER_S - loop.time()))
    writer.write(http_chunk(chat_event({}, "stop") + b"data: [DONE]\n\n") + http_chunk(b""))


def http_chunk(data: bytes) -> bytes:
    """Return a piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def chat_event(delta: dict[str, str], finish: str | None) -> bytes:
    """Return an event of a streamed reply."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "Qwen3-8B", "choices": [choice]}
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


if __name__ == "__main__":
    asyncio.run(serve())
